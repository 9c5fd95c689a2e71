//! Who is granted what is raced for, and who leaves a race.

use proffer_proto_model::{Moment, Resources};

use super::MOST_IN_RACE;
use crate::allocator::{Allocator, Grant, OpenGrant};
use crate::fit::times_it_fits;
use crate::grants::GrantId;
use crate::pass::Part;
use crate::quota::Gate;
use crate::tree::NodeId;

/// Why a client is not granted what is raced for.
pub(super) enum No {
    /// It does not want it, or may not have it.
    Never,
    /// The limit at this place leaves too little.
    Limit(NodeId),
}

impl Allocator {
    /// Takes a closed grant out of its race. True when others still hold what it held.
    pub(crate) fn leave_race(&mut self, id: GrantId, closed: &OpenGrant) -> bool {
        let Some(race) = self.races.open.get_mut(&closed.race) else { return false };
        let was_full = race.members.len() >= MOST_IN_RACE;
        race.members.retain(|_, member| *member != id);
        if race.members.is_empty() {
            self.races.end(closed.race);
            return false;
        }
        if was_full {
            self.races.again.insert(closed.race);
        }
        // It may want it again, or another role of the framework may.
        let framework = self.clients.get(closed.client).and_then(|state| self.frameworks.get(state.framework));
        let clients = framework.into_iter().flat_map(|framework| &framework.clients);
        self.races.retries.extend(clients.map(|client| (closed.race, *client)));
        true
    }

    /// Grants the client what is raced for, if it can use it.
    pub(super) fn join(
        &mut self,
        client: usize,
        race: GrantId,
        now: Moment,
        grants: &mut Vec<Grant>,
    ) -> Result<(), No> {
        let first = self.may_join(client, race, now)?;
        let (agent, resources, beside) = (first.agent, first.resources.clone(), first.beside.clone());
        let covers = self.covers_of_whole(client, agent, &resources);
        for (serial, times) in &covers {
            self.count_cover(client, *serial, *times);
        }
        self.count_held_and_grants(client, &resources, true, 1);
        let before = self.agents.get(agent).and_then(|place| place.returned_by);
        self.open(client, agent, Part { resources, reserved: Vec::new(), covers }, beside, grants);
        if let Some(place) = self.agents.get_mut(agent) {
            place.returned_by = before;
        }
        let framework = self.clients.get(client).map(|state| state.framework);
        let (Some(grant), Some(framework)) = (grants.last_mut(), framework) else { return Ok(()) };
        (grant.race, grant.is_optimistic) = (race, true);
        if let Some(open) = self.grants.get_mut(grant.id) {
            open.race = race;
        }
        if let Some(open) = self.races.open.get_mut(&race) {
            open.members.insert(framework, grant.id);
        }
        Ok(())
    }

    /// Some grant of the race.
    pub(super) fn raced_for(&self, race: GrantId) -> Option<&OpenGrant> {
        self.grants.get(*self.races.open.get(&race)?.members.values().next()?)
    }

    /// What is raced for, if the client wants it and may have it.
    pub(super) fn may_join(&self, client: usize, race: GrantId, now: Moment) -> Result<&OpenGrant, No> {
        self.clients_looked_at.set(self.clients_looked_at.get() + 1);
        let found = self.races.open.get(&race).zip(self.raced_for(race)).zip(self.clients.get(client));
        let Some(((of, open), state)) = found else { return Err(No::Never) };
        let is_possible = of.members.len() < MOST_IN_RACE
            && !of.members.contains_key(&state.framework)
            && state.is_wanting()
            && self.has_room(state)
            && self.is_racer(client)
            && !self.is_too_small(state, &open.resources);
        let place = self.agents.get(of.agent).filter(|place| is_possible && place.is_active);
        let Some(place) = place.filter(|place| self.is_for(state, place)) else { return Err(No::Never) };
        let wants_it = state.items.iter().any(|item| {
            item.remaining() > 0
                && item.wanted.constraints.iter().all(|rule| rule.is_met_by(&place.info))
                && times_it_fits(&item.wanted, &open.resources) > 0
        });
        if !wants_it || self.is_refusing(state, of.agent, &open.resources, now) {
            return Err(No::Never);
        }
        match self.limit_above(state.node, &open.resources) {
            Some(limit) => Err(No::Limit(limit)),
            None => Ok(open),
        }
    }

    /// The lowest place at a node or above whose limit leaves less than this, beside what is kept there for guarantees.
    pub(super) fn limit_above(&self, node: NodeId, more: &Resources) -> Option<NodeId> {
        let more = self.kinds.amounts_of(more);
        let is_short = |(at, _): &(NodeId, &Gate)| {
            more.present().any(|(kind, amount)| self.tree.room_within(*at, node, kind) < amount)
        };
        self.tree.gates_of(node).find(is_short).map(|(at, _)| at)
    }

    /// Somebody below a place was turned away from a race by its limit: when it has room, races are shown again.
    /// Nothing is owed to those who race.
    pub(super) fn note_limit(&mut self, node: NodeId, race: GrantId) {
        let Some(amounts) = self.raced_for(race).map(|open| self.kinds.amounts_of(&open.resources)) else { return };
        let from = self.looked;
        let limited = self.tree.limited(node);
        for (kind, amount) in amounts.present() {
            self.tree.note_within(node, (kind, amount), &[], from);
        }
        let Some(gate) = self.tree.gate_mut(node) else { return };
        let room = gate.room(&limited);
        for (kind, amount) in amounts.present().filter(|(kind, amount)| room.of(*kind) < *amount) {
            gate.missed.note(from, kind, amount);
        }
        let lowest = self.races.short.entry(node).or_insert(race);
        *lowest = race.min(*lowest);
    }
}
