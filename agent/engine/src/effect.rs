//! Everything the agent's engine can ask for, in one closed enum.

use std::sync::Arc;

use proffer_proto_model::{
    AgentInfo, ClusterId, Epoch, FrameworkId, HeldVolume, Role, TaskKey, TaskSpec, TaskState, TaskStatus, Volume,
    VolumeReport, task::PortMapping,
};

use crate::SessionId;

/// Something to do once the frame is stored. Every effect for a task may be repeated after a crash.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Say something to the master.
    ToMaster {
        /// On which stream.
        session: SessionId,
        /// What.
        message: ToMaster,
    },
    /// End a stream and look for a master again.
    CloseMaster {
        /// Which.
        session: SessionId,
        /// Why, for the log.
        reason: String,
    },
    /// The master does not want this agent: tell people.
    Refused {
        /// What is wrong and what to do.
        message: String,
        /// Coming back cannot help.
        last: bool,
    },
    /// Make the image of a task runnable.
    PrepareImage {
        /// The task.
        key: TaskKey,
        /// What it runs.
        spec: Arc<TaskSpec>,
    },
    /// Nobody waits for that image any more.
    CancelImage {
        /// The task.
        key: TaskKey,
    },
    /// Wire a network for the container.
    AttachNetwork {
        /// The task.
        key: TaskKey,
        /// Its container.
        container: String,
        /// Published ports.
        ports: Vec<PortMapping>,
    },
    /// Create the container.
    CreateContainer {
        /// The task.
        key: TaskKey,
        /// Id of the container.
        container: String,
        /// What it runs.
        spec: Arc<TaskSpec>,
        /// Network namespace to join; the host's when `None`.
        netns: Option<String>,
    },
    /// Start the created container.
    StartContainer {
        /// The task.
        key: TaskKey,
        /// Its container.
        container: String,
    },
    /// Say when the container has ended, and how.
    WaitContainer {
        /// The task.
        key: TaskKey,
        /// Its container.
        container: String,
    },
    /// Send a signal; nobody waits for the outcome.
    SignalContainer {
        /// The task.
        key: TaskKey,
        /// Its container.
        container: String,
        /// Which.
        signal: Signal,
    },
    /// Remove the container; one that runs is killed.
    DeleteContainer {
        /// The task.
        key: TaskKey,
        /// Its container.
        container: String,
    },
    /// Take the container's network away.
    DetachNetwork {
        /// The task.
        key: TaskKey,
        /// Its container.
        container: String,
    },
    /// Remove a container that no task owns, and its network; nobody waits for the outcome.
    RemoveOrphan {
        /// The container.
        container: String,
    },
    /// Make the empty directory of a volume. No task has ever used it: what an interrupted try left of it can go.
    MakeVolume {
        /// Which.
        volume: Volume,
    },
    /// Remove the directory of a volume with all its data.
    RemoveVolume {
        /// Which.
        volume: Volume,
    },
    /// Remove the logs of a container that was forgotten.
    RemoveLogs {
        /// The container.
        container: String,
    },
}

/// A signal the agent sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: please end.
    Term,
    /// SIGKILL: end.
    Kill,
}

/// What the master is told.
#[derive(Debug, Clone, PartialEq)]
pub enum ToMaster {
    /// Who the agent is and everything it has.
    Attach {
        /// Who.
        agent: Box<AgentInfo>,
        /// Counts the starts of this agent's process.
        incarnation: u64,
        /// All tasks it holds.
        tasks: Vec<AttachedTask>,
        /// The highest epoch it has seen.
        seen_epoch: Epoch,
        /// Its cluster, when it has one.
        cluster: Option<ClusterId>,
        /// All volumes it holds.
        volumes: Vec<HeldVolume>,
    },
    /// Task updates.
    Updates(Vec<Update>),
    /// What became of volumes.
    Volumes(Vec<VolumeReport>),
    /// Answer to a ping.
    Pong {
        /// The number in the ping.
        nonce: u64,
    },
    /// The process ends; containers go on.
    Detach,
}

/// A task as the agent holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct AttachedTask {
    /// Whose.
    pub framework: FrameworkId,
    /// What.
    pub spec: Arc<TaskSpec>,
    /// The latest state, possibly ahead of what was confirmed.
    pub latest: TaskStatus,
    /// The role that pays for it.
    pub role: Role,
}

/// One update on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Whose.
    pub framework: FrameworkId,
    /// The update.
    pub status: TaskStatus,
    /// The latest state at the agent.
    pub latest: TaskState,
}
