//! What a framework wants. No demand, no offers.

use serde::{Deserialize, Serialize};

use crate::{Constraint, Resources, Role};

/// Everything a framework wants now; empty means no offers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Demand {
    /// One entry for each shape and role.
    pub items: Vec<DemandItem>,
}

impl Demand {
    /// Anything of this role without bound: plain Mesos behaviour.
    pub fn anything(role: Role) -> Self {
        let item = DemandItem { role, shape: None, count: None, constraints: Vec::new(), priority: 0, ports: 0 };
        Self { items: vec![item] }
    }
}

/// One shape wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemandItem {
    /// One of the framework's roles.
    pub role: Role,
    /// The least one offer must hold; `None` is anything.
    pub shape: Option<Resources>,
    /// How many are still wanted; `None` is without bound.
    pub count: Option<u32>,
    /// Rules an agent must meet, all of them.
    pub constraints: Vec<Constraint>,
    /// Higher is served first within the framework.
    pub priority: i32,
    /// Host ports each needs, beside the shape.
    pub ports: u32,
}
