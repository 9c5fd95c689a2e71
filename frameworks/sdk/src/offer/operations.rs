//! What can be done with an offer beside launching: reserve, give back, and make and destroy volumes. In their order, each
//! sees what the one before it did; outcomes come as [`crate::Event::OperationStatus`] under the id given.

use std::collections::BTreeMap;

use proffer_proto_model::resources::Shortage;
use proffer_proto_model::task::{ContainerSpec, MountSource};
use proffer_proto_model::{AgentId, Bytes, Operation, Reserved, Resources, Role, VolumeId, VolumeInfo, VolumeState};

use super::Offer;

/// The offer holds less than the operation wants. The offer is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("agent {agent}: {shortage} missing in the offer")]
pub struct NotOffered {
    /// What is missing.
    pub shortage: Box<Resources>,
    /// Where.
    pub agent: AgentId,
}

impl Offer {
    /// The parts of it that are reserved, deepest role first.
    pub fn reserved(&self) -> &[Reserved] {
        &self.facts.reserved
    }

    /// The agent's persistent volumes that tasks of the role may mount.
    pub fn volumes(&self) -> &[VolumeInfo] {
        &self.facts.volumes
    }

    /// Reserves a part of what is left for the offer's role, from what is not reserved.
    pub fn reserve(&mut self, operation_id: impl Into<String>, resources: Resources) -> Result<(), NotOffered> {
        self.reserve_for(operation_id, self.facts.role.clone(), None, resources, BTreeMap::new())
    }

    /// Reserves a part of what is left for a role: the offer's or one below it. With `from_role` the part comes out of
    /// what is reserved for that role above, else out of what is not reserved.
    pub fn reserve_for(
        &mut self,
        operation_id: impl Into<String>,
        role: Role,
        from_role: Option<Role>,
        resources: Resources,
        labels: BTreeMap<String, String>,
    ) -> Result<(), NotOffered> {
        self.covers(&resources)?;
        // What is of a role below is not the offer's any more.
        if role != self.facts.role {
            self.left = self.left.saturating_minus(&resources);
        }
        let (operation_id, agent) = (operation_id.into(), self.facts.agent.clone());
        self.operations.push(Operation::Reserve { operation_id, agent, role, from_role, resources, labels });
        Ok(())
    }

    /// Ends a reservation of the offer's role, or a part of it.
    pub fn unreserve(&mut self, operation_id: impl Into<String>, resources: Resources) -> Result<(), NotOffered> {
        self.covers(&resources)?;
        let (operation_id, agent, role) = (operation_id.into(), self.facts.agent.clone(), self.facts.role.clone());
        self.operations.push(Operation::Unreserve { operation_id, agent, role, resources });
        Ok(())
    }

    /// Makes a persistent volume out of disk that is reserved for the offer's role, before or earlier on this offer. Tasks
    /// launched later on this offer may mount it: see [`crate::Task::volume`].
    pub fn create_volume(
        &mut self,
        operation_id: impl Into<String>,
        volume: VolumeId,
        size: Bytes,
    ) -> Result<(), NotOffered> {
        let disk = Resources { disk: size, ..Resources::default() };
        self.covers(&disk)?;
        self.left = self.left.saturating_minus(&disk);
        let (operation_id, agent, role) = (operation_id.into(), self.facts.agent.clone(), self.facts.role.clone());
        let (id, of) = (volume.clone(), role.clone());
        let (state, used_by) = (VolumeState::Creating, Vec::new());
        self.facts.volumes.push(VolumeInfo { id, role: of, size, state, used_by, message: String::new() });
        self.operations.push(Operation::CreateVolume { operation_id, agent, volume_id: volume, role, size });
        Ok(())
    }

    /// Destroys a volume of the offer's role on the agent, with all its data. Refused while a task mounts it.
    pub fn destroy_volume(&mut self, operation_id: impl Into<String>, volume: VolumeId) {
        let (operation_id, agent, role) = (operation_id.into(), self.facts.agent.clone(), self.facts.role.clone());
        self.facts.volumes.retain(|known| known.id != volume || known.role != role);
        self.operations.push(Operation::DestroyVolume { operation_id, agent, volume_id: volume, role });
    }

    /// Why a container with these mounts cannot run here, as far as its volumes go: one is not on this agent, lost, or
    /// used by another task in a way that does not go together. `None` when nothing is in the way.
    pub fn volume_problem(&self, container: &ContainerSpec) -> Option<String> {
        container.mounts.iter().find_map(|mount| {
            let MountSource::Volume { id, role, read_only: _ } = &mount.source else { return None };
            let is_it = |known: &&VolumeInfo| known.id == *id && role.as_ref().is_none_or(|role| known.role == *role);
            if self.mounted.iter().any(|(used, is_written)| used == id && (*is_written || writes(container, id))) {
                return Some(format!("volume {id} is in use by another task launched on this offer"));
            }
            let known = self.facts.volumes.iter().filter(is_it).max_by_key(|known| known.role.depth());
            match known {
                None => Some(format!("volume {id} is not on this agent")),
                Some(known) if known.state == VolumeState::Lost => Some(format!("the data of volume {id} is lost")),
                // Whether its users only read is not told; those that do are refused by nobody but the master.
                Some(known) if !known.used_by.is_empty() && writes(container, id) => {
                    Some(format!("volume {id} is in use by task {}", known.used_by[0]))
                }
                Some(_) => None,
            }
        })
    }

    pub(super) fn note_mounts(&mut self, container: &ContainerSpec) {
        for mount in &container.mounts {
            if let MountSource::Volume { id, read_only, .. } = &mount.source {
                self.mounted.push((id.clone(), !read_only));
            }
        }
    }

    fn covers(&self, resources: &Resources) -> Result<(), NotOffered> {
        match self.left.shortage(resources) {
            None => Ok(()),
            Some(Shortage(missing)) => Err(NotOffered { shortage: Box::new(missing), agent: self.facts.agent.clone() }),
        }
    }
}

fn writes(container: &ContainerSpec, volume: &VolumeId) -> bool {
    let writes =
        |source: &MountSource| matches!(source, MountSource::Volume { id, read_only: false, .. } if id == volume);
    container.mounts.iter().any(|mount| writes(&mount.source))
}
