//! How a role is offered what is free: set by operators, beside its weight and quota.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Placement, Resources};

/// How a role is offered what is free. What is not set is as for the whole cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RolePolicy {
    /// Which of the agents that fit comes first, in the role itself and not in roles below.
    pub placement: Option<Placement>,
    /// No offer of the role itself holds less than this; empty for no least amount.
    pub min_offer: Option<Resources>,
    /// To how many of its frameworks the same is offered.
    pub offers: OfferMode,
}

/// To how many frameworks what is free is offered at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OfferMode {
    /// To one: nobody else is offered it until it has answered.
    #[default]
    Exclusive,
    /// To all in such roles that want it: the first that uses it has it.
    Optimistic,
}

impl fmt::Display for OfferMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Exclusive => "exclusive",
            Self::Optimistic => "optimistic",
        })
    }
}

/// What is wrong with a role's policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("min_offer names {kind}, which has no least amount; name countable kinds such as cpus and memory")]
pub struct RolePolicyError {
    /// `ports`, or the name of the set.
    pub kind: String,
}

impl RolePolicy {
    /// Nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Only countable kinds have a least amount.
    pub fn check(&self) -> Result<(), RolePolicyError> {
        let Some(least) = &self.min_offer else { return Ok(()) };
        let ports = (!least.ports.is_empty()).then(|| "ports".to_owned());
        match ports.or_else(|| least.sets.keys().next().cloned()) {
            Some(kind) => Err(RolePolicyError { kind }),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RolePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { placement, min_offer, offers } = self;
        let least = min_offer.as_ref().map(|least| match least.is_empty() {
            true => "no least amount".to_owned(),
            false => format!("at least {least}"),
        });
        let mode = (*offers != OfferMode::default()).then(|| offers.to_string());
        let parts: Vec<String> = placement.iter().map(Placement::to_string).chain(least).chain(mode).collect();
        f.pad(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bytes, MilliCpus, PortRange};

    #[test]
    fn a_policy_is_shown_in_words() {
        let some = Resources::new(MilliCpus(500), Bytes::mib(64));
        let policy =
            RolePolicy { placement: Some(Placement::Pack), min_offer: Some(some), offers: OfferMode::Optimistic };
        assert_eq!(policy.to_string(), "pack, at least 0.5 cpus, 64MiB memory, optimistic");
        let policy = RolePolicy { min_offer: Some(Resources::default()), ..RolePolicy::default() };
        assert_eq!(policy.to_string(), "no least amount");
        assert_eq!(RolePolicy::default().to_string(), "");
    }

    #[test]
    fn ports_have_no_least_amount() {
        let ports = Resources { ports: vec![PortRange { begin: 1, end: 9 }].into(), ..Resources::default() };
        let policy = RolePolicy { min_offer: Some(ports), ..RolePolicy::default() };
        assert!(policy.check().unwrap_err().to_string().contains("min_offer names ports"));
    }
}
