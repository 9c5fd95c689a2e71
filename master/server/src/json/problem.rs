//! What went wrong, as JSON: never a page, never a bare status.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::dashboard::query::BadQuery;

/// What went wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct ProblemBody {
    /// What is wrong.
    pub(super) error: String,
    /// The parameter or field that is wrong; null when it is none of them.
    pub(super) field: Option<String>,
    /// What to do.
    pub(super) fix: String,
}

/// A body and its status.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    body: ProblemBody,
}

impl Problem {
    /// 400.
    pub(super) fn bad(field: &str, error: impl Into<String>, fix: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Some(field), error, fix)
    }

    /// 404.
    pub(super) fn not_found(field: &str, error: impl Into<String>, fix: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, Some(field), error, fix)
    }

    /// 503 because something is used up.
    pub(super) fn busy(error: impl Into<String>, fix: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, None, error, fix)
    }

    /// 503.
    pub(super) fn stopping() -> Self {
        Self::busy("this master is stopping", "try again, or at another master")
    }

    /// 404 for a path.
    pub(super) async fn no_such_path() -> Self {
        let fix = "see /v1/openapi.json for all there is";
        Self::new(StatusCode::NOT_FOUND, None, "there is nothing under this path", fix)
    }

    /// 405.
    pub(super) async fn wrong_method() -> Self {
        let fix = "see /v1/openapi.json for the methods of each path";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, None, "this path has no such method", fix)
    }

    fn new(status: StatusCode, field: Option<&str>, error: impl Into<String>, fix: &str) -> Self {
        let field = field.map(str::to_owned);
        Self { status, body: ProblemBody { error: error.into(), field, fix: fix.to_owned() } }
    }
}

impl From<BadQuery> for Problem {
    fn from(query: BadQuery) -> Self {
        match query {
            BadQuery::Unreadable(told) => {
                let error = format!("the query cannot be read: {told}");
                Self::new(StatusCode::BAD_REQUEST, None, error, "write it as name=value&name=value, percent-encoded")
            }
            BadQuery::Twice(name) => Self::bad(&name, format!("parameter {name:?} is given twice"), "give it once"),
            BadQuery::Unknown { name, known } => {
                Self::bad(&name, format!("parameter {name:?} is not known here"), &known)
            }
            BadQuery::Value { name, value, fix } => Self::bad(name, format!("parameter {name:?} is {value:?}"), &fix),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, axum::Json(self.body)).into_response()
    }
}

/// A piece of what others sent, fit to be repeated.
pub(super) fn short(text: &str) -> String {
    text.chars().take(64).collect()
}
