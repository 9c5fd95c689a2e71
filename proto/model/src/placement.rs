//! Which of the agents that fit comes first for somebody: the word for it, and its text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which of the agents that fit comes first. Written `first`, `pack`, `least-loaded` or `spread:ATTRIBUTE`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Placement {
    /// The one that has waited longest.
    #[default]
    First,
    /// The fullest: the least CPU left, then the least memory. Keeps others empty for large tasks.
    Pack,
    /// The emptiest: the largest part of its scarcest kind, CPU or memory, left.
    LeastLoaded,
    /// The emptiest with the value of an attribute (or `@hostname`, `@region`, `@zone`) on whose agents the client has
    /// the fewest grants and tasks, counted since the policy was set. Agents without the attribute come together.
    Spread {
        /// Of which attribute.
        attribute: String,
    },
}

/// Longest name of an attribute to spread over, in bytes.
const MAX_ATTRIBUTE_BYTES: usize = 255;

/// A text that is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no placement policy; write first, pack, least-loaded, or spread:ATTRIBUTE such as spread:@zone")]
pub struct PlacementError(pub String);

impl FromStr for Placement {
    type Err = PlacementError;

    fn from_str(text: &str) -> Result<Self, PlacementError> {
        match text.split_once(':') {
            None if text == "first" => Ok(Self::First),
            None if text == "pack" => Ok(Self::Pack),
            None if text == "least-loaded" => Ok(Self::LeastLoaded),
            Some(("spread", attribute)) if is_attribute(attribute) => {
                Ok(Self::Spread { attribute: attribute.to_owned() })
            }
            _ => Err(PlacementError(text.chars().take(64).collect())),
        }
    }
}

/// A name, or one of the facts with an at sign.
fn is_attribute(text: &str) -> bool {
    let is_fact = !text.starts_with('@') || matches!(text, "@hostname" | "@region" | "@zone");
    is_fact
        && !text.is_empty()
        && text.len() <= MAX_ATTRIBUTE_BYTES
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.pad("first"),
            Self::Pack => f.pad("pack"),
            Self::LeastLoaded => f.pad("least-loaded"),
            Self::Spread { attribute } => write!(f, "spread:{attribute}"),
        }
    }
}

impl TryFrom<String> for Placement {
    type Error = PlacementError;
    fn try_from(text: String) -> Result<Self, PlacementError> {
        text.parse()
    }
}

impl From<Placement> for String {
    fn from(placement: Placement) -> String {
        placement.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_are_written() {
        for text in ["first", "pack", "least-loaded", "spread:@zone", "spread:rack"] {
            assert_eq!(text.parse::<Placement>().unwrap().to_string(), text);
        }
        for text in ["", "Pack", "spread", "spread:", "spread:a b", "spread:@rack", "binpack"] {
            let error = text.parse::<Placement>().unwrap_err().to_string();
            assert!(error.contains("write first, pack"), "{error}");
        }
    }
}
