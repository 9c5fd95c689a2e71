//! What an agent holds meets what the master recorded. Data goes only because somebody asked for it: a volume that the
//! master does not know is taken into the record, with a reservation of its own, and never removed.

use std::collections::BTreeMap;

use proffer_proto_model::{HeldState, HeldVolume, Now, OperationOutcome, VolumeReport, VolumeState};

use super::{Settled, disk};
use crate::registry::{AgentRecord, VolumeRecord};
use crate::reservations::PoolWords;
use crate::state::State;
use crate::{SessionId, ToAgent};

impl AgentRecord {
    /// Takes over what an attaching agent holds; gives what it must be told again, and the operations that are over.
    pub(crate) fn sync_volumes(&mut self, held: &[HeldVolume]) -> (Vec<ToAgent>, Vec<Settled>) {
        let there: BTreeMap<u64, &HeldVolume> = held.iter().map(|held| (held.volume.number, held)).collect();
        let (mut orders, mut settled) = (Vec::new(), Vec::new());
        self.volumes.retain_mut(|known| {
            let number = known.volume.number;
            let found = there.get(&number).filter(|held| held.volume == known.volume).map(|held| held.state);
            known.state = match (known.state, found) {
                // Its data is gone, which is what was wanted.
                (VolumeState::Destroying, None) => {
                    settled.extend(known.settle(OperationOutcome::Done, ""));
                    return false;
                }
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
            if known.state == VolumeState::Ready {
                known.message.clear();
            }
            settled.extend(match known.state {
                VolumeState::Ready => known.settle(OperationOutcome::Done, ""),
                VolumeState::Lost => known.settle(OperationOutcome::Failed, "the agent came back without it"),
                VolumeState::Creating | VolumeState::Destroying => None,
            });
            true
        });
        for unknown in held {
            settled.extend(self.adopt_volume(unknown));
        }
        self.volumes.sort_by_key(|known| known.volume.number);
        (orders, settled)
    }

    fn adopt_volume(&mut self, held: &HeldVolume) -> Vec<Settled> {
        let HeldVolume { volume, state } = held;
        self.last_volume = self.last_volume.max(volume.number);
        let is_known = self.volumes.iter().any(|known| known.volume.number == volume.number);
        let state = match state {
            _ if is_known => return Vec::new(),
            HeldState::Removing => return Vec::new(),
            HeldState::Making => VolumeState::Creating,
            HeldState::Ready => VolumeState::Ready,
        };
        // One of that name is not on the agent: the record is older than what was done.
        let is_older = |known: &VolumeRecord| known.volume.id == volume.id && known.volume.role == volume.role;
        let mut settled = Vec::new();
        self.volumes.retain_mut(|known| {
            let is_over = known.state.is_kept() && is_older(known);
            if is_over {
                let message = "the agent holds another volume of that name, which takes its place";
                settled.extend(known.settle(OperationOutcome::Failed, message));
            }
            !is_over
        });
        let pool = self.grow_pool(None, PoolWords::of(&volume.role), &disk(volume.size));
        let (volume, message) = (volume.clone(), String::new());
        self.volumes.push(VolumeRecord { volume, pool, state, message, awaited: None, owner: None });
        settled
    }
}

impl State {
    /// An attached agent says what became of volumes.
    pub fn agent_volumes(&mut self, now: Now, session: SessionId, reports: &[VolumeReport]) {
        let Some(agent) = self.agent_sessions.get(&session).cloned() else { return };
        self.expect_agent(now, &agent);
        let Some(place) = self.agents.get_mut(&agent) else { return };
        let before = place.record.volumes.clone();
        let mut settled = Vec::new();
        for VolumeReport { number, is_ready, message, is_tried_again } in reports {
            let volumes = &mut place.record.volumes;
            let Some(at) = volumes.iter().position(|known| known.volume.number == *number) else { continue };
            let known = &mut volumes[at];
            match (known.state, is_ready) {
                // Late word of what was before says nothing of what is there by now.
                (VolumeState::Creating | VolumeState::Destroying, _) if *is_tried_again => {
                    known.message.clone_from(message);
                }
                _ if *is_tried_again => {}
                (VolumeState::Destroying, true) => {}
                (VolumeState::Destroying, false) => {
                    settled.extend(volumes.remove(at).settle(OperationOutcome::Done, ""));
                }
                (_, true) => {
                    (known.state, known.message) = (VolumeState::Ready, String::new());
                    settled.extend(known.settle(OperationOutcome::Done, ""));
                }
                (_, false) => {
                    (known.state, known.message) = (VolumeState::Lost, message.clone());
                    settled.extend(known.settle(OperationOutcome::Failed, given_up(message)));
                }
            }
        }
        if place.record.volumes != before {
            self.volumes_changed(&agent);
        }
        self.tell_outcomes(settled);
    }
}

fn given_up(cause: &str) -> String {
    let cause = if cause.is_empty() { "the agent does not have it any more" } else { cause };
    format!("{cause}; destroy the volume to make it anew, here or elsewhere")
}
