//! Unavailability and inverse offers, with their answers.

use proffer_proto_wire::scheduler as wire;
use wire::inverse_offer::Cause as WireCause;
use wire::rescind_inverse::End as WireEnd;

use super::check::{self, Checked};
use super::offer::decline_message;
use super::{MAX_ENTRIES, MAX_TEXT_BYTES, WireError};
use crate::{
    InverseAnswer, InverseCause, InverseEnd, InverseOffer, InverseOfferId, InverseReply, Unavailability, UnixMillis,
};

impl From<wire::Unavailability> for Unavailability {
    fn from(wire::Unavailability { start_unix_ms, duration_ms }: wire::Unavailability) -> Self {
        Self { start: UnixMillis(start_unix_ms), duration_ms }
    }
}

impl From<Unavailability> for wire::Unavailability {
    fn from(Unavailability { start, duration_ms }: Unavailability) -> Self {
        Self { start_unix_ms: start.0, duration_ms }
    }
}

impl TryFrom<wire::InverseOffer> for InverseOffer {
    type Error = WireError;

    fn try_from(offer: wire::InverseOffer) -> Result<Self, WireError> {
        let wire::InverseOffer {
            inverse_offer_id,
            agent_id,
            start_unix_ms,
            duration_ms,
            message,
            cause,
            task_ids,
            resources,
            hostname,
        } = offer;
        Ok(Self {
            id: check::id("inverse_offer_id", &inverse_offer_id)?,
            agent: check::id("agent_id", &agent_id)?,
            hostname: check::name("hostname", hostname)?,
            cause: inverse_cause("cause", cause)?,
            unavailability: Unavailability { start: UnixMillis(start_unix_ms), duration_ms },
            tasks: if task_ids.is_empty() { Vec::new() } else { check::ids("task_ids", &task_ids)? },
            resources: check::optional("resources", resources)?.unwrap_or_default(),
            message: check::text("message", message, MAX_TEXT_BYTES)?,
        })
    }
}

impl From<InverseOffer> for wire::InverseOffer {
    fn from(offer: InverseOffer) -> Self {
        let InverseOffer { id, agent, hostname, cause, unavailability, tasks, resources, message } = offer;
        Self {
            inverse_offer_id: id.into(),
            agent_id: agent.into(),
            start_unix_ms: unavailability.start.0,
            duration_ms: unavailability.duration_ms,
            message,
            cause: WireCause::from(cause).into(),
            task_ids: tasks.into_iter().map(String::from).collect(),
            resources: Some(resources.into()),
            hostname,
        }
    }
}

impl TryFrom<wire::InverseReply> for InverseReply {
    type Error = WireError;

    fn try_from(reply: wire::InverseReply) -> Result<Self, WireError> {
        let wire::InverseReply { inverse_offer_ids, accepted, message, filter } = reply;
        Ok(Self {
            offers: check::ids("inverse_offer_ids", &inverse_offer_ids)?,
            answer: if accepted { InverseAnswer::Accepted } else { InverseAnswer::Declined },
            message: decline_message(message)?,
            filter: check::optional("filter", filter)?,
        })
    }
}

impl From<InverseReply> for wire::InverseReply {
    fn from(InverseReply { offers, answer, message, filter }: InverseReply) -> Self {
        Self {
            inverse_offer_ids: offers.into_iter().map(String::from).collect(),
            accepted: answer == InverseAnswer::Accepted,
            message,
            filter: filter.map(Into::into),
        }
    }
}

/// The requests of an InverseOffers.
pub(super) fn inverse_offers(
    wire::InverseOffers { inverse_offers }: wire::InverseOffers,
) -> Checked<Vec<InverseOffer>> {
    check::list("inverse_offers", inverse_offers, MAX_ENTRIES)
}

/// The names and the reason of a RescindInverse.
pub(super) fn rescind_inverse(rescind: wire::RescindInverse) -> Checked<(Vec<InverseOfferId>, InverseEnd)> {
    let wire::RescindInverse { inverse_offer_ids, end } = rescind;
    Ok((check::ids("inverse_offer_ids", &inverse_offer_ids)?, inverse_end("end", end)?))
}

check::same_enum!(inverse_cause: InverseCause <-> WireCause, unspecified None,
    [Maintenance, Drain, Preemption],
    "MAINTENANCE, DRAIN, PREEMPTION");

check::same_enum!(inverse_end: InverseEnd <-> WireEnd, unspecified None,
    [Left, Cancelled, Replaced, AgentLost],
    "LEFT, CANCELLED, REPLACED, AGENT_LOST");
