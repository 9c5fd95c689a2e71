//! Requests to leave agents, with their answers, as operators see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use proffer_master_engine::registry::WindowRecord;
use proffer_master_engine::view::{InverseOutcome, InverseView};
use proffer_proto_model::{InverseCause, InverseEnd, UnixMillis};
use proffer_proto_wire::operator as wire;
use proffer_proto_wire::scheduler::rescind_inverse::End;
use wire::inverse_offer_record::Answer;

use super::operator::OperatorApi;

/// Most requests that are over in one answer; so many are remembered.
const MAX_HISTORY: u32 = 1_000;

impl OperatorApi {
    /// All requests that are open, and the latest that are over.
    pub(super) fn inverse_offers(&self, request: wire::ListInverseOffersRequest) -> wire::ListInverseOffersResponse {
        let most = request.history.min(MAX_HISTORY) as usize;
        let records = |views: Vec<Arc<InverseView>>| views.iter().map(|view| self.inverse_offer(view)).collect();
        wire::ListInverseOffersResponse {
            open: records(self.readers.inverse_offers()),
            history: records(self.readers.inverse_history(most)),
        }
    }

    /// One request as it stands.
    pub(super) fn inverse_offer(&self, view: &InverseView) -> wire::InverseOfferRecord {
        let (answer, answered, message) = match &view.outcome {
            InverseOutcome::Outstanding => (Answer::None, UnixMillis(0), String::new()),
            InverseOutcome::Accepted { at, message } => (Answer::Accepted, *at, message.clone()),
            InverseOutcome::Declined { at, message } => (Answer::Declined, *at, message.clone()),
        };
        wire::InverseOfferRecord {
            inverse_offer: Some(view.offer.clone().into()),
            framework_id: view.framework.to_string(),
            framework_name: self.readers.framework_name(&view.framework),
            sent_unix_ms: view.sent.0,
            answer: answer.into(),
            message,
            answered_unix_ms: answered.0,
            end: view.ended.map_or(End::Unspecified, end).into(),
        }
    }

    /// What the frameworks on a window's agents answered: the latest of each framework and agent.
    pub(super) fn answers(&self, window: &WindowRecord) -> Vec<wire::InverseOfferRecord> {
        let is_of_window = |view: &Arc<InverseView>| {
            let offer = &view.offer;
            let is_same = offer.cause == InverseCause::Maintenance && offer.unavailability.start == window.start;
            is_same && window.agents.contains(&offer.agent)
        };
        let mut latest: BTreeMap<_, Arc<InverseView>> = BTreeMap::new();
        let history = self.readers.inverse_history(MAX_HISTORY as usize);
        let all = self.readers.inverse_offers().into_iter().chain(history).filter(is_of_window);
        for view in all {
            latest.entry((view.offer.agent.clone(), view.framework.clone())).or_insert(view);
        }
        latest.values().map(|view| self.inverse_offer(view)).collect()
    }
}

fn end(end: InverseEnd) -> End {
    match end {
        InverseEnd::Left => End::Left,
        InverseEnd::Cancelled => End::Cancelled,
        InverseEnd::Replaced => End::Replaced,
        InverseEnd::AgentLost => End::AgentLost,
    }
}
