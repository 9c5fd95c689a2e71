//! What comes to a promised role anyway: what is free for it, and what is being taken back for it already. Changes nothing.
//!
//! Room is taken back on several agents at once, so each is planned and kept only for what none of the others brings.

use proffer_proto_model::{AgentId, DemandItem, Resources, Role};

use super::plan::{Want, only};
use super::{Preemption, are_alike};
use crate::state::State;

/// What a role may use of one agent, now or soon.
struct Room {
    free: Resources,
    /// The part of it that the role holds already, as a reservation.
    kept: Resources,
}

impl Room {
    /// Somebody uses a shape here: what it takes of what is owed.
    fn take(&mut self, shape: &Resources, want: &mut Want) {
        let promised = only(shape, &want.promised);
        want.owed = want.owed.saturating_minus(&promised.saturating_minus(&self.kept));
        self.kept = self.kept.saturating_minus(&promised);
        self.free = self.free.saturating_minus(shape);
    }

    /// How many of `units` find room here within what is owed, which they take their part of.
    fn serve(&mut self, units: u32, want: &mut Want) -> u32 {
        let mut served = 0;
        while served < units && want.fits(&self.free) && want.is_owed(&self.kept) {
            let shape = want.shape.clone();
            self.take(&shape, want);
            served += 1;
        }
        served
    }
}

impl State {
    /// The want with what is owed to it beyond all that comes anyway; `None` when so many find room in that.
    /// What is taken back on the agent `but` does not count, only what is free there.
    /// Counts the agents that were looked at in `steps`.
    pub(super) fn uncovered(
        &self,
        role: &Role,
        item: &DemandItem,
        want: Want,
        units: u32,
        but: Option<&AgentId>,
        steps: &mut u64,
    ) -> Option<Want> {
        let (mut want, mut units) = (want, units);
        let is_other = |agent: &AgentId| but != Some(agent);
        for (agent, other) in self.preempting.iter().filter(|(agent, p)| p.role == *role && is_other(agent)) {
            let mut room = self.room_after(role, item, agent, Some(other));
            if !are_alike(&other.item, item) {
                room.take(&other.item.shape.clone().unwrap_or_default(), &mut want);
            }
            units -= room.serve(units, &mut want);
        }
        let is_spoken_for =
            |agent: &AgentId| is_other(agent) && self.preempting.get(agent).is_some_and(|p| p.role == *role);
        for (agent, state) in &self.agents {
            if units == 0 {
                break;
            }
            *steps += 1;
            // Without a copy of anything: most agents are full.
            if !state.may_have_free(&want.shape) || is_spoken_for(agent) || !self.may_go_to(agent, item) {
                continue;
            }
            units -= self.room_after(role, item, agent, None).serve(units, &mut want);
        }
        (units > 0).then_some(want)
    }

    /// What an agent has for the item, once those have gone who have to.
    fn room_after(&self, role: &Role, item: &DemandItem, agent: &AgentId, under_way: Option<&Preemption>) -> Room {
        let victims = under_way.into_iter().flat_map(|preemption| &preemption.victims);
        let tasks = victims.filter(|key| self.is_held(key)).filter_map(|key| self.candidate(item, key));
        let free = tasks.fold(self.free_for(&item.role, agent), |sum, task| sum.saturating_sum(&task.usable));
        Room { free, kept: self.kept_for(role, item, agent) }
    }
}
