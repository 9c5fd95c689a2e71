//! What an agent holds meets what the master recorded. Data goes only because somebody asked for it: a volume that the
//! master does not know is taken into the record, with a reservation of its own, and never removed.

use std::collections::BTreeMap;

use proffer_proto_model::{HeldState, HeldVolume, Now, VolumeReport, VolumeState};

use super::disk;
use crate::registry::{AgentRecord, VolumeRecord};
use crate::state::State;
use crate::{SessionId, ToAgent};

impl AgentRecord {
    /// Takes over what an attaching agent holds; gives what it must be told again.
    pub(crate) fn sync_volumes(&mut self, held: &[HeldVolume]) -> Vec<ToAgent> {
        let there: BTreeMap<u64, &HeldVolume> = held.iter().map(|held| (held.volume.number, held)).collect();
        let mut orders = Vec::new();
        self.volumes.retain_mut(|known| {
            let number = known.volume.number;
            let found = there.get(&number).filter(|held| held.volume == known.volume).map(|held| held.state);
            known.state = match (known.state, found) {
                // Its data is gone, which is what was wanted.
                (VolumeState::Destroying, None) => return false,
                (VolumeState::Destroying, Some(_)) => {
                    orders.push(ToAgent::DestroyVolume { number });
                    VolumeState::Destroying
                }
                (VolumeState::Creating, None) => {
                    orders.push(ToAgent::CreateVolume(known.volume.clone()));
                    VolumeState::Creating
                }
                (_, Some(HeldState::Ready)) => VolumeState::Ready,
                (VolumeState::Creating, Some(HeldState::Making)) => VolumeState::Creating,
                (VolumeState::Creating | VolumeState::Ready | VolumeState::Lost, _) => VolumeState::Lost,
            };
            true
        });
        for unknown in held {
            self.adopt_volume(unknown);
        }
        self.volumes.sort_by_key(|known| known.volume.number);
        orders
    }

    fn adopt_volume(&mut self, held: &HeldVolume) {
        let HeldVolume { volume, state } = held;
        self.last_volume = self.last_volume.max(volume.number);
        let is_known = self.volumes.iter().any(|known| known.volume.number == volume.number);
        let state = match state {
            _ if is_known => return,
            HeldState::Removing => return,
            HeldState::Making => VolumeState::Creating,
            HeldState::Ready => VolumeState::Ready,
        };
        // One of that name is not on the agent: the record is older than what was done.
        let is_older = |known: &VolumeRecord| known.volume.id == volume.id && known.volume.role == volume.role;
        self.volumes.retain(|known| !(known.state.is_kept() && is_older(known)));
        let pool = self.grow_pool(&volume.role, None, &BTreeMap::new(), "", &disk(volume.size));
        self.volumes.push(VolumeRecord { volume: volume.clone(), pool, state });
    }
}

impl State {
    /// An attached agent says what became of volumes.
    pub fn agent_volumes(&mut self, now: Now, session: SessionId, reports: &[VolumeReport]) {
        let Some(agent) = self.agent_sessions.get(&session).cloned() else { return };
        self.expect_agent(now, &agent);
        let Some(place) = self.agents.get_mut(&agent) else { return };
        let before = place.record.volumes.clone();
        for VolumeReport { number, is_ready } in reports {
            let volumes = &mut place.record.volumes;
            let Some(at) = volumes.iter().position(|known| known.volume.number == *number) else { continue };
            match (volumes[at].state, is_ready) {
                (VolumeState::Destroying, true) => {}
                (VolumeState::Destroying, false) => drop(volumes.remove(at)),
                (_, true) => volumes[at].state = VolumeState::Ready,
                (_, false) => volumes[at].state = VolumeState::Lost,
            }
        }
        if place.record.volumes != before {
            self.volumes_changed(&agent);
        }
    }
}
