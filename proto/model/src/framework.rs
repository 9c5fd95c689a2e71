//! Frameworks as they describe themselves, and the roles they act in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{FrameworkId, Placement};

/// How long tasks of a disconnected framework are kept when it did not say: one week.
pub const DEFAULT_FAILOVER_TIMEOUT_MS: u64 = 7 * 24 * 3_600_000;

/// Longest failover time-out: ten years.
pub const MAX_FAILOVER_TIMEOUT_MS: u64 = 3_650 * 24 * 3_600_000;

/// A framework as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameworkInfo {
    /// Given by the master; `None` the first time.
    pub id: Option<FrameworkId>,
    /// Durable name, unique with the principal.
    pub name: String,
    /// Whom it acts for.
    pub principal: String,
    /// The roles it wants offers for; at least one, no duplicates.
    pub roles: Vec<Role>,
    /// How long after a disconnect its tasks are kept, in milliseconds.
    pub failover_timeout_ms: u64,
    /// Where its own API answers; may be empty.
    pub api_address: String,
    /// Free words.
    pub labels: BTreeMap<String, String>,
    /// Host it runs on, for people.
    pub hostname: String,
    /// Which of the agents that fit comes first for it, in all its roles; `None` for what the roles say.
    #[serde(default)]
    pub placement: Option<Placement>,
    /// Its reservations and volumes stay for its roles when it is removed for good; else they end with it.
    #[serde(default)]
    pub leaves_reservations: bool,
}

/// A role: a path such as `eng/web` in the tree of roles that share the cluster.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Role(Arc<str>);

/// What is wrong with a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("role {role:?} {defect}; a role is a path like \"eng/web\" of parts made of a-z A-Z 0-9 . _ -")]
pub struct RoleError {
    /// The text given.
    pub role: String,
    /// What is wrong with it.
    pub defect: &'static str,
}

impl Role {
    /// The role of frameworks that name none.
    pub fn default_role() -> Self {
        Self("default".into())
    }

    /// Checks the text and makes a role of it. Rules as in Mesos' role names, without `*`.
    pub fn new(text: impl AsRef<str>) -> Result<Self, RoleError> {
        let text = text.as_ref();
        let fail = |defect| Err(RoleError { role: text.chars().take(64).collect(), defect });
        if text.is_empty() {
            return fail("is empty");
        }
        if text.len() > 255 {
            return fail("is longer than 255 bytes");
        }
        for part in text.split('/') {
            match part {
                "" => return fail("has an empty part"),
                "." | ".." => return fail("has a part \".\" or \"..\""),
                _ if part.starts_with('-') => return fail("has a part that begins with \"-\""),
                _ if !part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) => {
                    return fail("holds a character that is not allowed");
                }
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This role or one below it: `eng` holds `eng` and `eng/web`, never `engine`.
    pub fn holds(&self, other: &Role) -> bool {
        other.0.strip_prefix(&*self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// How many roles are above it: 0 for `eng`, 1 for `eng/web`.
    pub fn depth(&self) -> usize {
        self.0.matches('/').count()
    }

    /// The role above, `eng` for `eng/web`; `None` at the top.
    pub fn parent(&self) -> Option<Role> {
        self.0.rsplit_once('/').map(|(above, _)| Role(above.into()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for Role {
    type Error = RoleError;
    fn try_from(text: String) -> Result<Self, RoleError> {
        Self::new(text)
    }
}

impl From<Role> for String {
    fn from(role: Role) -> String {
        role.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_follow_the_path_rules() {
        for good in ["default", "eng", "eng/web", "a.b/c_d-e"] {
            assert_eq!(Role::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "/", "eng/", "/eng", "eng//web", "..", "eng/..", "-a", "eng/-b", "a b", "*", "é"] {
            assert!(Role::new(bad).is_err(), "{bad:?} must be refused");
        }
    }
}
