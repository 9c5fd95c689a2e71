//! Quotas: set by the operator, never exceeded, and kept free for those they are promised to.
//!
//! A role whose limit leaves room for nobody below it is out of the turn. Who is turned away, there or by what is kept
//! for guarantees, is noted with the stamp of the agent; when there is room again, all below are tried from there on.

use proffer_proto_model::{Quota, Resources, Role};

use crate::allocator::{Allocator, TurnedAway};
use crate::gates::limit_room;
use crate::pools::{OwnPool, beside, sum_of};
use crate::quota::{Gate, Need, Room};
use crate::share::Amounts;
use crate::tree::{EVERYBODY, NodeId};
use crate::usable::{Counted, Usable, Wanted};

impl Allocator {
    /// The quota of a role, for it and all roles below; `None` ends it. The limit may be less than what is held: then
    /// nothing is granted in the role until it holds less, and nothing is taken back. Costs as much as there are
    /// frameworks in the role.
    pub fn set_quota(&mut self, role: &Role, quota: Option<&Quota>) {
        let no_quota = Quota::default();
        let quota = quota.unwrap_or(&no_quota);
        let slot = self.role_slot(role);
        let Some(node) = self.roles.get(slot).map(|role| role.node) else { return };
        if quota.is_empty() && self.tree.gate(node).is_none() {
            return self.forget_idle_role(slot);
        }
        let is_new = |at: &NodeId| self.tree.gate(*at).is_none();
        let highest = self.tree.path(node).filter(is_new).last().unwrap_or(node);
        let clients = self.tree.clients_below(highest);
        for client in &clients {
            self.count_needs(*client, Vec::new());
        }
        self.tree.make_gate(node);
        let limit = limit_room(&quota.limit, &mut self.kinds);
        let guarantee = self.kinds.amounts(&quota.guarantee);
        if guarantee != Amounts::default() && !self.is_counting_free {
            self.is_counting_free = true;
            let agents: Vec<usize> = self.agents.iter().map(|(slot, _)| slot).collect();
            for agent in agents {
                self.count_free(agent, true);
            }
        }
        self.tree.set_quota(node, limit, guarantee);
        self.count_all_wanted(node);
        for client in clients {
            if let Some(state) = self.clients.get_mut(client) {
                state.look_at_all();
            }
            self.refresh_client(client);
        }
        self.forget_idle_role(slot);
    }

    /// The quota of a role changed: what is wanted below it is counted anew.
    fn count_all_wanted(&mut self, node: NodeId) {
        let clients = self.tree.clients_below(node);
        let Some(gate) = self.tree.gate_mut(node) else { return };
        gate.wanted = Wanted::default();
        if gate.is_promised() {
            for client in clients.into_iter().filter_map(|client| self.clients.get(client)) {
                client.items.iter().for_each(|item| gate.wanted.count(&item.wanted, true));
            }
        }
        self.choose_class(node);
    }

    /// Whether the role may hold so much more beside what is allocated and offered in it and below it now: the lowest
    /// of its role and those above whose limit leaves less than that; `None` when all do. For an accept: close its
    /// grants first, they count until then.
    pub fn limit_in_the_way(&self, role: &Role, more: &Resources) -> Option<Role> {
        let above = |role: &Role| role.parent();
        std::iter::successors(Some(role.clone()), above).find(|role| {
            let state = self.roles.find(role).and_then(|slot| self.roles.get(slot));
            let gate = state.and_then(|state| Some((self.tree.gate(state.node)?, self.tree.limited(state.node))));
            gate.is_some_and(|(gate, limited)| !gate.room(&limited).covers(more, &self.kinds))
        })
    }

    /// Kinds that count for nobody's share, by name, such as `disk`; all others do.
    pub fn set_excluded_kinds<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        let kinds = names.into_iter().map(|name| self.kinds.number(name)).collect();
        self.tree.set_excluded(kinds);
    }

    /// Counts what is free of an agent in, or out before it changes. True when it counts no more, or is needed no more,
    /// for a guarantee for which somebody was turned away.
    #[inline]
    pub(crate) fn count_free(&mut self, slot: usize, is_more: bool) -> bool {
        (self.is_counting_free || self.index.is_used) && self.count_free_of(slot, is_more)
    }

    fn count_free_of(&mut self, slot: usize, is_more: bool) -> bool {
        self.index_agent(slot, is_more);
        let Some(agent) = self.agents.get_mut(slot).filter(|_| self.is_counting_free) else { return false };
        let (before, mut is_needed) = (agent.counted, true);
        let classes = &mut self.tree.classes;
        // What is reserved is promised to nobody else.
        let free = agent.free().map(|free| agent.visible(None, free).into_owned());
        let amounts = free.as_ref().map(|free| self.kinds.amounts(free));
        match amounts {
            Some(amounts) if is_more => {
                self.free.add(&amounts);
                agent.counted = free.as_ref().map_or(before, |free| classes.count_in(&agent.info, free, &amounts));
                is_needed = !classes.has_missed_in_vain(agent.counted, &amounts);
            }
            Some(amounts) => {
                self.free.sub(&amounts);
                classes.count_out(before, &amounts);
            }
            None => agent.counted = Counted::default(),
        }
        is_more && (!is_needed || (before.is_beyond(agent.counted) && classes.has_missed(before)))
    }

    /// Counts what a client wants for the guarantees of its roles.
    pub(crate) fn count_wanted(&mut self, client: usize, is_more: bool) {
        let Some(state) = self.clients.get(client).filter(|_| self.is_counting_free) else { return };
        let path: Vec<NodeId> = self.tree.path(state.node).collect();
        for node in path {
            let Some(gate) = self.tree.gate_mut(node).filter(|gate| gate.is_promised()) else { continue };
            for item in &state.items {
                gate.wanted.count(&item.wanted, is_more);
            }
        }
    }

    /// Finds the agents that count for the guarantees of a client's roles, after what it wants has changed.
    pub(crate) fn choose_classes(&mut self, client: NodeId) {
        let path: Vec<NodeId> = self.tree.path(client).filter(|_| self.is_counting_free).collect();
        for node in path {
            self.choose_class(node);
        }
    }

    fn choose_class(&mut self, node: NodeId) {
        let Some(class) = self.tree.choose_class(node, &mut self.kinds) else { return };
        let agents: Vec<usize> = self.agents.iter().map(|(slot, _)| slot).collect();
        for slot in agents {
            let Some(agent) = self.agents.get_mut(slot) else { continue };
            let is_counted = agent.free().is_some_and(|free| {
                let free = agent.visible(None, free);
                let amounts = self.kinds.amounts(&free);
                self.tree.classes.count_new(class, &agent.info, &free, &amounts)
            });
            agent.counted.set(class, is_counted);
        }
    }

    /// Counts what a client needs at the gates of its roles, in place of what it needed.
    pub(crate) fn count_needs(&mut self, client: usize, needs: Vec<Need>) {
        let Some(state) = self.clients.get_mut(client) else { return };
        let old = std::mem::replace(&mut state.needs, needs);
        let state = &*state;
        for need in &old {
            self.tree.count_need(state.node, need, false);
        }
        for need in &state.needs {
            self.tree.count_need(state.node, need, true);
        }
    }

    /// What may be taken of the kind by those to whom nothing is promised.
    pub(crate) fn spare(&self, kind: usize) -> u64 {
        let owed = self.tree.owed().map_or(0, |owed| owed.of(kind));
        if owed == 0 {
            return u64::MAX;
        }
        self.free.of(kind).saturating_sub(self.begun.of(kind)).saturating_sub(owed)
    }

    /// What a client may take of what is left of an agent, by limits and guarantees; `None` when there are none.
    pub(crate) fn room_on(&self, client: NodeId, agent: usize, left: &Resources) -> Option<Room> {
        if !self.tree.has_gates {
            return None;
        }
        let own = self.own_pools(client, agent);
        let mut beside_owed = self.tree.room_beside_owed(client, |kind| self.spare(kind));
        if self.is_counting_free {
            self.with_usable(agent, &beside(&own, left), |look| {
                self.tree.classes.limit(look, |kind| self.tree.owed_to(client, kind), &mut beside_owed);
            });
        }
        for pool in &own {
            pool.free.present().for_each(|(kind, free)| beside_owed.widen(kind, free));
            beside_owed.widen_ports(pool.resources.ports.count());
        }
        Some(self.tree.room_in_limits(client, &own).and(beside_owed))
    }

    /// Notes that a client got nothing of an agent for want of room.
    pub(crate) fn turn_away(&self, client: NodeId, need: &Need, agent: usize, left: &Resources) {
        let own = self.own_pools(client, agent);
        let mut reasons = Vec::new();
        if self.is_counting_free {
            // What is reserved for it is beside what is kept for others.
            let to_it = |kind| self.tree.owed_to(client, kind).saturating_add(sum_of(&own, kind));
            self.with_usable(agent, &beside(&own, left), |look| {
                reasons = self.tree.classes.reasons(look, to_it, need);
            });
        }
        self.turned_away.borrow_mut().push(TurnedAway { client, need: need.clone(), own, reasons });
    }

    fn with_usable(&self, agent: usize, left: &Resources, ask: impl FnOnce(&Usable<'_>)) {
        let Some(agent) = self.agents.get(agent).filter(|agent| agent.counted != Counted::default()) else { return };
        let Some(free) = agent.free().map(|free| self.kinds.amounts_of(&agent.visible(None, free))) else { return };
        ask(&Usable { info: &agent.info, counted: agent.counted, free: &free, left, begun: &self.begun });
    }

    /// Somebody below a place may get something beside what is kept for guarantees of others; at the root, somebody
    /// to whom nothing is promised.
    pub(crate) fn has_headroom(&self, node: NodeId) -> bool {
        let Some((gate, owed)) = self.tree.gate(node).zip(self.tree.owed()) else { return true };
        // What is reserved for somebody below is kept from nobody.
        if *owed == Amounts::default() || self.tree.has_kept(node) || self.has_own(node) {
            return true;
        }
        let mut room = Room::default();
        for (kind, _) in owed.present() {
            // What is promised further down is not for all below, and may still be for somebody.
            let below = if node == EVERYBODY { 0 } else { gate.owed_below.of(kind) };
            let owed = self.tree.owed_to(node, kind).saturating_add(below);
            room.cap(kind, self.spare(kind).saturating_add(owed));
        }
        gate.may_fit(&room)
    }

    /// Notes who was turned away in the last look, and from where on.
    pub(crate) fn note_turned_away(&mut self) {
        for TurnedAway { client, need, own, reasons } in self.turned_away.take() {
            for (kind, amount) in need.each() {
                self.note_short(client, kind, amount, &own, !reasons.is_empty());
            }
            for reason in reasons {
                self.tree.classes.note(self.tree.tried, reason);
            }
        }
    }

    /// Beside `own` pools, on the agent it was turned away from.
    fn note_short(&mut self, client: NodeId, kind: usize, needed: u64, own: &[OwnPool], is_by_class: bool) {
        let from = self.tree.tried;
        let owed = self.tree.owed_to(client, kind);
        let amount = needed.saturating_sub(sum_of(own, kind));
        let is_headroom = self.spare(kind).saturating_add(owed) < amount;
        self.tree.note_within(client, (kind, needed), own, from);
        let path: Vec<NodeId> = self.tree.path(client).collect();
        for node in path {
            let Some(most) = self.tree.gate(node).map(|gate| gate.room(&self.tree.limited(node)).of(kind)) else {
                continue;
            };
            let within = needed.saturating_sub(self.tree.of_own(node, own, kind));
            if let Some(gate) = self.tree.gate_mut(node) {
                if most < within {
                    gate.missed.note(from, kind, within);
                }
                if is_headroom || (is_by_class && node != EVERYBODY) {
                    let short = if node == EVERYBODY { amount.saturating_sub(owed) } else { amount };
                    gate.missed_headroom.note(from, kind, short);
                }
            }
        }
    }

    /// Finds the places that have room again; the stamp from which on all below them are tried.
    pub(crate) fn wake(&mut self) -> Option<u64> {
        let mut lowest: Option<u64> = None;
        let mut woken = std::mem::take(&mut self.tree.woken);
        if self.tree.has_gates {
            woken.insert(EVERYBODY);
        }
        for node in woken {
            // Who wants something again goes on from where it missed something, and wakes its gates.
            let is_worth_it = |gate: &&Gate| gate.is_needed() && !gate.is_shut;
            let Some(gate) = self.tree.gate(node).filter(is_worth_it) else { continue };
            let room = gate.room(&self.tree.limited(node));
            let spare = |kind| self.spare(kind).saturating_add(self.tree.owed_to(node, kind));
            let by_limit = gate.missed.may_fit(|kind| room.of(kind));
            let has_room = by_limit || self.tree.may_fit_within(node, gate);
            let is_waiting = has_room || gate.missed_headroom.is_all;
            let is_due = gate.missed_headroom.may_fit_some(spare) || (is_waiting && self.has_headroom(node));
            if !is_due {
                if has_room {
                    self.tree.gate_mut(node).into_iter().for_each(Gate::wait_for_headroom);
                }
                continue;
            }
            let above = self.tree.shut_gate(node);
            let Some(gate) = self.tree.gate_mut(node) else { continue };
            let from = gate.take_missed();
            match above.and_then(|above| self.tree.gate_mut(above)) {
                // Its turn comes when that one has room.
                Some(above) => from.into_iter().for_each(|from| above.missed.note_all(from)),
                None => {
                    let from = self.tree.cover_below(node, from.unwrap_or(u64::MAX));
                    self.awake.insert(node);
                    lowest = lowest.into_iter().chain([from]).min();
                }
            }
        }
        if let Some(from) = self.tree.classes.wake() {
            let from = self.tree.cover_below(EVERYBODY, from);
            self.awake.insert(EVERYBODY);
            lowest = lowest.into_iter().chain([from]).min();
        }
        self.wake_races();
        lowest
    }

    /// Lets those rest who cannot get anything for want of room: agents are not walked in vain for them.
    pub(crate) fn rest(&mut self) {
        for node in self.awake.clone() {
            if !self.has_headroom(node) {
                self.awake.remove(&node);
                self.note_all_short(node);
            }
        }
        self.rest_lagging();
    }

    /// The same for those who were not tried everywhere.
    pub(crate) fn rest_lagging(&mut self) {
        let has_spare = self.has_headroom(EVERYBODY);
        for client in self.lagging.clone() {
            self.rest_client(client, has_spare);
        }
    }

    /// The same for those below places that were shut since.
    pub(crate) fn rest_below_shut(&mut self) {
        for shut in std::mem::take(&mut self.tree.just_shut) {
            if !self.awake.is_empty() {
                for gate in self.tree.gates_below(shut) {
                    self.awake.remove(&gate);
                }
            }
            if !self.lagging.is_empty() {
                self.tree.clients_below(shut).into_iter().for_each(|client| self.rest_client(client, true));
            }
        }
    }

    fn rest_client(&mut self, client: usize, has_spare: bool) {
        let state = self.clients.get(client).filter(|_| self.lagging.contains(&client));
        let Some((node, Some(from))) = state.map(|state| (state.node, state.looked_until())) else { return };
        match self.tree.shut_gate(node) {
            Some(shut) => self.tree.gate_mut(shut).into_iter().for_each(|gate| gate.missed.note_all(from)),
            None if has_spare || self.tree.is_owed(node) || self.has_own(node) => return,
            None => {
                let path: Vec<NodeId> = self.tree.path(node).collect();
                for at in path {
                    self.tree.gate_mut(at).into_iter().for_each(|gate| gate.missed_headroom.note_all(from));
                }
            }
        }
        self.lagging.remove(&client);
        if let Some(state) = self.clients.get_mut(client) {
            state.has_looked_at_all();
        }
    }

    /// Something is reserved for a role at or above a place, or for those beside it below them.
    fn has_own(&self, client: NodeId) -> bool {
        self.tree.path(client).any(|at| at != EVERYBODY && self.tree.has_kept(at))
    }

    /// All below a place are not tried further, for want of what is kept for guarantees.
    fn note_all_short(&mut self, node: NodeId) {
        let tried = self.tree.tried;
        for gate in self.tree.gates_below(node) {
            self.tree.gate_mut(gate).into_iter().for_each(|gate| gate.missed_headroom.note_all(tried));
        }
    }
}
