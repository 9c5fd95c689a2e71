//! Where dropped offers leave their answers until the session sends them. Never waits for anything.

use std::sync::{Arc, Mutex, PoisonError};

use proffer_proto_model::{DeclineReason, Filter, OfferId, Operation};

/// The answer to one offer, or to those of a gang.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Several only for a gang: void together.
    pub(crate) offers: Vec<OfferId>,
    /// Empty: it is declined.
    pub(crate) operations: Vec<Operation>,
    /// `None`: the session finds the reason.
    pub(crate) reason: Option<DeclineReason>,
    pub(crate) filter: Filter,
}

/// Shared by all offers of one session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outbox(Arc<Mutex<Vec<Answer>>>);

impl Outbox {
    pub(crate) fn push(&self, answer: Answer) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
    }

    /// All answers since the last call, in order.
    pub(crate) fn take(&self) -> Vec<Answer> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
