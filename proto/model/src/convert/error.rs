//! What is wrong with a wire message, and where.

use std::fmt;

use crate::resources::PortError;
use crate::{IdError, PatternError, PlacementError, RoleError};

/// A wire message that cannot be understood: the field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    /// The field from the message's root, e.g. `task.container.ports[2].host_port`; empty for the message itself.
    pub path: String,
    /// What is wrong with it.
    pub defect: Defect,
}

/// One variant for each way a field can be wrong. The text says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// It is required and not there.
    #[error("is missing; set it")]
    Missing,
    /// Exactly one of a group of fields must be set and none that is known here is.
    #[error("has no content this version knows; set exactly one of its fields")]
    EmptyMessage,
    /// An id is empty.
    #[error("is an empty id; give the id")]
    EmptyId,
    /// An id breaks the rules for ids.
    #[error("{0}")]
    BadId(IdError),
    /// A role breaks the rules for roles.
    #[error("{0}")]
    BadRole(RoleError),
    /// A port is not 1 to 65535.
    #[error("is port {port}; ports are 1 to 65535")]
    PortOutOfRange {
        /// The port given.
        port: u32,
    },
    /// A regular expression is wrong.
    #[error("{0}")]
    BadPattern(PatternError),
    /// A text is no placement policy.
    #[error("{0}")]
    BadPlacement(PlacementError),
    /// A range of ports is wrong.
    #[error("{0}")]
    BadPorts(PortError),
    /// A port is in two ranges.
    #[error("overlaps another range; give each port once")]
    OverlappingPorts,
    /// An amount is below zero.
    #[error("is {value}; amounts are 0 or more")]
    Negative {
        /// The amount given.
        value: i64,
    },
    /// A number must be at least 1.
    #[error("is 0; it must be at least 1")]
    Zero,
    /// A number is above its bound.
    #[error("is {value}; at most {max} is allowed")]
    TooLarge {
        /// The number given.
        value: u64,
        /// The largest allowed.
        max: u64,
    },
    /// A number of an enum is not known here.
    #[error("is {value}, which this version does not know; use one of {allowed}")]
    UnknownEnum {
        /// The number given.
        value: i32,
        /// The names that are known.
        allowed: &'static str,
    },
    /// A text or a byte string is too long.
    #[error("has {length} {unit}; at most {max} are allowed")]
    TooLong {
        /// Its length.
        length: usize,
        /// The longest allowed.
        max: usize,
        /// What is counted: `bytes` or `characters`.
        unit: &'static str,
    },
    /// A list has too many entries.
    #[error("has {count} entries; at most {max} are allowed: leave some out")]
    TooMany {
        /// Number of entries.
        count: usize,
        /// The most allowed.
        max: usize,
    },
    /// A demand has too many different regular expressions.
    #[error(
        "hold {count} different regular expressions; at most {max} are allowed: use one for several values, or EQUALS"
    )]
    TooManyPatterns {
        /// How many there are.
        count: usize,
        /// The most allowed.
        max: usize,
    },
    /// An Accept has too many tasks.
    #[error(
        "brings the tasks of this Accept to {count}; at most {max} are allowed: launch the others on another offer"
    )]
    TooManyTasks {
        /// How many there are up to this operation.
        count: usize,
        /// The most allowed.
        max: usize,
    },
    /// Two entries of a list that must differ are equal.
    #[error("repeats {what:?}; give it once")]
    Duplicate {
        /// What is there twice.
        what: String,
    },
    /// Two ports of a task have one name.
    #[error("repeats the port name {name:?}; names of ports are unique in a task")]
    DuplicatePortName {
        /// The name.
        name: String,
    },
    /// The name of an environment variable is empty, or holds `=` or NUL.
    #[error("is {name:?}; the name of a variable is not empty and holds neither \"=\" nor NUL")]
    BadEnvName {
        /// The name given.
        name: String,
    },
    /// A text holds NUL, which no process can be given.
    #[error("holds a NUL byte; remove it")]
    HoldsNul,
    /// A text holds a character that has no place in it.
    #[error("holds {found:?}; it must be printable and without blanks")]
    BadCharacter {
        /// The first such character.
        found: char,
    },
    /// A path does not begin at the root.
    #[error("is {path:?}; give an absolute path such as \"/data\"")]
    NotAbsolute {
        /// The path given.
        path: String,
    },
    /// A limit is below the amount asked for.
    #[error("is {limit}, below the {requested} asked for; raise the limit or leave it 0")]
    LimitBelowRequest {
        /// The limit given, with its unit.
        limit: String,
        /// The amount asked for, with its unit.
        requested: String,
    },
    /// It must be empty here.
    #[error("must be empty: {why}")]
    MustBeEmpty {
        /// The reason.
        why: &'static str,
    },
}

impl WireError {
    /// A defect of the field `path`.
    pub fn new(path: impl Into<String>, defect: Defect) -> Self {
        Self { path: path.into(), defect }
    }

    /// The same error seen from the message that holds this one in its field `field`.
    #[must_use]
    pub fn within(mut self, field: &str) -> Self {
        let separator = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{field}{separator}{}", self.path);
        self
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "message" } else { &self.path };
        write!(f, "{path} {}", self.defect)
    }
}

impl std::error::Error for WireError {}
