//! Whose turn it is: the heaps of those that want something, at every node. Never counts what anybody holds.

use std::cmp::Ordering;
use std::ops::ControlFlow::{self, Break, Continue};

use super::measure::Due;
use super::{NOWHERE, NodeId, ROOT, Tree, Turn};
use crate::heap;
use crate::quota::Gate;
use crate::rank::Rank;

/// Changes of which each is settled by itself, however small the tree is.
const FEW: usize = 16;

impl Tree {
    /// Sorts a client in among those that want something, or out.
    pub fn set_wanting(&mut self, client: NodeId, is_wanting: bool) {
        self.place(client.0, is_wanting);
    }

    /// Sorts a node in where it now belongs, or out, and all above it whose place depends on it. A role whose limit
    /// is reached has no place: nobody below it is asked.
    pub(super) fn place(&mut self, mut at: usize, mut is_wanting: bool) {
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
                (false, true) => self.enter(at),
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
        let due = self.measure.due(self.nodes.len());
        // When most have changed it is cheaper to build the heaps anew than to move each.
        let are_many = 2 * self.changed.len() > self.nodes.len() + FEW;
        match due {
            Due::All => self.settle_all(),
            Due::Of(_) if are_many => {
                self.measure.renew_all();
                self.settle_all();
            }
            Due::Of(places) => places.into_iter().for_each(|place| self.measure_children(place)),
        }
        while let Some(at) = self.changed.pop() {
            if self.is_changed[at] {
                self.rank(at);
                self.settle(at);
            }
        }
        self.raise_outgrown();
    }

    /// Finds all shares and all places anew: they are measured against another total, or most of the nodes changed.
    fn settle_all(&mut self) {
        self.changed.clear();
        for at in 0..self.nodes.len() {
            self.is_changed[at] = true;
            self.rank(at);
        }
        let (ranks, places, moved) = (&self.ranks, &mut self.places, &mut self.moved);
        for node in &mut self.nodes {
            let wanting = &mut node.wanting;
            wanting.iter_mut().for_each(|child| *child = ranks[child.node()]);
            heap::build(wanting, Rank::is_before, |child, to| {
                places[child.node()] = place_of(to);
                *moved += 1;
            });
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
        self.rank_of(a).order(&self.rank_of(b))
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
        if let [only] = wanting.as_slice() {
            return self.ask_only(node, only, turn, ask);
        }
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

    /// The same when there is one child only: no order is needed.
    #[inline]
    fn ask_only(
        &self,
        node: usize,
        only: &Rank,
        turn: Turn,
        ask: &mut impl FnMut(usize) -> ControlFlow<Option<usize>>,
    ) -> ControlFlow<Option<usize>> {
        let is_owing = self.nodes[node].gate.as_deref().is_some_and(Gate::is_owing);
        if turn == Turn::Owed && !is_owing && !only.is_owed() {
            return Continue(());
        }
        let turn = if is_owing { Turn::All } else { turn };
        match self.nodes[only.node()].client {
            Some(client) => ask(client),
            None => self.first_below(only.node(), turn, ask),
        }
    }

    /// Finds a place for a node that has none. Whoever was alone until then has to be up to date too.
    fn enter(&mut self, at: usize) {
        let parent = self.nodes[at].parent;
        if let [alone] = self.nodes[parent].wanting.as_slice() {
            let alone = alone.node();
            if self.is_changed[alone] {
                self.rank(alone);
                self.nodes[parent].wanting[0] = self.ranks[alone];
            }
        }
        if self.is_changed[at] {
            self.rank(at);
        }
        let wanting = &mut self.nodes[parent].wanting;
        self.places[at] = place_of(wanting.len());
        wanting.push(self.ranks[at]);
        self.settle(at);
    }

    pub(super) fn rank(&mut self, at: usize) {
        self.ranks[at] = self.rank_of(at);
        let parent = self.nodes[at].parent;
        self.measure.check(parent, self.nodes[parent].level, &self.nodes[at].held);
        self.is_changed[at] = false;
        self.ranked += 1;
    }

    /// The rank of a node as it is now.
    fn rank_of(&self, at: usize) -> Rank {
        let (mut rank, node) = (self.ranks[at], &self.nodes[at]);
        if self.is_changed[at] {
            let base = self.measure.base(self.nodes[node.parent].level);
            rank.set(node.held.dominant_share(base).weighted(node.weight), node.grants_made);
        }
        rank
    }

    /// Moves a node to its place among the wanting of its parent.
    fn settle(&mut self, at: usize) {
        let place = self.places[at];
        if place == NOWHERE {
            return;
        }
        let (places, moved) = (&mut self.places, &mut self.moved);
        let parent = self.nodes[at].parent;
        let wanting = &mut self.nodes[parent].wanting;
        wanting[place as usize] = self.ranks[at];
        if wanting.len() > 1 {
            heap::settle(wanting, place as usize, Rank::is_before, |child, to| {
                places[child.node()] = place_of(to);
                *moved += 1;
            });
        }
    }
}

/// There are never so many nodes that a place is [`NOWHERE`]: each takes hundreds of bytes.
fn place_of(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NOWHERE)
}
