//! Builds the description of a task from plain words. Collects every defect, so that all are shown at once.

mod build;
mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use error::{TaskDefect, TaskError};

use proffer_proto_model::task::{
    ContainerSpec, KillPolicy, MAX_GRACE_MS, Mount, MountSource, NetworkMode, PortMapping, Protocol, PullPolicy,
    ResourceLimits,
};
use proffer_proto_model::{Bytes, MilliCpus, Resources, VolumeId};

/// A task in the making. Set what it needs, then [`Task::build`] it.
///
/// Defaults: 0.1 CPU, 32 MiB of memory, the host's network, the image's own command, image pulled when missing, 10 s between
/// SIGTERM and SIGKILL, no time limit.
#[derive(Debug, Clone)]
#[must_use = "a task does nothing before it is built and launched"]
pub struct Task {
    id: String,
    name: Option<String>,
    container: ContainerSpec,
    network: Option<NetworkMode>,
    resources: Resources,
    limits: ResourceLimits,
    kill_policy: KillPolicy,
    max_run_time_ms: Option<u64>,
    priority: i32,
    is_revocable: bool,
    labels: BTreeMap<String, String>,
    discovery_name: String,
    data: Vec<u8>,
    defects: Vec<TaskDefect>,
}

impl Task {
    /// A task with this id: 1 to 255 of a-z A-Z 0-9 . _ -, never used before by this framework.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: None,
            container: ContainerSpec::default(),
            network: None,
            resources: Resources::new(MilliCpus(100), Bytes::mib(32)),
            limits: ResourceLimits::default(),
            kill_policy: KillPolicy::default(),
            max_run_time_ms: None,
            priority: 0,
            is_revocable: false,
            labels: BTreeMap::new(),
            discovery_name: String::new(),
            data: Vec::new(),
            defects: Vec::new(),
        }
    }

    /// Name for people; the id when not set.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Image reference, e.g. `busybox:1.36`. Required.
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.container.image = image.into();
        self
    }

    /// When to ask the registry for the image; when it is missing if not set.
    pub fn pull(mut self, pull: PullPolicy) -> Self {
        self.container.pull = pull;
        self
    }

    /// Replaces the image's entrypoint.
    pub fn command<T: Into<String>>(mut self, command: impl IntoIterator<Item = T>) -> Self {
        self.container.command = command.into_iter().map(Into::into).collect();
        self
    }

    /// Replaces the image's default arguments.
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.container.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a variable to the environment.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            self.defect("env", format!("variable {name:?} has no name, a \"=\" in its name or a NUL; rename it"));
        }
        self.container.env.push((name, value));
        self
    }

    /// User: `uid`, `uid:gid` or a name of the image; the image's own when not set.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.container.user = user.into();
        self
    }

    /// Working directory, absolute; the image's own when not set.
    pub fn working_dir(mut self, dir: impl Into<String>) -> Self {
        self.container.working_dir = dir.into();
        self
    }

    /// Mounts the root file system read-only.
    pub fn read_only_root(mut self) -> Self {
        self.container.read_only_root = true;
        self
    }

    /// CPUs, e.g. `0.5`; exact to a thousandth.
    pub fn cpus(mut self, cpus: f64) -> Self {
        let milli = (cpus * 1000.0).round();
        if !(0.0..=1e12).contains(&milli) {
            self.defect("cpus", format!("{cpus} is not a number of CPUs; give 0.001 or more, e.g. 0.5"));
        } else {
            // In range, whole and not negative: checked above.
            self.resources.cpus = MilliCpus(milli as u64);
        }
        self
    }

    /// Memory in MiB.
    pub fn memory_mib(mut self, mib: u64) -> Self {
        match mib.checked_mul(1 << 20) {
            Some(bytes) => self.resources.memory = Bytes(bytes),
            None => self.defect("memory", format!("{mib} MiB is too large")),
        }
        self
    }

    /// Disk in MiB.
    pub fn disk_mib(mut self, mib: u64) -> Self {
        match mib.checked_mul(1 << 20) {
            Some(bytes) => self.resources.disk = Bytes(bytes),
            None => self.defect("disk", format!("{mib} MiB is too large")),
        }
        self
    }

    /// Whole GPUs.
    pub fn gpus(mut self, gpus: u32) -> Self {
        self.resources.gpus = gpus;
        self
    }

    /// Replaces all resources at once.
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// Hard bounds above what scheduling counts; equal to it when not set.
    pub fn limits(mut self, limits: ResourceLimits) -> Self {
        self.limits = limits;
        self
    }

    /// A port of the container, reached through a host port that is chosen from the offer. The container also finds it
    /// as `PORT_<NAME>`. A `container_port` of 0 takes whatever host port was chosen.
    ///
    /// Without [`Task::network`] a container port above 0 puts the task on the agent's bridge. On the host's network the host port
    /// is the container port.
    pub fn port(self, name: impl Into<String>, container_port: u16) -> Self {
        self.port_mapping(PortMapping { name: name.into(), container_port, host_port: 0, protocol: Protocol::Tcp })
    }

    /// A port with everything said; a `host_port` of 0 is chosen from the offer.
    pub fn port_mapping(mut self, port: PortMapping) -> Self {
        self.container.ports.push(port);
        self
    }

    /// How the container meets the network; the host's own when not set and no port needs the bridge.
    pub fn network(mut self, network: NetworkMode) -> Self {
        self.network = Some(network);
        self
    }

    /// Mounts a directory of the host.
    pub fn mount_host(mut self, path: impl Into<String>, target: impl Into<String>, is_read_only: bool) -> Self {
        let source = MountSource::Host { path: path.into(), read_only: is_read_only };
        self.container.mounts.push(Mount { target: target.into(), source });
        self
    }

    /// Mounts a persistent volume of the agent: see [`crate::Offer::volumes`] and [`crate::Offer::create_volume`]. While
    /// the task runs no other task can mount it.
    pub fn volume(self, id: impl Into<String>, target: impl Into<String>) -> Self {
        self.mount_volume(id.into(), target.into(), false)
    }

    /// Mounts a persistent volume of the agent for reading; other tasks may read it at the same time.
    pub fn volume_read_only(self, id: impl Into<String>, target: impl Into<String>) -> Self {
        self.mount_volume(id.into(), target.into(), true)
    }

    fn mount_volume(mut self, id: String, target: String, read_only: bool) -> Self {
        match VolumeId::new(&id) {
            Ok(id) => {
                let source = MountSource::Volume { id, role: None, read_only };
                self.container.mounts.push(Mount { target, source });
            }
            Err(error) => self.defect("volume", format!("id {id:?} {error}")),
        }
        self
    }

    /// Mounts a directory in memory.
    pub fn mount_tmpfs(mut self, target: impl Into<String>, size_bytes: u64) -> Self {
        self.container.mounts.push(Mount { target: target.into(), source: MountSource::Tmpfs { size_bytes } });
        self
    }

    /// Time between SIGTERM and SIGKILL, in milliseconds; at most one day.
    pub fn kill_grace_ms(mut self, grace_ms: u64) -> Self {
        if grace_ms > MAX_GRACE_MS {
            self.defect("kill_grace_ms", format!("{grace_ms} is more than one day ({MAX_GRACE_MS})"));
        }
        self.kill_policy = KillPolicy { grace_ms };
        self
    }

    /// Ends the task with reason MAX_RUN_TIME after this many milliseconds.
    pub fn max_run_time_ms(mut self, ms: u64) -> Self {
        self.max_run_time_ms = Some(ms);
        self
    }

    /// Where operators let roles take back what they were promised: a demand of a higher priority may end it. 0 is normal.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Such a role may end it whatever its priority.
    pub fn revocable(mut self) -> Self {
        self.is_revocable = true;
        self
    }

    /// Adds a label.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Name under which the task can be found; its name when not set.
    pub fn discovery_name(mut self, name: impl Into<String>) -> Self {
        self.discovery_name = name.into();
        self
    }

    /// Bytes that come back with the task's reconciliation; at most 64 KiB.
    pub fn data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.data = data.into();
        self
    }

    fn defect(&mut self, field: &str, problem: String) {
        self.defects.push(TaskDefect { field: field.to_owned(), problem });
    }
}
