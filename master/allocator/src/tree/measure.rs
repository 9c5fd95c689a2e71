//! What shares are measured against: the total of the cluster, without kinds that are excluded from fairness.
//!
//! When the total changes, whoever holds much of one kind may come before somebody who holds much of another, or no
//! more; so all shares would have to be found anew, of every framework for every agent that comes. Two things make that
//! rare:
//! - Only the proportions of the kinds matter: the total is divided by what all of it can be divided by. Agents of one size
//!   come and go without any change.
//! - Shares may be measured against a slightly older total, whose proportions differ by no more than [`DRIFT`], until so
//!   many nodes were settled as there are: then finding all of them anew costs no more than was done anyway.

use super::Tree;
use crate::share::Amounts;

/// Proportions that differ by more than one part of so many count at once.
const DRIFT: u64 = 64;

/// In a tree of so many nodes they count at once, however little they differ.
const SMALL: usize = 64;

/// See the file's top.
#[derive(Debug, Default)]
pub(super) struct Measure {
    /// Of the whole cluster.
    whole: Amounts,
    /// The same without kinds that are excluded from fairness.
    total: Amounts,
    excluded: Vec<usize>,
    /// The total changed since somebody asked.
    is_changed: bool,
    /// The total, divided by its greatest common divisor.
    reduced: Amounts,
    /// The same, when shares were measured.
    base: Amounts,
    /// Nodes settled since the two differ; `None` while they do not.
    settled: Option<usize>,
}

impl Measure {
    /// What shares are measured against now.
    pub fn base(&self) -> &Amounts {
        &self.base
    }

    /// All shares have to be measured anew, before some `changed` of all `nodes` are settled.
    pub fn is_due(&mut self, changed: usize, nodes: usize) -> bool {
        let mut is_far = false;
        if std::mem::take(&mut self.is_changed) {
            self.reduced = self.total.reduced();
            is_far = self.reduced.is_out_of_proportion(&self.base, DRIFT);
            let is_new = self.reduced != self.base;
            self.settled = is_new.then(|| self.settled.unwrap_or(0));
        }
        let Some(settled) = &mut self.settled else { return false };
        *settled += changed;
        is_far || nodes <= SMALL || *settled >= nodes
    }

    /// All shares are measured anew.
    pub fn renew(&mut self) {
        if self.settled.take().is_some() {
            self.base = self.reduced.clone();
        }
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
}

#[cfg(test)]
mod tests {
    use proffer_proto_model::{Bytes, MilliCpus, Resources};

    use super::*;
    use crate::share::Kinds;

    fn measure(agents: &[(u64, u64)]) -> Measure {
        let (mut measure, mut kinds) = (Measure::default(), Kinds::default());
        for (cpus, memory) in agents {
            measure.whole.add(&kinds.amounts(&Resources::new(MilliCpus(*cpus), Bytes(*memory))));
            measure.count();
        }
        measure
    }

    fn grow(measure: &mut Measure, cpus: u64, memory: u64) {
        measure.whole.add(&Kinds::default().amounts(&Resources::new(MilliCpus(cpus), Bytes(memory))));
        measure.count();
    }

    #[test]
    fn agents_of_one_size_never_change_a_share() {
        let mut measure = measure(&[(4_000, 1 << 34)]);
        assert!(measure.is_due(0, 1_000), "the first is new");
        measure.renew();
        for _ in 0..1_000 {
            grow(&mut measure, 4_000, 1 << 34);
            assert!(!measure.is_due(1_000, 1_000));
        }
    }

    #[test]
    fn a_small_difference_counts_when_it_costs_no_more_than_what_was_done() {
        let mut measure = measure(&[(4_000, 4_000); 200]);
        assert!(measure.is_due(0, 1_000));
        measure.renew();
        grow(&mut measure, 4_000, 2_000);
        assert!(!measure.is_due(400, 1_000));
        assert!(!measure.is_due(400, 1_000));
        assert!(measure.is_due(400, 1_000), "1,200 of 1,000 nodes were settled");
        measure.renew();
        assert!(!measure.is_due(2_000, 1_000), "nothing differs any more");
        grow(&mut measure, 40_000, 2_000);
        assert!(measure.is_due(0, 1_000), "that is a large difference");
    }

    #[test]
    fn in_a_small_tree_and_for_a_new_kind_every_difference_counts_at_once() {
        let mut measure = measure(&[(4_000, 4_000); 200]);
        assert!(measure.is_due(0, 1_000));
        measure.renew();
        grow(&mut measure, 4_000, 3_999);
        assert!(measure.is_due(0, 10));
        measure.renew();
        let disk = Resources { disk: Bytes(1), ..Resources::default() };
        measure.whole.add(&Kinds::default().amounts(&disk));
        measure.count();
        assert!(measure.is_due(0, 1_000));
    }
}
