//! Quotas: set by the operator, never exceeded, and kept free for those they are promised to.
//!
//! A role whose limit leaves room for nobody below it is out of the turn. Who is turned away, there or by what is kept
//! for guarantees, is noted with the stamp of the agent; when there is room again, all below are tried from there on.

use proffer_proto_model::{Quota, Resources, Role};

use crate::allocator::{Agent, Allocator};
use crate::gates::limit_room;
use crate::quota::{Gate, Need, Room};
use crate::share::Amounts;
use crate::tree::{EVERYBODY, NodeId};

impl Allocator {
    /// The quota of a role, for it and all roles below; `None` ends it. The limit may be less than what is held: then
    /// nothing is granted in the role until it holds less, and nothing is taken back. Costs as much as there are
    /// frameworks in the role.
    pub fn set_quota(&mut self, role: &Role, quota: Option<&Quota>) {
        let no_quota = Quota::default();
        let quota = quota.unwrap_or(&no_quota);
        let slot = self.role_slot(role);
        let Some(node) = self.roles.get(slot).map(|role| role.node) else { return };
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
            agents.into_iter().for_each(|agent| self.count_free(agent, true));
        }
        self.tree.set_quota(node, limit, guarantee);
        for client in clients {
            if let Some(state) = self.clients.get_mut(client) {
                state.look_at_all();
            }
            self.refresh_client(client);
        }
    }

    /// Whether the role may hold so much more beside what is allocated and offered in it and below it now: the lowest
    /// of its role and those above whose limit leaves less than that; `None` when all do. For an accept: close its
    /// grants first, they count until then.
    pub fn limit_in_the_way(&self, role: &Role, more: &Resources) -> Option<Role> {
        let above = |role: &Role| role.parent();
        std::iter::successors(Some(role.clone()), above).find(|role| {
            let state = self.roles.find(role).and_then(|slot| self.roles.get(slot));
            let gate = state.and_then(|state| Some((self.tree.gate(state.node)?, self.tree.held(state.node))));
            gate.is_some_and(|(gate, held)| !gate.room(held).covers(more, &self.kinds))
        })
    }

    /// Kinds that count for nobody's share, by name, such as `disk`; all others do.
    pub fn set_excluded_kinds<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        let kinds = names.into_iter().map(|name| self.kinds.number(name)).collect();
        self.tree.set_excluded(kinds);
    }

    /// Counts what is free of an agent in, or out before it changes.
    pub(crate) fn count_free(&mut self, slot: usize, is_more: bool) {
        if !self.is_counting_free {
            return;
        }
        let Some(free) = self.agents.get(slot).and_then(Agent::free) else { return };
        let amounts = self.kinds.amounts(free);
        if is_more { self.free.add(&amounts) } else { self.free.sub(&amounts) }
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

    /// What a client may take by limits and guarantees; `None` when there are none.
    pub(crate) fn room_of(&self, node: NodeId) -> Option<Room> {
        self.tree.has_gates.then(|| self.tree.room_of(node, |kind| self.spare(kind)))
    }

    /// Somebody below a place may get something beside what is kept for guarantees of others; at the root, somebody
    /// to whom nothing is promised.
    pub(crate) fn has_headroom(&self, node: NodeId) -> bool {
        let Some((gate, owed)) = self.tree.gate(node).zip(self.tree.owed()) else { return true };
        if *owed == Amounts::default() {
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
        for (client, need) in self.turned_away.take() {
            for (kind, amount) in need.each() {
                self.note_short(client, kind, amount);
            }
        }
    }

    fn note_short(&mut self, client: NodeId, kind: usize, amount: u64) {
        let from = self.tree.tried;
        let owed = self.tree.owed_to(client, kind);
        let is_headroom = self.spare(kind).saturating_add(owed) < amount;
        let path: Vec<NodeId> = self.tree.path(client).collect();
        for node in path {
            let Some(most) = self.tree.gate(node).map(|gate| gate.room(self.tree.held(node)).of(kind)) else {
                continue;
            };
            if let Some(gate) = self.tree.gate_mut(node) {
                if most < amount {
                    gate.missed.note(from, kind, amount);
                }
                if is_headroom {
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
            let room = gate.room(self.tree.held(node));
            let spare = |kind| self.spare(kind).saturating_add(self.tree.owed_to(node, kind));
            let by_headroom = gate.missed_headroom.may_fit(spare) && self.has_headroom(node);
            if !by_headroom && !gate.missed.may_fit(|kind| room.of(kind)) {
                continue;
            }
            let above = self.tree.shut_gate(node);
            let Some(gate) = self.tree.gate_mut(node) else { continue };
            let from = gate.missed.take().into_iter().chain(gate.missed_headroom.take()).min();
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
        lowest
    }

    /// Lets those rest who cannot get anything for want of room: agents are not walked in vain for them.
    pub(crate) fn rest(&mut self) {
        self.tree.just_shut.clear();
        let tree = &self.tree;
        self.awake.retain(|node| tree.shut_gate(*node).is_none());
        for node in self.awake.clone() {
            if !self.has_headroom(node) {
                self.awake.remove(&node);
                self.note_all_short(node);
            }
        }
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
            None if has_spare || self.tree.is_owed(node) => return,
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

    /// All below a place are not tried further, for want of what is kept for guarantees.
    fn note_all_short(&mut self, node: NodeId) {
        let tried = self.tree.tried;
        for gate in self.tree.gates_below(node) {
            self.tree.gate_mut(gate).into_iter().for_each(|gate| gate.missed_headroom.note_all(tried));
        }
    }
}
