//! Sets of ports as sorted, disjoint, inclusive ranges.

use std::fmt;

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

/// Ports from `begin` to `end`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortRange {
    /// First port, at least 1.
    pub begin: u16,
    /// Last port.
    pub end: u16,
}

/// What is wrong with a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// A port is not 1–65535.
    #[error("port {port} is out of range; ports are 1 to 65535")]
    OutOfRange {
        /// The port given.
        port: u64,
    },
    /// The end is before the begin.
    #[error("port range {begin}-{end} ends before it begins; write {end}-{begin}")]
    Backwards {
        /// First.
        begin: u64,
        /// Last.
        end: u64,
    },
}

impl PortRange {
    /// Checks both ends.
    pub fn new(begin: u64, end: u64) -> Result<Self, PortError> {
        let port = |port: u64| match u16::try_from(port) {
            Ok(p) if p > 0 => Ok(p),
            _ => Err(PortError::OutOfRange { port }),
        };
        let range = Self { begin: port(begin)?, end: port(end)? };
        if range.begin > range.end { Err(PortError::Backwards { begin, end }) } else { Ok(range) }
    }

    /// Number of ports.
    pub fn count(self) -> u32 {
        u32::from(self.end) - u32::from(self.begin) + 1
    }
}

/// So few ranges need no memory of their own: most sets have one, and sets are made and ended all the time.
const FEW: usize = 4;

type Ranges = SmallVec<[PortRange; FEW]>;

/// A set of ports. Equal sets are equal values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "Vec<PortRange>", into = "Vec<PortRange>")]
pub struct PortSet(Ranges);

impl PortSet {
    /// No ports.
    pub const EMPTY: PortSet = PortSet(SmallVec::new_const());

    /// One port. Port 0 gives the empty set.
    pub fn single(port: u16) -> Self {
        if port == 0 { Self::EMPTY } else { Self(smallvec![PortRange { begin: port, end: port }]) }
    }

    /// The ranges, sorted and disjoint.
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }

    /// All ports in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.iter().flat_map(|r| r.begin..=r.end)
    }

    /// Number of ports.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|r| r.count()).sum()
    }

    /// Holds no port.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Holds every port of `other`.
    pub fn contains(&self, other: &PortSet) -> bool {
        other.0.iter().all(|o| {
            let at = self.0.partition_point(|r| r.end < o.begin);
            self.0.get(at).is_some_and(|r| r.begin <= o.begin && o.end <= r.end)
        })
    }

    /// Shares a port with `other`.
    pub fn intersects(&self, other: &PortSet) -> bool {
        other.0.iter().any(|o| {
            let at = self.0.partition_point(|r| r.end < o.begin);
            self.0.get(at).is_some_and(|r| r.begin <= o.end)
        })
    }

    /// Every port of either.
    pub fn union(&self, other: &PortSet) -> PortSet {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// The ports that are not in `other`.
    pub fn minus(&self, other: &PortSet) -> PortSet {
        let mut left = Ranges::new();
        for range in &self.0 {
            let (mut begin, end) = (u32::from(range.begin), u32::from(range.end));
            let at = other.0.partition_point(|o| o.end < range.begin);
            for cut in &other.0[at..] {
                if u32::from(cut.begin) > end {
                    break;
                }
                if u32::from(cut.begin) > begin {
                    left.push(PortRange { begin: begin as u16, end: cut.begin - 1 });
                }
                begin = begin.max(u32::from(cut.end) + 1);
            }
            if begin <= end {
                left.push(PortRange { begin: begin as u16, end: end as u16 });
            }
        }
        PortSet(left)
    }

    /// The `count` lowest ports; `None` when there are fewer.
    pub fn lowest(&self, count: u32) -> Option<PortSet> {
        if self.count() < count {
            return None;
        }
        Some(self.iter().take(count as usize).map(|p| PortRange { begin: p, end: p }).collect())
    }
}

impl From<Vec<PortRange>> for PortSet {
    fn from(ranges: Vec<PortRange>) -> Self {
        ranges.into_iter().collect()
    }
}

impl From<PortSet> for Vec<PortRange> {
    fn from(set: PortSet) -> Self {
        set.0.into_vec()
    }
}

impl FromIterator<PortRange> for PortSet {
    fn from_iter<I: IntoIterator<Item = PortRange>>(ranges: I) -> Self {
        let mut sorted: Ranges = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut merged = Ranges::new();
        for range in sorted {
            match merged.last_mut() {
                Some(last) if u32::from(range.begin) <= u32::from(last.end) + 1 => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        PortSet(merged)
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            if range.begin == range.end {
                write!(f, "{}", range.begin)?;
            } else {
                write!(f, "{}-{}", range.begin, range.end)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn sets() -> impl Strategy<Value = PortSet> {
        proptest::collection::vec((1u16..200, 0u16..20), 0..8)
            .prop_map(|ranges| ranges.into_iter().map(|(begin, more)| PortRange { begin, end: begin + more }).collect())
    }

    fn naive(set: &PortSet) -> BTreeSet<u16> {
        set.iter().collect()
    }

    proptest! {
        #[test]
        fn the_algebra_agrees_with_plain_sets(a in sets(), b in sets()) {
            let (na, nb) = (naive(&a), naive(&b));
            prop_assert_eq!(naive(&a.union(&b)), na.union(&nb).copied().collect::<BTreeSet<_>>());
            prop_assert_eq!(naive(&a.minus(&b)), na.difference(&nb).copied().collect::<BTreeSet<_>>());
            prop_assert_eq!(a.contains(&b), nb.is_subset(&na));
            prop_assert_eq!(a.intersects(&b), !na.is_disjoint(&nb));
            prop_assert_eq!(a.count() as usize, na.len());
        }
    }

    #[test]
    fn the_ends_of_the_port_space_work() {
        let all = PortSet::from(vec![PortRange { begin: 1, end: 65535 }]);
        let last = PortSet::single(65535);
        assert_eq!(all.minus(&last).to_string(), "1-65534");
        assert_eq!(all.minus(&last).union(&last), all);
        assert!(all.minus(&all).is_empty());
    }
}
