//! Rules on an agent's attributes, host name, region or zone.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AgentInfo, AttributeValue, Pattern};

/// One rule; an agent must meet all rules of a demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// An attribute's name, or `@hostname`, `@region`, `@zone`.
    pub subject: String,
    /// How it compares.
    pub operator: ConstraintOperator,
    /// What `Equals` and `NotEquals` compare with; empty for all others.
    pub value: String,
}

/// How a [`Constraint`] compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConstraintOperator {
    /// The subject is there.
    Exists,
    /// The subject is not there.
    NotExists,
    /// Its text equals the value.
    Equals,
    /// Its text differs, or it is not there.
    NotEquals,
    /// Its whole text matches the pattern.
    Matches(Pattern),
    /// Its text does not match, or it is not there.
    NotMatches(Pattern),
}

impl Constraint {
    /// Does this agent meet the rule?
    pub fn is_met_by(&self, agent: &AgentInfo) -> bool {
        let found = subject_text(&self.subject, agent);
        match &self.operator {
            ConstraintOperator::Exists => found.is_some(),
            ConstraintOperator::NotExists => found.is_none(),
            ConstraintOperator::Equals => found.as_deref() == Some(self.value.as_str()),
            ConstraintOperator::NotEquals => found.as_deref() != Some(self.value.as_str()),
            ConstraintOperator::Matches(pattern) => found.is_some_and(|text| pattern.is_match(&text)),
            ConstraintOperator::NotMatches(pattern) => !found.is_some_and(|text| pattern.is_match(&text)),
        }
    }
}

/// As people write it in a spec: `@zone == b`, `exists gpu`, `rack =~ r[0-9]+`.
impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, operator, value } = self;
        match operator {
            ConstraintOperator::Exists => write!(f, "exists {subject}"),
            ConstraintOperator::NotExists => write!(f, "not exists {subject}"),
            ConstraintOperator::Equals => write!(f, "{subject} == {value}"),
            ConstraintOperator::NotEquals => write!(f, "{subject} != {value}"),
            ConstraintOperator::Matches(pattern) => write!(f, "{subject} =~ {pattern}"),
            ConstraintOperator::NotMatches(pattern) => write!(f, "{subject} !~ {pattern}"),
        }
    }
}

fn subject_text<'a>(subject: &str, agent: &'a AgentInfo) -> Option<Cow<'a, str>> {
    let non_empty = |text: &'a str| (!text.is_empty()).then_some(Cow::Borrowed(text));
    match subject {
        "@hostname" => non_empty(&agent.hostname),
        "@region" => non_empty(&agent.region),
        "@zone" => non_empty(&agent.zone),
        name => agent.attributes.iter().find(|a| a.name == name).map(|a| match &a.value {
            AttributeValue::Text(text) => Cow::Borrowed(text.as_str()),
            AttributeValue::ScalarMilli(milli) => Cow::Owned(crate::resources::format_milli(*milli)),
        }),
    }
}
