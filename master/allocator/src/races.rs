//! Optimistic roles: what one of their frameworks is granted, the others who want it are granted too. All grants of the
//! same resources are a *race*: the agent counts them once, and is free again when the last of them is closed. Whoever
//! uses its grant first wins; to close the others is the caller's part.
//!
//! Each grant counts for its client's share and limits as any other. Roles that are promised something, or are below
//! such a role, race with nobody, and neither is anything reserved raced for. Without optimistic roles all this costs
//! a look at a `bool`.
//!
//! A race is looked at for everybody in optimistic roles when it begins, later only for those who want something
//! again.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{AgentId, Moment, Role};

use crate::allocator::{Allocator, Grant, GrantId, OpenGrant};
use crate::fit::times_it_fits;
use crate::pass::{Look, Part};
use crate::quota::Gate;

/// Grants of the same resources, at most.
const MOST_IN_RACE: usize = 64;

/// See the file's top.
#[derive(Debug, Default)]
pub(crate) struct Races {
    /// Some role is or was optimistic.
    pub is_used: bool,
    /// By its first grant: all grants of the race that are open.
    open: BTreeMap<GrantId, BTreeSet<GrantId>>,
    /// Clients of optimistic roles that may want something they were not shown.
    curious: BTreeSet<usize>,
}

impl Allocator {
    /// What the role's frameworks are granted is granted to all others in such roles too, or to one alone. For the role
    /// itself and not for those below it; what is granted stays as it is. Costs as much as there are frameworks.
    pub fn set_optimistic(&mut self, role: &Role, is_optimistic: bool) {
        let slot = self.role_slot(role);
        if let Some(state) = self.roles.get_mut(slot) {
            state.is_optimistic = is_optimistic;
        }
        self.races.is_used |= is_optimistic;
        let clients: Vec<usize> =
            self.clients.iter().filter(|(_, state)| state.role == slot).map(|(client, _)| client).collect();
        clients.into_iter().for_each(|client| self.grow_curious(client));
    }

    /// The grants of each race of an agent, for checks: races of one alone too.
    pub fn races_on(&self, id: &AgentId) -> Vec<Vec<GrantId>> {
        let Some(slot) = self.agents.find(id) else { return Vec::new() };
        let of_agent = self.races.open.values().filter(|members| {
            members.first().and_then(|first| self.grants.get(first)).is_some_and(|open| open.agent == slot)
        });
        of_agent.map(|members| members.iter().copied().collect()).collect()
    }

    /// The client may want something that is raced for.
    pub(crate) fn grow_curious(&mut self, client: usize) {
        if self.races.is_used && self.is_racer(client) {
            self.races.curious.insert(client);
        }
    }

    /// The client is no more: its number may be used again.
    pub(crate) fn forget_racer(&mut self, client: usize) {
        self.races.curious.remove(&client);
    }

    /// Begins races with new grants, and shows open ones to those who want something again.
    pub(crate) fn race(&mut self, now: Moment, grants: &mut Vec<Grant>) {
        if !self.races.is_used {
            return;
        }
        let new: Vec<GrantId> = grants.iter().map(|grant| grant.id).filter(|id| self.may_begin(*id)).collect();
        let racers = if new.is_empty() { Vec::new() } else { self.racers() };
        for race in new {
            self.races.open.insert(race, BTreeSet::from([race]));
            racers.iter().for_each(|client| self.join(*client, race, now, grants));
        }
        for client in std::mem::take(&mut self.races.curious) {
            for race in self.races.open.keys().copied().collect::<Vec<_>>() {
                if !self.clients.get(client).is_some_and(|state| state.is_wanting()) {
                    break;
                }
                self.join(client, race, now, grants);
            }
        }
        // What changed meanwhile is what was shown.
        self.races.curious.clear();
    }

    /// Takes a closed grant out of its race. True when others still hold what it held.
    pub(crate) fn leave_race(&mut self, id: GrantId, closed: &OpenGrant) -> bool {
        if self.races.is_used {
            // Another role of the framework may have it now.
            let framework = self.clients.get(closed.client).and_then(|state| self.frameworks.get(state.framework));
            let clients: Vec<usize> = framework.iter().flat_map(|framework| &framework.clients).copied().collect();
            clients.into_iter().for_each(|client| self.grow_curious(client));
        }
        let Some(members) = self.races.open.get_mut(&closed.race) else { return false };
        members.remove(&id);
        let is_over = members.is_empty();
        if is_over {
            self.races.open.remove(&closed.race);
        }
        !is_over
    }

    /// Nobody else can use what is left of the agent, or only those who will be shown all of it too.
    pub(crate) fn is_alone(&self, client: usize, look: Look) -> bool {
        let has_pools = self.agents.get(look.agent).is_some_and(|agent| agent.pools.is_some());
        let may_race = self.races.is_used && !has_pools && self.is_racer(client);
        let mut rivals = Vec::new();
        self.is_out(client);
        let is_alone = loop {
            match self.next_client(look, None) {
                None => break true,
                Some(next) if may_race && self.is_racer(next) => {
                    self.is_out(next);
                    rivals.push(next);
                }
                Some(_) => break false,
            }
        };
        for state in rivals.into_iter().chain([client]).filter_map(|client| self.clients.get(client)) {
            state.is_out_of.set(0);
        }
        is_alone
    }

    /// Of an optimistic role, and nothing is promised to it or above it.
    fn is_racer(&self, client: usize) -> bool {
        let Some(state) = self.clients.get(client) else { return false };
        let is_promised = |node| self.tree.gate(node).is_some_and(Gate::is_promised);
        self.roles.get(state.role).is_some_and(|role| role.is_optimistic)
            && !(self.tree.has_gates && self.tree.path(state.node).any(is_promised))
    }

    fn may_begin(&self, id: GrantId) -> bool {
        self.grants.get(&id).is_some_and(|open| open.reserved.is_empty() && self.is_racer(open.client))
    }

    /// All who may race, in turn.
    fn racers(&self) -> Vec<usize> {
        let wanting = self.clients.iter().filter(|(_, state)| state.is_wanting());
        let mut racers: Vec<_> =
            wanting.filter(|(client, _)| self.is_racer(*client)).map(|(client, state)| (client, state.node)).collect();
        racers.sort_by(|a, b| self.tree.compare(a.1, b.1));
        racers.into_iter().map(|(client, _)| client).collect()
    }

    /// Grants the client what is raced for, if it can use it.
    fn join(&mut self, client: usize, race: GrantId, now: Moment, grants: &mut Vec<Grant>) {
        let Some(first) = self.may_join(client, race, now) else { return };
        let (agent, resources, beside) = (first.agent, first.resources.clone(), first.beside.clone());
        let covers = self.covers_of_whole(client, agent, &resources);
        for (serial, times) in &covers {
            self.count_cover(client, *serial, *times);
        }
        self.count_held(client, &resources, true);
        self.tree.settle_changes();
        let before = self.agents.get(agent).and_then(|place| place.returned_by);
        self.open(client, agent, Part { resources, reserved: Vec::new(), covers }, beside, grants);
        if let Some(place) = self.agents.get_mut(agent) {
            place.returned_by = before;
        }
        let Some(grant) = grants.last_mut() else { return };
        grant.race = race;
        if let Some(open) = self.grants.get_mut(&grant.id) {
            open.race = race;
        }
        if let Some(members) = self.races.open.get_mut(&race) {
            members.insert(grant.id);
        }
    }

    /// What is raced for, if the client wants it and may have it.
    fn may_join(&self, client: usize, race: GrantId, now: Moment) -> Option<&OpenGrant> {
        let members = self.races.open.get(&race).filter(|members| members.len() < MOST_IN_RACE)?;
        let state = self.clients.get(client).filter(|state| state.is_wanting())?;
        let is_there = |open: &OpenGrant| self.clients.get(open.client).is_some_and(|o| o.framework == state.framework);
        let open = self.grants.get(members.first()?)?;
        if members.iter().filter_map(|id| self.grants.get(id)).any(is_there) {
            return None;
        }
        let place = self.agents.get(open.agent).filter(|place| place.is_active && self.is_for(state, &place.info))?;
        let wants_it = state.items.iter().any(|item| {
            item.remaining() > 0
                && item.wanted.constraints.iter().all(|rule| rule.is_met_by(&place.info))
                && times_it_fits(&item.wanted, &open.resources) > 0
        });
        let role = self.roles.get(state.role)?;
        let may_have = wants_it
            && self.has_room(state)
            && self.is_racer(client)
            && !self.is_too_small(state, &open.resources)
            && !state.is_refusing(open.agent, &open.resources, now)
            && self.limit_in_the_way(&role.name, &open.resources).is_none();
        may_have.then_some(open)
    }
}
