//! Reservations.

use std::collections::BTreeMap;

use proffer_proto_wire::scheduler::task_launch::ReservedUse as WireUse;
use proffer_proto_wire::{common, operator};

use super::{MAX_ENTRIES, WireError, check};
use crate::{AgentId, Reserved, ReservedUse, Resources, Role, StaticReservation};

impl TryFrom<common::Reserved> for Reserved {
    type Error = WireError;

    fn try_from(reserved: common::Reserved) -> Result<Self, WireError> {
        let common::Reserved { role, refines, resources, labels, is_static, owner_framework_id } = reserved;
        check::bounded("refines", refines.len(), MAX_ENTRIES)?;
        let refines = refines.iter().enumerate().map(|(at, role)| check::role(&format!("refines[{at}]"), role));
        Ok(Self {
            role: check::role("role", &role)?,
            refines: refines.collect::<Result<_, _>>()?,
            resources: check::convert("resources", resources)?,
            labels: check::labels("labels", labels)?,
            is_static,
            owner: check::optional_id("owner_framework_id", &owner_framework_id)?,
        })
    }
}

impl From<Reserved> for common::Reserved {
    fn from(Reserved { role, refines, resources, labels, is_static, owner }: Reserved) -> Self {
        Self {
            role: role.into(),
            refines: refines.into_iter().map(Role::into).collect(),
            resources: Some(resources.into()),
            labels: labels.into_iter().collect(),
            is_static,
            owner_framework_id: owner.map(String::from).unwrap_or_default(),
        }
    }
}

impl TryFrom<common::StaticReservation> for StaticReservation {
    type Error = WireError;

    fn try_from(reservation: common::StaticReservation) -> Result<Self, WireError> {
        let common::StaticReservation { role, resources, labels } = reservation;
        Ok(Self {
            role: check::role("role", &role)?,
            resources: check::convert("resources", resources)?,
            labels: check::labels("labels", labels)?,
        })
    }
}

impl From<StaticReservation> for common::StaticReservation {
    fn from(StaticReservation { role, resources, labels }: StaticReservation) -> Self {
        Self { role: role.into(), resources: Some(resources.into()), labels: labels.into_iter().collect() }
    }
}

check::same_enum!(reserved_use: ReservedUse <-> WireUse, unspecified Some(ReservedUse::default()),
    [ReservedFirst, ReservedOnly, UnreservedOnly], "RESERVED_FIRST, RESERVED_ONLY, UNRESERVED_ONLY");

/// An operator's call to reserve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReserveCall {
    /// Where.
    pub agent: AgentId,
    /// For whom.
    pub role: Role,
    /// The reservation it refines.
    pub from_role: Option<Role>,
    /// How much.
    pub resources: Resources,
    /// Free words.
    pub labels: BTreeMap<String, String>,
    /// Nothing is to be changed.
    pub is_dry_run: bool,
}

impl TryFrom<operator::ReserveRequest> for ReserveCall {
    type Error = WireError;

    fn try_from(request: operator::ReserveRequest) -> Result<Self, WireError> {
        let operator::ReserveRequest { agent_id, role, from_role, resources, labels, dry_run } = request;
        let from_role = if from_role.is_empty() { None } else { Some(check::role("from_role", &from_role)?) };
        Ok(Self {
            agent: check::id("agent_id", &agent_id)?,
            role: check::role("role", &role)?,
            from_role,
            resources: check::convert("resources", resources)?,
            labels: check::labels("labels", labels)?,
            is_dry_run: dry_run,
        })
    }
}

/// An operator's call to end a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreserveCall {
    /// Where.
    pub agent: AgentId,
    /// Whose.
    pub role: Role,
    /// How much.
    pub resources: Resources,
    /// Also unused volumes that rest on it go.
    pub is_forced: bool,
    /// Nothing is to be changed.
    pub is_dry_run: bool,
}

impl TryFrom<operator::UnreserveRequest> for UnreserveCall {
    type Error = WireError;

    fn try_from(request: operator::UnreserveRequest) -> Result<Self, WireError> {
        let operator::UnreserveRequest { agent_id, role, resources, force, dry_run } = request;
        Ok(Self {
            agent: check::id("agent_id", &agent_id)?,
            role: check::role("role", &role)?,
            resources: check::convert("resources", resources)?,
            is_forced: force,
            is_dry_run: dry_run,
        })
    }
}
