//! What one input asks for: first to store, then to send. The type does not let go of the second before the first.

use super::Call;
use crate::SchedulerError;
use crate::store::StoreOp;

/// The outcome of one input.
#[derive(Debug, Default)]
#[must_use = "a frame that is dropped loses what was decided"]
pub struct SessionFrame {
    pub(super) store: Vec<StoreOp>,
    pub(super) send: Vec<Call>,
    pub(super) reconnect: Option<String>,
    pub(super) end: Option<End>,
}

/// Proof that a frame's changes are durable.
#[derive(Debug)]
pub struct Stored(());

impl Stored {
    /// To be called only after the commit that holds the changes returned.
    pub fn after_commit() -> Self {
        Self(())
    }
}

/// What follows once a frame is stored.
#[derive(Debug)]
pub struct After {
    /// To the master, in order.
    pub send: Vec<Call>,
    /// The link is of no use any more, for this reason: close it and open another one.
    pub reconnect: Option<String>,
    /// The run ends after the calls were sent.
    pub end: Option<End>,
}

/// Why a run ends.
#[derive(Debug)]
pub enum End {
    /// The scheduler asked for it.
    Stopped,
    /// The framework was removed, as the scheduler asked.
    TornDown,
    /// The scheduler failed.
    Scheduler(SchedulerError),
    /// The master refuses this framework; coming back cannot help.
    Refused {
        /// What kind.
        kind: super::ErrorKind,
        /// What the master said.
        message: String,
    },
}

impl SessionFrame {
    /// Nothing but an end.
    pub(crate) fn ending(end: End) -> Self {
        Self { end: Some(end), ..Self::default() }
    }

    /// The changes to make durable, in order. May be empty.
    pub fn changes(&self) -> &[StoreOp] {
        &self.store
    }

    /// Adds a later frame of the same batch: one commit serves both.
    pub fn append(&mut self, mut later: SessionFrame) {
        self.store.append(&mut later.store);
        self.send.append(&mut later.send);
        self.reconnect = self.reconnect.take().or(later.reconnect);
        self.end = self.end.take().or(later.end);
    }

    /// The run goes on after it on the same link.
    pub fn is_going_on(&self) -> bool {
        self.end.is_none() && self.reconnect.is_none()
    }

    /// Lets go of the calls, now that everything they rest on is stored.
    pub fn into_after(self, _proof: Stored) -> After {
        After { send: self.send, reconnect: self.reconnect, end: self.end }
    }
}
