//! Short ways to make a [`RuntimeError`]. Never decides what to do about one.

use crate::{RuntimeError, RuntimeErrorKind};

impl RuntimeError {
    /// An error of `kind` about `what`, caused by `cause`.
    pub fn new(kind: RuntimeErrorKind, what: impl Into<String>, cause: impl ToString) -> Self {
        Self { kind, what: what.into(), cause: cause.to_string() }
    }

    /// Something named does not exist.
    pub fn not_found(what: impl Into<String>, cause: impl ToString) -> Self {
        Self::new(RuntimeErrorKind::NotFound, what, cause)
    }

    /// The request can never work.
    pub fn invalid(what: impl Into<String>, cause: impl ToString) -> Self {
        Self::new(RuntimeErrorKind::Invalid, what, cause)
    }

    /// Anything that nobody planned for.
    pub fn internal(what: impl Into<String>, cause: impl ToString) -> Self {
        Self::new(RuntimeErrorKind::Internal, what, cause)
    }

    /// True when the thing asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        self.kind == RuntimeErrorKind::NotFound
    }

    /// True when trying again later may help.
    pub fn is_unavailable(&self) -> bool {
        self.kind == RuntimeErrorKind::Unavailable
    }
}
