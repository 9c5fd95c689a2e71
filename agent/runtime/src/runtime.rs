//! The trait every container runtime implements, and the words it speaks.
//!
//! Every verb may be repeated after a crash: `create` of an existing id, `delete` of a missing one and
//! `signal` of an ended one have defined answers. Nothing here keeps state of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tonic::async_trait;

/// Runs containers. All verbs are idempotent by container id.
#[async_trait]
pub trait ContainerRuntime: Send + Sync + 'static {
    /// What this runtime is; fails when it cannot be reached.
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError>;

    /// Imports every image of an OCI or Docker tar archive; returns their references.
    async fn import_image(&self, tar: PathBuf, progress: ProgressSink) -> Result<Vec<Image>, RuntimeError>;

    /// Makes `reference` runnable: pulls what the policy asks for and unpacks it.
    async fn ensure_image(
        &self,
        reference: &str,
        policy: PullPolicy,
        progress: ProgressSink,
    ) -> Result<Image, RuntimeError>;

    /// The images present, ordered by reference.
    async fn images(&self) -> Result<Vec<Image>, RuntimeError>;

    /// Creates the container (record, root file system, first process, not started).
    /// A container of that id which exists already is an [`RuntimeErrorKind::AlreadyExists`] error.
    async fn create(&self, request: &ContainerRequest) -> Result<Created, RuntimeError>;

    /// Starts a created container. A container that runs already is left alone and is no error.
    async fn start(&self, id: &str) -> Result<(), RuntimeError>;

    /// Waits until the container has ended; answers at once when it already has. Safe to cancel and to repeat.
    /// A container whose exit code the runtime lost answers with [`ExitCause::Unknown`].
    async fn wait(&self, id: &str) -> Result<Exit, RuntimeError>;

    /// Sends a signal to the first process; `NotFound` when the container has ended or is unknown.
    async fn signal(&self, id: &str, signal: i32) -> Result<(), RuntimeError>;

    /// Removes the container, its snapshot and its cgroup; a running one is killed first. A missing one is no error.
    async fn delete(&self, id: &str) -> Result<(), RuntimeError>;

    /// Every container of this runtime's namespace, ordered by id.
    async fn list(&self) -> Result<Vec<ContainerInfo>, RuntimeError>;

    /// Present resource use of a running container.
    async fn stats(&self, id: &str) -> Result<Stats, RuntimeError>;

    /// Removes what an earlier driver that was killed left on the host and [`list`](Self::list) no longer shows;
    /// returns of how many containers something was left. Called once, before anything else is started.
    async fn sweep(&self) -> Result<usize, RuntimeError> {
        Ok(0)
    }
}

/// Who the runtime is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// Short name: `containerd` or `fake`.
    pub name: String,
    /// Version text as the runtime gives it.
    pub version: String,
    /// `v1` or `v2`: the cgroup hierarchy that holds the limits.
    pub cgroup: CgroupVersion,
}

/// The cgroup hierarchy in use on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupVersion {
    /// Controllers mounted one by one (also in hybrid mode).
    V1,
    /// One unified tree.
    V2,
}

/// When to ask a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// Ask the registry every time.
    Always,
    /// Pull only what is not present.
    #[default]
    Missing,
    /// Never pull; a missing image is an error.
    Never,
}

/// One image that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Full reference, e.g. `docker.io/library/busybox:latest` or `127.0.0.1:5055/web:1`.
    pub reference: String,
    /// Digest of the manifest, `sha256:…`.
    pub digest: String,
    /// Size of all blobs in bytes.
    pub size_bytes: u64,
}

/// Called with progress of a long image operation; must return at once.
pub type ProgressSink = Arc<dyn Fn(ImageProgress) + Send + Sync>;

/// How far a pull or an import is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageProgress {
    /// What happens now, for people: `pulling`, `unpacking`, …
    pub step: &'static str,
    /// The blob or image the step works on.
    pub item: String,
    /// Bytes done of this item.
    pub done_bytes: u64,
    /// Bytes of this item in all, 0 when not known.
    pub total_bytes: u64,
}

/// What to run and within which bounds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerRequest {
    /// Id of the container, unique on the host: `[a-zA-Z0-9._-]`, at most 76 characters.
    pub id: String,
    /// Reference of an image made ready by `ensure_image`.
    pub image: String,
    /// Replaces the image's entrypoint when not empty.
    pub command: Vec<String>,
    /// Replaces the image's cmd when not empty (or when `command` is given).
    pub args: Vec<String>,
    /// Added to the image's environment; the same name replaces it.
    pub env: Vec<(String, String)>,
    /// `uid[:gid]` or a name of the image's passwd file; the image's user when `None`.
    pub user: Option<String>,
    /// Working directory; the image's when `None`.
    pub working_dir: Option<String>,
    /// Host name seen inside.
    pub hostname: Option<String>,
    /// Mount the root file system read-only.
    pub read_only_root: bool,
    /// Binds and tmpfs mounts.
    pub mounts: Vec<Mount>,
    /// Bounds enforced by cgroup.
    pub limits: Limits,
    /// Path of a network namespace to join; the host's network when `None`.
    pub netns: Option<PathBuf>,
    /// Directory on the host for `stdout.log` and `stderr.log`; created when missing.
    pub log_dir: PathBuf,
    /// Kept with the container and given back by `list`.
    pub labels: BTreeMap<String, String>,
}

/// One mount inside the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// A path of the host.
    Bind {
        /// Absolute path on the host.
        source: PathBuf,
        /// Absolute path in the container.
        target: PathBuf,
        /// No writes through this mount.
        read_only: bool,
    },
    /// Memory-backed scratch space.
    Tmpfs {
        /// Absolute path in the container.
        target: PathBuf,
        /// Upper bound in bytes.
        size_bytes: u64,
    },
}

/// Bounds of one container; `None` is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Relative weight under contention, in thousandths of a CPU (1000 = one CPU).
    pub cpu_request_millis: u64,
    /// Hard bound in thousandths of a CPU.
    pub cpu_limit_millis: Option<u64>,
    /// Hard bound in bytes; swap is off.
    pub memory_limit_bytes: Option<u64>,
    /// Processes and threads; a default of 1024 when `None`.
    pub pids_limit: Option<u64>,
}

/// A container that was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// Process id on the host.
    pub pid: u32,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Why it ended.
    pub cause: ExitCause,
    /// Wall-clock end in milliseconds since 1970; 0 when not known.
    pub ended_unix_ms: u64,
    /// Highest memory use seen, in bytes; `None` when the runtime could not tell.
    pub peak_memory_bytes: Option<u64>,
}

/// Why a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCause {
    /// The process exited by itself with this code (0–255).
    Code(u8),
    /// Ended by this signal, sent by anybody but the out-of-memory killer.
    Signal(u8),
    /// The kernel's out-of-memory killer ended it at its own limit.
    OutOfMemory,
    /// It has ended and nobody knows the code.
    Unknown,
}

/// A container as the runtime knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerInfo {
    /// Its id.
    pub id: String,
    /// The labels it was created with.
    pub labels: BTreeMap<String, String>,
    /// Where in its life it is.
    pub status: ContainerStatus,
}

/// Where in its life a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerStatus {
    /// Created, first process not started.
    Created {
        /// Process id on the host.
        pid: u32,
    },
    /// Running.
    Running {
        /// Process id on the host.
        pid: u32,
    },
    /// Ended, or its process is lost: `wait` tells how.
    Ended,
}

/// Resource use at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// CPU time used since the start, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory in use, in bytes.
    pub memory_bytes: u64,
    /// Highest memory use, in bytes.
    pub memory_peak_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// What kind of failure it was; decides what the agent does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeErrorKind {
    /// The container or image does not exist.
    NotFound,
    /// A container of that id exists.
    AlreadyExists,
    /// The request can never work (bad image reference, command not found, bad user, …).
    Invalid,
    /// The image could not be had from its registry for good (404, denied, digest mismatch).
    ImageUnavailable,
    /// The runtime could not be reached or is overloaded: try again.
    Unavailable,
    /// Anything else.
    Internal,
}

/// A failed verb: kind, what was tried, and the cause in words a user can act on.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct RuntimeError {
    /// Decides what happens next.
    pub kind: RuntimeErrorKind,
    /// What was tried, e.g. `pull 127.0.0.1:5055/web:1`.
    pub what: String,
    /// What went wrong and, where known, what to do.
    pub cause: String,
}
