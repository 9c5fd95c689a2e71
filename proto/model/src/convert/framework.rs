//! Frameworks as they describe themselves.

use std::collections::BTreeSet;

use proffer_proto_wire::scheduler as wire;

use super::check::{self, Checked};
use super::{Defect, MAX_ENTRIES, MAX_NAME_BYTES, WireError};
use crate::{DEFAULT_FAILOVER_TIMEOUT_MS, FrameworkInfo, MAX_FAILOVER_TIMEOUT_MS, Placement, Role};

/// Whom a framework acts for when it does not say.
const DEFAULT_PRINCIPAL: &str = "default";

impl TryFrom<wire::FrameworkInfo> for FrameworkInfo {
    type Error = WireError;

    fn try_from(info: wire::FrameworkInfo) -> Result<Self, WireError> {
        let wire::FrameworkInfo {
            framework_id,
            name,
            principal,
            roles: role_names,
            failover_timeout_ms,
            api_address,
            labels,
            hostname,
            placement,
            leaves_reservations,
        } = info;
        let failover_timeout_ms = failover_timeout_ms.unwrap_or(DEFAULT_FAILOVER_TIMEOUT_MS);
        let principal = if principal.is_empty() { DEFAULT_PRINCIPAL.to_owned() } else { principal };
        Ok(Self {
            id: check::optional_id("framework_id", &framework_id)?,
            name: check::id_text("name", name)?,
            principal: check::name("principal", principal)?,
            roles: roles(&role_names)?,
            failover_timeout_ms: check::at_most("failover_timeout_ms", failover_timeout_ms, MAX_FAILOVER_TIMEOUT_MS)?,
            api_address: check::token("api_address", api_address, MAX_NAME_BYTES)?,
            labels: check::labels("labels", labels)?,
            hostname: check::name("hostname", hostname)?,
            placement: placement_from("placement", &placement)?,
            leaves_reservations,
        })
    }
}

/// Empty for none of its own.
fn placement_from(field: &str, text: &str) -> Checked<Option<Placement>> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).or_else(|error| check::fail(field, Defect::BadPlacement(error)))
}

/// Each role once; a framework that names none is in the default role.
fn roles(texts: &[String]) -> Checked<Vec<Role>> {
    if texts.is_empty() {
        return Ok(vec![Role::default_role()]);
    }
    check::bounded("roles", texts.len(), MAX_ENTRIES)?;
    let mut seen = BTreeSet::new();
    let mut roles = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        let field = format!("roles[{at}]");
        let role = check::role(&field, text)?;
        if !seen.insert(role.clone()) {
            return check::fail(&field, Defect::Duplicate { what: text.clone() });
        }
        roles.push(role);
    }
    Ok(roles)
}

impl From<FrameworkInfo> for wire::FrameworkInfo {
    fn from(info: FrameworkInfo) -> Self {
        let FrameworkInfo {
            id,
            name,
            principal,
            roles,
            failover_timeout_ms,
            api_address,
            labels,
            hostname,
            placement,
            leaves_reservations,
        } = info;
        Self {
            framework_id: id.map(String::from).unwrap_or_default(),
            name,
            principal,
            roles: roles.into_iter().map(String::from).collect(),
            failover_timeout_ms: Some(failover_timeout_ms),
            api_address,
            labels: labels.into_iter().collect(),
            hostname,
            placement: placement.map(String::from).unwrap_or_default(),
            leaves_reservations,
        }
    }
}
