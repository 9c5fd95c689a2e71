//! Persistent volumes.

use proffer_proto_wire::{agent as link, common, operator};

use super::check::{self, Checked, MAX_TEXT_BYTES, Within};
use super::{Defect, MAX_ENTRIES, WireError};
use crate::{
    AgentId, Bytes, HeldState, HeldVolume, Role, TaskKey, Volume, VolumeId, VolumeInfo, VolumeReport, VolumeState,
};

check::same_enum!(volume_state: VolumeState <-> WireState, unspecified None,
    [Creating, Ready, Destroying, Lost], "CREATING, READY, DESTROYING, LOST");
check::same_enum!(held_state: HeldState <-> WireHeld, unspecified None,
    [Making, Ready, Removing], "MAKING, READY, REMOVING");

use common::volume::State as WireState;
use link::held_volume::State as WireHeld;

impl TryFrom<common::Volume> for VolumeInfo {
    type Error = WireError;

    fn try_from(volume: common::Volume) -> Result<Self, WireError> {
        let common::Volume { volume_id, role, size_bytes, state, used_by, message, owner_framework_id } = volume;
        check::bounded("used_by", used_by.len(), MAX_ENTRIES)?;
        let used_by = used_by.iter().enumerate().map(|(at, key)| task_key(key).within(&format!("used_by[{at}]")));
        Ok(Self {
            id: check::id("volume_id", &volume_id)?,
            role: check::role("role", &role)?,
            size: Bytes(size_bytes),
            state: volume_state("state", state)?,
            used_by: used_by.collect::<Checked<_>>()?,
            message: check::text("message", message, MAX_TEXT_BYTES)?,
            owner: check::optional_id("owner_framework_id", &owner_framework_id)?,
        })
    }
}

/// Ids hold no `/`: there is only one way to take it apart.
fn task_key(text: &str) -> Checked<TaskKey> {
    let (framework, task) = text.split_once('/').unwrap_or((text, ""));
    Ok(TaskKey { framework: check::id("", framework)?, task: check::id("", task)? })
}

impl From<VolumeInfo> for common::Volume {
    fn from(VolumeInfo { id, role, size, state, used_by, message, owner }: VolumeInfo) -> Self {
        Self {
            volume_id: id.into(),
            role: role.into(),
            size_bytes: size.0,
            state: WireState::from(state).into(),
            used_by: used_by.iter().map(TaskKey::to_string).collect(),
            message,
            owner_framework_id: owner.map(String::from).unwrap_or_default(),
        }
    }
}

impl TryFrom<link::AgentVolume> for Volume {
    type Error = WireError;

    fn try_from(volume: link::AgentVolume) -> Result<Self, WireError> {
        let link::AgentVolume { number, volume_id, role, size_bytes } = volume;
        Ok(Self {
            number: at_least_1("number", number)?,
            id: check::id("volume_id", &volume_id)?,
            role: check::role("role", &role)?,
            size: Bytes(at_least_1("size_bytes", size_bytes)?),
        })
    }
}

impl From<Volume> for link::AgentVolume {
    fn from(Volume { number, id, role, size }: Volume) -> Self {
        Self { number, volume_id: id.into(), role: role.into(), size_bytes: size.0 }
    }
}

impl TryFrom<link::HeldVolume> for HeldVolume {
    type Error = WireError;

    fn try_from(held: link::HeldVolume) -> Result<Self, WireError> {
        let link::HeldVolume { volume, state } = held;
        Ok(Self { volume: check::convert("volume", volume)?, state: held_state("state", state)? })
    }
}

impl From<HeldVolume> for link::HeldVolume {
    fn from(HeldVolume { volume, state }: HeldVolume) -> Self {
        Self { volume: Some(volume.into()), state: WireHeld::from(state).into() }
    }
}

impl TryFrom<link::VolumeReport> for VolumeReport {
    type Error = WireError;

    fn try_from(report: link::VolumeReport) -> Result<Self, WireError> {
        let link::VolumeReport { number, is_ready, message, is_tried_again } = report;
        let message = check::text("message", message, MAX_TEXT_BYTES)?;
        Ok(Self { number: at_least_1("number", number)?, is_ready, message, is_tried_again })
    }
}

impl From<VolumeReport> for link::VolumeReport {
    fn from(VolumeReport { number, is_ready, message, is_tried_again }: VolumeReport) -> Self {
        Self { number, is_ready, message, is_tried_again }
    }
}

fn at_least_1(field: &str, value: u64) -> Checked<u64> {
    if value == 0 { check::fail(field, Defect::Zero) } else { Ok(value) }
}

/// An operator's call about a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeCall {
    /// Where.
    pub agent: AgentId,
    /// Which.
    pub id: VolumeId,
    /// Whose.
    pub role: Role,
    /// How large; `None` destroys it.
    pub size: Option<Bytes>,
    /// Nothing is to be changed.
    pub is_dry_run: bool,
}

impl TryFrom<operator::CreateVolumeRequest> for VolumeCall {
    type Error = WireError;

    fn try_from(request: operator::CreateVolumeRequest) -> Result<Self, WireError> {
        let operator::CreateVolumeRequest { agent_id, volume_id, role, size_bytes, dry_run } = request;
        Ok(Self {
            agent: check::id("agent_id", &agent_id)?,
            id: check::id("volume_id", &volume_id)?,
            role: check::role("role", &role)?,
            size: Some(Bytes(at_least_1("size_bytes", size_bytes)?)),
            is_dry_run: dry_run,
        })
    }
}

impl TryFrom<operator::DestroyVolumeRequest> for VolumeCall {
    type Error = WireError;

    fn try_from(request: operator::DestroyVolumeRequest) -> Result<Self, WireError> {
        let operator::DestroyVolumeRequest { agent_id, volume_id, role, dry_run } = request;
        Ok(Self {
            agent: check::id("agent_id", &agent_id)?,
            id: check::id("volume_id", &volume_id)?,
            role: check::role("role", &role)?,
            size: None,
            is_dry_run: dry_run,
        })
    }
}
