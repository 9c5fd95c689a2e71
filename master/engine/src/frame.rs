//! What one input asks for: first to store, then to send. The type does not let go of the second before the first.

use crate::Effect;
use crate::registry::Operation;

/// The outcome of one input.
#[derive(Debug, Default)]
#[must_use = "a frame that is dropped loses what was decided"]
pub struct Frame {
    pub(crate) store: Vec<Operation>,
    pub(crate) send: Vec<Effect>,
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

    /// Adds a later frame of the same batch: one commit serves both.
    pub fn append(&mut self, mut later: Frame) {
        self.store.append(&mut later.store);
        self.send.append(&mut later.send);
    }

    /// Lets go of the effects, now that everything they rest on is stored.
    pub fn into_effects(self, _proof: Stored) -> Vec<Effect> {
        self.send
    }
}
