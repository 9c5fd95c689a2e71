//! Against which total shares are measured: that of the cluster, or an older one that differs so little that no
//! order is wrong by more than one task.
//!
//! Whenever the cluster grows or shrinks, somebody who holds much of one kind may come before somebody who holds much of
//! another, or no more; so all shares would have to be found anew, of every framework for every agent that comes. Three
//! things make that rare, and none of them makes a difference of more than one task:
//! - Only the proportions of the kinds matter: the total is divided by what all of it can be divided by. Agents of one size
//!   come and go without any change.
//! - Shares are compared among the children of a place only. So each place has a total of its own, against which its
//!   children are measured: that of its *level*.
//! - At a level no child of a place holds more than so many of the smallest tasks, sixteen at the lowest and twice as many
//!   at each further one. A total whose proportions differ by one part of `n` makes shares wrong by one part of `n` at
//!   most, which of `n` tasks is one. So the total of a level is renewed when the proportions differ by one part of twice
//!   as many tasks: who holds little is measured rarely, and who holds much is one of few.
//!
//! The smallest task is the smallest shape that anybody wanted since the start, by its dominant share.

use std::collections::BTreeSet;

use super::{NOWHERE, Tree};
use crate::heap;
use crate::rank::Rank;
use crate::share::Amounts;

/// In a tree of so many nodes every difference counts at once, however small it is.
const SMALL: usize = 64;

/// Tasks that a child of a place at the lowest level holds at most, as a power of two.
const LOWEST: usize = 4;

/// At the last one every difference counts.
const LEVELS: usize = 24;

/// Shapes of which none is as large as another in all kinds, at most: of more, what is least of two stands for both.
const SHAPES: usize = 16;

/// See the file's top.
#[derive(Debug)]
pub(super) struct Measure {
    /// Of the whole cluster.
    whole: Amounts,
    /// The same without kinds that are excluded from fairness.
    total: Amounts,
    excluded: Vec<usize>,
    /// The total or the smallest task changed since somebody asked.
    is_changed: bool,
    was_small: bool,
    levels: Vec<Level>,
    /// The smallest shapes.
    least: Vec<Amounts>,
    /// As much of each kind as makes a share no larger than that of the smallest task; everything while nothing is wanted.
    task: Option<Amounts>,
    /// Places some child of which holds more than there may be at their level.
    outgrown: Vec<usize>,
}

#[derive(Debug, Default)]
struct Level {
    /// A total, divided by its greatest common divisor.
    base: Amounts,
    places: BTreeSet<usize>,
}

/// What is to be measured anew.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    All,
    /// The children of these.
    Of(Vec<usize>),
}

impl Default for Measure {
    fn default() -> Self {
        Self {
            whole: Amounts::default(),
            total: Amounts::default(),
            excluded: Vec::new(),
            is_changed: false,
            was_small: true,
            levels: (0..LEVELS).map(|_| Level::default()).collect(),
            least: Vec::new(),
            task: None,
            outgrown: Vec::new(),
        }
    }
}

impl Measure {
    /// What the children of a place at a level are measured against.
    #[inline]
    pub fn base(&self, level: u8) -> &Amounts {
        &self.levels[usize::from(level)].base
    }

    /// A place has its first child.
    pub fn add(&mut self, place: usize, level: u8) {
        self.levels[usize::from(level)].places.insert(place);
    }

    /// A place is no more.
    pub fn forget(&mut self, place: usize, level: u8) {
        self.levels[usize::from(level)].places.remove(&place);
        self.outgrown.retain(|other| *other != place);
    }

    /// Notes when a child of a place holds more than there may be at its level.
    #[inline]
    pub fn check(&mut self, place: usize, level: u8, held: &Amounts) {
        if self.is_beyond(level, held) {
            self.outgrown.push(place);
        }
    }

    fn is_beyond(&self, level: u8, held: &Amounts) -> bool {
        let Some(task) = &self.task else { return false };
        usize::from(level) + 1 < LEVELS
            && held.present().any(|(kind, held)| held >> (LOWEST + usize::from(level)) > task.of(kind))
    }

    /// The level of a place whose children hold this at most, with some room to grow.
    fn level_of<'a>(&self, held: impl Iterator<Item = &'a Amounts>) -> u8 {
        let mut level = 0;
        for held in held {
            while self.is_beyond(level, held) {
                level += 1;
            }
        }
        level.saturating_add(1).min(LEVELS as u8 - 1)
    }

    /// Somebody wants such a shape.
    fn note_task(&mut self, shape: &Amounts) {
        if shape.is_nothing() || self.least.iter().any(|least| shape.covers(least)) {
            return;
        }
        self.least.retain(|least| !least.covers(shape));
        let mut shape = shape.clone();
        if let Some(last) = (self.least.len() >= SHAPES).then(|| self.least.pop()).flatten() {
            shape = shape.least(&last);
        }
        self.least.push(shape);
        self.is_changed = true;
    }

    /// As much of each kind as the smallest task is of the kind it takes most of.
    fn smallest(&self) -> Option<Amounts> {
        let shares = self.least.iter().map(|shape| shape.dominant_share(&self.total)).filter(|share| share.held() > 0);
        let share = shares.min_by(|a, b| a.cmp(b))?;
        Some(self.total.each_as(|total| if total == 0 { u64::MAX } else { share.part_of(total) }))
    }

    /// What differs too much by now. In a small tree everything is exact.
    pub fn due(&mut self, nodes: usize) -> Due {
        let is_small = nodes <= SMALL;
        let has_grown = !is_small && std::mem::replace(&mut self.was_small, is_small);
        self.was_small = is_small;
        if !std::mem::take(&mut self.is_changed) && !has_grown {
            return Due::Of(Vec::new());
        }
        let reduced = self.total.reduced();
        let task = self.smallest();
        // Half of it: it may become smaller as the cluster changes, and what is noted by it stays right.
        let is_within = match (&self.task, &task) {
            (Some(old), Some(new)) => new.covers(old),
            (old, new) => old == new,
        };
        if has_grown || !is_within {
            self.task = task.map(|task| task.each_as(|amount| amount / 2));
        }
        if has_grown || !is_within || (is_small && self.levels.iter().any(|level| level.base != reduced)) {
            self.renew(&reduced);
            return Due::All;
        }
        let mut due = Vec::new();
        for (at, level) in self.levels.iter_mut().enumerate().filter(|(_, level)| level.base != reduced) {
            // No level has parts beyond 2^28.
            let parts = u32::try_from(1_u64 << (LOWEST + at + 1)).unwrap_or(u32::MAX);
            let is_last = at + 1 == LEVELS;
            if is_last || level.places.is_empty() || reduced.is_out_of_proportion(&level.base, parts) {
                level.base = reduced.clone();
                due.extend(level.places.iter().copied());
            }
        }
        Due::Of(due)
    }

    /// All shares are found anew anyway.
    pub fn renew_all(&mut self) {
        if self.levels.iter().any(|level| level.base != self.levels[0].base) || self.is_changed {
            let reduced = self.total.reduced();
            self.renew(&reduced);
        }
    }

    fn renew(&mut self, reduced: &Amounts) {
        self.levels.iter_mut().for_each(|level| level.base = reduced.clone());
    }

    fn count(&mut self) {
        self.total = self.whole.clone();
        for kind in &self.excluded {
            self.total.forget(*kind);
        }
        self.is_changed = true;
    }
}

impl Tree {
    /// The whole cluster, as far as it counts for shares.
    pub fn total(&self) -> &Amounts {
        &self.measure.total
    }

    /// The cluster grew.
    pub fn add_total(&mut self, more: &Amounts) {
        self.measure.whole.add(more);
        self.measure.count();
    }

    /// The cluster shrank.
    pub fn sub_total(&mut self, less: &Amounts) {
        self.measure.whole.sub(less);
        self.measure.count();
    }

    /// Kinds that count for no share.
    pub fn set_excluded(&mut self, kinds: Vec<usize>) {
        self.measure.excluded = kinds;
        self.measure.count();
    }

    /// Somebody wants such a shape.
    pub fn note_task(&mut self, shape: &Amounts) {
        self.measure.note_task(shape);
    }

    /// Finds the shares of all children of a place, and their order.
    pub(super) fn measure_children(&mut self, place: usize) {
        let below: Vec<usize> = self.nodes[place].below.iter().copied().collect();
        for at in below {
            self.is_changed[at] = true;
            self.rank(at);
        }
        let (ranks, places, moved) = (&self.ranks, &mut self.places, &mut self.moved);
        let wanting = &mut self.nodes[place].wanting;
        wanting.iter_mut().for_each(|child| *child = ranks[child.node()]);
        heap::build(wanting, Rank::is_before, |child, to| {
            places[child.node()] = u32::try_from(to).unwrap_or(NOWHERE);
            *moved += 1;
        });
    }

    /// Gives places whose children hold more than there may be at their level another one.
    pub(super) fn raise_outgrown(&mut self) {
        while let Some(place) = self.measure.outgrown.pop() {
            let old = self.nodes[place].level;
            let held = self.nodes[place].below.iter().map(|at| &self.nodes[*at].held);
            let new = self.measure.level_of(held);
            if new <= old {
                continue;
            }
            self.nodes[place].level = new;
            self.measure.forget(place, old);
            self.measure.add(place, new);
            if self.measure.base(old) != self.measure.base(new) {
                self.measure_children(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proffer_proto_model::{Bytes, MilliCpus, Resources};

    use super::*;
    use crate::share::Kinds;

    fn amounts(cpus: u64, memory: u64) -> Amounts {
        Kinds::default().amounts(&Resources::new(MilliCpus(cpus), Bytes(memory)))
    }

    fn grow(measure: &mut Measure, cpus: u64, memory: u64) {
        measure.whole.add(&amounts(cpus, memory));
        measure.count();
    }

    /// Of a large tree.
    fn measure(agents: usize) -> Measure {
        let mut measure = Measure::default();
        measure.note_task(&amounts(1_000, 1_000));
        (0..agents).for_each(|_| grow(&mut measure, 4_000, 4_000));
        assert_eq!(measure.due(1_000), Due::All, "the first is new");
        measure
    }

    fn nothing() -> Due {
        Due::Of(Vec::new())
    }

    #[test]
    fn agents_of_one_size_never_change_a_share() {
        let mut measure = measure(1);
        for _ in 0..1_000 {
            grow(&mut measure, 4_000, 4_000);
            assert_eq!(measure.due(1_000), nothing());
        }
    }

    #[test]
    fn who_holds_much_is_measured_anew_before_who_holds_little() {
        let mut measure = measure(1_000);
        measure.add(7, 0);
        measure.add(8, 6);
        // One part of 4,000 more of one kind than of the other.
        grow(&mut measure, 4_000, 3_000);
        assert_eq!(measure.due(1_000), nothing());
        grow(&mut measure, 4_000, 3_000);
        assert_eq!(measure.due(1_000), Due::Of(vec![8]), "of 1,024 tasks that is half of one");
        (0..4).for_each(|_| grow(&mut measure, 40_000, 2_000));
        assert_eq!(measure.due(1_000), Due::Of(vec![7, 8]));
    }

    #[test]
    fn the_level_follows_what_is_held_and_the_smallest_task() {
        let mut measure = measure(1_000);
        let level = |measure: &Measure, tasks: u64| measure.level_of([amounts(0, tasks * 1_000)].iter());
        assert_eq!((level(&measure, 1), level(&measure, 8), level(&measure, 100)), (1, 1, 5));
        measure.note_task(&amounts(100, 50));
        assert_eq!(measure.due(1_000), Due::All, "all hold more tasks than before");
        assert_eq!(level(&measure, 100), 8);
        measure.note_task(&amounts(600, 900));
        assert_eq!(measure.due(1_000), nothing(), "that is not less");
    }

    #[test]
    fn in_a_small_tree_and_for_a_new_kind_every_difference_counts_at_once() {
        let mut measure = measure(200);
        measure.add(7, 0);
        grow(&mut measure, 4_000, 3_999);
        assert_eq!(measure.due(10), Due::All);
        assert_eq!(measure.due(1_000), Due::All, "it has grown");
        let disk = Resources { disk: Bytes(1), ..Resources::default() };
        measure.whole.add(&Kinds::default().amounts(&disk));
        measure.count();
        assert_eq!(measure.due(1_000), Due::All);
    }
}
