//! Tasks: what to run, in which state it is, and why.

mod reason;
mod spec;
mod state;
mod status;

pub use reason::{TaskReason, TaskSource};
pub use spec::{
    ContainerSpec, DEFAULT_GRACE_MS, DEFAULT_PIDS, DEFAULT_TMPFS_BYTES, KillPolicy, MAX_GRACE_MS, Mount, MountSource,
    NetworkMode, PortMapping, Protocol, PullPolicy, ResourceLimits, TaskSpec,
};
pub use state::TaskState;
pub use status::{ContainerStatus, TaskStatus};
