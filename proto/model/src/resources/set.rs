//! Amounts of all kinds together, with checked arithmetic.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Bytes, MilliCpus, PortSet, format_milli};

/// An amount of resources. Kinds that are not there are zero; no zero entry is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// CPU.
    pub cpus: MilliCpus,
    /// Memory.
    pub memory: Bytes,
    /// Disk.
    pub disk: Bytes,
    /// Whole GPUs.
    pub gpus: u32,
    /// Host ports.
    pub ports: PortSet,
    /// Further countable kinds, in thousandths.
    pub scalars: BTreeMap<String, u64>,
    /// Further kinds that are sets of names.
    pub sets: BTreeMap<String, BTreeSet<String>>,
}

/// What an amount lacks to cover another: never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage(pub Resources);

impl Resources {
    /// CPU and memory, the usual two.
    pub fn new(cpus: MilliCpus, memory: Bytes) -> Self {
        Self { cpus, memory, ..Self::default() }
    }

    /// Holds nothing.
    pub fn is_empty(&self) -> bool {
        let Resources { cpus, memory, disk, gpus, ports, scalars, sets } = self;
        cpus.0 == 0
            && memory.0 == 0
            && disk.0 == 0
            && *gpus == 0
            && ports.is_empty()
            && scalars.is_empty()
            && sets.is_empty()
    }

    /// Covers `other` in every kind.
    pub fn contains(&self, other: &Resources) -> bool {
        let Resources { cpus, memory, disk, gpus, ports, scalars, sets } = other;
        let has_items =
            |name: &String, items: &BTreeSet<String>| self.sets.get(name).is_some_and(|h| h.is_superset(items));
        self.cpus >= *cpus
            && self.memory >= *memory
            && self.disk >= *disk
            && self.gpus >= *gpus
            && self.ports.contains(ports)
            && scalars.iter().all(|(name, want)| self.scalars.get(name).copied().unwrap_or(0) >= *want)
            && sets.iter().all(|(name, items)| items.is_empty() || has_items(name, items))
    }

    /// Adds in place. Counts saturate, ports and sets unite.
    pub fn add(&mut self, more: Resources) {
        let Resources { cpus, memory, disk, gpus, ports, scalars, sets } = more;
        self.cpus.0 = self.cpus.0.saturating_add(cpus.0);
        self.memory.0 = self.memory.0.saturating_add(memory.0);
        self.disk.0 = self.disk.0.saturating_add(disk.0);
        self.gpus = self.gpus.saturating_add(gpus);
        if self.ports.is_empty() {
            self.ports = ports;
        } else if !ports.is_empty() {
            self.ports = self.ports.union(&ports);
        }
        for (name, more) in scalars {
            let have = self.scalars.entry(name).or_default();
            *have = have.saturating_add(more);
        }
        for (name, more) in sets {
            self.sets.entry(name).or_default().extend(more);
        }
    }

    /// Takes away in place. False, and nothing is changed, when it is not covered.
    #[must_use]
    pub fn take(&mut self, less: &Resources) -> bool {
        if !self.contains(less) {
            return false;
        }
        self.cpus.0 -= less.cpus.0;
        self.memory.0 -= less.memory.0;
        self.disk.0 -= less.disk.0;
        self.gpus -= less.gpus;
        if !less.ports.is_empty() {
            self.ports = self.ports.minus(&less.ports);
        }
        if less.scalars.is_empty() && less.sets.is_empty() {
            return true;
        }
        for (name, less) in &less.scalars {
            if let Some(have) = self.scalars.get_mut(name) {
                *have -= less;
            }
        }
        for (name, less) in &less.sets {
            if let Some(have) = self.sets.get_mut(name) {
                have.retain(|item| !less.contains(item));
            }
        }
        self.normalize();
        true
    }

    /// What is missing to cover `other`; `None` when nothing is.
    pub fn shortage(&self, other: &Resources) -> Option<Shortage> {
        let mut missing = Resources {
            cpus: MilliCpus(other.cpus.0.saturating_sub(self.cpus.0)),
            memory: Bytes(other.memory.0.saturating_sub(self.memory.0)),
            disk: Bytes(other.disk.0.saturating_sub(self.disk.0)),
            gpus: other.gpus.saturating_sub(self.gpus),
            ports: other.ports.minus(&self.ports),
            scalars: BTreeMap::new(),
            sets: BTreeMap::new(),
        };
        for (name, want) in &other.scalars {
            let short = want.saturating_sub(self.scalars.get(name).copied().unwrap_or(0));
            if short > 0 {
                missing.scalars.insert(name.clone(), short);
            }
        }
        for (name, want) in &other.sets {
            let have = self.sets.get(name);
            let short: BTreeSet<String> =
                want.iter().filter(|item| !have.is_some_and(|h| h.contains(*item))).cloned().collect();
            if !short.is_empty() {
                missing.sets.insert(name.clone(), short);
            }
        }
        (!missing.is_empty()).then_some(Shortage(missing))
    }

    /// The sum. `None` when a count overflows, or a port or set item would be there twice.
    pub fn checked_add(&self, other: &Resources) -> Option<Resources> {
        if self.ports.intersects(&other.ports) {
            return None;
        }
        let mut sum = Resources {
            cpus: MilliCpus(self.cpus.0.checked_add(other.cpus.0)?),
            memory: Bytes(self.memory.0.checked_add(other.memory.0)?),
            disk: Bytes(self.disk.0.checked_add(other.disk.0)?),
            gpus: self.gpus.checked_add(other.gpus)?,
            ports: self.ports.union(&other.ports),
            scalars: self.scalars.clone(),
            sets: self.sets.clone(),
        };
        for (name, more) in &other.scalars {
            let have = sum.scalars.entry(name.clone()).or_default();
            *have = have.checked_add(*more)?;
        }
        for (name, more) in &other.sets {
            let have = sum.sets.entry(name.clone()).or_default();
            for item in more {
                if !have.insert(item.clone()) {
                    return None;
                }
            }
        }
        sum.normalize();
        Some(sum)
    }

    /// The sum for totals shown to people over several agents: counts saturate, ports and sets unite.
    pub fn saturating_sum(&self, other: &Resources) -> Resources {
        let mut sum = self.clone();
        sum.add(other.clone());
        sum
    }

    /// The difference. `None` when `other` is not covered.
    pub fn checked_sub(&self, other: &Resources) -> Option<Resources> {
        let mut rest = self.clone();
        rest.take(other).then_some(rest)
    }

    /// What is left after taking `other` as far as it is there: never fails, never below zero.
    pub fn saturating_minus(&self, other: &Resources) -> Resources {
        let mut rest = Resources {
            cpus: MilliCpus(self.cpus.0.saturating_sub(other.cpus.0)),
            memory: Bytes(self.memory.0.saturating_sub(other.memory.0)),
            disk: Bytes(self.disk.0.saturating_sub(other.disk.0)),
            gpus: self.gpus.saturating_sub(other.gpus),
            ports: self.ports.minus(&other.ports),
            scalars: self.scalars.clone(),
            sets: self.sets.clone(),
        };
        for (name, less) in &other.scalars {
            if let Some(have) = rest.scalars.get_mut(name) {
                *have = have.saturating_sub(*less);
            }
        }
        for (name, less) in &other.sets {
            if let Some(have) = rest.sets.get_mut(name) {
                have.retain(|item| !less.contains(item));
            }
        }
        rest.normalize();
        rest
    }

    /// What both hold: the smaller amount of each kind, the ports and items that are in both.
    pub fn common(&self, other: &Resources) -> Resources {
        self.saturating_minus(&self.saturating_minus(other))
    }

    /// Drops zero entries, so that equal amounts are equal values.
    pub fn normalize(&mut self) {
        self.scalars.retain(|_, amount| *amount > 0);
        self.sets.retain(|_, items| !items.is_empty());
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.cpus.0 > 0 {
            parts.push(format!("{} cpus", self.cpus));
        }
        if self.memory.0 > 0 {
            parts.push(format!("{} memory", self.memory));
        }
        if self.disk.0 > 0 {
            parts.push(format!("{} disk", self.disk));
        }
        if self.gpus > 0 {
            parts.push(format!("{} gpus", self.gpus));
        }
        if !self.ports.is_empty() {
            parts.push(format!("ports {}", self.ports));
        }
        for (name, milli) in &self.scalars {
            parts.push(format!("{} {name}", format_milli(i64::try_from(*milli).unwrap_or(i64::MAX))));
        }
        for (name, items) in &self.sets {
            parts.push(format!("{name} {{{}}}", items.iter().cloned().collect::<Vec<_>>().join(",")));
        }
        if parts.is_empty() { f.write_str("nothing") } else { f.write_str(&parts.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::resources::PortRange;

    fn amounts() -> impl Strategy<Value = Resources> {
        (
            0u64..5_000,
            0u64..1 << 40,
            0u32..4,
            proptest::collection::vec((1u16..300, 0u16..9), 0..4),
            proptest::collection::btree_map("[ab]", 1u64..9, 0..2),
        )
            .prop_map(|(cpus, memory, gpus, ports, scalars)| Resources {
                cpus: MilliCpus(cpus),
                memory: Bytes(memory),
                gpus,
                ports: ports.into_iter().map(|(b, n)| PortRange { begin: b, end: b + n }).collect(),
                scalars,
                ..Resources::default()
            })
    }

    proptest! {
        #[test]
        fn taking_away_what_was_added_gives_back_the_same(a in amounts(), b in amounts()) {
            if let Some(sum) = a.checked_add(&b) {
                prop_assert!(sum.contains(&a) && sum.contains(&b));
                prop_assert_eq!(sum.checked_sub(&b), Some(a));
            } else {
                prop_assert!(a.ports.intersects(&b.ports));
            }
        }

        #[test]
        fn a_shortage_is_exactly_what_is_missing(a in amounts(), b in amounts()) {
            match a.shortage(&b) {
                None => prop_assert!(a.checked_sub(&b).is_some()),
                Some(Shortage(missing)) => {
                    prop_assert!(a.checked_sub(&b).is_none());
                    prop_assert!(a.saturating_sum(&missing).contains(&b));
                }
            }
        }
    }

    #[test]
    fn overflow_is_refused_not_wrapped() {
        let most = Resources::new(MilliCpus(u64::MAX), Bytes(0));
        assert_eq!(most.checked_add(&Resources::new(MilliCpus(1), Bytes(0))), None);
    }
}
