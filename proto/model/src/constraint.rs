//! Rules on an agent's attributes, host name, region or zone.

use serde::{Deserialize, Serialize};

use crate::{AgentInfo, AttributeValue};

/// One rule; an agent must meet all rules of a demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// An attribute's name, or `@hostname`, `@region`, `@zone`.
    pub subject: String,
    /// How it compares.
    pub operator: ConstraintOperator,
    /// What it compares with; empty for `Exists` and `NotExists`.
    pub value: String,
}

/// How a [`Constraint`] compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConstraintOperator {
    /// The subject is there.
    Exists,
    /// The subject is not there.
    NotExists,
    /// Its text equals the value.
    Equals,
    /// Its text differs, or it is not there.
    NotEquals,
}

impl Constraint {
    /// Does this agent meet the rule?
    pub fn is_met_by(&self, agent: &AgentInfo) -> bool {
        let found = subject_text(&self.subject, agent);
        match self.operator {
            ConstraintOperator::Exists => found.is_some(),
            ConstraintOperator::NotExists => found.is_none(),
            ConstraintOperator::Equals => found.as_deref() == Some(self.value.as_str()),
            ConstraintOperator::NotEquals => found.as_deref() != Some(self.value.as_str()),
        }
    }
}

fn subject_text(subject: &str, agent: &AgentInfo) -> Option<String> {
    let non_empty = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match subject {
        "@hostname" => non_empty(&agent.hostname),
        "@region" => non_empty(&agent.region),
        "@zone" => non_empty(&agent.zone),
        name => agent.attributes.iter().find(|a| a.name == name).map(|a| match &a.value {
            AttributeValue::Text(text) => text.clone(),
            AttributeValue::ScalarMilli(milli) => crate::resources::format_milli(*milli),
        }),
    }
}
