//! Durable facts, as records, and the small operations that change them.
//!
//! A store keeps `records` by key and applies operations in order. Nothing here knows how they are encoded.

use proffer_proto_model::{
    AgentId, AgentInfo, FrameworkId, FrameworkInfo, Resources, Role, TaskKey, TaskSpec, TaskStatus,
};
use serde::{Deserialize, Serialize};

/// Everything a master must still know after kill -9.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registry {
    /// Ordered by id.
    pub agents: Vec<AgentRecord>,
    /// Ordered by id.
    pub frameworks: Vec<FrameworkRecord>,
    /// Ordered by key.
    pub tasks: Vec<TaskRecord>,
}

/// One change of the registry. Applying the same twice is the same as once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Writes an agent.
    PutAgent(AgentRecord),
    /// Forgets an agent.
    DeleteAgent(AgentId),
    /// Writes a framework.
    PutFramework(FrameworkRecord),
    /// Forgets a framework.
    DeleteFramework(FrameworkId),
    /// Writes a task.
    PutTask(Box<TaskRecord>),
    /// Forgets a task.
    DeleteTask(TaskKey),
}

/// An agent the master admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// Its id.
    pub id: AgentId,
    /// What it said of itself last.
    pub info: AgentInfo,
    /// Starts of its process.
    pub incarnation: u64,
    /// Declared unreachable and not back since.
    pub is_unreachable: bool,
}

/// A framework the master admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameworkRecord {
    /// Its id.
    pub id: FrameworkId,
    /// What it said of itself last.
    pub info: FrameworkInfo,
    /// Being removed: its tasks are killed, then it is forgotten.
    pub is_removing: bool,
}

/// A task the master accepted. Written before the launch leaves; deleted when its end was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Whose and which.
    pub key: TaskKey,
    /// Where.
    pub agent: AgentId,
    /// The role that pays.
    pub role: Role,
    /// What.
    pub spec: TaskSpec,
    /// What it holds of the agent.
    pub resources: Resources,
    /// The latest known status.
    pub status: TaskStatus,
    /// The framework asked to kill it; repeated to the agent until it has ended.
    pub is_kill_requested: bool,
}
