//! Optimistic roles: what one of their frameworks is granted, the others who want it are granted too. All grants of the
//! same resources are a *race*: the agent counts them once, and is free again when the last of them is closed. Whoever
//! uses its grant first wins; to close the others is the caller's part.
//!
//! Each grant counts for its client's share and limits as any other. Roles that are promised something, or are below
//! such a role, race with nobody, and neither is anything reserved raced for. Without optimistic roles all this costs
//! a look at a `bool`.
//!
//! No event looks at frameworks × races:
//! - A race that begins is shown to who wants something, in turn, until [`MOST_IN_RACE`] have it.
//! - Each wanted shape remembers up to which race it was shown all while it could be granted, and goes on from there.
//! - An answer, or a filter that ends, shows its framework that race alone (those of that agent alone).
//! - Who was turned away by a limit is shown races again when that limit has room: until it has none.
//! - A full race that somebody left, and those of an agent that is offered again, are shown to all again.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{AgentId, Moment, Resources, Role};

use crate::allocator::{Allocator, Grant, GrantId, OpenGrant};
use crate::fit::times_it_fits;
use crate::pass::{Look, Part};
use crate::quota::Gate;
use crate::tree::{EVERYBODY, NodeId, Turn};

/// Grants of the same resources, at most.
const MOST_IN_RACE: usize = 64;

/// See the file's top.
#[derive(Debug, Default)]
pub(crate) struct Races {
    /// Some role is or was optimistic.
    pub is_used: bool,
    /// All races before this one were shown to all who wanted something.
    pub shown: u64,
    /// During a client's walk over open races: all before this one were shown to it.
    position: Option<(usize, u64)>,
    /// By its first grant: races some grant of which is open.
    open: BTreeMap<GrantId, Race>,
    by_agent: BTreeMap<usize, BTreeSet<GrantId>>,
    /// Clients of optimistic roles that may want something they were not shown.
    curious: BTreeSet<usize>,
    /// To be shown to one client again.
    retries: BTreeSet<(GrantId, usize)>,
    /// To be shown to all again.
    again: BTreeSet<GrantId>,
    /// By the place with the limit for which somebody was turned away: from which race on.
    short: BTreeMap<NodeId, GrantId>,
    /// The same of limits that have room again.
    woken: BTreeMap<NodeId, GrantId>,
    /// Clients that want something and do not race.
    others: BTreeSet<usize>,
}

#[derive(Debug)]
struct Race {
    agent: usize,
    /// The open grants, by framework.
    members: BTreeMap<usize, GrantId>,
}

/// Why a client is not granted what is raced for.
enum No {
    /// It does not want it, or may not have it.
    Never,
    /// The limit at this place leaves too little.
    Limit(NodeId),
}

impl Races {
    /// How far the client was shown races, of those it was not yet shown all.
    pub fn position_of(&self, client: usize) -> Option<u64> {
        self.position.filter(|(walking, _)| *walking == client).map(|(_, position)| position)
    }
}

impl Allocator {
    /// What the role's frameworks are granted is granted to all others in such roles too, or to one alone. For the role
    /// itself and not for those below it; what is granted stays as it is. Costs as much as there are frameworks.
    pub fn set_optimistic(&mut self, role: &Role, is_optimistic: bool) {
        let slot = self.role_slot(role);
        if let Some(state) = self.roles.get_mut(slot) {
            state.is_optimistic = is_optimistic;
        }
        let is_first = is_optimistic && !self.races.is_used;
        self.races.is_used |= is_optimistic;
        let clients = self.clients.iter().filter(|(_, state)| is_first || state.role == slot);
        for client in clients.map(|(client, _)| client).collect::<Vec<_>>() {
            if let Some(state) = self.clients.get_mut(client) {
                state.race_all();
            }
            self.refresh_racer(client);
        }
    }

    /// The grants of each race of an agent, for checks: races of one alone too.
    pub fn races_on(&self, id: &AgentId) -> Vec<Vec<GrantId>> {
        let races = self.agents.find(id).and_then(|slot| self.races.by_agent.get(&slot));
        let races = races.into_iter().flatten().filter_map(|race| self.races.open.get(race));
        races
            .map(|race| {
                let mut members: Vec<GrantId> = race.members.values().copied().collect();
                members.sort();
                members
            })
            .collect()
    }

    /// What the client wants, or whether it may race, changed.
    pub(crate) fn refresh_racer(&mut self, client: usize) {
        let Some(state) = self.clients.get(client).filter(|_| self.races.is_used) else { return };
        let is_racer = self.is_racer(client);
        if state.is_wanting() && !is_racer {
            self.races.others.insert(client);
        } else {
            self.races.others.remove(&client);
        }
        if is_racer && state.raced_until().is_some() {
            self.races.curious.insert(client);
        }
    }

    /// The client is no more: its number may be used again.
    pub(crate) fn forget_racer(&mut self, client: usize) {
        self.races.curious.remove(&client);
        self.races.others.remove(&client);
        self.races.retries.retain(|(_, other)| *other != client);
    }

    /// The client does not refuse what is raced for on the agent any more.
    pub(crate) fn retry_races_on(&mut self, client: usize, agent: usize) {
        let races = self.races.by_agent.get(&agent).into_iter().flatten();
        self.races.retries.extend(races.map(|race| (*race, client)));
    }

    /// The agent is offered again, or to more.
    pub(crate) fn show_races_on(&mut self, agent: usize) {
        self.races.again.extend(self.races.by_agent.get(&agent).into_iter().flatten());
    }

    /// Places have room again: who was turned away from races there or below may join.
    pub(crate) fn wake_races(&mut self) {
        if self.races.short.is_empty() {
            return;
        }
        for node in &self.awake {
            let below = self.tree.gates_below(*node);
            if let Some(from) = below.iter().filter_map(|gate| self.races.short.remove(gate)).min() {
                let old = self.races.woken.get(node).copied();
                self.races.woken.insert(*node, old.map_or(from, |old| old.min(from)));
            }
        }
    }

    /// Begins races with new grants, and shows open ones to those who may join now.
    pub(crate) fn race(&mut self, now: Moment, grants: &mut Vec<Grant>) {
        if !self.races.is_used {
            return;
        }
        self.tree.settle_changes();
        let mut new: Vec<GrantId> = Vec::new();
        for grant in grants.iter_mut().filter(|grant| self.may_begin(grant.id)) {
            grant.is_optimistic = true;
            new.push(grant.id);
        }
        // Those that want something now are shown the new ones first, in turn.
        let first_new = new.first().copied().unwrap_or(GrantId(u64::MAX));
        for race in new {
            self.races.shown = race.0 - 1;
            self.begin(race);
            self.show(race, EVERYBODY, now, grants);
            for shut in self.tree.shut.clone() {
                self.races.short.entry(shut).or_insert(race);
            }
        }
        self.races.shown = self.next_grant;
        for client in std::mem::take(&mut self.races.curious) {
            self.show_all(client, first_new, now, grants);
        }
        for (race, client) in std::mem::take(&mut self.races.retries) {
            if let Err(No::Limit(node)) = self.join(client, race, now, grants) {
                self.note_limit(node, race);
            }
        }
        for race in std::mem::take(&mut self.races.again) {
            self.show(race, EVERYBODY, now, grants);
        }
        for (node, from) in std::mem::take(&mut self.races.woken) {
            self.show_below(node, from, now, grants);
        }
        self.races.shown = self.next_grant;
        self.races.curious.clear();
        // Nobody has more room because somebody joined.
        self.tree.woken.clear();
    }

    fn begin(&mut self, race: GrantId) {
        let Some(open) = self.grants.named(&race) else { return };
        let Some(framework) = self.clients.get(open.client).map(|state| state.framework) else { return };
        self.races.by_agent.entry(open.agent).or_default().insert(race);
        self.races.open.insert(race, Race { agent: open.agent, members: BTreeMap::from([(framework, race)]) });
    }

    /// Shows a race to all below a place, in turn.
    fn show(&mut self, race: GrantId, below: NodeId, now: Moment, grants: &mut Vec<Grant>) {
        let Some(members) = self.races.open.get(&race).map(|open| open.members.len()) else { return };
        let (mut able, mut limits) = (Vec::new(), Vec::new());
        if members < MOST_IN_RACE {
            self.tree.first(below, Turn::All, |client| {
                match self.may_join(client, race, now) {
                    Ok(_) => able.push(client),
                    Err(No::Limit(node)) => limits.push(node),
                    Err(No::Never) => {}
                }
                members + able.len() >= MOST_IN_RACE
            });
        }
        for client in able {
            // Others of its framework, or of its role, may have come before it.
            if let Err(No::Limit(node)) = self.join(client, race, now, grants) {
                limits.push(node);
            }
        }
        limits.into_iter().for_each(|node| self.note_limit(node, race));
    }

    /// Shows a client all races before `end` that it was not shown while it wanted something.
    fn show_all(&mut self, client: usize, end: GrantId, now: Moment, grants: &mut Vec<Grant>) {
        let from = self.clients.get(client).and_then(|state| state.raced_until()).filter(|_| self.is_racer(client));
        let Some(from) = from.map(|from| GrantId(from + 1)) else { return };
        let races: Vec<GrantId> = self.races.open.range(from.min(end)..end).map(|(race, _)| *race).collect();
        for race in races {
            if !self.clients.get(client).is_some_and(|state| state.is_wanting()) {
                break;
            }
            self.races.position = Some((client, race.0 - 1));
            if let Err(No::Limit(node)) = self.join(client, race, now, grants) {
                self.note_limit(node, race);
            }
        }
        self.races.position = None;
        if let Some(state) = self.clients.get_mut(client) {
            state.has_raced_all();
        }
    }

    /// Shows races to those below a place whose limit has room again, as long as it has.
    fn show_below(&mut self, node: NodeId, from: GrantId, now: Moment, grants: &mut Vec<Grant>) {
        let races: Vec<GrantId> = self.races.open.range(from..).map(|(race, _)| *race).collect();
        for race in races {
            self.clients_looked_at.set(self.clients_looked_at.get() + 1);
            let resources = self.raced_for(race).map(|open| &open.resources);
            match resources.and_then(|resources| self.limit_above(node, resources)) {
                Some(limit) => self.note_limit(limit, race),
                None => self.show(race, node, now, grants),
            }
        }
    }

    /// Takes a closed grant out of its race. True when others still hold what it held.
    pub(crate) fn leave_race(&mut self, id: GrantId, closed: &OpenGrant) -> bool {
        let Some(race) = self.races.open.get_mut(&closed.race) else { return false };
        let was_full = race.members.len() >= MOST_IN_RACE;
        race.members.retain(|_, member| *member != id);
        if race.members.is_empty() {
            self.races.open.remove(&closed.race);
            if let Some(races) = self.races.by_agent.get_mut(&closed.agent) {
                races.remove(&closed.race);
                if races.is_empty() {
                    self.races.by_agent.remove(&closed.agent);
                }
            }
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

    /// Nobody else can use what is left of the agent, or only those who will be shown all of it too.
    pub(crate) fn is_alone(&self, client: usize, look: Look) -> bool {
        let has_pools = self.agents.get(look.agent).is_some_and(|agent| agent.pools.is_some());
        if self.races.is_used && !has_pools && self.is_racer(client) {
            let is_in_turn =
                |other: usize| self.clients.get(other).is_some_and(|state| self.tree.shut_gate(state.node).is_none());
            let mut others = self.races.others.iter().copied();
            return !others.any(|other| is_in_turn(other) && self.is_among(other, look) && self.may_get(other, look));
        }
        self.is_out(client);
        let is_alone = self.next_client(look, None).is_none();
        if let Some(state) = self.clients.get(client) {
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
        self.grants.named(&id).is_some_and(|open| open.reserved.is_empty() && self.is_racer(open.client))
    }

    /// Grants the client what is raced for, if it can use it.
    fn join(&mut self, client: usize, race: GrantId, now: Moment, grants: &mut Vec<Grant>) -> Result<(), No> {
        let first = self.may_join(client, race, now)?;
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
        let framework = self.clients.get(client).map(|state| state.framework);
        let (Some(grant), Some(framework)) = (grants.last_mut(), framework) else { return Ok(()) };
        (grant.race, grant.is_optimistic) = (race, true);
        if let Some(open) = self.grants.named_mut(&grant.id) {
            open.race = race;
        }
        if let Some(open) = self.races.open.get_mut(&race) {
            open.members.insert(framework, grant.id);
        }
        Ok(())
    }

    /// Some grant of the race.
    fn raced_for(&self, race: GrantId) -> Option<&OpenGrant> {
        self.grants.named(self.races.open.get(&race)?.members.values().next()?)
    }

    /// What is raced for, if the client wants it and may have it.
    fn may_join(&self, client: usize, race: GrantId, now: Moment) -> Result<&OpenGrant, No> {
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
        if !wants_it || state.is_refusing(of.agent, &open.resources, now) {
            return Err(No::Never);
        }
        match self.limit_above(state.node, &open.resources) {
            Some(limit) => Err(No::Limit(limit)),
            None => Ok(open),
        }
    }

    /// The lowest place at a node or above whose limit leaves less than this.
    fn limit_above(&self, node: NodeId, more: &Resources) -> Option<NodeId> {
        let is_short = |(at, gate): &(NodeId, &Gate)| !gate.room(&self.tree.consumed(*at)).covers(more, &self.kinds);
        self.tree.gates_of(node).find(is_short).map(|(at, _)| at)
    }

    /// Somebody below a place was turned away from a race by its limit: when it has room, races are shown again.
    fn note_limit(&mut self, node: NodeId, race: GrantId) {
        let Some(amounts) = self.raced_for(race).map(|open| self.kinds.amounts_of(&open.resources)) else { return };
        let from = self.looked;
        let consumed = self.tree.consumed(node);
        let Some(gate) = self.tree.gate_mut(node) else { return };
        let room = gate.room(&consumed);
        for (kind, amount) in amounts.present().filter(|(kind, amount)| room.of(*kind) < *amount) {
            gate.missed.note(from, kind, amount);
        }
        let lowest = self.races.short.entry(node).or_insert(race);
        *lowest = race.min(*lowest);
    }
}
