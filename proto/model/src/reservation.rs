//! Reservations: parts of an agent that only one role and those below it may use.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{FrameworkId, Resources, Role};

/// A pool's number within its agent, never used again there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolId(pub u64);

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What is reserved on one agent under the same words. What is refined from it is not in it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its number.
    pub id: PoolId,
    /// For whom.
    pub role: Role,
    /// The pool it was refined from, to which it goes back; `None` for what was not reserved.
    pub parent: Option<PoolId>,
    /// How much.
    pub resources: Resources,
    /// Free words.
    pub labels: BTreeMap<String, String>,
    /// Who reserved it; empty for static ones.
    pub principal: String,
    /// Set by the agent's own flags: no call undoes it.
    pub is_static: bool,
    /// The framework that made it, with which it ends; `None` when it stays until somebody ends it.
    #[serde(default)]
    pub owner: Option<FrameworkId>,
}

/// What an agent reserves by its own flags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticReservation {
    /// For whom.
    pub role: Role,
    /// How much of the agent's total.
    pub resources: Resources,
    /// Free words.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// The part of an offer that is reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// For whom: the offer's role, or one above it.
    pub role: Role,
    /// The roles it was refined from, outermost first.
    pub refines: Vec<Role>,
    /// How much of the offer.
    pub resources: Resources,
    /// Free words.
    pub labels: BTreeMap<String, String>,
    /// No call undoes it.
    pub is_static: bool,
    /// The framework with which it ends; `None` when it stays until somebody ends it.
    pub owner: Option<FrameworkId>,
}

/// From which part of an offer a task takes what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ReservedUse {
    /// From reservations, the deepest role first; what is missing from what is not reserved.
    #[default]
    ReservedFirst,
    /// Only from reservations.
    ReservedOnly,
    /// Only from what is not reserved.
    UnreservedOnly,
}
