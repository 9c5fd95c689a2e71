//! The tree of roles with the frameworks in it: who holds how much, and who is next.
//!
//! The children of a node that want something are a heap: those owed a part of a guarantee first, then by weighted
//! dominant share, then by grants made, then by
//! who came first. A role's own frameworks are together one child of it, beside the roles below it: what a parent
//! shares out, it shares among its children and itself alike.
//!
//! A change of what somebody holds costs its depth; the logarithms on the way are paid once for all changes between
//! two questions. Nothing costs the number of frameworks.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::ControlFlow::{self, Break, Continue};

use proffer_proto_model::Weight;

use crate::heap;
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

/// Changes of which each is settled by itself, however small the tree is.
const FEW: usize = 16;

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
    grants_made: u64,
    /// Children that want something, in the order of a heap.
    wanting: Vec<Rank>,
    /// The client it is; `None` for a role.
    client: Option<usize>,
    /// Nodes right below.
    below: BTreeSet<usize>,
    /// Children that want something and are owed.
    owed_children: usize,
    /// Of a role with a quota, and of the roles above it.
    gate: Option<Box<Gate>>,
}

impl Node {
    fn consumed(&self) -> Amounts {
        let mut consumed = self.held.clone();
        consumed.add(&self.kept);
        consumed
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
    is_changed: Vec<bool>,
    /// The place of each node among the wanting of its parent, or [`NOWHERE`] while it wants nothing.
    places: Vec<u32>,
    unused: Vec<usize>,
    made: u64,
    /// Of the whole cluster.
    whole: Amounts,
    /// The same without kinds that are excluded from fairness.
    total: Amounts,
    excluded: Vec<usize>,
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
    /// The total changed since shares were worked out.
    is_stale: bool,
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
            whole: Amounts::default(),
            total: Amounts::default(),
            excluded: Vec::new(),
            has_gates: false,
            tried: 0,
            woken: BTreeSet::new(),
            classes: Classes::default(),
            shut: BTreeSet::new(),
            just_shut: Vec::new(),
            is_stale: false,
        };
        tree.add(ROOT, None);
        tree
    }
}

impl Tree {
    /// The whole cluster, as far as it counts for shares.
    pub fn total(&self) -> &Amounts {
        &self.total
    }

    /// The cluster grew.
    pub fn add_total(&mut self, more: &Amounts) {
        self.whole.add(more);
        self.count_total();
    }

    /// The cluster shrank.
    pub fn sub_total(&mut self, less: &Amounts) {
        self.whole.sub(less);
        self.count_total();
    }

    /// Kinds that count for no share.
    pub fn set_excluded(&mut self, kinds: Vec<usize>) {
        self.excluded = kinds;
        self.count_total();
    }

    fn count_total(&mut self) {
        self.total = self.whole.clone();
        for kind in &self.excluded {
            self.total.forget(*kind);
        }
        self.is_stale = true;
    }

    /// The node of a role, below the node of the role above it.
    pub fn add_role(&mut self, above: Option<NodeId>) -> NodeId {
        NodeId(self.add(above.map_or(ROOT, |node| node.0), None))
    }

    /// The node of a role's own frameworks.
    pub fn add_own(&mut self, role: NodeId) -> NodeId {
        NodeId(self.add(role.0, None))
    }

    /// The node of a client below that of the role's own frameworks.
    pub fn add_client(&mut self, own: NodeId, client: usize) -> NodeId {
        NodeId(self.add(own.0, Some(client)))
    }

    /// Removes a node that holds nothing and below which there is none. The next one that is made is in its place.
    pub fn remove(&mut self, node: NodeId) {
        self.set_wanting(node, false);
        let parent = self.nodes[node.0].parent;
        self.nodes[parent].below.remove(&node.0);
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

    /// Counts what a client holds, in it and in every role above.
    pub fn count_held(&mut self, client: NodeId, amounts: &Amounts, is_more: bool) {
        let mut at = client.0;
        while at != ROOT {
            let held = &mut self.nodes[at].held;
            if is_more {
                held.add(amounts);
            } else {
                held.sub(amounts);
            }
            self.change(at);
            if self.nodes[at].gate.is_some() {
                self.refresh_owed(NodeId(at));
                self.refresh_gate(NodeId(at));
            }
            at = self.nodes[at].parent;
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

    /// Counts a grant made to a client, in it and in every role above.
    pub fn count_grant(&mut self, client: NodeId) {
        let mut at = client.0;
        while at != ROOT {
            self.nodes[at].grants_made += 1;
            self.change(at);
            at = self.nodes[at].parent;
        }
    }

    /// Sorts a client in among those that want something, or out.
    pub fn set_wanting(&mut self, client: NodeId, is_wanting: bool) {
        self.place(client.0, is_wanting);
    }

    /// Sorts a node in where it now belongs, or out, and all above it whose place depends on it. A role whose limit
    /// is reached has no place: nobody below it is asked.
    fn place(&mut self, mut at: usize, mut is_wanting: bool) {
        while at != ROOT {
            let node = &self.nodes[at];
            let parent = node.parent;
            let gate = node.gate.as_deref();
            let (was_in, was_owed) = (self.places[at] != NOWHERE, self.ranks[at].is_owed());
            let is_in = is_wanting && !gate.is_some_and(|gate| gate.is_shut);
            let is_owed = node.owed_children > 0 || gate.is_some_and(Gate::is_owing);
            if (was_in, was_owed) == (is_in, is_owed) {
                return;
            }
            self.ranks[at].set_owed(is_owed);
            match (was_in, is_in) {
                (false, true) => {
                    let wanting = &mut self.nodes[parent].wanting;
                    self.places[at] = place_of(wanting.len());
                    wanting.push(self.ranks[at]);
                    self.settle(at);
                }
                (true, false) => self.leave(at),
                (true, true) => self.settle(at),
                (false, false) => {}
            }
            let above = &mut self.nodes[parent];
            let others = above.owed_children - usize::from(was_in && was_owed);
            above.owed_children = others + usize::from(is_in && is_owed);
            is_wanting = !above.wanting.is_empty();
            at = parent;
        }
    }

    /// Gives all that changed their places. Before [`Tree::first`] and [`Tree::compare`], after every change.
    pub fn settle_changes(&mut self) {
        // When most have changed it is cheaper to build the heaps anew than to move each.
        if std::mem::take(&mut self.is_stale) || 2 * self.changed.len() > self.nodes.len() + FEW {
            self.settle_all();
        }
        while let Some(at) = self.changed.pop() {
            self.rank(at);
            self.settle(at);
        }
    }

    /// Finds all shares and all places anew: the cluster's total changed, or most of the nodes did.
    fn settle_all(&mut self) {
        self.changed.clear();
        for at in 0..self.nodes.len() {
            self.rank(at);
        }
        for at in 0..self.nodes.len() {
            let (ranks, places) = (&self.ranks, &mut self.places);
            let wanting = &mut self.nodes[at].wanting;
            wanting.iter_mut().for_each(|child| *child = ranks[child.node()]);
            heap::build(wanting, Rank::is_before, |child, to| places[child.node()] = place_of(to));
        }
    }

    /// The first client below a node, in turn, that is able.
    pub fn first(&self, below: NodeId, turn: Turn, mut is_able: impl FnMut(usize) -> bool) -> Option<usize> {
        self.first_of(below, turn, |client| if is_able(client) { Break(Some(client)) } else { Continue(()) })
    }

    /// The same for an answer that may also be to ask nobody else.
    pub fn first_of(
        &self,
        below: NodeId,
        turn: Turn,
        mut ask: impl FnMut(usize) -> ControlFlow<Option<usize>>,
    ) -> Option<usize> {
        self.first_below(below.0, turn, &mut ask).break_value().flatten()
    }

    /// Somebody who wants something is owed something.
    pub fn is_anybody_owed(&self) -> bool {
        self.nodes[ROOT].owed_children > 0
    }

    /// Which of two clients' turn comes first.
    pub fn compare(&self, a: NodeId, b: NodeId) -> Ordering {
        let (mut a, mut b) = (a.0, b.0);
        while self.nodes[a].depth > self.nodes[b].depth {
            a = self.nodes[a].parent;
        }
        while self.nodes[b].depth > self.nodes[a].depth {
            b = self.nodes[b].parent;
        }
        while self.nodes[a].parent != self.nodes[b].parent {
            (a, b) = (self.nodes[a].parent, self.nodes[b].parent);
        }
        self.ranks[a].order(&self.ranks[b])
    }

    /// Visits wanting children in order, each with all below it, as far as needed: a heap of places still to visit
    /// stands in for a sorted list.
    fn first_below(
        &self,
        node: usize,
        turn: Turn,
        ask: &mut impl FnMut(usize) -> ControlFlow<Option<usize>>,
    ) -> ControlFlow<Option<usize>> {
        let wanting = &self.nodes[node].wanting;
        // What is promised to a role itself is for all below it.
        let is_owing = self.nodes[node].gate.as_deref().is_some_and(Gate::is_owing);
        let turn = if is_owing { Turn::All } else { turn };
        if wanting.is_empty() {
            return Continue(());
        }
        let mut next = 0;
        let mut open: Vec<usize> = Vec::new();
        let is_before = |a: &usize, b: &usize| wanting[*a].is_before(&wanting[*b]);
        loop {
            if turn == Turn::Owed && !wanting[next].is_owed() {
                return Continue(());
            }
            let child = wanting[next].node();
            match self.nodes[child].client {
                Some(client) => ask(client)?,
                None => self.first_below(child, turn, ask)?,
            }
            for below in [2 * next + 1, 2 * next + 2] {
                if below < wanting.len() {
                    open.push(below);
                    let at = open.len() - 1;
                    heap::settle(&mut open, at, is_before, |_, _| {});
                }
            }
            if open.is_empty() {
                return Continue(());
            }
            next = open.swap_remove(0);
            if !open.is_empty() {
                heap::settle(&mut open, 0, is_before, |_, _| {});
            }
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
            grants_made: 0,
            wanting: Vec::new(),
            client,
            below: BTreeSet::new(),
            owed_children: 0,
            gate: None,
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
        }
        if at != ROOT {
            self.nodes[parent].below.insert(at);
        }
        at
    }

    /// A node and all above it, up to the root.
    pub fn path(&self, from: NodeId) -> impl Iterator<Item = NodeId> {
        let above = |at: &usize| (*at != ROOT).then(|| self.nodes[*at].parent);
        std::iter::successors(Some(from.0), above).map(NodeId)
    }

    /// What is held at a node and below, and what is reserved there: what counts for a quota.
    pub fn consumed(&self, node: NodeId) -> Amounts {
        self.nodes[node.0].consumed()
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
                    let noted = gate.missed.take().into_iter().chain(gate.missed_headroom.take()).min();
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
        let consumed = self.nodes[node.0].consumed();
        let Node { gate: Some(gate), parent, .. } = &mut self.nodes[node.0] else { return };
        let old = gate.owed.clone();
        gate.set_held(&consumed);
        gate.count_in_class(&mut self.classes);
        if node.0 == ROOT || gate.owed == old {
            return;
        }
        let (new, parent) = (gate.owed.clone(), *parent);
        if let Some(above) = self.nodes[parent].gate.as_deref_mut() {
            above.owed_below.sub(&old);
            above.owed_below.add(&new);
        }
        if parent == ROOT {
            self.refresh_owed(NodeId(ROOT));
        }
    }

    /// Finds out whether a gate is shut, and gives its node its place.
    pub fn refresh_gate(&mut self, node: NodeId) {
        let tried = self.tried;
        let (consumed, has_kept) = (self.nodes[node.0].consumed(), self.has_kept(node));
        let Node { gate: Some(gate), wanting, .. } = &mut self.nodes[node.0] else { return };
        // What is reserved for those below may be used whatever the limit.
        let is_shut = gate.is_full(&consumed) && !has_kept;
        if is_shut && !gate.is_shut {
            gate.missed.note_all(tried);
            self.just_shut.push(node);
            self.shut.insert(node);
        }
        if !is_shut && gate.is_shut {
            self.shut.remove(&node);
        }
        gate.is_shut = is_shut;
        if !is_shut && (gate.missed.from.is_some() || gate.missed_headroom.from.is_some()) {
            self.woken.insert(node);
        }
        let is_wanting = !wanting.is_empty();
        self.place(node.0, is_wanting);
    }

    fn leave(&mut self, at: usize) {
        let parent = self.nodes[at].parent;
        let place = std::mem::replace(&mut self.places[at], NOWHERE);
        if place == NOWHERE {
            return;
        }
        let wanting = &mut self.nodes[parent].wanting;
        wanting.swap_remove(place as usize);
        if let Some(moved) = wanting.get(place as usize).map(Rank::node) {
            self.places[moved] = place;
            self.settle(moved);
        }
    }

    /// The node's place is found when changes are settled.
    fn change(&mut self, at: usize) {
        if !std::mem::replace(&mut self.is_changed[at], true) {
            self.changed.push(at);
        }
    }

    fn rank(&mut self, at: usize) {
        let node = &self.nodes[at];
        self.ranks[at].set(node.held.dominant_share(&self.total).weighted(node.weight), node.grants_made);
        self.is_changed[at] = false;
    }

    /// Moves a node to its place among the wanting of its parent.
    fn settle(&mut self, at: usize) {
        let place = self.places[at];
        if place == NOWHERE {
            return;
        }
        let places = &mut self.places;
        let parent = self.nodes[at].parent;
        let wanting = &mut self.nodes[parent].wanting;
        wanting[place as usize] = self.ranks[at];
        if wanting.len() > 1 {
            heap::settle(wanting, place as usize, Rank::is_before, |child, to| places[child.node()] = place_of(to));
        }
    }
}

/// There are never so many nodes that a place is [`NOWHERE`]: each takes hundreds of bytes.
fn place_of(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NOWHERE)
}
