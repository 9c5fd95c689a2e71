//! Times at which an agent is not there for tasks, and inverse offers: requests to leave an agent, with their answers.

use serde::{Deserialize, Serialize};

use crate::{AgentId, Filter, InverseOfferId, Resources, TaskId, UnixMillis};

/// Shortest time after which a framework is asked again, in milliseconds: whoever asks for less gets this.
pub const MIN_ASK_AGAIN_MS: u64 = 1_000;

/// A time at which an agent is not there for tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Unavailability {
    /// When it begins, by the wall clock. Tasks left then are ended.
    pub start: UnixMillis,
    /// How long it lasts, in milliseconds; 0 is for good, or nobody knows.
    pub duration_ms: u64,
}

impl Unavailability {
    /// How long until it begins; 0 when it has begun.
    pub fn begins_in_ms(&self, now: UnixMillis) -> u64 {
        self.start.0.saturating_sub(now.0)
    }
}

/// A request to leave an agent. Only a request: tasks left at its start are ended whatever the answer was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InverseOffer {
    /// Its name.
    pub id: InverseOfferId,
    /// The agent.
    pub agent: AgentId,
    /// Host name of the agent.
    pub hostname: String,
    /// What the request is for.
    pub cause: InverseCause,
    /// When the agent, or the room of these tasks, is taken away.
    pub unavailability: Unavailability,
    /// The framework's tasks in question, in order, as they were when the request was made.
    pub tasks: Vec<TaskId>,
    /// What those tasks hold.
    pub resources: Resources,
    /// In words.
    pub message: String,
}

/// What an inverse offer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum InverseCause {
    /// A maintenance window begins.
    Maintenance,
    /// An operator drains the agent.
    Drain,
    /// A role is short of what its quota guarantees, and these tasks hold more than their own role is promised.
    Preemption,
}

/// The answer to inverse offers. A later one takes the place of an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InverseReply {
    /// Which; never empty.
    pub offers: Vec<InverseOfferId>,
    /// Will the framework leave?
    pub answer: InverseAnswer,
    /// Details for people; may be empty.
    pub message: String,
    /// Ask again after this time when tasks are still there; `None` never. At least [`MIN_ASK_AGAIN_MS`] is waited.
    pub filter: Option<Filter>,
}

/// Will the framework leave?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum InverseAnswer {
    /// In time.
    Accepted,
    /// No: its tasks stay until they are ended.
    Declined,
}

/// Why an inverse offer is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum InverseEnd {
    /// Nothing of the framework is left there.
    Left,
    /// The window or the drain was taken back, or the room is not needed any more.
    Cancelled,
    /// Another request takes its place.
    Replaced,
    /// The agent is lost or gone.
    AgentLost,
}
