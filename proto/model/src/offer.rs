//! Offers, and the words of their answers.

use serde::{Deserialize, Serialize};

use crate::{AgentId, Attribute, Constraint, OfferId, Reserved, Resources, Role, Unavailability, VolumeInfo};

/// How long a declined offer's resources are kept away when the framework did not say: 5 s, as in Mesos.
pub const DEFAULT_REFUSE_MS: u64 = 5_000;

/// Longest filter: 365 days.
pub const MAX_REFUSE_MS: u64 = 31_536_000_000;

/// Resources of one agent, for one role, held for one framework until answered or expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its name.
    pub id: OfferId,
    /// The agent.
    pub agent: AgentId,
    /// Host name of the agent.
    pub hostname: String,
    /// The role it is made for.
    pub role: Role,
    /// What is offered.
    pub resources: Resources,
    /// The agent's attributes.
    pub attributes: Vec<Attribute>,
    /// Withdrawn by itself after this time, in milliseconds.
    pub expires_in_ms: u64,
    /// The agent's region.
    pub region: String,
    /// The agent's zone.
    pub zone: String,
    /// Address at which the agent's published ports answer.
    pub agent_address: String,
    /// The parts of `resources` that are reserved for the role or those above it, deepest first.
    #[serde(default)]
    pub reserved: Vec<Reserved>,
    /// The next time at which its agent is not there for tasks, when one is planned.
    #[serde(default)]
    pub unavailability: Option<Unavailability>,
    /// The agent's volumes that tasks of the role may mount. Their disk is beside `resources`.
    #[serde(default)]
    pub volumes: Vec<VolumeInfo>,
    /// The same resources are, or may be, offered to others too: the first that uses them has them.
    #[serde(default)]
    pub is_optimistic: bool,
}

/// Keeps the same or less of an agent away from a framework for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// For how long, in milliseconds; 0 is no filter; at most [`MAX_REFUSE_MS`].
    pub refuse_ms: u64,
}

impl Default for Filter {
    fn default() -> Self {
        Self { refuse_ms: DEFAULT_REFUSE_MS }
    }
}

impl Filter {
    /// No filter.
    pub const NONE: Filter = Filter { refuse_ms: 0 };
}

/// Why an offer, or the rest of one, was not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclineReason {
    /// What kind.
    pub kind: DeclineKind,
    /// Details for people; may be empty.
    pub message: String,
}

/// Kinds of [`DeclineReason`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeclineKind {
    /// Not said.
    Unspecified,
    /// Nothing is wanted now.
    NoDemand,
    /// The offer is too small, by this much.
    ResourcesShort {
        /// What was missing.
        shortage: Resources,
    },
    /// A rule on the agent is not met.
    Constraint {
        /// The rule.
        constraint: Option<Constraint>,
    },
    /// The framework waits before it tries again.
    BackOff,
    /// The agent has enough instances of it.
    Spread,
    /// The rest of an accepted offer.
    Leftover,
    /// The framework is not ready.
    NotReady,
    /// Anything else.
    Other,
}

impl DeclineReason {
    /// A reason without details.
    pub fn new(kind: DeclineKind) -> Self {
        Self { kind, message: String::new() }
    }
}

/// Why an offer was withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RescindReason {
    /// Not answered in time.
    Expired,
    /// The agent is lost or gone.
    AgentLost,
    /// The agent's resources changed.
    AgentChanged,
    /// The framework's demand or roles changed.
    DemandChanged,
    /// An operator needs the resources.
    Operator,
    /// Another framework was faster.
    LostRace,
}
