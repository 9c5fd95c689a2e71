//! What operators want of an agent: take work, take none, be emptied, be gone. Durable; says nothing of its stream.

use std::fmt;

use proffer_proto_model::UnixMillis;
use serde::{Deserialize, Serialize};

/// What operators want of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum AgentMode {
    /// It is offered.
    #[default]
    Active,
    /// It is not offered; its tasks go on.
    Deactivated,
    /// It is not offered and its tasks are being ended.
    Draining(Drain),
    /// It is not offered and all its tasks have ended.
    Drained,
    /// It will never be let in again, and all that ran there is gone.
    Gone,
}

/// How an agent is emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// When it was asked for.
    pub since: UnixMillis,
    /// Bounds each task's own time between SIGTERM and SIGKILL, in milliseconds; `None` leaves it as it is.
    pub max_grace_ms: Option<u64>,
    /// Mark the agent gone once it is empty and every end was confirmed.
    pub mark_gone: bool,
    /// It took no new work before either; so it is again when the drain is cancelled.
    pub was_deactivated: bool,
}

impl AgentMode {
    /// New work may go there.
    pub fn is_offered(&self) -> bool {
        matches!(self, Self::Active)
    }

    /// Nothing shall run there.
    pub fn is_emptied(&self) -> bool {
        matches!(self, Self::Draining(_) | Self::Drained)
    }

    /// It was removed for good.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }

    /// The bound of its tasks' grace, in milliseconds.
    pub fn max_grace_ms(&self) -> Option<u64> {
        if let Self::Draining(drain) = self { drain.max_grace_ms } else { None }
    }
}

impl fmt::Display for AgentMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "ACTIVE",
            Self::Deactivated => "DEACTIVATED",
            Self::Draining(_) => "DRAINING",
            Self::Drained => "DRAINED",
            Self::Gone => "GONE",
        })
    }
}
