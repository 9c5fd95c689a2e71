//! The task of one try of a job.

use proffer_proto_model::convert::{Defect, WireError};
use proffer_proto_model::task::{KillPolicy, NetworkMode};
use proffer_sdk::{PortSet, TaskId, TaskSpec};

use crate::job::Job;

/// The task of one try, with JOB_ID, JOB_INDEX and JOB_ATTEMPT in its environment.
pub fn task_of(job: &Job, index: u32, number: u32) -> Result<TaskSpec, WireError> {
    let spec = job.spec();
    let id = TaskId::new(job.task_id(index, number)).map_err(|e| WireError::new("name", Defect::BadId(e)))?;
    let mut container = spec.container.clone();
    let facts =
        [("JOB_ID", job.id().to_owned()), ("JOB_INDEX", index.to_string()), ("JOB_ATTEMPT", number.to_string())];
    container.env.retain(|(name, _)| !facts.iter().any(|(fact, _)| fact == name));
    container.env.extend(facts.map(|(name, value)| (name.to_owned(), value)));
    let mut resources = spec.resources.clone();
    for port in &mut container.ports {
        if container.network == NetworkMode::Host && port.host_port == 0 {
            port.host_port = port.container_port;
        }
        resources.ports = resources.ports.union(&PortSet::single(port.host_port));
    }
    Ok(TaskSpec {
        name: id.to_string(),
        id,
        container,
        resources,
        limits: spec.limits,
        kill_policy: KillPolicy::default(),
        max_run_time_ms: spec.attempt_timeout_ms,
        labels: spec.labels.clone(),
        discovery_name: job.id().to_owned(),
        data: Vec::new(),
        priority: spec.priority,
        is_revocable: spec.is_revocable,
    })
}
