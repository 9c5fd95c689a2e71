//! Task states, reasons and statuses.

use proffer_proto_wire::common as wire;
use wire::{TaskReason as WireReason, TaskSource as WireSource, TaskState as WireState};

use super::{MAX_ENTRIES, MAX_NAME_BYTES, MAX_TEXT_BYTES, WireError, check};
use crate::task::ContainerStatus;
use crate::{TaskReason, TaskSource, TaskState, TaskStatus, UnixMillis};

check::same_enum!(task_state: TaskState <-> WireState, unspecified None,
    [Staging, Starting, Running, Killing, Finished, Failed, Killed, Error, Dropped, Unreachable, Gone, GoneByOperator,
     Unknown],
    "STAGING to UNKNOWN");
check::same_enum!(task_source: TaskSource <-> WireSource, unspecified None, [Master, Agent], "MASTER, AGENT");

/// The reason's unspecified value has a meaning on both sides: nothing to add.
pub(super) fn task_reason(field: &str, number: i32) -> Result<TaskReason, WireError> {
    check::choice(field, number, "EXITED to VOLUME_UNAVAILABLE", |known| Some(reason_from(known)))
}

macro_rules! reasons {
    ($($model:ident = $wire:ident),* $(,)?) => {
        fn reason_from(reason: WireReason) -> TaskReason {
            match reason { $(WireReason::$wire => TaskReason::$model,)* }
        }

        impl From<TaskReason> for WireReason {
            fn from(reason: TaskReason) -> WireReason {
                match reason { $(TaskReason::$model => WireReason::$wire,)* }
            }
        }
    };
}

reasons! {
    None = Unspecified,
    Exited = Exited,
    Signalled = Signalled,
    OutOfMemory = OutOfMemory,
    ExitUnknown = ExitUnknown,
    ImageUnavailable = ImageUnavailable,
    ContainerLaunchFailed = ContainerLaunchFailed,
    NetworkFailed = NetworkFailed,
    KillRequested = KillRequested,
    KilledDuringLaunch = KilledDuringLaunch,
    MaxRunTime = MaxRunTime,
    InvalidOffers = InvalidOffers,
    TaskInvalid = TaskInvalid,
    ResourcesExceeded = ResourcesExceeded,
    AgentLost = AgentLost,
    AgentRemoved = AgentRemoved,
    AgentReturned = AgentReturned,
    AgentRestarted = AgentRestarted,
    TaskUnknown = TaskUnknown,
    FrameworkRemoved = FrameworkRemoved,
    Reconciliation = Reconciliation,
    AgentDraining = AgentDraining,
    Unhealthy = Unhealthy,
    DiskFull = DiskFull,
    QuotaExceeded = QuotaExceeded,
    GangFailed = GangFailed,
    Preempted = Preempted,
    VolumeUnavailable = VolumeUnavailable,
}

impl TryFrom<wire::TaskStatus> for TaskStatus {
    type Error = WireError;

    fn try_from(status: wire::TaskStatus) -> Result<Self, WireError> {
        let wire::TaskStatus {
            task_id,
            agent_id,
            state,
            reason,
            source,
            seq,
            message,
            unix_ms,
            exit_code,
            signal,
            peak_memory_bytes,
            container,
            data,
            labels,
        } = status;
        Ok(Self {
            task: check::id("task_id", &task_id)?,
            agent: check::optional_id("agent_id", &agent_id)?,
            state: task_state("state", state)?,
            reason: task_reason("reason", reason)?,
            source: task_source("source", source)?,
            seq,
            message: check::text("message", message, MAX_TEXT_BYTES)?,
            at: UnixMillis(unix_ms),
            exit_code,
            signal,
            peak_memory_bytes,
            container: check::optional("container", container)?,
            data: check::data("data", data)?,
            labels: check::labels("labels", labels)?,
        })
    }
}

impl TryFrom<wire::ContainerStatus> for ContainerStatus {
    type Error = WireError;

    fn try_from(status: wire::ContainerStatus) -> Result<Self, WireError> {
        let wire::ContainerStatus { container_id, pid, host_address, address, ports } = status;
        Ok(Self {
            container_id: check::token("container_id", container_id, MAX_NAME_BYTES)?,
            pid,
            host_address: check::token("host_address", host_address, MAX_NAME_BYTES)?,
            address: check::token("address", address, MAX_NAME_BYTES)?,
            ports: check::list("ports", ports, MAX_ENTRIES)?,
        })
    }
}

impl From<TaskStatus> for wire::TaskStatus {
    fn from(status: TaskStatus) -> Self {
        let TaskStatus {
            task,
            agent,
            state,
            reason,
            source,
            seq,
            message,
            at,
            exit_code,
            signal,
            peak_memory_bytes,
            container,
            data,
            labels,
        } = status;
        Self {
            task_id: task.into(),
            agent_id: agent.map(String::from).unwrap_or_default(),
            state: WireState::from(state).into(),
            reason: WireReason::from(reason).into(),
            source: WireSource::from(source).into(),
            seq,
            message,
            unix_ms: at.0,
            exit_code,
            signal,
            peak_memory_bytes,
            container: container.map(Into::into),
            data,
            labels: labels.into_iter().collect(),
        }
    }
}

impl From<ContainerStatus> for wire::ContainerStatus {
    fn from(status: ContainerStatus) -> Self {
        let ContainerStatus { container_id, pid, host_address, address, ports } = status;
        Self { container_id, pid, host_address, address, ports: ports.into_iter().map(Into::into).collect() }
    }
}
