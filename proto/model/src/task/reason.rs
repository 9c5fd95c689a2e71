//! Why a task is in its state, and who says so.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a task is in its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub enum TaskReason {
    /// Nothing to add.
    #[default]
    None,
    /// Ended by itself with a code other than 0.
    Exited,
    /// Ended by a signal nobody here sent.
    Signalled,
    /// The kernel ended it at its memory limit.
    OutOfMemory,
    /// It has ended and its exit code is lost.
    ExitUnknown,
    /// The image could not be had.
    ImageUnavailable,
    /// The container could not be made or started.
    ContainerLaunchFailed,
    /// The network could not be wired.
    NetworkFailed,
    /// The framework asked for the end.
    KillRequested,
    /// Killed before its container existed.
    KilledDuringLaunch,
    /// It ran longer than allowed.
    MaxRunTime,
    /// An offer was unknown, foreign, answered or withdrawn.
    InvalidOffers,
    /// The description is wrong.
    TaskInvalid,
    /// It asks for more than the offers hold.
    ResourcesExceeded,
    /// The agent was lost.
    AgentLost,
    /// The agent was removed.
    AgentRemoved,
    /// The agent came back and reports the task.
    AgentReturned,
    /// The agent restarted and never had the task.
    AgentRestarted,
    /// The agent does not know the task.
    TaskUnknown,
    /// The framework was removed.
    FrameworkRemoved,
    /// An answer to reconciliation.
    Reconciliation,
    /// The agent is being drained.
    AgentDraining,
    /// A health check failed for good.
    Unhealthy,
    /// The agent has no disk space left.
    DiskFull,
    /// The limit of its role, or of one above, leaves no room for it.
    QuotaExceeded,
    /// Another task of its gang was lost before all of them ran.
    GangFailed,
    /// Its room was taken for a role that is short of what its quota guarantees.
    Preempted,
    /// A volume it mounts is elsewhere, used by another task, or lost.
    VolumeUnavailable,
}

impl fmt::Display for TaskReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "",
            Self::Exited => "EXITED",
            Self::Signalled => "SIGNALLED",
            Self::OutOfMemory => "OOM",
            Self::ExitUnknown => "EXIT_UNKNOWN",
            Self::ImageUnavailable => "IMAGE_UNAVAILABLE",
            Self::ContainerLaunchFailed => "CONTAINER_LAUNCH_FAILED",
            Self::NetworkFailed => "NETWORK_FAILED",
            Self::KillRequested => "KILL_REQUESTED",
            Self::KilledDuringLaunch => "KILLED_DURING_LAUNCH",
            Self::MaxRunTime => "MAX_RUN_TIME",
            Self::InvalidOffers => "INVALID_OFFERS",
            Self::TaskInvalid => "TASK_INVALID",
            Self::ResourcesExceeded => "RESOURCES_EXCEEDED",
            Self::AgentLost => "AGENT_LOST",
            Self::AgentRemoved => "AGENT_REMOVED",
            Self::AgentReturned => "AGENT_RETURNED",
            Self::AgentRestarted => "AGENT_RESTARTED",
            Self::TaskUnknown => "TASK_UNKNOWN",
            Self::FrameworkRemoved => "FRAMEWORK_REMOVED",
            Self::Reconciliation => "RECONCILIATION",
            Self::AgentDraining => "AGENT_DRAINING",
            Self::Unhealthy => "UNHEALTHY",
            Self::DiskFull => "DISK_FULL",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::GangFailed => "GANG_FAILED",
            Self::Preempted => "PREEMPTED",
            Self::VolumeUnavailable => "VOLUME_UNAVAILABLE",
        })
    }
}

/// Who made a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskSource {
    /// The master.
    Master,
    /// The agent.
    Agent,
}
