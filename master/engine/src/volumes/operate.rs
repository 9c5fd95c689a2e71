//! Create and destroy: stored first, then told to the agent. A volume in use is never destroyed.

use proffer_proto_model::{AgentId, Bytes, OperationOutcome, PoolId, Role, TaskKey, VolumeId, VolumeState};

use super::{Maker, disk};
use crate::ToAgent;
use crate::registry::{AgentRecord, Awaited, Operation};
use crate::reservations::{OperatorReservation, Share};
use crate::state::State;

impl State {
    /// Makes a volume of reserved disk in `share`. Err says what is wrong, and then nothing has changed.
    pub(crate) fn create_volume(
        &mut self,
        agent: &AgentId,
        share: &mut Share,
        role: &Role,
        id: &VolumeId,
        size: Bytes,
        by: Maker,
    ) -> Result<(), String> {
        let Some(place) = self.agents.get_mut(agent) else {
            return Err(format!("agent_id: there is no agent {agent}; see `proffer agents` for the right id"));
        };
        let pool = home_of(&place.record, agent, share, role, id, size)?;
        let volume = place.record.add_volume(pool, role, id, size, by);
        share.take_from(Some(pool), &disk(size));
        self.volumes_changed(agent);
        self.tell_agent(agent, ToAgent::CreateVolume(volume));
        Ok(())
    }

    /// Destroys a volume. Its disk is in `share` again, as reserved as before; the agent removes the data, and `by` hears
    /// when it has.
    pub(crate) fn destroy_volume(
        &mut self,
        agent: &AgentId,
        share: &mut Share,
        role: &Role,
        id: &VolumeId,
        by: Option<Awaited>,
    ) -> Result<(), String> {
        let number = self.check_destroy(agent, role, id)?;
        let Some(place) = self.agents.get_mut(agent) else { return Ok(()) };
        let Some(record) = place.record.volumes.iter_mut().find(|record| record.volume.number == number) else {
            return Ok(());
        };
        (record.state, record.message) = (VolumeState::Destroying, String::new());
        let message = "the volume was destroyed before the agent had made it";
        let settled = record.settle(OperationOutcome::Failed, message);
        record.awaited = by;
        share.add_to(Some(record.pool), &disk(record.volume.size));
        self.volumes_changed(agent);
        self.tell_outcomes(settled);
        self.tell_agent(agent, ToAgent::DestroyVolume { number });
        Ok(())
    }

    /// May it be destroyed? Its number, or what stands against it.
    pub(crate) fn check_destroy(&self, agent: &AgentId, role: &Role, id: &VolumeId) -> Result<u64, String> {
        let known = self.agents.get(agent).and_then(|place| place.record.volume(role, id));
        let Some(known) = known else {
            return Err(format!("volume_id: {agent} has no volume {id} of role {role}; see `proffer volumes ls`"));
        };
        match self.volume_users(agent, role, id).first() {
            Some((task, _)) => Err(format!(
                "volume_id: volume {id} is in use by task {task}; end it first, e.g. with `proffer scale` or `proffer rm`"
            )),
            None => Ok(known.volume.number),
        }
    }

    /// The tasks that mount a volume and have not ended, and whether each may write.
    pub(crate) fn volume_users(&self, agent: &AgentId, role: &Role, id: &VolumeId) -> Vec<(TaskKey, bool)> {
        let keys = self.agents.get(agent).into_iter().flat_map(|place| place.tasks.iter());
        let lives = keys.filter_map(|key| Some((key, self.tasks.get(key).filter(|task| task.is_alive())?)));
        let uses = lives.filter_map(|(key, task)| Some((key.clone(), task.record.spec.writes_to(role, id)?)));
        uses.collect()
    }

    /// The volumes that must go so that a forced unreserve is possible: the newest first, unused ones only. None when
    /// it is possible without, or not even then.
    pub(crate) fn doomed_volumes(&self, id: &AgentId, all: &Share, wish: &OperatorReservation) -> Vec<VolumeId> {
        let OperatorReservation::Unreserve { role, is_forced: true, .. } = wish else { return Vec::new() };
        let Some(record) = self.agents.get(id).map(|agent| &agent.record) else { return Vec::new() };
        let (mut share, mut doomed) = (all.clone(), Vec::new());
        let is_free = |volume: &VolumeId| self.check_destroy(id, role, volume).is_ok();
        for known in record.kept_volumes().rev().filter(|known| known.volume.role == *role) {
            if self.check_wish(id, &share, wish).is_ok() {
                break;
            }
            if is_free(&known.volume.id) && record.pool(known.pool).is_some_and(|pool| !pool.is_static) {
                share.add_to(Some(known.pool), &disk(known.volume.size));
                doomed.push(known.volume.id.clone());
            }
        }
        if self.check_wish(id, &share, wish).is_ok() { doomed } else { Vec::new() }
    }

    /// The record's volumes changed: stored, and told to the allocator and to readers.
    pub(super) fn volumes_changed(&mut self, agent: &AgentId) {
        let Some(place) = self.agents.get(agent) else { return };
        self.store.push(Operation::PutAgent(Box::new(place.record.clone())));
        if !place.record.is_unreachable {
            self.put_room(agent);
        }
        self.touched.agent(agent);
    }
}

/// The pool that a new volume rests on, or why there is none.
pub(crate) fn home_of(
    record: &AgentRecord,
    agent: &AgentId,
    share: &Share,
    role: &Role,
    id: &VolumeId,
    size: Bytes,
) -> Result<PoolId, String> {
    if record.volume(role, id).is_some() {
        return Err(format!(
            "volume_id: {agent} has a volume {id} of role {role} already; choose another id, or destroy that one first"
        ));
    }
    if size == Bytes(0) {
        return Err("size_bytes: is 0; give at least 1".to_owned());
    }
    let of_role = || record.pools.iter().filter(|pool| pool.role == *role);
    let free = |pool: PoolId| share.of(Some(pool)).disk;
    if let Some(home) = of_role().find(|pool| free(pool.id) >= size) {
        return Ok(home.id);
    }
    let most = of_role().map(|pool| free(pool.id)).max();
    Err(match most {
        None => format!(
            "role: nothing is reserved for {role} on {agent}; reserve disk first: \
             `proffer reserve {agent} --role {role} --resources disk={size}`"
        ),
        Some(most) => format!(
            "size_bytes: {size} is more than the {most} of disk that one reservation for {role} on {agent} has left; \
             reserve more, or make it smaller"
        ),
    })
}

/// What is told besides when a reservation cannot end: volumes may rest on it.
pub(crate) fn beside_volumes(record: &AgentRecord, role: &Role, message: String) -> String {
    let resting = record.kept_volumes().filter(|known| known.volume.role == *role);
    let names: Vec<&str> = resting.map(|known| known.volume.id.as_str()).collect();
    if names.is_empty() {
        return message;
    }
    format!(
        "{message}; volumes rest on it: {}; end the tasks that mount them and destroy them first, or have an operator \
         unreserve with --force",
        names.join(", ")
    )
}
