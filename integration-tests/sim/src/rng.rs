//! Seeded random numbers. Every consumer has a child generator of its own, so that one more draw in one
//! place does not shift all others.

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and the same for ever.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A generator for a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The generator of one consumer, independent of how much others drew.
    pub fn child(seed: u64, consumer: &str) -> Self {
        let mut mixed = Self::new(seed);
        for byte in consumer.bytes() {
            mixed.state ^= u64::from(byte);
            mixed.next();
        }
        mixed
    }

    /// The next 64 bits.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "an empty range has no number");
        match (high - low).checked_add(1) {
            Some(width) => low + self.next() % width,
            None => self.next(),
        }
    }

    /// True in `per_mille` of 1,000 cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.next() % 1_000 < per_mille
    }

    /// One of the items; `None` when there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.range(0, items.len() as u64 - 1) as usize) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_children_differ() {
        let numbers = |mut rng: Rng| (0..8).map(|_| rng.next()).collect::<Vec<_>>();
        assert_eq!(numbers(Rng::child(7, "net")), numbers(Rng::child(7, "net")));
        assert_ne!(numbers(Rng::child(7, "net")), numbers(Rng::child(7, "faults")));
        assert_ne!(numbers(Rng::child(7, "net")), numbers(Rng::child(8, "net")));
    }

    #[test]
    fn ranges_hold_both_ends() {
        let mut rng = Rng::new(1);
        let seen: std::collections::BTreeSet<u64> = (0..200).map(|_| rng.range(3, 6)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
    }
}
