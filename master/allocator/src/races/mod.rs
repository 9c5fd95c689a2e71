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
//! - An answer, or a filter that ends, shows its framework that race alone (those of that agent alone): at once, or as
//!   soon as it wants something.
//! - Who was turned away by a limit is shown races again when that limit has room: until it has none.
//! - A full race that somebody left, and those of an agent that is offered again, are shown to all again as if they
//!   had just begun.
//!
//! `show` says who is asked, `join` who is granted.

mod join;
mod show;

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{AgentId, Role};

use crate::allocator::Allocator;
use crate::grants::GrantId;
use crate::pass::Look;
use crate::quota::Gate;
use crate::tree::NodeId;

/// Grants of the same resources, at most.
const MOST_IN_RACE: usize = 64;

/// See the file's top.
#[derive(Debug, Default)]
pub(crate) struct Races {
    /// Some role is or was optimistic.
    pub is_used: bool,
    /// All races up to this stamp were shown to all who wanted something.
    pub shown: u64,
    /// During a client's walk over open races: all up to this stamp were shown to it.
    position: Option<(usize, u64)>,
    /// The last stamp given.
    last_stamp: u64,
    /// Open races in the order in which they are to be shown.
    by_stamp: BTreeMap<u64, GrantId>,
    /// By its first grant: races some grant of which is open.
    open: BTreeMap<GrantId, Race>,
    by_agent: BTreeMap<usize, BTreeSet<GrantId>>,
    /// Clients of optimistic roles that may want something they were not shown.
    curious: BTreeSet<usize>,
    /// To be shown to one client again.
    retries: BTreeSet<(GrantId, usize)>,
    /// The same of clients that want nothing now, by client.
    waiting: BTreeMap<usize, BTreeSet<GrantId>>,
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
    stamp: u64,
    /// Clients that wait for it.
    waiting: BTreeSet<usize>,
    /// The open grants, by framework.
    members: BTreeMap<usize, GrantId>,
}

impl Races {
    /// How far the client was shown races, of those it was not yet shown all.
    pub fn position_of(&self, client: usize) -> Option<u64> {
        self.position.filter(|(walking, _)| *walking == client).map(|(_, position)| position)
    }

    /// The race is to be shown to all, as the newest. What was shown until then is noted.
    fn stamp(&mut self, race: GrantId) {
        self.shown = self.last_stamp;
        let Some(open) = self.open.get_mut(&race) else { return };
        self.last_stamp += 1;
        self.by_stamp.remove(&open.stamp);
        open.stamp = self.last_stamp;
        self.by_stamp.insert(self.last_stamp, race);
    }

    /// The race is shown to the client once that wants something.
    fn wait(&mut self, client: usize, race: GrantId) {
        if let Some(open) = self.open.get_mut(&race) {
            open.waiting.insert(client);
            self.waiting.entry(client).or_default().insert(race);
        }
    }

    /// The client wants something.
    fn end_waiting(&mut self, client: usize) {
        for race in self.waiting.remove(&client).into_iter().flatten() {
            self.retries.insert((race, client));
            if let Some(open) = self.open.get_mut(&race) {
                open.waiting.remove(&client);
            }
        }
    }

    /// The last grant of the race is closed.
    fn end(&mut self, race: GrantId) {
        let Some(Race { agent, stamp, waiting, members: _ }) = self.open.remove(&race) else { return };
        self.by_stamp.remove(&stamp);
        if let Some(races) = self.by_agent.get_mut(&agent) {
            races.remove(&race);
            if races.is_empty() {
                self.by_agent.remove(&agent);
            }
        }
        for client in waiting {
            if let Some(races) = self.waiting.get_mut(&client) {
                races.remove(&race);
                if races.is_empty() {
                    self.waiting.remove(&client);
                }
            }
        }
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
        self.forget_idle_role(slot);
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
        if state.is_wanting() {
            self.races.end_waiting(client);
        }
    }

    /// The client is no more: its number may be used again.
    pub(crate) fn forget_racer(&mut self, client: usize) {
        self.races.curious.remove(&client);
        self.races.others.remove(&client);
        self.races.end_waiting(client);
        self.races.retries.retain(|(_, other)| *other != client);
    }

    /// The place is no more: its number may be used again.
    pub(crate) fn forget_races_of(&mut self, place: NodeId) {
        self.races.short.remove(&place);
        self.races.woken.remove(&place);
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
}
