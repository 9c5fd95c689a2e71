//! Requests that are not messages of the API called: told with the call and the fix, as the caller's mistake.
//!
//! The gRPC library calls these internal errors of the server. It never touches an error that a handler made.

use axum::body::Body;
use axum::response::Response;
use tonic::{Code, Status};

/// How the library's words for a request begin that is cut short, of another type or no gRPC at all.
const UNREADABLE: [&str; 3] =
    ["failed to decode Protobuf message", "Unexpected EOF decoding stream", "protocol error: received message with"];

/// Replaces the library's answer to an unreadable request of `path`; lets all others through.
pub(crate) fn explain(path: &str, response: Response) -> Response {
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    let is_unreadable = UNREADABLE.iter().any(|words| status.message().starts_with(words));
    if status.code() != Code::Internal || !is_unreadable {
        return response;
    }
    let call = path.trim_start_matches('/');
    let cause = status.message().trim_end_matches('.');
    Status::invalid_argument(format!(
        "the request of {call} cannot be read ({cause}): it is cut short or not a message of this call; \
         send it whole, with a client of the same version"
    ))
    .into_http::<Body>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: Status) -> Status {
        let response = explain("/proffer.operator.v1.Operator/GetCluster", status.into_http());
        Status::from_header_map(response.headers()).expect("a status")
    }

    #[test]
    fn what_cannot_be_read_is_the_callers_mistake() {
        let status = told(Status::internal("failed to decode Protobuf message: X.id: buffer underflow"));
        assert_eq!(status.code(), Code::InvalidArgument);
        for part in ["Operator/GetCluster", "X.id: buffer underflow", "send it whole"] {
            assert!(status.message().contains(part), "{part:?} is not in {:?}", status.message());
        }
    }

    #[test]
    fn other_answers_are_left_alone() {
        for status in [Status::internal("the disk is full"), Status::not_found("failed to decode Protobuf message")] {
            let (code, message) = (status.code(), status.message().to_owned());
            let same = told(status);
            assert_eq!((same.code(), same.message()), (code, message.as_str()));
        }
        let plain = explain("/x", Response::new(Body::from("hello")));
        assert!(plain.headers().get("grpc-status").is_none());
    }
}
