//! By what one node of the tree comes before or after another. Knows nothing of the tree.

use std::cmp::Ordering;

use crate::share::Share;

/// All that is compared, and whose it is: heaps hold these themselves, so that comparing touches nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rank {
    share: Share,
    grants_made: u64,
    /// Counts all nodes ever made.
    number: u64,
    node: u32,
    /// Something is promised to it, or to wanting roles below, that is not held.
    is_owed: bool,
}

impl Rank {
    /// Of a node that holds nothing.
    pub fn new(node: usize, number: u64) -> Self {
        // No memory holds as many nodes as a u32 counts.
        let node = u32::try_from(node).unwrap_or(u32::MAX);
        Self { share: Share::default(), grants_made: 0, number, node, is_owed: false }
    }

    /// Whose it is.
    #[inline]
    pub fn node(&self) -> usize {
        self.node as usize
    }

    /// Something is promised to it, or to wanting roles below, that is not held.
    #[inline]
    pub fn is_owed(&self) -> bool {
        self.is_owed
    }

    /// Comes before those that are not owed anything, or no more.
    pub fn set_owed(&mut self, is_owed: bool) {
        self.is_owed = is_owed;
    }

    /// Comes after those with less.
    pub fn set(&mut self, share: Share, grants_made: u64) {
        (self.share, self.grants_made) = (share, grants_made);
    }

    /// The same as `order` is less. Mostly shares have the same base, and which of two is less is as good as random:
    /// so all is compared without branches.
    #[inline]
    pub fn is_before(&self, other: &Rank) -> bool {
        if self.is_owed != other.is_owed || !self.share.has_base_of(&other.share) {
            return self.order(other) == Ordering::Less;
        }
        let (held, of_other) = (self.share.held(), other.share.held());
        (held < of_other) | ((held == of_other) & (self.tie() < other.tie()))
    }

    /// Those owed a part of a guarantee first, then by weighted dominant share, then by grants made, then by who came
    /// first.
    pub fn order(&self, other: &Rank) -> Ordering {
        let owed = other.is_owed.cmp(&self.is_owed);
        owed.then_with(|| self.share.cmp(&other.share)).then_with(|| self.tie().cmp(&other.tie()))
    }

    /// What decides between equal shares.
    #[inline]
    fn tie(&self) -> u128 {
        u128::from(self.grants_made) << 64 | u128::from(self.number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::share::Kinds;

    fn ranks() -> impl Strategy<Value = Rank> {
        let resources = (0u64..4, 0u64..4, 1u32..3, 0u64..3, 0u64..3, any::<bool>());
        resources.prop_map(|(cpus, memory, weight, grants, number, is_owed)| {
            use proffer_proto_model::{Bytes, MilliCpus, Resources};
            let mut kinds = Kinds::default();
            let total = kinds.amounts(&Resources::new(MilliCpus(4), Bytes(6)));
            let held = kinds.amounts(&Resources::new(MilliCpus(cpus), Bytes(memory)));
            let mut rank = Rank::new(0, number);
            rank.set(held.dominant_share(&total).weighted(weight), grants);
            rank.set_owed(is_owed);
            rank
        })
    }

    proptest! {
        #[test]
        fn the_short_way_and_the_long_way_agree(a in ranks(), b in ranks()) {
            prop_assert_eq!(a.is_before(&b), a.order(&b) == Ordering::Less);
            prop_assert_eq!(b.order(&a), a.order(&b).reverse());
        }
    }
}
