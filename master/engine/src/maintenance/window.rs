//! A maintenance window as it is stored: which agents, when, and what becomes of them. Durable; decides nothing.

use std::fmt;

use proffer_proto_model::{AgentId, UnixMillis};
use serde::{Deserialize, Serialize};

/// Name of a maintenance window, given by the master.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WindowId(pub String);

impl fmt::Display for WindowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A maintenance window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRecord {
    /// Its name.
    pub id: WindowId,
    /// The agents, each once, in order.
    pub agents: Vec<AgentId>,
    /// When it begins, by the wall clock.
    pub start: UnixMillis,
    /// How long it lasts, in milliseconds.
    pub duration_ms: u64,
    /// What becomes of the agents.
    pub action: WindowAction,
    /// The agents that took work before it began and will again after it; `None` until it has begun.
    pub taken: Option<Vec<AgentId>>,
}

/// What becomes of the agents when a window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WindowAction {
    /// They are drained.
    Drain {
        /// Bounds each task's own grace, in milliseconds.
        max_grace_ms: Option<u64>,
    },
    /// They get no new work; what runs goes on.
    Deactivate,
}

impl WindowRecord {
    /// When it is over, by the wall clock.
    pub fn end(&self) -> UnixMillis {
        UnixMillis(self.start.0.saturating_add(self.duration_ms))
    }

    /// It has begun; it is forgotten when it ends.
    pub fn is_open(&self) -> bool {
        self.taken.is_some()
    }

    /// It ends what runs on its agents.
    pub fn is_drain(&self) -> bool {
        matches!(self.action, WindowAction::Drain { .. })
    }
}
