//! Is a framework's description, or its demand, well formed?

use std::collections::BTreeSet;

use proffer_proto_model::{Demand, FrameworkInfo, MAX_FAILOVER_TIMEOUT_MS};

/// Roles of one framework, at most: each costs the master a place in its tree, and every demand is sorted by them.
const MAX_ROLES: usize = 100;

/// Checks a description.
pub(crate) fn check_framework(info: &FrameworkInfo) -> Result<(), String> {
    if info.name.is_empty() || info.name.len() > 255 {
        return Err("framework.name: must have 1 to 255 bytes".to_owned());
    }
    if info.roles.is_empty() {
        return Err("framework.roles: must name at least one role, for example \"default\"".to_owned());
    }
    let roles = info.roles.len();
    if roles > MAX_ROLES {
        return Err(format!(
            "framework.roles: names {roles} roles, at most {MAX_ROLES} are allowed; leave those that are not needed now \
             (they can be changed at any time), or run a framework for each part of them"
        ));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = info.roles.iter().find(|role| !seen.insert(*role)) {
        return Err(format!("framework.roles: {twice} is named twice; name each role once"));
    }
    if info.failover_timeout_ms > MAX_FAILOVER_TIMEOUT_MS {
        return Err(format!("framework.failover_timeout_ms: must be at most {MAX_FAILOVER_TIMEOUT_MS}"));
    }
    Ok(())
}

/// Checks a demand against the framework's roles.
pub(crate) fn check_demand(demand: &Demand, info: &FrameworkInfo) -> Result<(), String> {
    for (at, item) in demand.items.iter().enumerate() {
        if !info.roles.contains(&item.role) {
            let role = &item.role;
            return Err(format!("demand.items[{at}].role: {role} is not a role of the framework; add it there first"));
        }
        if item.count == Some(0) {
            return Err(format!("demand.items[{at}].count: must be at least 1; leave the item out to want nothing"));
        }
        if item.shape.as_ref().is_some_and(|shape| shape.is_empty()) {
            return Err(format!("demand.items[{at}].shape: must not be empty; leave it out to take anything"));
        }
    }
    Ok(())
}
