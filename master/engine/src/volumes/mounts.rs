//! What a task mounts is checked when it is launched: the volume is there, for its role, and nobody is in the way.

use proffer_proto_model::task::MountSource;
use proffer_proto_model::{AgentId, Role, TaskReason, TaskSpec, VolumeId, VolumeInfo, VolumeState};

use crate::operations::Held;
use crate::registry::VolumeRecord;
use crate::state::State;

/// A volume that tasks of the same accept mount which are not started yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mounted {
    agent: AgentId,
    number: u64,
    writes: bool,
}

type Refusal = (TaskReason, String);

impl State {
    /// Checks all volumes a task mounts; gives what it takes of them.
    pub(crate) fn check_volumes(
        &self,
        agent: &AgentId,
        role: &Role,
        held: &Held,
        task: &TaskSpec,
    ) -> Result<Vec<Mounted>, Refusal> {
        let mut mounted = Vec::new();
        for (at, mount) in task.container.mounts.iter().enumerate() {
            let MountSource::Volume { id, role: wanted, read_only } = &mount.source else { continue };
            let field = format!("task.container.mounts[{at}]");
            if let Some(wanted) = wanted.as_ref().filter(|wanted| !wanted.holds(role)) {
                let message = format!("{field}.volume_role: {wanted} is neither the offers' role {role} nor above it");
                return Err((TaskReason::TaskInvalid, message));
            }
            let known = self.find_volume(agent, role, wanted.as_ref(), id);
            let Some(known) = known else { return Err(self.missing_volume(&field, agent, role, id)) };
            let one = Mounted { agent: agent.clone(), number: known.volume.number, writes: !read_only };
            self.check_free(&field, held, known, &one).map_err(|why| (TaskReason::VolumeUnavailable, why))?;
            mounted.push(one);
        }
        Ok(mounted)
    }

    /// Says which volumes are meant, so that it stays clear whatever is made later.
    pub(crate) fn name_volumes(&self, agent: &AgentId, role: &Role, task: &mut TaskSpec) {
        for mount in &mut task.container.mounts {
            if let MountSource::Volume { id, role: wanted @ None, .. } = &mut mount.source {
                *wanted = self.find_volume(agent, role, None, id).map(|known| known.volume.role.clone());
            }
        }
    }

    /// An agent's volumes in the words of offers: those of a role and of the roles above it.
    pub(crate) fn volumes_in_offer(&self, agent: &AgentId, role: &Role) -> Vec<VolumeInfo> {
        let record = self.agents.get(agent).map(|place| &place.record);
        let kept = record.into_iter().flat_map(|record| record.kept_volumes());
        kept.filter(|known| known.volume.role.holds(role)).map(|known| self.volume_info(agent, known)).collect()
    }

    /// All of an agent's volumes, those included whose data is still being removed.
    pub(crate) fn all_volumes(&self, agent: &AgentId) -> Vec<VolumeInfo> {
        let known = self.agents.get(agent).into_iter().flat_map(|place| place.record.volumes.iter());
        known.map(|known| self.volume_info(agent, known)).collect()
    }

    fn volume_info(&self, agent: &AgentId, known: &VolumeRecord) -> VolumeInfo {
        let VolumeRecord { volume, pool: _, state, message, awaited: _ } = known;
        let users = match state.is_kept() {
            true => self.volume_users(agent, &volume.role, &volume.id),
            false => Vec::new(),
        };
        VolumeInfo {
            id: volume.id.clone(),
            role: volume.role.clone(),
            size: volume.size,
            state: *state,
            used_by: users.into_iter().map(|(task, _)| task).collect(),
            message: message.clone(),
        }
    }

    fn find_volume(&self, agent: &AgentId, role: &Role, wanted: Option<&Role>, id: &VolumeId) -> Option<&VolumeRecord> {
        let record = &self.agents.get(agent)?.record;
        match wanted {
            Some(wanted) => record.volume(wanted, id),
            None => record.volume_for(role, id),
        }
    }

    /// One writer, or any number of readers.
    fn check_free(&self, field: &str, held: &Held, known: &VolumeRecord, wanted: &Mounted) -> Result<(), String> {
        let id = &known.volume.id;
        if known.state == VolumeState::Lost {
            return Err(format!(
                "{field}.volume_id: the data of volume {id} is lost on {}; destroy it and make it anew",
                wanted.agent
            ));
        }
        let users = self.volume_users(&wanted.agent, &known.volume.role, id);
        if let Some((task, _)) = users.iter().find(|(_, writes)| *writes || wanted.writes) {
            return Err(format!(
                "{field}.volume_id: volume {id} is in use by task {task}; wait for its end, or mount it read-only in both"
            ));
        }
        let is_same = |other: &&Mounted| other.number == wanted.number && other.agent == wanted.agent;
        match held.mounts.iter().filter(is_same).any(|other| other.writes || wanted.writes) {
            true => Err(format!(
                "{field}.volume_id: volume {id} is in use by another task of this accept; mount it read-only in both"
            )),
            false => Ok(()),
        }
    }

    /// Why there is no such volume: said as exactly as it is known.
    fn missing_volume(&self, field: &str, agent: &AgentId, role: &Role, id: &VolumeId) -> Refusal {
        let of_name = |known: &&VolumeRecord| known.volume.id == *id;
        let here = self.agents.get(agent).and_then(|place| place.record.kept_volumes().find(of_name));
        if let Some(other) = here {
            let owner = &other.volume.role;
            let message = format!(
                "{field}.volume_id: volume {id} on {agent} is of role {owner}, the offers are of {role}; only {owner} and \
                 roles below it may use it"
            );
            return (TaskReason::TaskInvalid, message);
        }
        let elsewhere = self.agents.iter().find(|(_, place)| place.record.volume_for(role, id).is_some());
        if let Some((there, place)) = elsewhere {
            let message = format!(
                "{field}.volume_id: volume {id} is on agent {there} ({}), not on {agent}; accept an offer of that agent",
                place.record.info.hostname
            );
            return (TaskReason::VolumeUnavailable, message);
        }
        let message = format!("{field}.volume_id: role {role} has no volume {id} on {agent}; create it first");
        (TaskReason::TaskInvalid, message)
    }
}
