//! The engine itself: the only entry point to the master's decisions.

use proffer_proto_model::{ClusterId, Epoch, Moment, Now};

use crate::registry::Registry;
use crate::view::Change;
use crate::{Frame, Input};

/// What can be set. All times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// An offer not answered in this time is withdrawn; 30,000 by default.
    pub offer_timeout_ms: u64,
    /// Pings to agents and heartbeats to frameworks; 5,000 by default.
    pub heartbeat_interval_ms: u64,
    /// An agent silent or away for this long is unreachable; 30,000 by default.
    pub agent_timeout_ms: u64,
    /// Most outstanding offers of one framework; 1,000 by default.
    pub max_offers_per_framework: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            offer_timeout_ms: 30_000,
            heartbeat_interval_ms: 5_000,
            agent_timeout_ms: 30_000,
            max_offers_per_framework: 1_000,
        }
    }
}

/// A registry that contradicts itself.
#[derive(Debug, thiserror::Error)]
#[error("the registry contradicts itself: {0}; restore it from a backup")]
pub struct RecoverError(pub String);

/// All state of the master.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// Starts from what is stored. `epoch` must be higher than that of any master before, and stored already.
    pub fn recover(
        _config: Config,
        _cluster: ClusterId,
        _epoch: Epoch,
        _registry: Registry,
        _now: Now,
    ) -> Result<Self, RecoverError> {
        Ok(Self {})
    }

    /// Handles one input. Same state, time and input give the same frame, always.
    pub fn handle(&mut self, _now: Now, _input: Input) -> Frame {
        Frame::default()
    }

    /// When [`Input::Tick`] is due next; `None` when no timer runs.
    pub fn next_deadline(&self) -> Option<Moment> {
        None
    }

    /// What changed for readers since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        Vec::new()
    }

    /// Recomputes the invariants from scratch; every broken one in words.
    pub fn audit(&self) -> Vec<String> {
        Vec::new()
    }
}
