//! What the agent keeps on disk, as small operations and as the state they make.

use std::collections::{BTreeMap, VecDeque};

use proffer_proto_model::{AgentId, ClusterId, Epoch, HeldVolume, Role, TaskKey, TaskReason, TaskSpec, TaskStatus};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One change of the checkpoint. All changes of a frame become durable together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Operation {
    /// Who the agent is has changed.
    Identity(Identity),
    /// A task was taken on.
    Launch(Box<Launch>),
    /// A task has got further.
    Progress(Box<Progress>),
    /// A task has ended, its end is confirmed and its container is gone.
    Forget(TaskKey),
    /// Remember that a task has been here.
    Remember(Box<EndedTask>),
    /// That memory is too old.
    DropEnded {
        /// [`EndedTask::serial`].
        serial: u64,
    },
    /// A volume is to be made, is there, or is to be removed.
    PutVolume(Box<HeldVolume>),
    /// A volume is gone, and its data with it.
    DropVolume {
        /// Its number.
        number: u64,
    },
}

/// Who the agent is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// Given by the master.
    pub agent: Option<AgentId>,
    /// The cluster it belongs to.
    pub cluster: Option<ClusterId>,
    /// The highest epoch of a master it has heard.
    pub seen_epoch: Epoch,
    /// Counts the starts of the agent's process.
    pub incarnation: u64,
}

/// What was launched; never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The task.
    pub key: TaskKey,
    /// The role that pays for it.
    pub role: Role,
    /// What it runs.
    #[serde(with = "shared")]
    pub spec: Arc<TaskSpec>,
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The task.
    pub key: TaskKey,
    /// How far its container is.
    pub phase: Phase,
    /// The latest status.
    pub latest: TaskStatus,
    /// Updates that are not confirmed, oldest first.
    pub unconfirmed: VecDeque<TaskStatus>,
    /// It was told to end.
    pub kill: Option<KillOrder>,
    /// Address on the agent's bridge; empty in host mode.
    pub address: String,
    /// Wall-clock time at which it began to run, in milliseconds since 1970.
    pub running_since_unix_ms: Option<u64>,
}

/// How far a task's container is. Each step is durable before the first thing that it allows is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Its process was never started: everything may be begun again.
    Launching,
    /// Its process may have been started: it must never be started a second time.
    Starting,
    /// Its process was started.
    Running,
    /// It has ended; container and network may be left.
    Ended,
    /// Nothing is left of it but unconfirmed updates.
    Cleaned,
}

/// An order to end a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillOrder {
    /// Why.
    pub reason: TaskReason,
    /// Between SIGTERM and SIGKILL, in milliseconds.
    pub grace_ms: u64,
}

/// A task that has been here and is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedTask {
    /// Counts the ended tasks of this agent.
    pub serial: u64,
    /// The task.
    pub key: TaskKey,
    /// How it ended.
    pub last: TaskStatus,
}

/// The state all operations make together: what a store reads back at the start.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checkpoint {
    /// Who the agent is.
    pub identity: Identity,
    /// What was launched. A task that the agent only answers for has none.
    pub launches: BTreeMap<TaskKey, Launch>,
    /// How far tasks are.
    pub progress: BTreeMap<TaskKey, Progress>,
    /// Tasks that have been here, by serial.
    pub ended: BTreeMap<u64, EndedTask>,
    /// Volumes by number.
    pub volumes: BTreeMap<u64, HeldVolume>,
}

impl Checkpoint {
    /// Applies one operation.
    pub fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Identity(identity) => self.identity = identity.clone(),
            Operation::Launch(launch) => {
                self.launches.insert(launch.key.clone(), (**launch).clone());
            }
            Operation::Progress(progress) => {
                self.progress.insert(progress.key.clone(), (**progress).clone());
            }
            Operation::Forget(key) => {
                self.launches.remove(key);
                self.progress.remove(key);
            }
            Operation::Remember(ended) => {
                self.ended.insert(ended.serial, (**ended).clone());
            }
            Operation::DropEnded { serial } => {
                self.ended.remove(serial);
            }
            Operation::PutVolume(held) => {
                self.volumes.insert(held.volume.number, (**held).clone());
            }
            Operation::DropVolume { number } => {
                self.volumes.remove(number);
            }
        }
    }
}

/// A shared value is stored as the value itself.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(value: &Arc<T>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().serialize(to)
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Arc<T>, D::Error> {
        T::deserialize(from).map(Arc::new)
    }
}
