//! What the SDK remembers of a task, durably, from before its launch until its end.

use proffer_proto_model::task::KillPolicy;
use proffer_proto_model::{AgentId, TaskState};
use serde::{Deserialize, Serialize};

/// A task that was launched and has not ended, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownTask {
    /// Where it was launched; `None` when it is known only from an update without agent.
    pub agent: Option<AgentId>,
    /// The last state heard in this run. Before that [`TaskState::Staging`] when nothing was ever heard, else
    /// [`TaskState::Unknown`].
    pub state: TaskState,
    /// The master or the agent spoke of it at least once.
    pub is_confirmed: bool,
    /// The framework asked for its end; sent again until it has ended.
    pub kill: Option<KillRequest>,
}

/// A wish that a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillRequest {
    /// Overrides the task's own policy when given.
    pub policy: Option<KillPolicy>,
}
