//! One pass: looks only at agents and clients that changed, and gives what they make possible.
//!
//! An agent only one client wants is given whole. One that several want is filled shape by shape, always for the
//! client whose turn it is in the tree of roles.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow::{Break, Continue};

use proffer_proto_model::{Moment, Resources};

use crate::allocator::{Agent, Allocator, Grant, OpenGrant};
use crate::client::{Client, Item};
use crate::fit::{cut, times_it_fits};
use crate::pools::{ReservedParts, add_parts};
use crate::quota::Need;
use crate::share::Amounts;
use crate::tree::{EVERYBODY, Turn};

/// Steps in which one client's part of a contended agent grows, at most: keeps tiny shapes cheap.
const STEPS: u32 = 64;

/// So many clients are picked out at once to be tried on an agent.
const FEW: usize = 8;

/// Serial of a wanted shape, and how many of it a grant stands for.
type Covers = Vec<(u64, u32)>;

/// What one client gets of one agent, while it grows.
#[derive(Default)]
pub(crate) struct Part {
    pub resources: Resources,
    pub reserved: ReservedParts,
    pub covers: Covers,
}

/// One look at one agent.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    pub agent: usize,
    /// Everybody is tried, not only those that lag.
    is_for_all: bool,
    now: Moment,
}

impl Allocator {
    /// Makes all grants that what changed since the last call makes possible. Agents come in the order in which they
    /// changed: those that changed since the last pass are tried for everybody, older ones only for those that lag.
    pub fn allocate(&mut self, now: Moment) -> Vec<Grant> {
        self.expire(now);
        self.tree.settle_changes();
        let mut grants = Vec::with_capacity(self.changes.listed_after(self.looked));
        self.tree.tried = self.looked;
        let mut woken = self.wake();
        loop {
            self.pass(now, woken, &mut grants);
            // A guarantee that was met in the pass may have made room for those who were turned away before.
            woken = self.wake();
            if woken.is_none() {
                self.race(now, &mut grants);
                return grants;
            }
        }
    }

    /// Looks at agents with later stamps than `woken`, at least at those that nobody looked at.
    fn pass(&mut self, now: Moment, woken: Option<u64>, grants: &mut Vec<Grant>) {
        self.tree.just_shut.clear();
        self.rest_lagging();
        let mut has_spare = self.has_headroom(EVERYBODY);
        let mut at = self.lowest_unlooked().min(woken.unwrap_or(u64::MAX));
        let mut hint = 0;
        while let Some((stamp, agent)) = self.changes.after(at, &mut hint) {
            at = stamp;
            if stamp <= self.looked && self.lagging.is_empty() && self.awake.is_empty() {
                at = self.looked;
                continue;
            }
            self.position = Some(stamp - 1);
            self.tree.tried = stamp - 1;
            self.grant_agent(Look { agent, is_for_all: stamp > self.looked, now }, grants);
            if self.tree.has_gates {
                self.note_turned_away();
                self.rest_below_shut();
                if std::mem::replace(&mut has_spare, self.has_headroom(EVERYBODY)) && !has_spare {
                    self.rest();
                }
            }
        }
        self.awake.clear();
        self.position = None;
        self.looked = self.changes.last();
        self.tree.tried = self.looked;
        for client in std::mem::take(&mut self.lagging) {
            if let Some(state) = self.clients.get_mut(client) {
                state.has_looked_at_all();
            }
        }
    }

    /// The stamp up to which everybody was tried on every agent.
    fn lowest_unlooked(&self) -> u64 {
        let lagging = self.lagging.iter().filter_map(|client| self.clients.get(*client)?.looked_until());
        lagging.chain([self.looked]).min().unwrap_or(self.looked)
    }

    /// Fills the agent; before it any that those whose turn it is would rather have.
    fn grant_agent(&mut self, look: Look, grants: &mut Vec<Grant>) {
        let tried = self.tree.tried;
        while let Some(agent) = self.rather(look) {
            let made = grants.len();
            let stamp = self.changes.stamp(agent);
            self.tree.tried = tried.min(stamp.saturating_sub(1));
            self.fill_agent(Look { agent, is_for_all: stamp > self.looked, now: look.now }, grants);
            self.note_turned_away();
            self.tree.tried = tried;
            if grants.len() == made {
                break;
            }
        }
        self.fill_agent(look, grants);
    }

    /// The agent that the next in turn would rather have than this one.
    fn rather(&mut self, look: Look) -> Option<usize> {
        if !self.index.is_used {
            return None;
        }
        self.look += 1;
        let first = self.next_client(look, None);
        let found = first.filter(|first| self.has_policy(*first)).and_then(|first| {
            self.look += 1;
            self.preferred_agent(first, look.agent, |agent| {
                let other = Look { agent, is_for_all: self.changes.stamp(agent) > self.looked, now: look.now };
                self.returned_by(agent) != Some(first)
                    && (other.is_for_all || self.is_among(first, other))
                    && self.may_get(first, other)
            })
        });
        // Whoever did not suit there is tried when it is that agent's turn.
        self.turned_away.borrow_mut().clear();
        found
    }

    fn fill_agent(&mut self, look: Look, grants: &mut Vec<Grant>) {
        let made = grants.len();
        self.cut_agent(look, grants);
        // Who came too early may get what is left now: less may be kept of it.
        let several = |reason: &(usize, usize, u64)| self.tree.classes.has_several_shapes(reason.0);
        if grants.len() > made && self.turned_away.borrow().iter().any(|away| away.reasons.iter().any(several)) {
            self.look_at_agent(look.agent);
        }
    }

    fn cut_agent(&mut self, look: Look, grants: &mut Vec<Grant>) {
        self.agents_looked_at += 1;
        self.look += 1;
        let returned_by = self.returned_by(look.agent);
        let last = returned_by.filter(|client| self.is_among(*client, look) && self.may_get_again(*client, look));
        if let Some(client) = returned_by {
            self.is_out(client);
        }
        match self.next_client(look, None) {
            None => {
                if let Some(last) = last {
                    self.look += 1;
                    if self.is_within_room(last, look.agent) {
                        self.grant_whole(last, look.agent, grants);
                    } else {
                        self.share_agent(look, Some(last), grants);
                    }
                }
            }
            Some(first) if last.is_none() && self.is_whole(first, look) => self.grant_whole(first, look.agent, grants),
            Some(_) => {
                self.share_agent(look, None, grants);
                if let Some(last) = last {
                    self.look += 1;
                    if self.may_get(last, look) {
                        self.share_agent(look, Some(last), grants);
                    }
                }
            }
        }
    }

    /// Nobody else can use what is left beside the client, or the client takes all there is.
    fn is_whole(&self, client: usize, look: Look) -> bool {
        let Some(left) = self.agents.get(look.agent).and_then(|agent| agent.free()) else { return false };
        if !self.is_within_room(client, look.agent) {
            return false;
        }
        // What is reserved for others is left for them.
        let sees_all = match self.visible(client, look.agent, left) {
            Cow::Borrowed(_) => true,
            Cow::Owned(visible) => visible == *left,
        };
        if sees_all && self.next_fit(client, look.agent, left).is_some_and(|(item, _)| item.wanted.shape.is_none()) {
            return true;
        }
        self.is_alone(client, look)
    }

    /// Whose turn it is among those who can use what is left of the agent, or of `left` of it.
    pub(crate) fn next_client(&self, look: Look, left: Option<&Resources>) -> Option<usize> {
        let left = left.or_else(|| self.agents.get(look.agent).and_then(|agent| agent.free()))?;
        let is_able = |client: usize| {
            let is_able = self.is_able(client, look, left);
            if !is_able {
                self.is_out(client);
            }
            is_able
        };
        if self.tree.is_anybody_owed() {
            let is_owed = |client: usize| is_able(client) && self.is_owed(client, look.agent, left);
            let owed = self.next_of(look, Turn::Owed, is_owed);
            if owed.is_some() {
                return owed;
            }
        }
        self.next_of(look, Turn::All, is_able)
    }

    fn next_of(&self, look: Look, turn: Turn, is_able: impl Fn(usize) -> bool) -> Option<usize> {
        if self.is_for_everybody(look) {
            return self.tree.first(EVERYBODY, turn, is_able);
        }
        // Often the first in turn is able, whoever it is; so it is cheaper to ask some before picking out many.
        let many = self.lagging.len() + self.awake.len();
        if many > FEW {
            let mut asked = 0;
            let found = self.tree.first_of(EVERYBODY, turn, |client| {
                asked += 1;
                match is_able(client) {
                    true => Break(Some(client)),
                    false if asked < many => Continue(()),
                    false => Break(None),
                }
            });
            if found.is_some() {
                return found;
            }
        }
        let able = self.lagging.iter().copied().filter(|client| is_able(*client));
        let below = self.awake.iter().filter_map(|node| self.tree.first(*node, turn, &is_able));
        able.chain(below)
            .filter_map(|client| Some((client, self.clients.get(client)?.node)))
            .min_by(|a, b| self.tree.compare(a.1, b.1))
            .map(|(client, _)| client)
    }

    /// The client's roles are promised some of what it would get.
    fn is_owed(&self, client: usize, agent: usize, left: &Resources) -> bool {
        let Some((state, (item, _))) = self.clients.get(client).zip(self.next_fit(client, agent, left)) else {
            return false;
        };
        let has_some = |kind| self.tree.owed_to(state.node, kind) > 0;
        match &item.need {
            Need::Shape(amounts) => amounts.present().any(|(kind, _)| has_some(kind)),
            Need::Anything => self.kinds.present(left).any(has_some),
        }
    }

    /// Notes that the client can get nothing more in this look.
    pub(crate) fn is_out(&self, client: usize) {
        if let Some(state) = self.clients.get(client) {
            state.is_out_of.set(self.look);
        }
    }

    /// All are asked in their turn.
    fn is_for_everybody(&self, look: Look) -> bool {
        look.is_for_all || self.awake.contains(&EVERYBODY)
    }

    /// It is tried in this look.
    pub(crate) fn is_among(&self, client: usize, look: Look) -> bool {
        let is_below = |client: usize| {
            let node = self.clients.get(client).map(|state| state.node);
            node.is_some_and(|node| self.tree.path(node).any(|at| self.awake.contains(&at)))
        };
        self.is_for_everybody(look) || self.lagging.contains(&client) || (!self.awake.is_empty() && is_below(client))
    }

    /// Some shape it may get fits into what is free of the agent and may run there, and it is not refusing.
    pub(crate) fn may_get(&self, client: usize, look: Look) -> bool {
        let free = self.agents.get(look.agent).and_then(|agent| agent.free());
        free.is_some_and(|free| self.is_able(client, look, free))
    }

    /// The same of who has just given it back: mostly with a filter, which tells at a glance.
    fn may_get_again(&self, client: usize, look: Look) -> bool {
        let free = self.agents.get(look.agent).and_then(|agent| agent.free());
        let asked = free.zip(self.clients.get(client));
        asked.is_some_and(|(free, state)| {
            !self.is_refusing(state, look.agent, &self.visible(client, look.agent, free), look.now)
                && self.is_able(client, look, free)
        })
    }

    fn is_able(&self, client: usize, look: Look, left: &Resources) -> bool {
        let Some(state) = self.clients.get(client).filter(|state| state.is_out_of.get() != self.look) else {
            return false;
        };
        self.clients_looked_at.set(self.clients_looked_at.get() + 1);
        let Some(place) = self.agents.get(look.agent) else { return false };
        let Some(free) = place.free() else { return false };
        // Pools are taken from while an agent is shared, and what is free of it only afterwards.
        let free = if place.pools.is_some() { left } else { free };
        state.is_wanting()
            && self.next_fit(client, look.agent, left).is_some()
            && self.has_room(state)
            && !self.is_refusing(state, look.agent, &self.visible(client, look.agent, free), look.now)
    }

    /// Agents with GPUs are kept for those who want GPUs.
    pub(crate) fn is_for(&self, client: &Client, agent: &Agent) -> bool {
        !agent.has_gpus || client.asks_gpus || self.tree.classes.gpus_for_all
    }

    /// Its framework may have one grant more than those that are open and those that were begun.
    pub(crate) fn has_room(&self, client: &Client) -> bool {
        let framework = self.frameworks.get(client.framework);
        client.has_part || framework.is_some_and(|f| f.grants_open + f.grants_begun < f.most_grants)
    }

    /// The most important item that still wants something, may run on the agent and fits, and how often. Notes what
    /// would fit but for want of room.
    fn next_fit(&self, client: usize, agent: usize, left: &Resources) -> Option<(&Item, u32)> {
        let (state, place) = (self.clients.get(client)?, self.agents.get(agent)?);
        let left = &*self.visible(client, agent, left);
        if !self.is_for(state, place) || self.is_too_small(state, left) {
            return None;
        }
        let mut room = None;
        state.items.iter().find_map(|item| {
            if item.remaining() == 0 || !item.wanted.constraints.iter().all(|rule| rule.is_met_by(&place.info)) {
                return None;
            }
            let mut fits = times_it_fits(&item.wanted, left).min(item.remaining());
            if fits > 0 && self.tree.has_gates {
                let room = room.get_or_insert_with(|| self.room_on(state.node, agent, left).unwrap_or_default());
                fits = match &item.need {
                    Need::Anything => times_it_fits(&item.wanted, &room.cut(left, &self.kinds)),
                    need => fits.min(room.times(&item.wanted, need)),
                };
                if fits == 0 {
                    self.turn_away(state.node, &item.need, agent, left);
                }
            }
            (fits > 0).then_some((item, fits))
        })
    }

    /// All that is free of the agent may be given to the client.
    fn is_within_room(&self, client: usize, agent: usize) -> bool {
        if !self.tree.has_gates {
            return true;
        }
        let free = self.agents.get(agent).and_then(|agent| agent.free());
        let visible = free.map(|free| self.visible(client, agent, free));
        let visible = visible.as_deref();
        let room = visible.and_then(|free| self.room_on(self.clients.get(client)?.node, agent, free));
        visible.is_some_and(|free| room.is_none_or(|room| room.covers(free, &self.kinds)))
    }

    fn grant_whole(&mut self, client: usize, agent: usize, grants: &mut Vec<Grant>) {
        let resources =
            match self.agents.get(agent).filter(|place| place.pools.is_some()).and_then(|place| place.free()) {
                Some(free) => {
                    let visible = self.visible(client, agent, free).into_owned();
                    self.use_agent(agent, &visible);
                    visible
                }
                None => self.use_whole_agent(agent),
            };
        let reserved = self.take_reserved(client, agent, &resources);
        let covers = self.covers_of_whole(client, agent, &resources);
        for (serial, times) in &covers {
            self.count_cover(client, *serial, *times);
        }
        self.count_held_and_grants(client, &resources, true, 1);
        self.open(client, agent, Part { resources, reserved, covers }, None, grants);
    }

    pub(crate) fn covers_of_whole(&self, client: usize, agent: usize, whole: &Resources) -> Covers {
        let (Some(state), Some(place)) = (self.clients.get(client), self.agents.get(agent)) else {
            return Vec::new();
        };
        let is_allowed = |item: &Item| item.wanted.constraints.iter().all(|rule| rule.is_met_by(&place.info));
        let allowed = || state.items.iter().filter(|item| item.remaining() > 0 && is_allowed(item));
        // Nothing is counted for what is wanted without end.
        if allowed().all(|item| item.wanted.count.is_none()) {
            return Vec::new();
        }
        let mut left = whole.clone();
        let mut covers = Vec::new();
        for item in allowed() {
            let times = item.cover_of_whole(times_it_fits(&item.wanted, &left));
            if let Some(taken) = cut(&item.wanted, times, &left) {
                covers.push((item.serial, times));
                left = left.saturating_minus(&taken);
            }
        }
        covers
    }

    /// Fills the agent shape by shape, for everybody or for one client.
    fn share_agent(&mut self, look: Look, only: Option<usize>, grants: &mut Vec<Grant>) {
        let free = self.agents.get(look.agent).and_then(|agent| agent.free()).cloned();
        let Some(free) = free else { return };
        let mut left = free.clone();
        let mut parts: BTreeMap<usize, Part> = BTreeMap::new();
        while !left.is_empty() {
            let next = match only {
                Some(client) => self.is_able(client, look, &left).then_some(client),
                None => self.next_client(look, Some(&left)),
            };
            let Some(client) = next else { break };
            let Some((item, fits)) = self.next_fit(client, look.agent, &left) else { break };
            let (serial, times) = (item.serial, (fits / STEPS).max(1));
            let (node, wanted) = (self.clients.get(client).map(|state| state.node), &item.wanted);
            let visible = self.visible(client, look.agent, &left);
            let room =
                node.filter(|_| wanted.shape.is_none()).and_then(|node| self.room_on(node, look.agent, &visible));
            let within = room.map(|room| room.cut(&visible, &self.kinds));
            let Some(mut taken) = cut(wanted, times, within.as_ref().unwrap_or(&visible)) else { break };
            let named = wanted.shape.as_ref().map(|shape| &shape.ports);
            taken.ports = self.with_own_ports(client, look.agent, named, &visible.ports, taken.ports);
            let wanted = self.has_min_offers.then(|| wanted.clone());
            let is_first = !parts.contains_key(&client);
            self.begin_part(client, !is_first);
            let mut reserved = self.take_piece(client, look.agent, &taken, &mut left);
            let mut covered = times;
            if let Some(wanted) = wanted.filter(|_| is_first) {
                let visible = self.visible(client, look.agent, &left).into_owned();
                let more = self.filling(client, look.agent, &taken, &visible);
                add_parts(&mut reserved, self.take_piece(client, look.agent, &more, &mut left));
                taken.add(more);
                covered = times_it_fits(&wanted, &taken).clamp(times, fits.max(times));
            }
            self.count_cover(client, serial, covered);
            let part = parts.entry(client).or_default();
            part.resources.add(taken);
            add_parts(&mut part.reserved, reserved);
            part.covers.push((serial, covered));
        }
        self.begun = Amounts::default();
        for (client, part) in parts {
            self.end_part(client);
            self.use_agent(look.agent, &part.resources);
            let beside = free.saturating_minus(&part.resources);
            if let Some(node) = self.clients.get(client).map(|state| state.node) {
                self.tree.count_grant(node);
            }
            self.open(client, look.agent, part, Some(Box::new(beside)), grants);
        }
    }

    /// Takes a piece of the agent for the client; gives what of it is of its pools.
    fn take_piece(&mut self, client: usize, agent: usize, piece: &Resources, left: &mut Resources) -> ReservedParts {
        if piece.is_empty() {
            return ReservedParts::new();
        }
        let reserved = self.take_reserved(client, agent, piece);
        *left = left.saturating_minus(piece);
        self.count_held(client, piece, true);
        self.tree.settle_changes();
        if self.is_counting_free {
            self.begun.add(&self.kinds.amounts(piece));
        }
        reserved
    }

    fn begin_part(&mut self, client: usize, has_part: bool) {
        let Some(state) = self.clients.get_mut(client).filter(|_| !has_part) else { return };
        state.has_part = true;
        if let Some(framework) = self.frameworks.get_mut(state.framework) {
            framework.grants_begun += 1;
        }
    }

    fn end_part(&mut self, client: usize) {
        let Some(state) = self.clients.get_mut(client) else { return };
        state.has_part = false;
        if let Some(framework) = self.frameworks.get_mut(state.framework) {
            framework.grants_begun = framework.grants_begun.saturating_sub(1);
        }
    }

    pub(crate) fn count_cover(&mut self, client: usize, serial: u64, times: u32) {
        if let Some(state) = self.clients.get_mut(client) {
            state.count_outstanding(serial, i64::from(times));
        }
        self.refresh_client(client);
    }

    /// Makes the grant of a part that is taken from the agent, and counted as held and granted already.
    pub(crate) fn open(
        &mut self,
        client: usize,
        agent: usize,
        part: Part,
        beside: Option<Box<Resources>>,
        grants: &mut Vec<Grant>,
    ) {
        let (Some(state), Some(place)) = (self.clients.get(client), self.agents.get_mut(agent)) else { return };
        let agent_slot = agent;
        let id = self.grants.next_id();
        place.returned_by = None;
        let (framework, role) = (state.framework, state.role);
        if let (Some(framework), Some(role)) = (self.frameworks.get(framework), self.roles.get(role)) {
            grants.push(Grant {
                id,
                framework: framework.id.clone(),
                role: role.name.clone(),
                agent: place.id.clone(),
                resources: part.resources.clone(),
                reserved: part.reserved.clone(),
                race: id,
                is_optimistic: false,
            });
        }
        let Part { resources, reserved, covers } = part;
        self.grants.insert(OpenGrant { client, agent, resources, reserved, race: id, beside, covers });
        self.tree.settle_changes();
        self.count_place(client, agent_slot, true);
        self.clients.get_mut(client).into_iter().for_each(|client| client.count_use(true));
        if let Some(state) = self.frameworks.get_mut(framework) {
            state.grants_open += 1;
            if state.grants_open >= state.most_grants {
                self.refresh_clients_of(framework);
            }
        }
    }
}
