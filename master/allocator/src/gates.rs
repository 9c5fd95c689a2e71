//! The quotas in the tree of roles. Never knows agents: what is free of them is an amount given by the caller.

use proffer_proto_model::Limit;

use crate::pools::OwnPool;
use crate::quota::{Gate, Need, Room};
use crate::share::{Amounts, Kinds};
use crate::tree::{EVERYBODY, NodeId, Tree};

impl Tree {
    /// Makes a gate of a role, and of all above it: what is promised is counted up to the root.
    pub fn make_gate(&mut self, role: NodeId) {
        self.has_gates = true;
        let above: Vec<NodeId> = self.path(role).collect();
        for node in above {
            self.put_gate(node);
        }
    }

    /// Sets the quota of a role that is a gate. Nothing below it may be counted as needed.
    pub fn set_quota(&mut self, role: NodeId, limit: Option<Room>, guarantee: Amounts) {
        if let Some(gate) = self.gate_mut(role) {
            gate.limit = limit;
            gate.guarantee = guarantee;
        }
        self.refresh_path(role);
    }

    /// The gates at a node and above it, the lowest first. The root's is for all.
    pub fn gates_of(&self, node: NodeId) -> impl Iterator<Item = (NodeId, &Gate)> {
        let path = self.has_gates.then(|| self.path(node));
        path.into_iter().flatten().filter_map(|at| Some((at, self.gate(at)?)))
    }

    /// A role's place chooses the agents that count for it; the class when it is a new one.
    pub fn choose_class(&mut self, role: NodeId, kinds: &mut Kinds) -> Option<usize> {
        let mut classes = std::mem::take(&mut self.classes);
        let new = self.gate_mut(role).and_then(|gate| gate.choose_class(&mut classes, kinds));
        self.classes = classes;
        self.count_in_class(role);
        new
    }

    /// Counts a need of a client in or out at all gates above it.
    pub fn count_need(&mut self, client: NodeId, need: &Need, is_more: bool) {
        let path: Vec<NodeId> = self.path(client).collect();
        for node in path {
            if let Some(gate) = self.gate_mut(node) {
                gate.count_need(need, is_more);
                self.refresh_gate(node);
            }
        }
    }

    /// What all roles together are promised and do not hold.
    pub fn owed(&self) -> Option<&Amounts> {
        self.gate(EVERYBODY).map(|gate| &gate.owed)
    }

    /// What a client may take by the limits above it, beside its `own` pools on an agent: those do not count twice.
    pub fn room_in_limits(&self, client: NodeId, own: &[OwnPool]) -> Room {
        let mut room = Room::default();
        for (node, gate) in self.gates_of(client) {
            for (kind, _) in gate.limit.iter().flat_map(Room::each) {
                let most = self.room_within(node, client, kind);
                room.cap(kind, most.saturating_add(self.of_own(node, own, kind)));
            }
        }
        room
    }

    /// What a client's own pools at a place and below it have free of a kind: it counts there already.
    pub fn of_own(&self, node: NodeId, own: &[OwnPool], kind: usize) -> u64 {
        let within = own.iter().filter(|pool| self.path(pool.role).any(|at| at == node));
        within.map(|pool| pool.free.of(kind)).fold(0, u64::saturating_add)
    }

    /// What a client may take of `spare`, which is not kept for guarantees.
    pub fn room_beside_owed(&self, client: NodeId, spare: impl Fn(usize) -> u64) -> Room {
        let mut room = Room::default();
        for (kind, _) in self.owed().into_iter().flat_map(Amounts::present) {
            room.cap(kind, spare(kind).saturating_add(self.owed_to(client, kind)));
        }
        room
    }

    /// What the client's roles are promised of a kind and do not hold: taking that much takes nothing from others.
    pub fn owed_to(&self, client: NodeId, kind: usize) -> u64 {
        self.gates_of(client).map(|(_, gate)| gate.owed_itself(kind)).fold(0, u64::saturating_add)
    }

    /// Some of what is promised above a node, for all below, is not held.
    pub fn is_owed(&self, node: NodeId) -> bool {
        self.gates_of(node).any(|(at, gate)| at != EVERYBODY && gate.is_owing())
    }

    /// The lowest gate at a node or above whose limit is reached.
    pub fn shut_gate(&self, node: NodeId) -> Option<NodeId> {
        self.gates_of(node).find(|(_, gate)| gate.is_shut).map(|(at, _)| at)
    }

    /// What is promised to a role changed, or what it holds.
    pub fn refresh_path(&mut self, role: NodeId) {
        let path: Vec<NodeId> = self.path(role).collect();
        for node in path {
            self.refresh_owed(node);
            self.refresh_gate(node);
        }
    }
}

/// The parts of a limit by kind; `None` when it limits nothing.
pub(crate) fn limit_room(limit: &Limit, kinds: &mut Kinds) -> Option<Room> {
    let Limit { cpus, memory, disk, gpus, scalars } = limit;
    let fixed = [cpus.map(|most| most.0), memory.map(|most| most.0), disk.map(|most| most.0), gpus.map(u64::from)];
    let mut room = Room::default();
    for (kind, most) in fixed.into_iter().enumerate() {
        if let Some(most) = most {
            room.cap(kind, most);
        }
    }
    for (name, most) in scalars {
        room.cap(kinds.number_of_scalar(name), *most);
    }
    (room != Room::default()).then_some(room)
}
