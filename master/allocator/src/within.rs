//! Guarantees within limits: of what a limit leaves, the part that is owed to roles below it is kept for them.
//!
//! Somebody below a place with a limit may take what that leaves beside all that is owed below it, and on top what is
//! owed on the way down to himself. Where the limit leaves less than is owed below it altogether, those to whom it is
//! owed take it as it comes. A change costs the depth; only where a limit leaves less than is owed below it, the
//! places that are owed something there are walked.

use proffer_proto_model::{Resources, Role};

use crate::allocator::Allocator;
use crate::pools::OwnPool;
use crate::quota::{Gate, Room};
use crate::tree::{NodeId, Tree};

impl Tree {
    /// What the limit of a place leaves of a kind to somebody at `below` or further down; everything without a limit.
    pub fn room_within(&self, place: NodeId, below: NodeId, kind: usize) -> u64 {
        let left = self.left_of_limit(place, kind);
        let owed = self.owed_below(place, kind);
        if owed == 0 {
            return left;
        }
        left.min(left.saturating_sub(owed).saturating_add(self.owed_between(below, place, kind)))
    }

    /// What the limit of a place leaves of a kind.
    fn left_of_limit(&self, place: NodeId, kind: usize) -> u64 {
        let most = self.gate(place).and_then(|gate| gate.limit.as_ref()).map_or(u64::MAX, |limit| limit.of(kind));
        if most == u64::MAX { most } else { most.saturating_sub(self.limited_of(place, kind)) }
    }

    /// The same beside all that is owed below the place.
    fn spare_within(&self, place: NodeId, kind: usize) -> u64 {
        self.left_of_limit(place, kind).saturating_sub(self.owed_below(place, kind))
    }

    fn owed_below(&self, place: NodeId, kind: usize) -> u64 {
        self.gate(place).map_or(0, |gate| gate.owed_below.of(kind))
    }

    /// Owed to places on the way from `from` up to `place`, without that one, and not to others below them.
    fn owed_between(&self, from: NodeId, place: NodeId, kind: usize) -> u64 {
        let way = self.path(from).take_while(|at| *at != place);
        way.filter_map(|at| self.gate(at)).map(|gate| gate.owed_itself(kind)).fold(0, u64::saturating_add)
    }

    /// Notes who needs so much of a kind beside its `own` pools and is turned away by what is kept for others within a
    /// limit, at that place and at all on the way down: there it may come to be owed more.
    pub fn note_within(&mut self, client: NodeId, (kind, needed): (usize, u64), own: &[OwnPool], from: u64) {
        let path: Vec<NodeId> = self.gates_of(client).map(|(at, _)| at).collect();
        for (depth, place) in path.iter().enumerate() {
            let needed = needed.saturating_sub(self.of_own(*place, own, kind));
            if self.left_of_limit(*place, kind) < needed || self.room_within(*place, client, kind) >= needed {
                continue;
            }
            for at in &path[..=depth] {
                let beside = needed.saturating_sub(self.owed_between(client, *at, kind));
                if let Some(gate) = self.gate_mut(*at) {
                    gate.missed_within.entry(*place).or_default().note(from, kind, beside);
                }
            }
        }
    }

    /// Somebody at a place or below it who was turned away by what is kept for others within a limit may fit now.
    pub fn may_fit_within(&self, at: NodeId, gate: &Gate) -> bool {
        gate.missed_within.iter().any(|(place, missed)| {
            let owed = |kind| self.owed_between(at, *place, kind);
            missed.may_fit_some(|kind| self.spare_within(*place, kind).saturating_add(owed(kind)))
        })
    }

    /// Tells the class of a place what is owed to it, as far as the limits above leave that.
    pub fn count_in_class(&mut self, at: NodeId) {
        if self.gate(at).is_none_or(|gate| gate.class.is_none()) {
            return;
        }
        let mut above = Room::default();
        for (place, gate) in self.gates_of(at).skip(1).filter(|(_, gate)| gate.is_tight) {
            for (kind, _) in gate.limit.iter().flat_map(Room::each) {
                above.cap(kind, self.left_of_limit(place, kind));
            }
        }
        let mut classes = std::mem::take(&mut self.classes);
        self.gate_mut(at).into_iter().for_each(|gate| gate.count_in_class(&mut classes, &above));
        self.classes = classes;
    }

    /// The same for all below a place to whom something is owed: its limit leaves less than that, or did so.
    pub fn count_below_in_class(&mut self, place: NodeId) {
        let below: Vec<NodeId> = self.gate(place).into_iter().flat_map(|gate| &gate.owed_places).copied().collect();
        for at in below {
            self.count_in_class(at);
            self.count_below_in_class(at);
        }
    }

    /// A place below another to which of a kind something is owed, not on the way down to a client.
    fn owed_beside(&self, place: NodeId, client: NodeId, kind: usize) -> Option<NodeId> {
        let is_on_the_way = |at: NodeId| self.path(client).any(|above| above == at);
        let owed = |at: &NodeId| self.gate(*at).is_some_and(|gate| gate.owed.of(kind) > 0);
        let below = self.gate(place)?.owed_places.iter().copied().filter(owed);
        below.into_iter().find_map(|at| {
            let itself = self.gate(at).is_some_and(|gate| gate.owed_itself(kind) > 0) && !is_on_the_way(at);
            itself.then_some(at).or_else(|| self.owed_beside(at, client, kind))
        })
    }
}

impl Allocator {
    /// The lowest role whose limit leaves a client less than this only for what is promised to another one: both.
    pub(crate) fn kept_within(&self, client: NodeId, more: &Resources) -> Option<(Role, Role)> {
        let amounts = self.kinds.amounts_of(more);
        let short = |(place, _): (NodeId, &Gate)| {
            let is_short = |(kind, amount): &(usize, u64)| self.tree.room_within(place, client, *kind) < *amount;
            let (kind, _) = amounts.present().find(is_short)?;
            let name =
                |node: NodeId| self.roles.iter().find(|(_, role)| role.node == node).map(|(_, r)| r.name.clone());
            Some((name(place)?, name(self.tree.owed_beside(place, client, kind)?)?))
        };
        self.tree.gates_of(client).find_map(short)
    }
}
