//! Persistent volumes: directories on an agent, made of reserved disk, that outlive tasks and restarts.

use serde::{Deserialize, Serialize};

use crate::{Bytes, FrameworkId, Role, TaskKey, VolumeId};

/// A volume, as master and agent name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its number on the agent, never used again there.
    pub number: u64,
    /// Unique within its role on the agent, but for one that is still being removed.
    pub id: VolumeId,
    /// Only tasks of this role and of those below it may use it.
    pub role: Role,
    /// How much reserved disk it takes.
    pub size: Bytes,
}

/// Where in its life a volume is, as the master knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeState {
    /// Recorded; the agent has not said that it made it.
    Creating,
    /// It is there.
    Ready,
    /// Destroyed; the agent has not said that its data is gone. Holds no disk any more.
    Destroying,
    /// The agent does not have it any more: its data is lost.
    Lost,
}

/// Where in its life a volume is, as its agent knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HeldState {
    /// Its directory is being made.
    Making,
    /// It is there.
    Ready,
    /// Its data is being removed.
    Removing,
}

/// A volume as its agent holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldVolume {
    /// Which.
    pub volume: Volume,
    /// Where in its life it is.
    pub state: HeldState,
}

/// What became of a volume at its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeReport {
    /// Its number.
    pub number: u64,
    /// It is there; else it is gone, and its data with it.
    pub is_ready: bool,
    /// Why it could not be made, when the agent has given it up, or why the last try failed; else empty.
    pub message: String,
    /// The last try to make or remove it failed, and the agent goes on trying: nothing has become of it yet.
    pub is_tried_again: bool,
}

/// A volume in an offer, or in the list of an agent's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeInfo {
    /// Its name.
    pub id: VolumeId,
    /// Whose.
    pub role: Role,
    /// How much reserved disk it takes.
    pub size: Bytes,
    /// Where in its life it is.
    pub state: VolumeState,
    /// The tasks that mount it.
    pub used_by: Vec<TaskKey>,
    /// Why it is lost, or why the last try to make or remove it failed, in the agent's words; empty when it said nothing.
    pub message: String,
    /// The framework with which it is destroyed; `None` when it stays until somebody destroys it.
    pub owner: Option<FrameworkId>,
}

impl VolumeState {
    /// It holds disk and may not be named again.
    pub fn is_kept(self) -> bool {
        self != Self::Destroying
    }
}
