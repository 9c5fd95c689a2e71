//! Agents as they describe themselves.

use serde::{Deserialize, Serialize};

use crate::{AgentId, Resources, StaticReservation};

/// An agent as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Given by the master; `None` the first time.
    pub id: Option<AgentId>,
    /// Host name, for people.
    pub hostname: String,
    /// Where the agent's own API answers, `host:port`.
    pub api_address: String,
    /// Address at which published ports answer.
    pub address: String,
    /// All it has.
    pub resources: Resources,
    /// Facts about it.
    pub attributes: Vec<Attribute>,
    /// Region; may be empty.
    pub region: String,
    /// Zone; may be empty.
    pub zone: String,
    /// Version of its software.
    pub version: String,
    /// Boot id of its host.
    pub boot_id: String,
    /// What of its resources it reserves by its own flags.
    #[serde(default)]
    pub reservations: Vec<StaticReservation>,
}

/// A typed fact about an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Name, e.g. `kernel`.
    pub name: String,
    /// Value.
    pub value: AttributeValue,
}

/// The value of an [`Attribute`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttributeValue {
    /// A text.
    Text(String),
    /// A number in thousandths.
    ScalarMilli(i64),
}
