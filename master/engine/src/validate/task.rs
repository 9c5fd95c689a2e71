//! Is a task's description well formed? The first defect is told with its field.

use std::collections::BTreeSet;

use proffer_proto_model::task::{MAX_GRACE_MS, MountSource, TaskSpec};
use proffer_proto_model::{Bytes, MilliCpus};

const MAX_DATA_BYTES: usize = 64 << 10;

/// Checks a task by itself; what it asks of offers is checked at the launch.
pub(crate) fn check_task(task: &TaskSpec) -> Result<(), String> {
    if task.container.image.is_empty() {
        return Err("task.container.image: must not be empty; name an image such as docker.io/library/busybox".into());
    }
    if task.resources.cpus == MilliCpus(0) && task.resources.memory == Bytes(0) {
        return Err("task.resources: must ask for CPU or memory, for example 0.1 cpus and 32MiB".into());
    }
    if task.kill_policy.grace_ms > MAX_GRACE_MS {
        return Err(format!("task.kill_policy.grace_ms: must be at most {MAX_GRACE_MS}"));
    }
    if task.max_run_time_ms == Some(0) {
        return Err("task.max_run_time_ms: must be at least 1; leave it out for no bound".into());
    }
    if task.data.len() > MAX_DATA_BYTES {
        return Err(format!("task.data: has {} bytes; at most {MAX_DATA_BYTES} are allowed", task.data.len()));
    }
    check_limits(task)?;
    check_ports(task)?;
    check_mounts(task)
}

fn check_limits(task: &TaskSpec) -> Result<(), String> {
    if task.limits.cpus.is_some_and(|limit| limit < task.resources.cpus) {
        return Err(format!("task.limits.cpus: must not be below the {} asked for", task.resources.cpus));
    }
    if task.limits.memory.is_some_and(|limit| limit < task.resources.memory) {
        return Err(format!("task.limits.memory: must not be below the {} asked for", task.resources.memory));
    }
    if task.limits.pids == Some(0) {
        return Err("task.limits.pids: must be at least 1".into());
    }
    Ok(())
}

fn check_ports(task: &TaskSpec) -> Result<(), String> {
    let (mut names, mut hosts) = (BTreeSet::new(), BTreeSet::new());
    for (at, port) in task.container.ports.iter().enumerate() {
        let field = format!("task.container.ports[{at}]");
        if port.container_port == 0 || port.host_port == 0 {
            return Err(format!("{field}: ports are 1 to 65535"));
        }
        if !port.name.is_empty() && !names.insert(&port.name) {
            return Err(format!("{field}.name: {:?} is used twice; names are unique in a task", port.name));
        }
        if !hosts.insert((port.host_port, port.protocol as u8)) {
            return Err(format!("{field}.host_port: {} is used twice for the same protocol", port.host_port));
        }
        let single = proffer_proto_model::PortSet::single(port.host_port);
        if !task.resources.ports.contains(&single) {
            let port = port.host_port;
            return Err(format!("{field}.host_port: {port} is not in task.resources.ports; ask for it there"));
        }
    }
    Ok(())
}

fn check_mounts(task: &TaskSpec) -> Result<(), String> {
    let mut targets = BTreeSet::new();
    for (at, mount) in task.container.mounts.iter().enumerate() {
        let field = format!("task.container.mounts[{at}]");
        if !mount.target.starts_with('/') {
            return Err(format!("{field}.target: {:?} must be an absolute path", mount.target));
        }
        if !targets.insert(&mount.target) {
            return Err(format!("{field}.target: {:?} is mounted twice", mount.target));
        }
        match &mount.source {
            MountSource::Host { path, .. } if !path.starts_with('/') => {
                return Err(format!("{field}.host.path: {path:?} must be an absolute path"));
            }
            MountSource::Host { .. } | MountSource::Volume { .. } | MountSource::Tmpfs { .. } => {}
        }
    }
    Ok(())
}
