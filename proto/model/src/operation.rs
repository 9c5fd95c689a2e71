//! What a framework does with offers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AgentId, Bytes, DeclineReason, Filter, OfferId, ReservedUse, Resources, Role, TaskSpec, VolumeId};

/// Uses offers: operations in order, what is left is declined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// Offers of one or several agents.
    pub offers: Vec<OfferId>,
    /// What to do, in order.
    pub operations: Vec<Operation>,
    /// For what is left.
    pub filter: Filter,
    /// Why the rest is not used.
    pub leftover: DeclineReason,
}

/// One step of an [`Accept`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Starts tasks, each for itself.
    Launch {
        /// The tasks in order.
        tasks: Vec<TaskLaunch>,
    },
    /// Starts tasks, all or none, also over several agents: a gang until all have run.
    LaunchGroup {
        /// Its outcome is reported under this id when not empty.
        operation_id: String,
        /// The tasks.
        tasks: Vec<TaskLaunch>,
    },
    /// Reserves resources for a role.
    Reserve {
        /// Its outcome is reported under this id when not empty.
        operation_id: String,
        /// Where.
        agent: AgentId,
        /// For whom.
        role: Role,
        /// The reservation it refines; `None` takes what is not reserved.
        from_role: Option<Role>,
        /// How much.
        resources: Resources,
        /// Free words kept with it.
        labels: BTreeMap<String, String>,
    },
    /// Ends a reservation.
    Unreserve {
        /// Its outcome is reported under this id when not empty.
        operation_id: String,
        /// Where.
        agent: AgentId,
        /// Whose.
        role: Role,
        /// How much.
        resources: Resources,
    },
    /// Makes a persistent volume.
    CreateVolume {
        /// Its outcome is reported under this id when not empty.
        operation_id: String,
        /// Where.
        agent: AgentId,
        /// Its name.
        volume_id: VolumeId,
        /// Whose.
        role: Role,
        /// How much reserved disk it takes.
        size: Bytes,
    },
    /// Destroys a persistent volume.
    DestroyVolume {
        /// Its outcome is reported under this id when not empty.
        operation_id: String,
        /// Where.
        agent: AgentId,
        /// Its name.
        volume_id: VolumeId,
        /// Whose.
        role: Role,
    },
}

/// A task for one agent of the accepted offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskLaunch {
    /// The agent; may be left out when all offers are of one agent.
    pub agent: Option<AgentId>,
    /// The task.
    pub task: TaskSpec,
    /// From which part of the offers it takes what it needs.
    pub reserved_use: ReservedUse,
}

/// How an operation with an id stands, or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationOutcome {
    /// Done.
    Done,
    /// Refused; trying the same again cannot help.
    Refused,
    /// Not done; trying again is sensible.
    Dropped,
    /// Recorded, and not done yet: the agent carries it out. `Done` or `Failed` follows.
    Pending,
    /// It was recorded, and the agent could not carry it out.
    Failed,
}
