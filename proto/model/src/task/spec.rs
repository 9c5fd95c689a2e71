//! What to run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Bytes, MilliCpus, Resources, Role, TaskId, VolumeId};

/// Time between SIGTERM and SIGKILL when nobody said: 10 s.
pub const DEFAULT_GRACE_MS: u64 = 10_000;

/// Longest grace: one day.
pub const MAX_GRACE_MS: u64 = 86_400_000;

/// Processes and threads of a task that sets no bound.
pub const DEFAULT_PIDS: u64 = 1_024;

/// Size of a memory-backed directory that sets none: 64 MiB.
pub const DEFAULT_TMPFS_BYTES: u64 = 64 << 20;

/// One task: a container and what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Chosen by the framework, launched at most once.
    pub id: TaskId,
    /// For people and discovery.
    pub name: String,
    /// What to run.
    pub container: ContainerSpec,
    /// What scheduling counts.
    pub resources: Resources,
    /// Hard bounds above the resources.
    pub limits: ResourceLimits,
    /// How to end it.
    pub kill_policy: KillPolicy,
    /// Ended after running this long, in milliseconds; `None` is no bound.
    pub max_run_time_ms: Option<u64>,
    /// Free words.
    pub labels: BTreeMap<String, String>,
    /// Name under which it can be found; the name when empty.
    pub discovery_name: String,
    /// Opaque, at most 64 KiB.
    pub data: Vec<u8>,
    /// Beside the demand of roles that are short of what they were promised: tasks of a lower priority may be ended for it.
    #[serde(default)]
    pub priority: i32,
    /// It may be ended for such a role whatever its priority.
    #[serde(default)]
    pub is_revocable: bool,
}

/// The container of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Image reference.
    pub image: String,
    /// When to ask the registry.
    pub pull: PullPolicy,
    /// Replaces the entrypoint when not empty.
    pub command: Vec<String>,
    /// Replaces the default arguments when not empty.
    pub args: Vec<String>,
    /// Added to the image's environment, in order.
    pub env: Vec<(String, String)>,
    /// User; the image's when empty.
    pub user: String,
    /// Working directory; the image's when empty.
    pub working_dir: String,
    /// Mount the root read-only.
    pub read_only_root: bool,
    /// How it meets the network.
    pub network: NetworkMode,
    /// Ports that lead to it.
    pub ports: Vec<PortMapping>,
    /// Directories inside it.
    pub mounts: Vec<Mount>,
}

/// When to ask the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Every time.
    Always,
    /// Only when the image is missing.
    #[default]
    Missing,
    /// Never.
    Never,
}

/// How a container meets the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NetworkMode {
    /// The host's own network.
    #[default]
    Host,
    /// An address of its own on the agent's bridge.
    Bridge,
}

/// A port of the host that leads to a port of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// Name, unique in the task.
    pub name: String,
    /// In the container.
    pub container_port: u16,
    /// On the host.
    pub host_port: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// Transport of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// A directory inside a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path in the container.
    pub target: String,
    /// Where it comes from.
    pub source: MountSource,
}

impl TaskSpec {
    /// Does it mount this volume, and may it write to it? `None` when it does not. A mount that does not say of which
    /// role its volume is counts as none.
    pub fn writes_to(&self, role: &Role, id: &VolumeId) -> Option<bool> {
        let uses = self.container.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume { id: used, role: Some(of), read_only } if used == id && of == role => Some(!read_only),
            _ => None,
        });
        uses.max()
    }
}

/// Where a [`Mount`] comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A path of the host.
    Host {
        /// Absolute path.
        path: String,
        /// No writes.
        read_only: bool,
    },
    /// A persistent volume of the agent.
    Volume {
        /// Its name.
        id: VolumeId,
        /// Its role. `None` is the deepest of the task's role and those above it that has such a volume on the agent;
        /// the master says which when it launches the task.
        role: Option<Role>,
        /// No writes. Tasks that only read share a volume; who writes has it alone.
        read_only: bool,
    },
    /// Memory.
    Tmpfs {
        /// Size in bytes.
        size_bytes: u64,
    },
}

/// Hard bounds; `None` means the amount asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// CPU.
    pub cpus: Option<MilliCpus>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Processes and threads; [`DEFAULT_PIDS`] when `None`.
    pub pids: Option<u64>,
}

/// How to end a task: SIGTERM, then SIGKILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillPolicy {
    /// Time between the two in milliseconds.
    pub grace_ms: u64,
}

impl Default for KillPolicy {
    fn default() -> Self {
        Self { grace_ms: DEFAULT_GRACE_MS }
    }
}
