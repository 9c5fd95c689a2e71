//! The agent API: the stream between an agent and the master.

use proffer_proto_wire::{agent as wire, common};
use wire::agent_message::Message as FromAgent;
use wire::master_message::Message as FromMaster;

use super::check::{self, Checked, Within};
use super::status::{task_reason, task_state};
use super::{Defect, MAX_TEXT_BYTES, WireError};
use crate::task::KillPolicy;
use crate::{
    AgentId, AgentInfo, ClusterId, Epoch, FrameworkId, HeldVolume, Role, TaskId, TaskKey, TaskReason, TaskSpec,
    TaskState, TaskStatus, Volume, VolumeReport,
};

/// Most tasks or updates in one message between agent and master.
const MAX_TASKS: usize = 100_000;

/// What an agent says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentMessage {
    /// Who the agent is and everything it has.
    Attach(Box<AttachRequest>),
    /// New task updates, in order.
    Updates(Vec<StatusUpdate>),
    /// What became of volumes, in order.
    Volumes(Vec<VolumeReport>),
    /// Answer to a ping.
    Pong {
        /// The number in the ping.
        nonce: u64,
    },
    /// The agent's process ends; its containers go on.
    Detach,
}

/// Who the agent is and everything it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachRequest {
    /// Who.
    pub agent: AgentInfo,
    /// Counts the starts of the agent's process.
    pub incarnation: u64,
    /// All tasks it holds.
    pub tasks: Vec<AgentTask>,
    /// The highest epoch of a master it has seen.
    pub seen_epoch: Epoch,
    /// The cluster it belongs to; `None` the first time.
    pub cluster: Option<ClusterId>,
    /// All volumes it holds.
    pub volumes: Vec<HeldVolume>,
}

/// A task as the agent holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentTask {
    /// Whose.
    pub framework: FrameworkId,
    /// What.
    pub spec: TaskSpec,
    /// The latest status, possibly ahead of what was confirmed.
    pub latest: TaskStatus,
    /// The role that pays for it.
    pub role: Role,
}

/// One task update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusUpdate {
    /// Whose.
    pub framework: FrameworkId,
    /// The update; its seq is at least 1.
    pub status: TaskStatus,
    /// The latest state at the agent, possibly ahead of this update.
    pub latest_state: TaskState,
}

/// A message of the master with its generation. An agent ignores a lower one than it has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterEnvelope {
    /// The master's generation.
    pub epoch: Epoch,
    /// What it says.
    pub message: MasterMessage,
}

/// What the master says to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterMessage {
    /// The answer to an attach.
    Attached {
        /// Its id, to be kept.
        agent: AgentId,
        /// A ping comes at least this often, in milliseconds.
        ping_interval_ms: u64,
        /// The cluster.
        cluster: ClusterId,
    },
    /// Starts tasks.
    Launch(Vec<LaunchTask>),
    /// Ends a task.
    Kill {
        /// Whose.
        framework: FrameworkId,
        /// Which.
        task: TaskId,
        /// Overrides the task's own policy.
        policy: Option<KillPolicy>,
        /// Why.
        reason: TaskReason,
    },
    /// Confirms updates: which task's, and which number.
    Acknowledge(Vec<(TaskKey, u64)>),
    /// Tasks the master believes the agent has.
    Expect(Vec<TaskKey>),
    /// Makes a volume; the same twice makes it once.
    CreateVolume(Volume),
    /// Destroys a volume and its data.
    DestroyVolume {
        /// Its number.
        number: u64,
    },
    /// Answer with a pong.
    Ping {
        /// Any number.
        nonce: u64,
    },
    /// The agent is not wanted; the stream ends.
    Refused {
        /// What is wrong and what to do.
        message: String,
        /// Coming back cannot help.
        is_final: bool,
    },
}

/// Starts one task. The same twice starts it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchTask {
    /// Whose.
    pub framework: FrameworkId,
    /// What.
    pub spec: TaskSpec,
    /// The role that pays for it.
    pub role: Role,
}

impl TryFrom<wire::AgentMessage> for AgentMessage {
    type Error = WireError;

    fn try_from(wire::AgentMessage { message }: wire::AgentMessage) -> Result<Self, WireError> {
        match message {
            None => check::fail("", Defect::EmptyMessage),
            Some(FromAgent::Attach(attach)) => {
                Ok(Self::Attach(Box::new(AttachRequest::try_from(attach).within("attach")?)))
            }
            Some(FromAgent::Updates(wire::StatusUpdates { updates })) => {
                Ok(Self::Updates(check::list("updates", updates, MAX_TASKS).within("updates")?))
            }
            Some(FromAgent::Pong(wire::Pong { nonce })) => Ok(Self::Pong { nonce }),
            Some(FromAgent::Detach(wire::Detach {})) => Ok(Self::Detach),
            Some(FromAgent::Volumes(wire::VolumeReports { reports })) => {
                Ok(Self::Volumes(check::list("reports", reports, MAX_TASKS).within("volumes")?))
            }
        }
    }
}

impl TryFrom<wire::AttachRequest> for AttachRequest {
    type Error = WireError;

    fn try_from(attach: wire::AttachRequest) -> Result<Self, WireError> {
        let wire::AttachRequest { agent, incarnation, tasks, seen_epoch, cluster_id, volumes } = attach;
        Ok(Self {
            agent: check::convert("agent", agent)?,
            incarnation,
            tasks: check::list("tasks", tasks, MAX_TASKS)?,
            seen_epoch: Epoch(seen_epoch),
            cluster: check::optional_id("cluster_id", &cluster_id)?,
            volumes: check::list("volumes", volumes, MAX_TASKS)?,
        })
    }
}

impl TryFrom<wire::AgentTask> for AgentTask {
    type Error = WireError;

    fn try_from(task: wire::AgentTask) -> Result<Self, WireError> {
        let wire::AgentTask { framework_id, task, latest, role } = task;
        Ok(Self {
            framework: check::id("framework_id", &framework_id)?,
            spec: check::convert("task", task)?,
            latest: check::convert("latest", latest)?,
            role: check::role_or_default("role", &role)?,
        })
    }
}

impl TryFrom<wire::StatusUpdate> for StatusUpdate {
    type Error = WireError;

    fn try_from(update: wire::StatusUpdate) -> Result<Self, WireError> {
        let wire::StatusUpdate { framework_id, status, latest_state } = update;
        let status: TaskStatus = check::convert("status", status)?;
        if status.seq == 0 {
            return check::fail("status.seq", Defect::Zero);
        }
        Ok(Self {
            framework: check::id("framework_id", &framework_id)?,
            status,
            latest_state: task_state("latest_state", latest_state)?,
        })
    }
}

impl TryFrom<wire::MasterMessage> for MasterEnvelope {
    type Error = WireError;

    fn try_from(wire::MasterMessage { epoch, message }: wire::MasterMessage) -> Result<Self, WireError> {
        let message = match message {
            None => return check::fail("", Defect::EmptyMessage),
            Some(FromMaster::Attached(attached)) => attached_from(attached).within("attached")?,
            Some(FromMaster::Launch(wire::Launch { tasks })) => {
                MasterMessage::Launch(check::list("tasks", tasks, MAX_TASKS).within("launch")?)
            }
            Some(FromMaster::Kill(kill)) => kill_from(kill).within("kill")?,
            Some(FromMaster::Acknowledge(wire::Acknowledge { acknowledgements })) => {
                MasterMessage::Acknowledge(acknowledgements_from(acknowledgements).within("acknowledge")?)
            }
            Some(FromMaster::Expect(wire::Expect { tasks })) => {
                MasterMessage::Expect(expected_from(tasks).within("expect")?)
            }
            Some(FromMaster::CreateVolume(volume)) => {
                MasterMessage::CreateVolume(Volume::try_from(volume).within("create_volume")?)
            }
            Some(FromMaster::DestroyVolume(wire::DestroyVolume { number })) => MasterMessage::DestroyVolume { number },
            Some(FromMaster::Ping(wire::Ping { nonce })) => MasterMessage::Ping { nonce },
            Some(FromMaster::Refused(wire::Refused { message, r#final: is_final })) => MasterMessage::Refused {
                message: check::text("message", message, MAX_TEXT_BYTES).within("refused")?,
                is_final,
            },
        };
        Ok(Self { epoch: Epoch(epoch), message })
    }
}

fn attached_from(attached: wire::Attached) -> Checked<MasterMessage> {
    let wire::Attached { agent_id, ping_interval_ms, cluster_id } = attached;
    Ok(MasterMessage::Attached {
        agent: check::id("agent_id", &agent_id)?,
        ping_interval_ms,
        cluster: check::id("cluster_id", &cluster_id)?,
    })
}

fn kill_from(kill: wire::Kill) -> Checked<MasterMessage> {
    let wire::Kill { framework_id, task_id, kill_policy, reason } = kill;
    let reason = match task_reason("reason", reason)? {
        TaskReason::None => TaskReason::KillRequested,
        reason => reason,
    };
    Ok(MasterMessage::Kill {
        framework: check::id("framework_id", &framework_id)?,
        task: check::id("task_id", &task_id)?,
        policy: check::optional("kill_policy", kill_policy)?,
        reason,
    })
}

fn task_key(framework_id: &str, task_id: &str) -> Checked<TaskKey> {
    Ok(TaskKey { framework: check::id("framework_id", framework_id)?, task: check::id("task_id", task_id)? })
}

fn acknowledgements_from(list: Vec<wire::Acknowledgement>) -> Checked<Vec<(TaskKey, u64)>> {
    let each = list.into_iter().enumerate();
    each.map(|(at, wire::Acknowledgement { framework_id, task_id, seq })| {
        let key = task_key(&framework_id, &task_id).within(&format!("acknowledgements[{at}]"))?;
        if seq == 0 {
            return check::fail(&format!("acknowledgements[{at}].seq"), Defect::Zero);
        }
        Ok((key, seq))
    })
    .collect()
}

fn expected_from(tasks: Vec<wire::ExpectTask>) -> Checked<Vec<TaskKey>> {
    let each = tasks.into_iter().enumerate();
    each.map(|(at, wire::ExpectTask { framework_id, task_id })| {
        task_key(&framework_id, &task_id).within(&format!("tasks[{at}]"))
    })
    .collect()
}

impl TryFrom<wire::LaunchTask> for LaunchTask {
    type Error = WireError;

    fn try_from(launch: wire::LaunchTask) -> Result<Self, WireError> {
        let wire::LaunchTask { framework_id, task, role } = launch;
        Ok(Self {
            framework: check::id("framework_id", &framework_id)?,
            spec: check::convert("task", task)?,
            role: check::role_or_default("role", &role)?,
        })
    }
}

impl From<AgentMessage> for wire::AgentMessage {
    fn from(message: AgentMessage) -> Self {
        let message = match message {
            AgentMessage::Attach(attach) => FromAgent::Attach((*attach).into()),
            AgentMessage::Updates(updates) => {
                FromAgent::Updates(wire::StatusUpdates { updates: updates.into_iter().map(Into::into).collect() })
            }
            AgentMessage::Volumes(reports) => {
                FromAgent::Volumes(wire::VolumeReports { reports: reports.into_iter().map(Into::into).collect() })
            }
            AgentMessage::Pong { nonce } => FromAgent::Pong(wire::Pong { nonce }),
            AgentMessage::Detach => FromAgent::Detach(wire::Detach {}),
        };
        Self { message: Some(message) }
    }
}

impl From<AttachRequest> for wire::AttachRequest {
    fn from(attach: AttachRequest) -> Self {
        let AttachRequest { agent, incarnation, tasks, seen_epoch, cluster, volumes } = attach;
        Self {
            agent: Some(agent.into()),
            incarnation,
            tasks: tasks.into_iter().map(Into::into).collect(),
            seen_epoch: seen_epoch.0,
            cluster_id: cluster.map(String::from).unwrap_or_default(),
            volumes: volumes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<AgentTask> for wire::AgentTask {
    fn from(AgentTask { framework, spec, latest, role }: AgentTask) -> Self {
        Self { framework_id: framework.into(), task: Some(spec.into()), latest: Some(latest.into()), role: role.into() }
    }
}

impl From<StatusUpdate> for wire::StatusUpdate {
    fn from(StatusUpdate { framework, status, latest_state }: StatusUpdate) -> Self {
        Self {
            framework_id: framework.into(),
            status: Some(status.into()),
            latest_state: common::TaskState::from(latest_state).into(),
        }
    }
}

impl From<MasterEnvelope> for wire::MasterMessage {
    fn from(MasterEnvelope { epoch, message }: MasterEnvelope) -> Self {
        let message = match message {
            MasterMessage::Attached { agent, ping_interval_ms, cluster } => FromMaster::Attached(wire::Attached {
                agent_id: agent.into(),
                ping_interval_ms,
                cluster_id: cluster.into(),
            }),
            MasterMessage::Launch(tasks) => {
                FromMaster::Launch(wire::Launch { tasks: tasks.into_iter().map(Into::into).collect() })
            }
            MasterMessage::Kill { framework, task, policy, reason } => FromMaster::Kill(wire::Kill {
                framework_id: framework.into(),
                task_id: task.into(),
                kill_policy: policy.map(Into::into),
                reason: common::TaskReason::from(reason).into(),
            }),
            MasterMessage::Acknowledge(list) => {
                let wired = |(key, seq): (TaskKey, u64)| wire::Acknowledgement {
                    framework_id: key.framework.into(),
                    task_id: key.task.into(),
                    seq,
                };
                FromMaster::Acknowledge(wire::Acknowledge { acknowledgements: list.into_iter().map(wired).collect() })
            }
            MasterMessage::Expect(keys) => {
                let wired =
                    |key: TaskKey| wire::ExpectTask { framework_id: key.framework.into(), task_id: key.task.into() };
                FromMaster::Expect(wire::Expect { tasks: keys.into_iter().map(wired).collect() })
            }
            MasterMessage::CreateVolume(volume) => FromMaster::CreateVolume(volume.into()),
            MasterMessage::DestroyVolume { number } => FromMaster::DestroyVolume(wire::DestroyVolume { number }),
            MasterMessage::Ping { nonce } => FromMaster::Ping(wire::Ping { nonce }),
            MasterMessage::Refused { message, is_final } => {
                FromMaster::Refused(wire::Refused { message, r#final: is_final })
            }
        };
        Self { epoch: epoch.0, message: Some(message) }
    }
}

impl From<LaunchTask> for wire::LaunchTask {
    fn from(LaunchTask { framework, spec, role }: LaunchTask) -> Self {
        Self { framework_id: framework.into(), task: Some(spec.into()), role: role.into() }
    }
}
