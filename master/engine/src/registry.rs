//! Durable facts, as records, and the small operations that change them.
//!
//! A store keeps `records` by key and applies operations in order. Nothing here knows how they are encoded.

pub use crate::agents::mode::{AgentMode, Drain};
pub use crate::maintenance::window::{WindowAction, WindowId, WindowRecord};
pub use crate::operations::gang::{GangId, GangPart, GangStage};
use proffer_proto_model::{
    AgentId, AgentInfo, FrameworkId, FrameworkInfo, OperationOutcome, Pool, PoolId, Quota, Resources, Role, RolePolicy,
    TaskKey, TaskSpec, TaskStatus, Volume, VolumeState, Weight,
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
    /// Maintenance windows, ordered by id.
    pub windows: Vec<WindowRecord>,
    /// Ordered by role; only those with settings of their own.
    pub roles: Vec<RoleRecord>,
    /// Frameworks that were removed last, ordered by id.
    pub removed: Vec<RemovedRecord>,
}

/// One change of the registry. Applying the same twice is the same as once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Writes an agent.
    PutAgent(Box<AgentRecord>),
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
    /// Writes a maintenance window.
    PutWindow(WindowRecord),
    /// Forgets a maintenance window.
    DeleteWindow(WindowId),
    /// Writes a role's settings.
    PutRole(Box<RoleRecord>),
    /// Forgets a role's settings.
    DeleteRole(Role),
    /// Remembers a framework that was removed.
    PutRemoved(RemovedRecord),
    /// Forgets a framework that was removed.
    DeleteRemoved(FrameworkId),
}

impl Registry {
    /// Applies one change. Keeps the order of records; applying the same twice is the same as once.
    pub fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::PutAgent(record) => put(&mut self.agents, record.as_ref(), |r| &r.id),
            Operation::DeleteAgent(id) => delete(&mut self.agents, id, |r| &r.id),
            Operation::PutFramework(record) => put(&mut self.frameworks, record, |r| &r.id),
            Operation::DeleteFramework(id) => delete(&mut self.frameworks, id, |r| &r.id),
            Operation::PutTask(record) => put(&mut self.tasks, record.as_ref(), |r| &r.key),
            Operation::DeleteTask(key) => delete(&mut self.tasks, key, |r| &r.key),
            Operation::PutWindow(record) => put(&mut self.windows, record, |r| &r.id),
            Operation::DeleteWindow(id) => delete(&mut self.windows, id, |r| &r.id),
            Operation::PutRole(record) => put(&mut self.roles, record.as_ref(), |r| &r.role),
            Operation::DeleteRole(role) => delete(&mut self.roles, role, |r| &r.role),
            Operation::PutRemoved(record) => put(&mut self.removed, record, |r| &r.id),
            Operation::DeleteRemoved(id) => delete(&mut self.removed, id, |r| &r.id),
        }
    }
}

fn put<R: Clone, K: Ord>(records: &mut Vec<R>, record: &R, key: fn(&R) -> &K) {
    match records.binary_search_by(|known| key(known).cmp(key(record))) {
        Ok(at) => records[at] = record.clone(),
        Err(at) => records.insert(at, record.clone()),
    }
}

fn delete<R, K: Ord>(records: &mut Vec<R>, name: &K, key: fn(&R) -> &K) {
    if let Ok(at) = records.binary_search_by(|known| key(known).cmp(name)) {
        records.remove(at);
    }
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
    /// Declared unreachable and not back since, or gone.
    pub is_unreachable: bool,
    /// What operators want of it. Records of before it was known say nothing: active.
    #[serde(default)]
    pub mode: AgentMode,
    /// What is reserved on it, ordered by number.
    #[serde(default)]
    pub pools: Vec<Pool>,
    /// The highest number a pool of it was given.
    #[serde(default)]
    pub last_pool: u64,
    /// Its volumes, ordered by number; a destroyed one stays until the agent said that its data is gone.
    #[serde(default)]
    pub volumes: Vec<VolumeRecord>,
    /// The highest number a volume of it was given.
    #[serde(default)]
    pub last_volume: u64,
}

/// A persistent volume on an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRecord {
    /// Which.
    pub volume: Volume,
    /// The pool whose disk it holds.
    pub pool: PoolId,
    /// Where in its life it is.
    pub state: VolumeState,
    /// Why it is lost, or why the last try to make or remove it failed, in the agent's words.
    #[serde(default)]
    pub message: String,
    /// Who waits for what is being done about it.
    #[serde(default)]
    pub awaited: Option<Awaited>,
    /// The framework with which it is destroyed; `None` when it stays until somebody destroys it.
    #[serde(default)]
    pub owner: Option<FrameworkId>,
}

/// An operation of a framework that an agent carries out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// Whose.
    pub framework: FrameworkId,
    /// The framework's id for it; never empty.
    pub operation_id: String,
}

/// An outcome that nobody was there to hear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// The framework's id for the operation.
    pub operation_id: String,
    /// How it ended.
    pub outcome: OperationOutcome,
    /// Why.
    pub message: String,
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
    /// What it has not heard yet; no more than it had operations under way when it went.
    #[serde(default)]
    pub untold: Vec<Untold>,
}

/// A framework that was removed for good, remembered to say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedRecord {
    /// Which it was.
    pub id: FrameworkId,
    /// Its name.
    pub name: String,
    /// Grows with every removal: the first is forgotten first.
    pub number: u64,
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
    /// The parts of it that are of reservations; a part of one that is gone counts as not reserved.
    #[serde(default)]
    pub reserved: Vec<(PoolId, Resources)>,
    /// The latest known status.
    pub status: TaskStatus,
    /// Somebody asked to kill it; repeated to the agent until it has ended.
    pub is_kill_requested: bool,
    /// It is killed to make room for a role that is short of its guarantee.
    #[serde(default)]
    pub is_preempted: bool,
    /// Its part in a group that starts together.
    #[serde(default)]
    pub gang: Option<GangPart>,
}

/// What an operator set for a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRecord {
    /// Which.
    pub role: Role,
    /// How much its share counts beside the others'.
    #[serde(default)]
    pub weight: Weight,
    /// What it is promised and may hold at most; empty for none.
    #[serde(default)]
    pub quota: Quota,
    /// How it is offered what is free.
    #[serde(default)]
    pub policy: RolePolicy,
}
