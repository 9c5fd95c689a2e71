//! What one input asks for: first to store, then to do. The type does not let go of the second before the first.

use crate::effect::{Effect, ToMaster, Update};
use crate::{Operation, SessionId};

/// The outcome of one input.
#[derive(Debug, Default)]
#[must_use = "a frame that is dropped loses what was decided"]
pub struct Frame {
    store: Vec<Operation>,
    send: Vec<Effect>,
}

/// Proof that a frame's operations are durable. Made by a store, in the same breath as its commit.
#[derive(Debug)]
pub struct Stored(());

impl Stored {
    /// To be called by a store only after the commit that holds the operations returned.
    pub fn after_commit() -> Self {
        Self(())
    }
}

impl Frame {
    /// The operations to make durable, in order. May be empty.
    pub fn operations(&self) -> &[Operation] {
        &self.store
    }

    /// Takes the operations away, for a store on another thread. The effects stay locked until it answers.
    pub fn take_operations(&mut self) -> Vec<Operation> {
        std::mem::take(&mut self.store)
    }

    /// Nothing to store and nothing to do.
    pub fn is_empty(&self) -> bool {
        self.store.is_empty() && self.send.is_empty()
    }

    /// Adds a later frame of the same batch: one commit serves both.
    pub fn append(&mut self, mut later: Frame) {
        self.store.append(&mut later.store);
        self.send.append(&mut later.send);
    }

    /// Lets go of the effects, now that everything they rest on is stored.
    pub fn into_effects(self, _proof: Stored) -> Vec<Effect> {
        self.send
    }

    pub(crate) fn store(&mut self, operation: Operation) {
        self.store.push(operation);
    }

    pub(crate) fn send(&mut self, effect: Effect) {
        self.send.push(effect);
    }

    /// Sends an update; several in a row for one stream travel together.
    pub(crate) fn send_update(&mut self, to: SessionId, update: Update) {
        if let Some(Effect::ToMaster { session, message: ToMaster::Updates(updates) }) = self.send.last_mut()
            && *session == to
        {
            updates.push(update);
            return;
        }
        self.send(Effect::ToMaster { session: to, message: ToMaster::Updates(vec![update]) });
    }
}
