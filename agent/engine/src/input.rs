//! Everything that can happen to the agent, in one closed enum.

use proffer_proto_model::{
    AgentId, ClusterId, Epoch, FrameworkId, Role, TaskKey, TaskReason, TaskSpec, Volume, task::KillPolicy,
};

/// A live connection to a master, numbered by the server and never used again in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Everything that can happen to the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A stream to a master is open; nothing was said on it yet.
    MasterConnected {
        /// Which.
        session: SessionId,
    },
    /// The master said something.
    Master {
        /// On which stream.
        session: SessionId,
        /// The master's generation.
        epoch: Epoch,
        /// What.
        message: MasterMessage,
    },
    /// The stream ended, for whatever reason.
    MasterDisconnected {
        /// Which.
        session: SessionId,
    },
    /// A step that an effect asked for has an outcome.
    Step {
        /// The task it was for.
        key: TaskKey,
        /// The outcome.
        result: StepResult,
    },
    /// What was done about a volume has an outcome.
    Volume {
        /// Its number.
        number: u64,
        /// The outcome.
        result: VolumeResult,
    },
    /// The process is about to end; containers go on.
    Stopping,
    /// Time has passed: due timers fire. The server sends it at [`crate::Engine::next_deadline`].
    Tick,
}

/// What a master can say.
#[derive(Debug, Clone, PartialEq)]
pub enum MasterMessage {
    /// The agent is admitted.
    Attached {
        /// Its id, to be kept.
        agent: AgentId,
        /// A ping comes at least this often, in milliseconds.
        ping_interval_ms: u64,
        /// The cluster.
        cluster: ClusterId,
    },
    /// Start these tasks.
    Launch(Vec<LaunchTask>),
    /// End a task.
    Kill {
        /// Which.
        key: TaskKey,
        /// Overrides the task's own policy.
        policy: Option<KillPolicy>,
        /// Why; [`TaskReason::None`] means that the framework asked for it.
        reason: TaskReason,
    },
    /// The frameworks have these updates: task and number.
    Acknowledge(Vec<(TaskKey, u64)>),
    /// Tasks the master believes the agent has.
    Expect(Vec<TaskKey>),
    /// Make a volume.
    CreateVolume(Volume),
    /// Remove a volume and its data.
    DestroyVolume {
        /// Its number.
        number: u64,
    },
    /// Answer it.
    Ping {
        /// To be given back.
        nonce: u64,
    },
    /// The agent is not wanted; the stream ends.
    Refused {
        /// What is wrong and what to do.
        message: String,
        /// Coming back cannot help.
        last: bool,
    },
}

/// One task to start.
#[derive(Debug, Clone, PartialEq)]
pub struct LaunchTask {
    /// Whose.
    pub framework: FrameworkId,
    /// What.
    pub spec: TaskSpec,
    /// The role that pays for it.
    pub role: Role,
}

/// The outcome of one step of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepResult {
    /// The image can be run.
    ImageReady,
    /// It cannot.
    ImageFailed(Failure),
    /// The network is wired.
    NetworkReady {
        /// Path of the network namespace.
        netns: String,
        /// Address on the agent's bridge.
        address: String,
    },
    /// It is not.
    NetworkFailed(Failure),
    /// The container exists and was not started.
    Created {
        /// Its first process.
        pid: u32,
    },
    /// It could not be made.
    CreateFailed(Failure),
    /// The first process runs.
    Started,
    /// It could not be started.
    StartFailed(Failure),
    /// The container has ended.
    Exited(Exit),
    /// Waiting failed; the container may be running.
    WaitFailed(Failure),
    /// The container is removed.
    Deleted,
    /// It could not be removed.
    DeleteFailed(Failure),
    /// The network is taken away.
    Detached,
    /// It could not be taken away.
    DetachFailed(Failure),
}

/// The outcome of what was done about a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeResult {
    /// Its directory is there and empty.
    Made,
    /// Its directory is gone.
    Removed,
    /// Neither; trying again may help.
    Failed(String),
}

/// A failed step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Decides what happens next.
    pub kind: FailureKind,
    /// What was tried, what went wrong, what to do.
    pub message: String,
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Trying again may help.
    Temporary,
    /// Trying again cannot help.
    Permanent,
    /// A container of that id exists already.
    AlreadyExists,
    /// The container or image does not exist.
    NotFound,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Why.
    pub cause: ExitCause,
    /// Highest memory use in bytes, when known.
    pub peak_memory_bytes: Option<u64>,
}

/// Why a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCause {
    /// Its process exited by itself with this code.
    Code(u8),
    /// This signal ended it.
    Signal(u8),
    /// The kernel ended it at its memory limit.
    OutOfMemory,
    /// Nobody knows.
    Unknown,
}

/// A container found at the start of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenContainer {
    /// Its id.
    pub id: String,
    /// It has the labels this agent gives to containers.
    pub is_ours: bool,
    /// Where in its life it is.
    pub status: SeenStatus,
}

/// Where in its life a found container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenStatus {
    /// Not started.
    Created {
        /// Its first process.
        pid: u32,
    },
    /// Running.
    Running {
        /// Its first process.
        pid: u32,
    },
    /// Ended; waiting for it tells how.
    Ended,
}
