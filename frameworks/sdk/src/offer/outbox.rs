//! Where offers leave their answers until the session sends them. Never waits for anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proffer_proto_model::{DeclineReason, Filter, InverseReply, OfferId, Operation};

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
pub(crate) struct Outbox(Arc<Mutex<Posted>>);

#[derive(Debug, Default)]
struct Posted {
    answers: Vec<Answer>,
    inverse: Vec<InverseReply>,
}

impl Outbox {
    pub(crate) fn push(&self, answer: Answer) {
        self.lock().answers.push(answer);
    }

    pub(crate) fn push_inverse(&self, reply: InverseReply) {
        self.lock().inverse.push(reply);
    }

    /// All answers since the last call, in order.
    pub(crate) fn take(&self) -> Vec<Answer> {
        std::mem::take(&mut self.lock().answers)
    }

    /// All answers to inverse offers since the last call, in order.
    pub(crate) fn take_inverse(&self) -> Vec<InverseReply> {
        std::mem::take(&mut self.lock().inverse)
    }

    fn lock(&self) -> MutexGuard<'_, Posted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
