//! Rules on an agent's attributes, host name, region or zone.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AgentInfo, AttributeValue, Pattern};

/// One rule; an agent must meet all rules of a demand.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Constraint {
    /// An attribute's name, or `@hostname`, `@region`, `@zone`.
    pub subject: String,
    /// How it compares.
    pub operator: ConstraintOperator,
    /// What `Equals` and `NotEquals` compare with; empty for all others.
    pub value: String,
}

/// How a [`Constraint`] compares.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attribute, Resources};

    fn agent(subject: &str, text: &str) -> AgentInfo {
        let of = |name: &str| if subject == name { text.to_owned() } else { String::new() };
        let attribute = |value| vec![Attribute { name: subject.to_owned(), value: AttributeValue::Text(value) }];
        let is_attribute = !subject.starts_with('@') && !text.is_empty();
        AgentInfo {
            id: None,
            hostname: of("@hostname"),
            api_address: String::new(),
            address: String::new(),
            resources: Resources::default(),
            attributes: if is_attribute { attribute(text.to_owned()) } else { Vec::new() },
            region: of("@region"),
            zone: of("@zone"),
            version: String::new(),
            boot_id: String::new(),
            reservations: Vec::new(),
        }
    }

    fn rule(subject: &str, operator: ConstraintOperator) -> Constraint {
        let has_value = matches!(operator, ConstraintOperator::Equals | ConstraintOperator::NotEquals);
        let value = if has_value { "b1".to_owned() } else { String::new() };
        Constraint { subject: subject.to_owned(), operator, value }
    }

    /// Each operator, and whether a subject meets it that is `b1`, that is `c`, and that is absent.
    fn operators() -> [(ConstraintOperator, [bool; 3]); 6] {
        use ConstraintOperator::{Equals, Exists, Matches, NotEquals, NotExists, NotMatches};
        let pattern = || Pattern::new("b[0-9]").unwrap();
        [
            (Exists, [true, true, false]),
            (NotExists, [false, false, true]),
            (Equals, [true, false, false]),
            // What is not there differs: "not on ssd" means agents that say nothing of their disk too.
            (NotEquals, [false, true, true]),
            (Matches(pattern()), [true, false, false]),
            (NotMatches(pattern()), [false, true, true]),
        ]
    }

    #[test]
    fn every_operator_says_its_word_of_every_subject_equal_different_and_absent() {
        for subject in ["rack", "@hostname", "@region", "@zone"] {
            for (operator, expected) in operators() {
                let rule = rule(subject, operator);
                let found = ["b1", "c", ""].map(|text| rule.is_met_by(&agent(subject, text)));
                assert_eq!(found, expected, "{rule} on b1, c and nothing");
            }
        }
    }

    #[test]
    fn a_negation_is_met_exactly_where_the_plain_operator_is_not() {
        for subject in ["rack", "@hostname", "@region", "@zone"] {
            for pair in operators().chunks(2) {
                for text in ["b1", "b11", "xb1", "B1", "c", ""] {
                    let agent = agent(subject, text);
                    let met =
                        [&pair[0], &pair[1]].map(|(operator, _)| rule(subject, operator.clone()).is_met_by(&agent));
                    assert_ne!(met[0], met[1], "{subject} {text:?}: {:?}", pair[0].0);
                }
            }
        }
    }

    #[test]
    fn a_subject_is_never_taken_for_another() {
        // An attribute of that name is not the host's name, and the zone is not the region.
        let mut named = agent("@zone", "b1");
        named.attributes = vec![Attribute { name: "@region".to_owned(), value: AttributeValue::Text("b1".to_owned()) }];
        for (subject, is_met) in [("@zone", true), ("@region", false), ("@hostname", false), ("zone", false)] {
            assert_eq!(rule(subject, ConstraintOperator::Exists).is_met_by(&named), is_met, "{subject}");
        }
    }

    #[test]
    fn a_number_compares_as_it_is_written() {
        let mut agent = agent("@zone", "b1");
        agent.attributes = vec![Attribute { name: "rack".to_owned(), value: AttributeValue::ScalarMilli(1_500) }];
        let equals = |value: &str| Constraint { value: value.to_owned(), ..rule("rack", ConstraintOperator::Equals) };
        assert!(equals("1.5").is_met_by(&agent) && !equals("1.50").is_met_by(&agent));
        let matches = ConstraintOperator::Matches(Pattern::new(r"1\.[0-9]+").unwrap());
        assert!(rule("rack", matches).is_met_by(&agent));
        assert!(!rule("rack", ConstraintOperator::NotExists).is_met_by(&agent));
    }
}
