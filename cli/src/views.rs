//! What lists hold: our own records with stable JSON fields, made from wire messages by the model's rules.

use proffer_proto_model::convert::WireError;
use proffer_proto_model::task::{Protocol, TaskReason};
use proffer_proto_model::{Resources, TaskState, TaskStatus};
use proffer_proto_wire::{batch, common, service};
use serde::Serialize;

use crate::CliError;

/// Resources as JSON; units are in the names.
#[derive(Debug, Serialize)]
pub(crate) struct ResourcesView {
    cpus_milli: u64,
    memory_bytes: u64,
    disk_bytes: u64,
    gpus: u32,
    ports: String,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    scalars_milli: std::collections::BTreeMap<String, u64>,
    #[serde(skip)]
    shown: String,
}

impl ResourcesView {
    /// For a column: `0.5 cpus, 64MiB memory`; long lists of ports are counted.
    pub(crate) fn shown(&self) -> String {
        self.shown.clone()
    }

    /// Makes the view; absent is nothing.
    pub(crate) fn new(resources: Option<common::Resources>) -> Result<Self, CliError> {
        let resources: Resources = read(resources.unwrap_or_default())?;
        let ports = resources.ports.to_string();
        let mut short = resources.clone();
        let mut shown = short.to_string();
        if ports.len() > 24 {
            short.ports = proffer_proto_model::PortSet::EMPTY;
            shown = format!("{short}, {} ports", resources.ports.count());
        }
        Ok(Self {
            cpus_milli: resources.cpus.0,
            memory_bytes: resources.memory.0,
            disk_bytes: resources.disk.0,
            gpus: resources.gpus,
            ports,
            scalars_milli: resources.scalars,
            shown,
        })
    }
}

/// Converts an answer; what cannot be read is of another version.
pub(crate) fn read<W, M: TryFrom<W, Error = WireError>>(wire: W) -> Result<M, CliError> {
    M::try_from(wire).map_err(|error| {
        CliError::new(format!("the answer cannot be read: {error}"), "use the same version of proffer everywhere")
    })
}

/// A status as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct StatusView {
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) unix_ms: u64,
    pub(crate) exit_code: Option<u32>,
    pub(crate) signal: Option<u32>,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) pid: Option<u32>,
    pub(crate) container_id: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) ports: Vec<PortView>,
    #[serde(skip)]
    shown: String,
}

/// A published port as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct PortView {
    pub(crate) name: String,
    pub(crate) host_address: String,
    pub(crate) host_port: u16,
    pub(crate) container_port: u16,
    pub(crate) protocol: &'static str,
}

impl StatusView {
    pub(crate) fn new(status: common::TaskStatus) -> Result<Self, CliError> {
        let status: TaskStatus = read(status)?;
        let container = status.container.as_ref();
        let port = |host: &str, port: &proffer_proto_model::task::PortMapping| PortView {
            name: port.name.clone(),
            host_address: host.to_owned(),
            host_port: port.host_port,
            container_port: port.container_port,
            protocol: match port.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            },
        };
        let ports = container.map(|c| c.ports.iter().map(|p| port(&c.host_address, p)).collect());
        Ok(Self {
            shown: shown_state(&status),
            state: status.state.to_string(),
            reason: status.reason.to_string(),
            unix_ms: status.at.0,
            exit_code: status.exit_code,
            signal: status.signal,
            peak_memory_bytes: status.peak_memory_bytes,
            pid: container.map(|c| c.pid).filter(|pid| *pid > 0),
            container_id: container.map(|c| c.container_id.clone()),
            address: container.map(|c| c.address.clone()).filter(|address| !address.is_empty()),
            ports: ports.unwrap_or_default(),
            message: status.message,
        })
    }

    /// Published ports for a column: `127.0.0.1:31000->8080`.
    pub(crate) fn shown_ports(&self) -> String {
        let shown = |port: &PortView| format!("{}:{}->{}", port.host_address, port.host_port, port.container_port);
        self.ports.iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    /// State and reason for a column: `FAILED (OOM)`.
    pub(crate) fn shown_state(&self) -> String {
        self.shown.clone()
    }
}

/// Reasons that only say how a living task became known again tell a reader nothing: `RUNNING` is `RUNNING`.
fn shown_state(status: &TaskStatus) -> String {
    let bookkeeping = match status.reason {
        TaskReason::None => true,
        TaskReason::Reconciliation | TaskReason::AgentReturned | TaskReason::AgentRestarted => {
            matches!(status.state, TaskState::Staging | TaskState::Starting | TaskState::Running | TaskState::Killing)
        }
        _ => false,
    };
    if bookkeeping { status.state.to_string() } else { format!("{} ({})", status.state, status.reason) }
}

/// A service as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceView {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) version: u64,
    pub(crate) wanted: u32,
    pub(crate) running: u32,
    pub(crate) removing: bool,
    pub(crate) message: String,
    pub(crate) instances: Vec<InstanceView>,
}

/// An instance as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct InstanceView {
    pub(crate) slot: u32,
    pub(crate) task_id: Option<String>,
    pub(crate) hostname: String,
    pub(crate) version: u64,
    pub(crate) restarts: u32,
    pub(crate) back_off_until_unix_ms: u64,
    pub(crate) last_failure: String,
    pub(crate) status: Option<StatusView>,
}

impl ServiceView {
    pub(crate) fn new(service: service::Service) -> Result<Self, CliError> {
        let spec = service.spec.unwrap_or_default();
        let instances: Result<Vec<_>, _> = service.instances.into_iter().map(InstanceView::new).collect();
        let instances = instances?;
        let running = instances.iter().filter(|instance| instance.is_running()).count();
        Ok(Self {
            name: spec.name,
            image: spec.container.unwrap_or_default().image,
            version: service.version,
            wanted: spec.instances,
            running: u32::try_from(running).unwrap_or(u32::MAX),
            removing: service.removing,
            message: service.message,
            instances,
        })
    }

    /// Instances of the newest version that run.
    pub(crate) fn done(&self) -> usize {
        self.instances.iter().filter(|i| i.is_running() && i.version == self.version).count()
    }

    /// Every wanted instance runs in the newest version and no other is left.
    pub(crate) fn is_complete(&self) -> bool {
        let wanted = usize::try_from(self.wanted).unwrap_or(usize::MAX);
        !self.removing && self.done() == wanted && self.instances.len() == wanted
    }
}

impl InstanceView {
    fn new(instance: service::Instance) -> Result<Self, CliError> {
        Ok(Self {
            slot: instance.slot,
            task_id: Some(instance.task_id).filter(|id| !id.is_empty()),
            hostname: instance.hostname,
            version: instance.version,
            restarts: instance.restarts,
            back_off_until_unix_ms: instance.back_off_until_unix_ms,
            last_failure: instance.last_failure,
            status: instance.status.map(StatusView::new).transpose()?,
        })
    }

    pub(crate) fn is_running(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.state == "RUNNING")
    }
}

/// A job as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct JobView {
    pub(crate) job_id: String,
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) completions: u32,
    pub(crate) parallelism: u32,
    pub(crate) succeeded: u32,
    pub(crate) failed: u32,
    pub(crate) running: u32,
    pub(crate) waiting: u32,
    pub(crate) retried: u32,
    pub(crate) created_unix_ms: u64,
    pub(crate) ended_unix_ms: Option<u64>,
    pub(crate) message: String,
    pub(crate) attempts: Vec<AttemptView>,
}

/// An attempt as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct AttemptView {
    pub(crate) index: u32,
    pub(crate) number: u32,
    pub(crate) task_id: String,
    pub(crate) hostname: String,
    pub(crate) status: Option<StatusView>,
}

impl JobView {
    pub(crate) fn new(job: batch::Job) -> Result<Self, CliError> {
        let state = match job.state() {
            batch::JobState::Unspecified => "UNKNOWN",
            batch::JobState::Active => "ACTIVE",
            batch::JobState::Succeeded => "SUCCEEDED",
            batch::JobState::Failed => "FAILED",
            batch::JobState::Cancelling => "CANCELLING",
            batch::JobState::Cancelled => "CANCELLED",
        };
        let spec = job.spec.unwrap_or_default();
        let attempt = |attempt: batch::Attempt| -> Result<AttemptView, CliError> {
            let batch::Attempt { index, number, task_id, status, hostname } = attempt;
            let status = status.map(StatusView::new).transpose()?;
            Ok(AttemptView { index, number, task_id, hostname, status })
        };
        Ok(Self {
            job_id: job.job_id,
            name: spec.name,
            state,
            completions: spec.completions,
            parallelism: spec.parallelism,
            succeeded: job.succeeded,
            failed: job.failed,
            running: job.running,
            waiting: job.waiting,
            retried: job.retried,
            created_unix_ms: job.created_unix_ms,
            ended_unix_ms: Some(job.ended_unix_ms).filter(|ms| *ms > 0),
            message: job.message,
            attempts: job.attempts.into_iter().map(attempt).collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, "SUCCEEDED" | "FAILED" | "CANCELLED")
    }
}

#[cfg(test)]
mod tests {
    use proffer_proto_model::{TaskId, TaskSource, UnixMillis};

    use super::*;

    #[test]
    fn how_a_living_task_became_known_again_is_not_shown() {
        let shown = |state, reason| {
            let id = TaskId::new("web-0").unwrap();
            let mut status = TaskStatus::new(id, None, state, TaskSource::Master, UnixMillis(1));
            status.reason = reason;
            shown_state(&status)
        };
        assert_eq!(shown(TaskState::Running, TaskReason::Reconciliation), "RUNNING");
        assert_eq!(shown(TaskState::Running, TaskReason::AgentReturned), "RUNNING");
        assert_eq!(shown(TaskState::Staging, TaskReason::AgentRestarted), "STAGING");
        assert_eq!(shown(TaskState::Running, TaskReason::Unhealthy), "RUNNING (UNHEALTHY)");
        assert_eq!(shown(TaskState::Unknown, TaskReason::Reconciliation), "UNKNOWN (RECONCILIATION)");
        assert_eq!(shown(TaskState::Gone, TaskReason::AgentRestarted), "GONE (AGENT_RESTARTED)");
        assert_eq!(shown(TaskState::Finished, TaskReason::None), "FINISHED");
    }
}
