//! Offers, filters, and the words of their answers.

use proffer_proto_wire::scheduler as wire;
use wire::decline_reason::Kind as WireKind;
use wire::rescind::Reason as WireRescind;

use super::check::{self, Checked};
use super::{Defect, MAX_ENTRIES, MAX_MESSAGE_CHARS, MAX_NAME_BYTES, WireError};
use crate::{DEFAULT_REFUSE_MS, DeclineKind, DeclineReason, Filter, MAX_REFUSE_MS, Offer, RescindReason};

const DECLINE_KINDS: &str = "NO_DEMAND, RESOURCES_SHORT, CONSTRAINT, BACK_OFF, SPREAD, LEFTOVER, NOT_READY, OTHER";

impl TryFrom<wire::Offer> for Offer {
    type Error = WireError;

    fn try_from(offer: wire::Offer) -> Result<Self, WireError> {
        let wire::Offer {
            offer_id,
            agent_id,
            hostname,
            role,
            resources,
            attributes,
            expires_in_ms,
            region,
            zone,
            agent_address,
            reserved,
            unavailability,
            volumes,
            is_optimistic,
        } = offer;
        Ok(Self {
            id: check::id("offer_id", &offer_id)?,
            agent: check::id("agent_id", &agent_id)?,
            hostname: check::name("hostname", hostname)?,
            role: check::role_or_default("role", &role)?,
            resources: check::convert("resources", resources)?,
            attributes: check::list("attributes", attributes, MAX_ENTRIES)?,
            expires_in_ms,
            region: check::name("region", region)?,
            zone: check::name("zone", zone)?,
            agent_address: check::token("agent_address", agent_address, MAX_NAME_BYTES)?,
            reserved: check::list("reserved", reserved, MAX_ENTRIES)?,
            unavailability: unavailability.map(Into::into),
            volumes: check::list("volumes", volumes, MAX_ENTRIES)?,
            is_optimistic,
        })
    }
}

impl From<Offer> for wire::Offer {
    fn from(offer: Offer) -> Self {
        let Offer {
            id,
            agent,
            hostname,
            role,
            resources,
            attributes,
            expires_in_ms,
            region,
            zone,
            agent_address,
            reserved,
            unavailability,
            volumes,
            is_optimistic,
        } = offer;
        Self {
            offer_id: id.into(),
            agent_id: agent.into(),
            hostname,
            role: role.into(),
            resources: Some(resources.into()),
            attributes: attributes.into_iter().map(Into::into).collect(),
            expires_in_ms,
            region,
            zone,
            agent_address,
            reserved: reserved.into_iter().map(Into::into).collect(),
            unavailability: unavailability.map(Into::into),
            volumes: volumes.into_iter().map(Into::into).collect(),
            is_optimistic,
        }
    }
}

impl TryFrom<wire::Filter> for Filter {
    type Error = WireError;

    fn try_from(wire::Filter { refuse_ms }: wire::Filter) -> Result<Self, WireError> {
        let refuse_ms = refuse_ms.unwrap_or(DEFAULT_REFUSE_MS);
        Ok(Self { refuse_ms: check::at_most("refuse_ms", refuse_ms, MAX_REFUSE_MS)? })
    }
}

impl From<Filter> for wire::Filter {
    fn from(Filter { refuse_ms }: Filter) -> Self {
        Self { refuse_ms: Some(refuse_ms) }
    }
}

impl TryFrom<wire::DeclineReason> for DeclineReason {
    type Error = WireError;

    fn try_from(reason: wire::DeclineReason) -> Result<Self, WireError> {
        let wire::DeclineReason { kind, message, shortage, constraint } = reason;
        let kind = check::choice("kind", kind, DECLINE_KINDS, Some)?;
        if shortage.is_some() && kind != WireKind::ResourcesShort {
            return check::fail("shortage", Defect::MustBeEmpty { why: "only RESOURCES_SHORT has one" });
        }
        if constraint.is_some() && kind != WireKind::Constraint {
            return check::fail("constraint", Defect::MustBeEmpty { why: "only CONSTRAINT has one" });
        }
        let kind = match kind {
            WireKind::Unspecified => DeclineKind::Unspecified,
            WireKind::NoDemand => DeclineKind::NoDemand,
            WireKind::ResourcesShort => {
                DeclineKind::ResourcesShort { shortage: check::optional("shortage", shortage)?.unwrap_or_default() }
            }
            WireKind::Constraint => DeclineKind::Constraint { constraint: check::optional("constraint", constraint)? },
            WireKind::BackOff => DeclineKind::BackOff,
            WireKind::Spread => DeclineKind::Spread,
            WireKind::Leftover => DeclineKind::Leftover,
            WireKind::NotReady => DeclineKind::NotReady,
            WireKind::Other => DeclineKind::Other,
        };
        Ok(Self { kind, message: decline_message(message)? })
    }
}

pub(super) fn decline_message(message: String) -> Checked<String> {
    let length = message.chars().count();
    if length > MAX_MESSAGE_CHARS {
        return check::fail("message", Defect::TooLong { length, max: MAX_MESSAGE_CHARS, unit: "characters" });
    }
    check::text("message", message, 4 * MAX_MESSAGE_CHARS)
}

impl From<DeclineReason> for wire::DeclineReason {
    fn from(DeclineReason { kind, message }: DeclineReason) -> Self {
        let (mut shortage, mut constraint) = (None, None);
        let kind = match kind {
            DeclineKind::Unspecified => WireKind::Unspecified,
            DeclineKind::NoDemand => WireKind::NoDemand,
            DeclineKind::ResourcesShort { shortage: short } => {
                shortage = Some(short.into());
                WireKind::ResourcesShort
            }
            DeclineKind::Constraint { constraint: rule } => {
                constraint = rule.map(Into::into);
                WireKind::Constraint
            }
            DeclineKind::BackOff => WireKind::BackOff,
            DeclineKind::Spread => WireKind::Spread,
            DeclineKind::Leftover => WireKind::Leftover,
            DeclineKind::NotReady => WireKind::NotReady,
            DeclineKind::Other => WireKind::Other,
        };
        Self { kind: kind.into(), message, shortage, constraint }
    }
}

check::same_enum!(rescind_reason: RescindReason <-> WireRescind, unspecified None,
    [Expired, AgentLost, AgentChanged, DemandChanged, Operator, LostRace],
    "EXPIRED, AGENT_LOST, AGENT_CHANGED, DEMAND_CHANGED, OPERATOR, LOST_RACE");
