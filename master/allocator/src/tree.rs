//! The tree of roles with the frameworks in it: who holds how much, and who is next.
//!
//! The children of a node that want something are a heap: those owed a part of a guarantee first, then by weighted
//! dominant share, then by grants made, then by
//! who came first. A role's own frameworks are together one child of it, beside the roles below it: what a parent
//! shares out, it shares among its children and itself alike.
//!
//! A change of what somebody holds costs its depth; the logarithms on the way are paid once for all changes between
//! two questions, and only where somebody else wants something beside it. Nothing costs the number of frameworks.
//! Turns are taken in `turns`, shares are measured in `measure`.

mod measure;
mod turns;

use std::collections::BTreeSet;

use proffer_proto_model::Weight;

use self::measure::Measure;
use crate::quota::Gate;
use crate::rank::Rank;
use crate::share::Amounts;
use crate::usable::Classes;

/// A node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(usize);

/// The node everything is below.
const ROOT: usize = 0;

/// The place of a node that has none.
const NOWHERE: u32 = u32::MAX;

/// The place everything is below.
pub(crate) const EVERYBODY: NodeId = NodeId(ROOT);

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Those in roles that are promised more than they hold.
    Owed,
    /// All, those in such roles first.
    All,
}

#[derive(Debug)]
struct Node {
    parent: usize,
    depth: usize,
    /// In thousandths.
    weight: u32,
    held: Amounts,
    /// Reserved for it and roles below, and not held.
    kept: Amounts,
    /// Used up for limits only: of agents that are away.
    away: Amounts,
    grants_made: u64,
    /// Children that want something, in the order of a heap.
    wanting: Vec<Rank>,
    /// The client it is; `None` for a role.
    client: Option<usize>,
    /// Nodes right below.
    below: BTreeSet<usize>,
    /// How exactly those are measured.
    level: u8,
    /// Children that want something and are owed.
    owed_children: usize,
    /// Of a role with a quota, and of the roles above it.
    gate: Option<Box<Gate>>,
    /// Of a role: the node of its own frameworks.
    own: Option<usize>,
    /// That node, as long as its role has no roles below it: what is held and granted there is what its role's node says.
    is_mirror: bool,
}

impl Node {
    fn consumed(&self) -> Amounts {
        let mut consumed = self.held.clone();
        consumed.add(&self.kept);
        consumed
    }

    fn limited(&self) -> Amounts {
        let mut limited = self.consumed();
        limited.add(&self.away);
        limited
    }
}

/// See the file's top.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// Of each node, as far as changes are settled.
    ranks: Vec<Rank>,
    /// Nodes that hold more or less, or got a grant, since changes were settled.
    changed: Vec<usize>,
    /// Whose rank is not up to date. Those that are alone among the wanting of their parent are not in `changed`: their
    /// rank is found when somebody comes beside them.
    is_changed: Vec<bool>,
    /// The place of each node among the wanting of its parent, or [`NOWHERE`] while it wants nothing.
    places: Vec<u32>,
    unused: Vec<usize>,
    made: u64,
    measure: Measure,
    /// Some role has or had a quota.
    pub(crate) has_gates: bool,
    /// Every agent up to this stamp was tried.
    pub tried: u64,
    /// Gates that may have room again for somebody who was turned away.
    pub woken: BTreeSet<NodeId>,
    /// Which agents count for whom.
    pub classes: Classes,
    /// Gates that are shut.
    pub shut: BTreeSet<NodeId>,
    /// Gates that were shut since somebody asked.
    pub just_shut: Vec<NodeId>,
    /// Ranks found anew since the start.
    pub ranked: u64,
    /// Moves in heaps since the start.
    pub moved: u64,
}

impl Default for Tree {
    fn default() -> Self {
        let mut tree = Self {
            nodes: Vec::new(),
            ranks: Vec::new(),
            changed: Vec::new(),
            is_changed: Vec::new(),
            places: Vec::new(),
            unused: Vec::new(),
            made: 0,
            measure: Measure::default(),
            has_gates: false,
            tried: 0,
            woken: BTreeSet::new(),
            classes: Classes::default(),
            shut: BTreeSet::new(),
            just_shut: Vec::new(),
            ranked: 0,
            moved: 0,
        };
        tree.add(ROOT, None);
        tree
    }
}

impl Tree {
    /// The node of a role, below the node of the role above it.
    pub fn add_role(&mut self, above: Option<NodeId>) -> NodeId {
        let above = above.map_or(ROOT, |node| node.0);
        let node = self.add(above, None);
        if let Some(own) = self.nodes[above].own.filter(|own| self.nodes[*own].is_mirror) {
            let (held, grants_made) = (self.nodes[above].held.clone(), self.nodes[above].grants_made);
            let own_node = &mut self.nodes[own];
            (own_node.held, own_node.grants_made, own_node.is_mirror) = (held, grants_made, false);
            self.change(own);
        }
        NodeId(node)
    }

    /// The node of a role's own frameworks.
    pub fn add_own(&mut self, role: NodeId) -> NodeId {
        let own = self.add(role.0, None);
        self.nodes[own].is_mirror = true;
        self.nodes[role.0].own = Some(own);
        NodeId(own)
    }

    /// The node of a client below that of the role's own frameworks.
    pub fn add_client(&mut self, own: NodeId, client: usize) -> NodeId {
        NodeId(self.add(own.0, Some(client)))
    }

    /// Removes a node that holds nothing and below which there is none. The next one that is made is in its place.
    pub fn remove(&mut self, node: NodeId) {
        self.set_wanting(node, false);
        let parent = self.nodes[node.0].parent;
        let above = &mut self.nodes[parent];
        above.below.remove(&node.0);
        if let Some(own) = above.own.filter(|_| above.below.len() == 1) {
            self.nodes[own].is_mirror = true;
        }
        self.measure.forget(node.0, self.nodes[node.0].level);
        self.nodes[node.0].gate = None;
        self.woken.remove(&node);
        self.shut.remove(&node);
        self.just_shut.retain(|shut| *shut != node);
        self.unused.push(node.0);
    }

    /// Nodes made, with those that are not used.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// What is held at a node and below.
    pub fn held(&self, node: NodeId) -> &Amounts {
        &self.nodes[node.0].held
    }

    /// In thousandths.
    pub fn weight_milli(&self, node: NodeId) -> u32 {
        self.nodes[node.0].weight
    }

    /// Below `parent` there is one node only, this one, and none below it.
    pub fn is_only_child(&self, parent: NodeId, child: NodeId) -> bool {
        self.nodes[parent.0].below.len() == 1 && self.nodes[child.0].below.is_empty()
    }

    /// Sets the weight of a role's node, in thousandths.
    pub fn set_weight(&mut self, node: NodeId, weight_milli: u32) {
        self.nodes[node.0].weight = weight_milli;
        self.change(node.0);
    }

    /// Counts what a client holds, in it and in every role above, and grants made to it.
    pub fn count_held(&mut self, client: NodeId, amounts: &Amounts, is_more: bool, grants: u64) {
        let mut at = client.0;
        while at != ROOT {
            let node = &mut self.nodes[at];
            let parent = node.parent;
            if !node.is_mirror {
                if is_more {
                    node.held.add(amounts);
                } else {
                    node.held.sub(amounts);
                }
                node.grants_made += grants;
                let has_gate = node.gate.is_some();
                self.change(at);
                if has_gate {
                    self.refresh_owed(NodeId(at));
                    self.refresh_gate(NodeId(at));
                }
            }
            at = parent;
        }
    }

    /// Counts what is reserved for a role and not held, in it and in every role above: it is used up for their quotas.
    pub fn count_kept(&mut self, role: NodeId, amounts: &Amounts, is_more: bool) {
        let path: Vec<NodeId> = self.path(role).collect();
        for node in path {
            let kept = &mut self.nodes[node.0].kept;
            if is_more {
                kept.add(amounts);
            } else {
                kept.sub(amounts);
            }
            self.refresh_owed(node);
            self.refresh_gate(node);
        }
    }

    /// Counts what a role holds on agents that are away, in it and in every role above: it is used up for their limits,
    /// and what they may not use for that is owed to nobody.
    pub fn count_away(&mut self, role: NodeId, amounts: &Amounts, is_more: bool) {
        let path: Vec<NodeId> = self.path(role).collect();
        for node in path {
            let away = &mut self.nodes[node.0].away;
            if is_more {
                away.add(amounts);
            } else {
                away.sub(amounts);
            }
            self.refresh_owed(node);
            self.refresh_gate(node);
        }
    }

    /// Counts a grant made to a client, in it and in every role above.
    pub fn count_grant(&mut self, client: NodeId) {
        let mut at = client.0;
        while at != ROOT {
            let node = &mut self.nodes[at];
            let parent = node.parent;
            if !node.is_mirror {
                node.grants_made += 1;
                self.change(at);
            }
            at = parent;
        }
    }

    /// The node's place is found when changes are settled, unless it has one whatever its rank is.
    fn change(&mut self, at: usize) {
        if std::mem::replace(&mut self.is_changed[at], true) {
            return;
        }
        if self.places[at] != NOWHERE && self.nodes[self.nodes[at].parent].wanting.len() > 1 {
            self.changed.push(at);
        }
    }

    fn add(&mut self, parent: usize, client: Option<usize>) -> usize {
        let depth = self.nodes.get(parent).map_or(0, |above| above.depth + 1);
        self.made += 1;
        let node = Node {
            parent,
            depth,
            weight: Weight::default().milli(),
            held: Amounts::default(),
            kept: Amounts::default(),
            away: Amounts::default(),
            grants_made: 0,
            wanting: Vec::new(),
            client,
            below: BTreeSet::new(),
            level: 0,
            owed_children: 0,
            gate: None,
            own: None,
            is_mirror: false,
        };
        let at = self.unused.pop().unwrap_or(self.nodes.len());
        let rank = Rank::new(at, self.made);
        if at == self.nodes.len() {
            self.nodes.push(node);
            self.ranks.push(rank);
            self.places.push(NOWHERE);
            self.is_changed.push(false);
        } else {
            self.nodes[at] = node;
            self.ranks[at] = rank;
            self.is_changed[at] = false;
        }
        if at != ROOT {
            let above = &mut self.nodes[parent];
            above.below.insert(at);
            if above.below.len() == 1 {
                self.measure.add(parent, above.level);
            }
        }
        at
    }

    /// A node and all above it, up to the root.
    pub fn path(&self, from: NodeId) -> impl Iterator<Item = NodeId> {
        let above = |at: &usize| (*at != ROOT).then(|| self.nodes[*at].parent);
        std::iter::successors(Some(from.0), above).map(NodeId)
    }

    /// What counts for the limit of a node: held there and below, reserved, or on agents that are away.
    pub fn limited(&self, node: NodeId) -> Amounts {
        self.nodes[node.0].limited()
    }

    /// The same of one kind.
    pub fn limited_of(&self, node: NodeId, kind: usize) -> u64 {
        let Node { held, kept, away, .. } = &self.nodes[node.0];
        held.of(kind).saturating_add(kept.of(kind)).saturating_add(away.of(kind))
    }

    /// Something is held at a node or below on agents that are away.
    pub fn has_away(&self, node: NodeId) -> bool {
        self.nodes[node.0].away != Amounts::default()
    }

    /// Something is reserved at a node or below, and not held.
    pub fn has_kept(&self, node: NodeId) -> bool {
        self.nodes[node.0].kept != Amounts::default()
    }

    /// The gate at a node.
    pub fn gate(&self, node: NodeId) -> Option<&Gate> {
        self.nodes[node.0].gate.as_deref()
    }

    /// The gate at a node, to change.
    pub fn gate_mut(&mut self, node: NodeId) -> Option<&mut Gate> {
        self.nodes[node.0].gate.as_deref_mut()
    }

    /// Makes a gate at a node if there is none.
    pub fn put_gate(&mut self, node: NodeId) {
        self.nodes[node.0].gate.get_or_insert_default();
    }

    /// The clients at a node and below.
    pub fn clients_below(&self, node: NodeId) -> Vec<usize> {
        let mut clients: Vec<usize> = self.nodes[node.0].client.into_iter().collect();
        for below in &self.nodes[node.0].below {
            clients.extend(self.clients_below(NodeId(*below)));
        }
        clients
    }

    /// All below a node are tried again from a stamp on: what gates below noted is done with, except those that are
    /// shut, whose turn comes later. The lowest stamp that any of them noted. Costs as much as there are roles below.
    pub fn cover_below(&mut self, node: NodeId, from: u64) -> u64 {
        let mut lowest = from;
        for below in self.nodes[node.0].below.iter().copied().collect::<Vec<_>>() {
            match self.nodes[below].gate.as_deref_mut() {
                Some(gate) if gate.is_shut => gate.missed.note_all(from),
                Some(gate) => {
                    let noted = gate.take_missed();
                    let from = noted.map_or(from, |noted| noted.min(from));
                    lowest = lowest.min(self.cover_below(NodeId(below), from));
                }
                None => {}
            }
        }
        lowest
    }

    /// The gates at a node and below.
    pub fn gates_below(&self, node: NodeId) -> Vec<NodeId> {
        let mut gates: Vec<NodeId> = self.gate(node).map(|_| node).into_iter().collect();
        let below = self.nodes[node.0].below.iter().filter(|_| !gates.is_empty());
        let below: Vec<NodeId> = below.flat_map(|below| self.gates_below(NodeId(*below))).collect();
        gates.extend(below);
        gates
    }

    /// Works out what is owed at a gate, and tells the one above.
    pub fn refresh_owed(&mut self, node: NodeId) {
        let (consumed, limited) = (self.nodes[node.0].consumed(), self.nodes[node.0].limited());
        let Node { gate: Some(gate), parent, .. } = &mut self.nodes[node.0] else { return };
        let (old, was_tight) = (gate.owed.clone(), gate.is_tight);
        gate.set_held(&consumed, &limited);
        let (new, parent, is_tight) = (gate.owed.clone(), *parent, gate.is_tight);
        self.count_in_class(node);
        if was_tight || is_tight {
            self.count_below_in_class(node);
        }
        if node.0 == ROOT || new == old {
            return;
        }
        if let Some(above) = self.nodes[parent].gate.as_deref_mut() {
            above.owed_below.sub(&old);
            above.owed_below.add(&new);
            if parent != ROOT {
                match new.is_nothing() {
                    true => above.owed_places.remove(&node),
                    false => above.owed_places.insert(node),
                };
            }
        }
        if parent == ROOT {
            self.refresh_owed(NodeId(ROOT));
        }
    }

    /// Finds out whether a gate is shut, and gives its node its place.
    pub fn refresh_gate(&mut self, node: NodeId) {
        let tried = self.tried;
        let (limited, has_kept) = (self.nodes[node.0].limited(), self.has_kept(node));
        let Node { gate: Some(gate), wanting, .. } = &mut self.nodes[node.0] else { return };
        // What is reserved for those below may be used whatever the limit.
        let is_shut = gate.is_full(&limited) && !has_kept;
        if is_shut && !gate.is_shut {
            gate.missed.note_all(tried);
            self.just_shut.push(node);
            self.shut.insert(node);
        }
        if !is_shut && gate.is_shut {
            self.shut.remove(&node);
        }
        gate.is_shut = is_shut;
        if !is_shut && gate.missed_from().is_some() {
            self.woken.insert(node);
        }
        let is_wanting = !wanting.is_empty();
        self.place(node.0, is_wanting);
    }
}
