//! What a role is promised, and what it may hold at most. Only countable kinds: a port is nobody's promise.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::resources::format_milli;
use crate::{Bytes, MilliCpus, Resources};

/// The quota of a role, for it and all roles below it together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Quota {
    /// Kept free or taken back for the role. Kinds that are not there are not promised.
    pub guarantee: Resources,
    /// Never exceeded, offers and running tasks together.
    pub limit: Limit,
}

/// The most of each kind; kinds that are not there are not limited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limit {
    /// CPU.
    pub cpus: Option<MilliCpus>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Disk.
    pub disk: Option<Bytes>,
    /// Whole GPUs.
    pub gpus: Option<u32>,
    /// Further countable kinds, in thousandths.
    pub scalars: BTreeMap<String, u64>,
}

/// What is wrong with a quota.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuotaError {
    /// It names ports or a set.
    #[error("guarantee names {kind}, which cannot be promised; name countable kinds such as cpus and memory")]
    NotCountable {
        /// `ports`, or the name of the set.
        kind: String,
    },
    /// More is promised than allowed.
    #[error(
        "guarantee of {kind} is {guarantee}, more than the limit of {limit}; raise the limit or lower the guarantee"
    )]
    AboveLimit {
        /// Of which kind.
        kind: String,
        /// What is promised.
        guarantee: String,
        /// What is allowed.
        limit: String,
    },
}

impl Limit {
    /// The first kind of which `held` is more than allowed: its name, what is held and what is allowed.
    pub fn exceeded_by(&self, held: &Resources) -> Option<(String, String, String)> {
        let Limit { cpus, memory, disk, gpus, scalars } = self;
        let over = |kind: &str, held: String, most: String| Some((kind.to_owned(), held, most));
        if let Some(most) = cpus.filter(|most| held.cpus > *most) {
            return over("cpus", held.cpus.to_string(), most.to_string());
        }
        if let Some(most) = memory.filter(|most| held.memory > *most) {
            return over("memory", held.memory.to_string(), most.to_string());
        }
        if let Some(most) = disk.filter(|most| held.disk > *most) {
            return over("disk", held.disk.to_string(), most.to_string());
        }
        if let Some(most) = gpus.filter(|most| held.gpus > *most) {
            return over("gpus", held.gpus.to_string(), most.to_string());
        }
        let scalar = scalars.iter().find(|(name, most)| held.scalars.get(*name).is_some_and(|held| held > *most));
        scalar.and_then(|(name, most)| {
            let held = held.scalars.get(name).copied().unwrap_or(0);
            over(name, milli(held), milli(*most))
        })
    }

    /// Nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `2 cpus, 1GiB memory`: a kind that is there with nothing is shown, as it may not be used.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limit { cpus, memory, disk, gpus, scalars } = self;
        let fixed = [
            cpus.map(|most| format!("{most} cpus")),
            memory.map(|most| format!("{most} memory")),
            disk.map(|most| format!("{most} disk")),
            gpus.map(|most| format!("{most} gpus")),
        ];
        let further = scalars.iter().map(|(name, most)| format!("{} {name}", milli(*most)));
        let parts: Vec<String> = fixed.into_iter().flatten().chain(further).collect();
        f.pad(&if parts.is_empty() { "unlimited".to_owned() } else { parts.join(", ") })
    }
}

impl Quota {
    /// Only countable kinds, and no more promised than allowed.
    pub fn check(&self) -> Result<(), QuotaError> {
        if !self.guarantee.ports.is_empty() {
            return Err(QuotaError::NotCountable { kind: "ports".to_owned() });
        }
        if let Some(kind) = self.guarantee.sets.keys().next() {
            return Err(QuotaError::NotCountable { kind: kind.clone() });
        }
        match self.limit.exceeded_by(&self.guarantee) {
            Some((kind, guarantee, limit)) => Err(QuotaError::AboveLimit { kind, guarantee, limit }),
            None => Ok(()),
        }
    }

    /// Neither promises nor limits anything: as if there were none.
    pub fn is_empty(&self) -> bool {
        self.guarantee.is_empty() && self.limit.is_empty()
    }
}

fn milli(amount: u64) -> String {
    format_milli(i64::try_from(amount).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guarantee_stays_within_the_limit() {
        let limit = Limit { cpus: Some(MilliCpus(2_000)), ..Limit::default() };
        let quota = |cpus| Quota { guarantee: Resources::new(MilliCpus(cpus), Bytes::mib(64)), limit: limit.clone() };
        assert_eq!(quota(2_000).check(), Ok(()));
        let message = quota(2_500).check().unwrap_err().to_string();
        assert_eq!(
            message,
            "guarantee of cpus is 2.5, more than the limit of 2; raise the limit or lower the guarantee"
        );
    }

    #[test]
    fn ports_cannot_be_promised() {
        let guarantee = Resources { ports: crate::PortSet::single(80), ..Resources::default() };
        let quota = Quota { guarantee, limit: Limit::default() };
        assert_eq!(quota.check(), Err(QuotaError::NotCountable { kind: "ports".to_owned() }));
    }
}
