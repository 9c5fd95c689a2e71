//! What went wrong, as JSON: never a page, never a bare status. The words are those of the gRPC API.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use proffer_proto_transport::{ErrorKind, RemoteError};
use prost_reflect::MessageDescriptor;
use serde::Serialize;
use tonic::Status;

/// What went wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    #[serde(skip)]
    status: StatusCode,
    /// One of the words of [`KINDS`].
    kind: &'static str,
    /// What is wrong.
    message: String,
    /// The field or parameter that is wrong; null when it is none of them.
    field: Option<String>,
    /// What to do; empty when the message says it.
    fix: String,
}

/// Every kind, with its word and HTTP status.
pub(super) const KINDS: [(ErrorKind, &str, StatusCode); 11] = [
    (ErrorKind::Invalid, "invalid", StatusCode::BAD_REQUEST),
    (ErrorKind::NotFound, "not_found", StatusCode::NOT_FOUND),
    (ErrorKind::AlreadyExists, "already_exists", StatusCode::CONFLICT),
    (ErrorKind::Conflict, "conflict", StatusCode::CONFLICT),
    (ErrorKind::Forbidden, "forbidden", StatusCode::FORBIDDEN),
    (ErrorKind::Exhausted, "exhausted", StatusCode::TOO_MANY_REQUESTS),
    (ErrorKind::Unavailable, "unavailable", StatusCode::SERVICE_UNAVAILABLE),
    (ErrorKind::TimedOut, "timed_out", StatusCode::GATEWAY_TIMEOUT),
    (ErrorKind::Cancelled, "cancelled", StatusCode::SERVICE_UNAVAILABLE),
    (ErrorKind::NotImplemented, "not_implemented", StatusCode::NOT_IMPLEMENTED),
    (ErrorKind::Internal, "internal", StatusCode::INTERNAL_SERVER_ERROR),
];

impl Problem {
    /// A problem of a kind.
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>, fix: impl Into<String>) -> Self {
        let known = KINDS.iter().find(|(known, ..)| *known == kind);
        let (_, word, status) = *known.unwrap_or(&KINDS[KINDS.len() - 1]);
        Self { status, kind: word, message: message.into(), field: None, fix: fix.into() }
    }

    /// A field or parameter that is wrong.
    pub(super) fn bad(field: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { field: Some(short(field)), ..Self::new(ErrorKind::Invalid, message, fix) }
    }

    /// What the gRPC API answered: its text is "what is wrong; what to do" and begins with the field, if it is one of
    /// the request's.
    pub(super) fn of_status(status: Status, request: &MessageDescriptor) -> Self {
        let RemoteError { kind, message, .. } = status.into();
        let (what, fix) = message.rsplit_once("; ").unwrap_or((&message, ""));
        let first = what.split_once(' ').map(|(first, _)| first.trim_end_matches(':'));
        let field = first.filter(|first| {
            let root = first.split(['.', '[']).next().unwrap_or_default();
            request.get_field_by_name(root).is_some()
        });
        Self { field: field.map(str::to_owned), ..Self::new(kind, what, fix) }
    }

    /// The same with another HTTP status.
    pub(super) fn with(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Nothing is under this path.
    pub(super) async fn no_such_path() -> Self {
        let fix = "see /v1/openapi.json for all there is";
        Self::new(ErrorKind::NotFound, "there is nothing under this path", fix)
    }

    /// The path is there and takes other methods.
    pub(super) async fn wrong_method() -> Self {
        let fix = "see the header Allow, or /v1/openapi.json";
        let problem = Self::new(ErrorKind::Invalid, "this path does not take this HTTP method", fix);
        problem.with(StatusCode::METHOD_NOT_ALLOWED)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, axum::Json(self)).into_response()
    }
}

/// A piece of what others sent, fit to be repeated.
pub(super) fn short(text: &str) -> String {
    text.chars().take(64).collect()
}
