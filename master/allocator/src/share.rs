//! Dominant shares, compared exactly. Nothing here is ever rounded.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use proffer_proto_model::Resources;

const FIXED_KINDS: usize = 4;

/// The number of the kind.
pub(crate) const CPUS: usize = 0;
/// The number of the kind.
pub(crate) const MEMORY: usize = 1;
/// The number of the kind.
pub(crate) const DISK: usize = 2;
/// The number of the kind.
pub(crate) const GPUS: usize = 3;

/// Numbers for the names of further scalars, given once and kept. What agents have and operators set always gets one.
#[derive(Debug, Default)]
pub(crate) struct Kinds(BTreeMap<String, usize>);

/// As long as there are fewer names than this, one that is only wanted gets a number too: what keeps room for it then
/// knows it as soon as an agent has it. Beyond, it waits for the demand to be stated anew: amounts are as long as the
/// largest number in them, and anybody can want names without end.
const MOST_NAMES_WANTED: usize = 256;

/// Countable amounts by kind: cpus, memory, disk, gpus, then further scalars by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    fixed: [u64; FIXED_KINDS],
    further: Vec<u64>,
}

impl Kinds {
    /// The countable part of an amount.
    pub fn amounts(&mut self, of: &Resources) -> Amounts {
        let fixed = [of.cpus.0, of.memory.0, of.disk.0, u64::from(of.gpus)];
        let mut further = Vec::new();
        if of.scalars.is_empty() {
            return Amounts { fixed, further };
        }
        for (name, milli) in &of.scalars {
            let at = self.scalar(name);
            if further.len() <= at {
                further.resize(at + 1, 0);
            }
            further[at] = *milli;
        }
        Amounts { fixed, further }
    }

    /// The countable part of what somebody wants. Scalars that nobody has are left out when there are many names.
    pub fn amounts_wanted(&mut self, of: &Resources) -> Amounts {
        if self.0.len().saturating_add(of.scalars.len()) <= MOST_NAMES_WANTED {
            self.amounts(of)
        } else {
            self.amounts_of(of)
        }
    }

    /// The countable part of an amount. Scalars never seen are left out.
    pub fn amounts_of(&self, of: &Resources) -> Amounts {
        let fixed = [of.cpus.0, of.memory.0, of.disk.0, u64::from(of.gpus)];
        let mut further = Vec::new();
        for (name, milli) in &of.scalars {
            let Some(at) = self.0.get(name) else { continue };
            if further.len() <= *at {
                further.resize(at + 1, 0);
            }
            further[*at] = *milli;
        }
        Amounts { fixed, further }
    }

    /// The kinds of which there is something. Scalars never seen are left out.
    pub fn present(&self, of: &Resources) -> impl Iterator<Item = usize> {
        let fixed = [of.cpus.0, of.memory.0, of.disk.0, u64::from(of.gpus)];
        let fixed = fixed.into_iter().enumerate().filter(|(_, amount)| *amount > 0).map(|(kind, _)| kind);
        fixed.chain(of.scalars.keys().filter_map(|name| self.find_scalar(name)))
    }

    /// The number of a kind by its name.
    pub fn number(&mut self, name: &str) -> usize {
        match name {
            "cpus" => CPUS,
            "memory" => MEMORY,
            "disk" => DISK,
            "gpus" => GPUS,
            other => self.number_of_scalar(other),
        }
    }

    /// The number of a further scalar, when it was ever seen.
    pub fn find_scalar(&self, name: &str) -> Option<usize> {
        self.0.get(name).map(|at| FIXED_KINDS + at)
    }

    /// The number of a further scalar.
    pub fn number_of_scalar(&mut self, name: &str) -> usize {
        FIXED_KINDS + self.scalar(name)
    }

    fn scalar(&mut self, name: &str) -> usize {
        let next = self.0.len();
        match self.0.get(name) {
            Some(at) => *at,
            None => *self.0.entry(name.to_owned()).or_insert(next),
        }
    }
}

impl Amounts {
    /// Adds, at most up to the largest number.
    pub fn add(&mut self, more: &Amounts) {
        for (have, more) in self.fixed.iter_mut().zip(&more.fixed) {
            *have = have.saturating_add(*more);
        }
        if more.further.is_empty() {
            return;
        }
        if self.further.len() < more.further.len() {
            self.further.resize(more.further.len(), 0);
        }
        for (have, more) in self.further.iter_mut().zip(&more.further) {
            *have = have.saturating_add(*more);
        }
    }

    /// Takes away, at most down to zero.
    pub fn sub(&mut self, less: &Amounts) {
        for (have, less) in self.fixed.iter_mut().zip(&less.fixed) {
            *have = have.saturating_sub(*less);
        }
        for (have, less) in self.further.iter_mut().zip(&less.further) {
            *have = have.saturating_sub(*less);
        }
    }

    /// The amount of one kind.
    pub fn of(&self, kind: usize) -> u64 {
        match kind.checked_sub(FIXED_KINDS) {
            None => self.fixed[kind],
            Some(at) => self.further.get(at).copied().unwrap_or(0),
        }
    }

    /// The kinds of which there is something, and how much.
    pub fn present(&self) -> impl Iterator<Item = (usize, u64)> {
        self.each().enumerate().filter(|(_, amount)| *amount > 0)
    }

    /// There is nothing of any kind.
    pub fn is_nothing(&self) -> bool {
        self.present().next().is_none()
    }

    /// No more of the kind than this.
    pub fn cap(&mut self, kind: usize, most: u64) {
        if let Some(amount) = self.each_mut().nth(kind) {
            *amount = most.min(*amount);
        }
    }

    /// As if there were nothing of the kind.
    pub fn forget(&mut self, kind: usize) {
        if let Some(amount) = self.each_mut().nth(kind) {
            *amount = 0;
        }
    }

    /// Divided by the greatest number that divides all of it without rest.
    pub fn reduced(&self) -> Amounts {
        let divisor = self.each().fold(0, greatest_common_divisor).max(1);
        let mut reduced = self.clone();
        reduced.each_mut().for_each(|amount| *amount /= divisor);
        reduced
    }

    /// Some kind is more in proportion to another one than in `base`, by more than one part of so many; or there is a
    /// kind only in one of the two.
    pub fn is_out_of_proportion(&self, base: &Amounts, parts: u32) -> bool {
        let kinds = FIXED_KINDS + self.further.len().max(base.further.len());
        let both: Vec<(u64, u64)> = (0..kinds).map(|kind| (self.of(kind), base.of(kind))).collect();
        if both.iter().any(|(now, then)| (*now == 0) != (*then == 0)) {
            return true;
        }
        let there = || both.iter().filter(|(now, _)| *now > 0);
        let is_more = |(now, then): &(u64, u64), (other_now, other_then): &(u64, u64)| {
            product(*now, *other_then, parts) > product(*then, *other_now, parts.saturating_add(1))
        };
        there().any(|one| there().any(|other| is_more(one, other)))
    }

    /// No less of any kind.
    pub fn covers(&self, less: &Amounts) -> bool {
        less.present().all(|(kind, amount)| self.of(kind) >= amount)
    }

    /// What is in both of them.
    pub fn least(&self, other: &Amounts) -> Amounts {
        let mut least = self.clone();
        least.each_mut().enumerate().for_each(|(kind, amount)| *amount = other.of(kind).min(*amount));
        least
    }

    /// Each amount, changed.
    pub fn each_as(&self, change: impl Fn(u64) -> u64) -> Amounts {
        let mut changed = self.clone();
        changed.each_mut().for_each(|amount| *amount = change(*amount));
        changed
    }

    /// The largest part of `total` held in any kind.
    pub fn dominant_share(&self, total: &Amounts) -> Share {
        let mut most = Share::default();
        let mut weigh = |held: u64, total: u64| {
            if u128::from(held) * u128::from(most.total) > u128::from(most.held) * u128::from(total) {
                most = Share { held, total, weight: 1 };
            }
        };
        let is_there = |total: &u64| *total > 0;
        for (held, total) in self.fixed.iter().zip(&total.fixed).filter(|(_, total)| is_there(total)) {
            weigh(*held, *total);
        }
        for (held, total) in self.further.iter().zip(&total.further).filter(|(_, total)| is_there(total)) {
            weigh(*held, *total);
        }
        most
    }

    fn each(&self) -> impl Iterator<Item = u64> {
        self.fixed.iter().chain(&self.further).copied()
    }

    fn each_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        self.fixed.iter_mut().chain(&mut self.further)
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// A part of a whole, divided by a weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    held: u64,
    total: u64,
    weight: u32,
}

impl Default for Share {
    fn default() -> Self {
        Self { held: 0, total: 1, weight: 1 }
    }
}

impl Share {
    /// The same share counted with a weight; 0 counts as 1.
    pub fn weighted(self, weight: u32) -> Self {
        Self { weight: weight.max(1), ..self }
    }

    /// In millionths of the whole, for people.
    pub fn millionths(self) -> u64 {
        let millionths = u128::from(self.held) * 1_000_000 / u128::from(self.total.max(1));
        u64::try_from(millionths).unwrap_or(u64::MAX)
    }

    /// Of the same whole and with the same weight: whichever [`Share::held`] is more is more.
    #[inline]
    pub fn has_base_of(&self, other: &Share) -> bool {
        (self.total == other.total) & (self.weight == other.weight)
    }

    /// The same share of another amount.
    pub fn part_of(&self, amount: u64) -> u64 {
        let part = u128::from(self.held) * u128::from(amount) / u128::from(self.total.max(1));
        u64::try_from(part).unwrap_or(u64::MAX)
    }

    /// What is held of the whole.
    #[inline]
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Compares exactly by cross-multiplication.
    pub fn cmp(&self, other: &Share) -> Ordering {
        if self.has_base_of(other) {
            return self.held.cmp(&other.held);
        }
        product(self.held, other.total, other.weight).cmp(&product(other.held, self.total, self.weight))
    }
}

/// The exact product of 64, 64 and 32 bits, highest part first: it may need more than 128 bits.
fn product(a: u64, b: u64, weight: u32) -> (u128, u64) {
    let both = u128::from(a) * u128::from(b);
    let low = (both & u128::from(u64::MAX)) * u128::from(weight);
    let high = (both >> 64) * u128::from(weight) + (low >> 64);
    (high, (low & u128::from(u64::MAX)) as u64)
}

#[cfg(test)]
mod tests {
    use proffer_proto_model::{Bytes, MilliCpus};

    use super::*;

    #[test]
    fn the_larger_part_counts_and_weights_divide_it() {
        let mut kinds = Kinds::default();
        let total = kinds.amounts(&Resources::new(MilliCpus(9_000), Bytes(18)));
        let a = kinds.amounts(&Resources::new(MilliCpus(3_000), Bytes(0))).dominant_share(&total);
        let b = kinds.amounts(&Resources::new(MilliCpus(0), Bytes(6))).dominant_share(&total);
        assert_eq!(a.cmp(&b), Ordering::Equal, "a third is a third, without rounding");
        assert_eq!(a.weighted(2).cmp(&b), Ordering::Less);
        assert_eq!(a.millionths(), 333_333);
    }

    #[test]
    fn shares_stay_exact_at_the_largest_numbers() {
        let share = |held, total, weight| Share { held, total, weight };
        let more = share(u64::MAX, u64::MAX, u32::MAX - 1);
        let less = share(u64::MAX - 1, u64::MAX, u32::MAX - 1);
        assert_eq!(less.cmp(&more), Ordering::Less);
        assert_eq!(more.cmp(&share(u64::MAX, u64::MAX, u32::MAX)), Ordering::Greater, "a smaller weight counts more");
        assert_eq!(more.cmp(&more), Ordering::Equal);
    }

    #[test]
    fn names_that_are_only_wanted_make_no_amount_longer_without_end() {
        let mut kinds = Kinds::default();
        let odd = |name: String| Resources { scalars: [(name, 5)].into(), ..Resources::default() };
        for n in 0..10_000 {
            kinds.amounts_wanted(&odd(format!("wanted-{n}")));
        }
        assert_eq!(kinds.0.len(), MOST_NAMES_WANTED);
        assert_eq!(kinds.amounts_wanted(&odd("wanted-9999".to_owned())), Amounts::default());
        let had = kinds.amounts(&odd("wanted-9999".to_owned()));
        assert_eq!(kinds.amounts_wanted(&odd("wanted-9999".to_owned())), had, "an agent has it now");
        assert!(had.present().count() == 1 && had.further.len() == MOST_NAMES_WANTED + 1);
    }

    #[test]
    fn a_kind_the_cluster_does_not_have_does_not_count() {
        let mut kinds = Kinds::default();
        let total = kinds.amounts(&Resources::new(MilliCpus(1_000), Bytes(0)));
        let odd = Resources { scalars: [("x".to_owned(), 5)].into(), ..Resources::default() };
        assert_eq!(kinds.amounts(&odd).dominant_share(&total).millionths(), 0);
    }
}
