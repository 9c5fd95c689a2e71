//! The tree of roles with the frameworks in it: who holds how much, and who is next.
//!
//! The children of a node that want something are a heap by weighted dominant share, then by grants made, then by
//! who came first. A role's own frameworks are together one child of it, beside the roles below it: what a parent shares out, it shares among its children and itself alike.
//!
//! A change of what somebody holds costs its depth and the logarithms on the way, never the number of frameworks.

use std::cmp::Ordering;

use proffer_proto_model::Weight;

use crate::heap;
use crate::share::{Amounts, Share};

/// A node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(usize);

/// The node everything is below.
const ROOT: usize = 0;

#[derive(Debug)]
struct Node {
    parent: usize,
    depth: usize,
    /// Counts all nodes ever made.
    number: u64,
    /// In thousandths.
    weight: u32,
    held: Amounts,
    share: Share,
    grants_made: u64,
    /// Children that want something, in the order of a heap.
    wanting: Vec<usize>,
    /// The client it is; `None` for a role.
    client: Option<usize>,
}

/// See the file's top.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// The place of each node among the wanting of its parent; none while it wants nothing.
    places: Vec<Option<usize>>,
    unused: Vec<usize>,
    made: u64,
    /// Of the whole cluster.
    total: Amounts,
    /// The total changed since shares were worked out.
    is_stale: bool,
}

impl Default for Tree {
    fn default() -> Self {
        let (nodes, places, unused) = (Vec::new(), Vec::new(), Vec::new());
        let mut tree = Self { nodes, places, unused, made: 0, total: Amounts::default(), is_stale: false };
        tree.add(ROOT, None);
        tree
    }
}

impl Tree {
    /// The whole cluster.
    pub fn total(&self) -> &Amounts {
        &self.total
    }

    /// The cluster grew.
    pub fn add_total(&mut self, more: &Amounts) {
        self.total.add(more);
        self.is_stale = true;
    }

    /// The cluster shrank.
    pub fn sub_total(&mut self, less: &Amounts) {
        self.total.sub(less);
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

    /// Removes a client's node. It must hold nothing any more.
    pub fn remove_client(&mut self, node: NodeId) {
        self.set_wanting(node, false);
        self.unused.push(node.0);
    }

    /// Sets the weight of a role's node, in thousandths.
    pub fn set_weight(&mut self, node: NodeId, weight_milli: u32) {
        self.nodes[node.0].weight = weight_milli;
        self.reorder(node.0);
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
            self.reorder(at);
            at = self.nodes[at].parent;
        }
    }

    /// Counts a grant made to a client, in it and in every role above.
    pub fn count_grant(&mut self, client: NodeId) {
        let mut at = client.0;
        while at != ROOT {
            self.nodes[at].grants_made += 1;
            self.settle(at);
            at = self.nodes[at].parent;
        }
    }

    /// Sorts a client in among those that want something, or out.
    pub fn set_wanting(&mut self, client: NodeId, is_wanting: bool) {
        let mut at = client.0;
        while at != ROOT {
            let parent = self.nodes[at].parent;
            if self.places[at].is_some() == is_wanting {
                return;
            }
            if is_wanting {
                self.places[at] = Some(self.nodes[parent].wanting.len());
                self.nodes[parent].wanting.push(at);
                self.settle(at);
            } else {
                self.leave(at);
                if !self.nodes[parent].wanting.is_empty() {
                    return;
                }
            }
            at = parent;
        }
    }

    /// Works out all shares again when the cluster's total changed. Before `first` and `compare`.
    pub fn refresh(&mut self) {
        if !std::mem::take(&mut self.is_stale) {
            return;
        }
        for node in &mut self.nodes {
            node.share = node.held.dominant_share(&self.total).weighted(node.weight);
        }
        for at in 0..self.nodes.len() {
            let mut wanting = std::mem::take(&mut self.nodes[at].wanting);
            let (nodes, places) = (&self.nodes, &mut self.places);
            heap::build(&mut wanting, |a, b| is_before(nodes, a, b), |node, to| places[node] = Some(to));
            self.nodes[at].wanting = wanting;
        }
    }

    /// The first client in turn that is able.
    pub fn first(&self, mut is_able: impl FnMut(usize) -> bool) -> Option<usize> {
        self.first_below(ROOT, &mut is_able)
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
        order(&self.nodes[a], &self.nodes[b])
    }

    /// Visits wanting children in order, each with all below it, as far as needed: a heap of places still to visit
    /// stands in for a sorted list.
    fn first_below(&self, node: usize, is_able: &mut impl FnMut(usize) -> bool) -> Option<usize> {
        let wanting = &self.nodes[node].wanting;
        let mut next = (!wanting.is_empty()).then_some(0)?;
        let mut open: Vec<usize> = Vec::new();
        let is_before = |a: usize, b: usize| is_before(&self.nodes, wanting[a], wanting[b]);
        loop {
            let child = wanting[next];
            let found = match self.nodes[child].client {
                Some(client) => is_able(client).then_some(client),
                None => self.first_below(child, is_able),
            };
            if found.is_some() {
                return found;
            }
            for below in [2 * next + 1, 2 * next + 2] {
                if below < wanting.len() {
                    open.push(below);
                    let at = open.len() - 1;
                    heap::settle(&mut open, at, is_before, |_, _| {});
                }
            }
            if open.is_empty() {
                return None;
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
            number: self.made,
            weight: Weight::default().milli(),
            held: Amounts::default(),
            share: Share::default(),
            grants_made: 0,
            wanting: Vec::new(),
            client,
        };
        if let Some(at) = self.unused.pop() {
            self.nodes[at] = node;
            return at;
        }
        self.nodes.push(node);
        self.places.push(None);
        self.nodes.len() - 1
    }

    fn leave(&mut self, at: usize) {
        let parent = self.nodes[at].parent;
        let Some(place) = self.places[at].take() else { return };
        self.nodes[parent].wanting.swap_remove(place);
        if let Some(moved) = self.nodes[parent].wanting.get(place).copied() {
            self.places[moved] = Some(place);
            self.settle(moved);
        }
    }

    fn reorder(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.share = node.held.dominant_share(&self.total).weighted(node.weight);
        self.settle(at);
    }

    /// Moves a node to its place among the wanting of its parent.
    fn settle(&mut self, at: usize) {
        let Some(place) = self.places[at] else { return };
        let parent = self.nodes[at].parent;
        if self.nodes[parent].wanting.len() == 1 {
            return;
        }
        let mut wanting = std::mem::take(&mut self.nodes[parent].wanting);
        let (nodes, places) = (&self.nodes, &mut self.places);
        heap::settle(&mut wanting, place, |a, b| is_before(nodes, a, b), |node, to| places[node] = Some(to));
        self.nodes[parent].wanting = wanting;
    }
}

fn is_before(nodes: &[Node], a: usize, b: usize) -> bool {
    order(&nodes[a], &nodes[b]) == Ordering::Less
}

fn order(a: &Node, b: &Node) -> Ordering {
    a.share.cmp(&b.share).then(a.grants_made.cmp(&b.grants_made)).then(a.number.cmp(&b.number))
}
