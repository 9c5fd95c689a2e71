//! Typed ids. An id is a short text, cheap to clone, ordered, and never mixed up with another kind.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest id in bytes.
pub const MAX_ID_BYTES: usize = 255;

/// What is wrong with an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It has no characters.
    #[error("is empty; give 1 to 255 of a-z A-Z 0-9 . _ -")]
    Empty,
    /// It is longer than [`MAX_ID_BYTES`].
    #[error("has {bytes} bytes; at most 255 are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It holds a character that is not allowed.
    #[error("holds {found:?}; only a-z A-Z 0-9 . _ - are allowed")]
    BadCharacter {
        /// The first bad character.
        found: char,
    },
    /// It is `.` or `..`, which would be a path.
    #[error("must not be \".\" or \"..\"; give another name")]
    Dots,
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > MAX_ID_BYTES {
        return Err(IdError::TooLong { bytes: text.len() });
    }
    if text == "." || text == ".." {
        return Err(IdError::Dots);
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-')) {
        Some(found) => Err(IdError::BadCharacter { found }),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and makes an id of it.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                check(text.as_ref())?;
                Ok(Self(text.as_ref().into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

id!(
    /// A cluster: made once, at the first start of its first master.
    ClusterId
);
id!(
    /// A framework: given by the master, kept for life.
    FrameworkId
);
id!(
    /// An agent: given by the master, kept in the agent's work directory.
    AgentId
);
id!(
    /// An offer: never used again, also not by a later master.
    OfferId
);
id!(
    /// A request to leave an agent: never used again, also not by a later master.
    InverseOfferId
);
id!(
    /// A task: chosen by its framework, launched at most once.
    TaskId
);

id!(
    /// A persistent volume: chosen by who makes it, unique within its role on one agent.
    VolumeId
);

impl FrameworkId {
    /// The id of the `number`-th framework admitted in `epoch`.
    pub fn numbered(epoch: u64, number: u64) -> Self {
        Self(format!("F{epoch}-{number}").into())
    }
}

impl AgentId {
    /// The id of the `number`-th agent admitted in `epoch`.
    pub fn numbered(epoch: u64, number: u64) -> Self {
        Self(format!("A{epoch}-{number}").into())
    }
}

impl OfferId {
    /// The id of the `number`-th offer made in `epoch`.
    pub fn numbered(epoch: u64, number: u64) -> Self {
        Self(format!("O{epoch}-{number}").into())
    }
}

impl InverseOfferId {
    /// The id of the `number`-th inverse offer made in `epoch`.
    pub fn numbered(epoch: u64, number: u64) -> Self {
        Self(format!("V{epoch}-{number}").into())
    }

    /// The epoch and the number in an id that a master made.
    pub fn number(&self) -> Option<(u64, u64)> {
        let (epoch, number) = self.0.strip_prefix('V')?.split_once('-')?;
        Some((epoch.parse().ok()?, number.parse().ok()?))
    }
}

/// A task in the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    /// Whose task.
    pub framework: FrameworkId,
    /// Which.
    pub task: TaskId,
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.framework, self.task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_ids_are_refused_with_the_reason() {
        assert_eq!(TaskId::new(""), Err(IdError::Empty));
        assert_eq!(TaskId::new(".."), Err(IdError::Dots));
        assert_eq!(TaskId::new("a/b"), Err(IdError::BadCharacter { found: '/' }));
        assert_eq!(TaskId::new("a\u{202e}b"), Err(IdError::BadCharacter { found: '\u{202e}' }));
        assert_eq!(TaskId::new("x".repeat(256)), Err(IdError::TooLong { bytes: 256 }));
        assert_eq!(TaskId::new("web.3-a_B").unwrap().as_str(), "web.3-a_B");
    }

    #[test]
    fn a_stored_id_is_checked_when_it_is_read() {
        assert!(serde_json::from_str::<TaskId>("\"a b\"").is_err());
        assert_eq!(serde_json::from_str::<TaskId>("\"a\"").unwrap(), TaskId::new("a").unwrap());
    }
}
