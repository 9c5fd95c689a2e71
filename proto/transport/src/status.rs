//! One table between kinds of errors and gRPC codes, and back to words for people.

use std::error::Error;
use std::fmt;

use tonic::{Code, Status};

/// What kind of error a call ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A field of the request is wrong.
    Invalid,
    /// What was asked for does not exist.
    NotFound,
    /// What was to be made exists already.
    AlreadyExists,
    /// It cannot be done in the present state.
    Conflict,
    /// The caller may not do that.
    Forbidden,
    /// Too much: a message too large, a queue full, a reader too slow.
    Exhausted,
    /// The other side is not there, not ready, or does not lead; trying again is sensible.
    Unavailable,
    /// It took too long.
    TimedOut,
    /// The call was ended by its caller or by a stopping server.
    Cancelled,
    /// Not in this version.
    NotImplemented,
    /// Something broke inside.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [ErrorKind; 11] = [
        Self::Invalid,
        Self::NotFound,
        Self::AlreadyExists,
        Self::Conflict,
        Self::Forbidden,
        Self::Exhausted,
        Self::Unavailable,
        Self::TimedOut,
        Self::Cancelled,
        Self::NotImplemented,
        Self::Internal,
    ];

    /// Its gRPC code.
    pub fn code(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidArgument,
            Self::NotFound => Code::NotFound,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::Conflict => Code::FailedPrecondition,
            Self::Forbidden => Code::PermissionDenied,
            Self::Exhausted => Code::ResourceExhausted,
            Self::Unavailable => Code::Unavailable,
            Self::TimedOut => Code::DeadlineExceeded,
            Self::Cancelled => Code::Cancelled,
            Self::NotImplemented => Code::Unimplemented,
            Self::Internal => Code::Internal,
        }
    }

    /// The kind a code stands for; `None` for success.
    pub fn of_code(code: Code) -> Option<Self> {
        Some(match code {
            Code::Ok => return None,
            Code::InvalidArgument | Code::OutOfRange => Self::Invalid,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::FailedPrecondition | Code::Aborted => Self::Conflict,
            Code::PermissionDenied | Code::Unauthenticated => Self::Forbidden,
            Code::ResourceExhausted => Self::Exhausted,
            Code::Unavailable => Self::Unavailable,
            Code::DeadlineExceeded => Self::TimedOut,
            Code::Cancelled => Self::Cancelled,
            Code::Unimplemented => Self::NotImplemented,
            Code::Internal | Code::Unknown | Code::DataLoss => Self::Internal,
        })
    }

    /// Trying the same again later can help.
    pub fn is_worth_a_retry(self) -> bool {
        matches!(self, Self::Unavailable | Self::TimedOut | Self::Cancelled | Self::Exhausted)
    }
}

/// A status for the wire.
pub fn to_status(kind: ErrorKind, message: impl Into<String>) -> Status {
    Status::new(kind.code(), message)
}

/// An error a remote side answered with, or the reason it could not be reached, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteError {
    /// What kind.
    pub kind: ErrorKind,
    /// What the other side said, or why it could not be reached.
    pub message: String,
    /// Nothing came back: the message is of this side.
    pub is_local: bool,
}

impl From<Status> for RemoteError {
    fn from(status: Status) -> Self {
        let kind = ErrorKind::of_code(status.code()).unwrap_or(ErrorKind::Internal);
        match root_cause(&status) {
            Some(cause) => {
                // The library calls a broken connection by several codes; for people it is one thing.
                let kind = if kind == ErrorKind::Internal { ErrorKind::Unavailable } else { kind };
                Self { kind, message: cause, is_local: true }
            }
            None if status.message().is_empty() => {
                Self { kind, message: format!("no details ({:?})", status.code()), is_local: false }
            }
            None => Self { kind, message: status.message().to_owned(), is_local: false },
        }
    }
}

/// The innermost error of this side, when there is one: `Connection refused` instead of `transport error`.
fn root_cause(status: &Status) -> Option<String> {
    let mut cause = status.source()?;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Some(cause.to_string())
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for RemoteError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::of_code(kind.code()), Some(kind));
            let told = RemoteError::from(to_status(kind, "ports[2] is 70000"));
            assert_eq!(told, RemoteError { kind, message: "ports[2] is 70000".into(), is_local: false });
        }
        assert_eq!(ErrorKind::of_code(Code::Ok), None);
    }

    #[test]
    fn every_code_but_success_has_a_kind() {
        for number in 1..=16 {
            assert!(ErrorKind::of_code(Code::from_i32(number)).is_some(), "code {number}");
        }
    }
}
