//! What is known of a task at one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{PortMapping, TaskReason, TaskSource, TaskState};
use crate::{AgentId, TaskId, UnixMillis};

/// What is known of a task at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// The task.
    pub task: TaskId,
    /// Its agent, when it has one.
    pub agent: Option<AgentId>,
    /// Where in its life it is.
    pub state: TaskState,
    /// Why.
    pub reason: TaskReason,
    /// Who says so.
    pub source: TaskSource,
    /// Number within task and source, from 1; 0 needs no acknowledgement.
    pub seq: u64,
    /// For people: what happened and what to do.
    pub message: String,
    /// When.
    pub at: UnixMillis,
    /// Exit code when the process ended by itself.
    pub exit_code: Option<u32>,
    /// Signal that ended the process.
    pub signal: Option<u32>,
    /// Highest memory use in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// What the agent knows of the container.
    pub container: Option<ContainerStatus>,
    /// Opaque.
    pub data: Vec<u8>,
    /// Free words.
    pub labels: BTreeMap<String, String>,
}

impl TaskStatus {
    /// A status without details; seq 0, so it needs no acknowledgement.
    pub fn new(task: TaskId, agent: Option<AgentId>, state: TaskState, source: TaskSource, at: UnixMillis) -> Self {
        Self {
            task,
            agent,
            state,
            reason: TaskReason::None,
            source,
            seq: 0,
            message: String::new(),
            at,
            exit_code: None,
            signal: None,
            peak_memory_bytes: None,
            container: None,
            data: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    /// The same with a reason and a message.
    pub fn because(mut self, reason: TaskReason, message: impl Into<String>) -> Self {
        self.reason = reason;
        self.message = message.into();
        self
    }
}

/// A running container, as others can find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Id at the runtime.
    pub container_id: String,
    /// Process id on the host; 0 when not running.
    pub pid: u32,
    /// Address at which published ports answer.
    pub host_address: String,
    /// Address on the agent's bridge; empty in host mode.
    pub address: String,
    /// Published ports.
    pub ports: Vec<PortMapping>,
}
