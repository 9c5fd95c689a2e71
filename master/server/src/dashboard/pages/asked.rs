//! Who is asked to leave which agent, and what was answered: a part of `/offers`.

use proffer_master_engine::view::{InverseOutcome, InverseView};
use proffer_proto_model::{InverseCause, UnixMillis};

use crate::dashboard::widgets::Time;
use crate::read_models::ReadModels;

/// Requests that are shown.
const MOST: usize = 200;

/// A request to leave an agent that is open.
#[derive(Debug)]
pub(super) struct AskedRow {
    pub id: String,
    pub framework: String,
    pub framework_id: String,
    pub agent: String,
    pub hostname: String,
    pub cause: &'static str,
    pub by: Time,
    pub tasks: usize,
    pub answer: &'static str,
    pub message: String,
}

/// The requests that are open, the next to come true first.
pub(super) fn asked(readers: &ReadModels, now: UnixMillis) -> Vec<AskedRow> {
    let mut views = readers.inverse_offers();
    views.sort_by_key(|view| view.offer.unavailability.start);
    views.iter().take(MOST).map(|view| AskedRow::new(readers, view, now)).collect()
}

impl AskedRow {
    fn new(readers: &ReadModels, view: &InverseView, now: UnixMillis) -> Self {
        let offer = &view.offer;
        let (answer, message) = match &view.outcome {
            InverseOutcome::Outstanding => ("none yet", String::new()),
            InverseOutcome::Accepted { message, .. } => ("will leave", message.clone()),
            InverseOutcome::Declined { message, .. } => ("stays", message.clone()),
        };
        let cause = match offer.cause {
            InverseCause::Maintenance => "maintenance",
            InverseCause::Drain => "drain",
            InverseCause::Preemption => "preemption",
        };
        Self {
            id: offer.id.to_string(),
            framework: readers.framework_name(&view.framework),
            framework_id: view.framework.to_string(),
            agent: offer.agent.to_string(),
            hostname: offer.hostname.clone(),
            cause,
            by: Time::until(offer.unavailability.start, now),
            tasks: offer.tasks.len(),
            answer,
            message,
        }
    }
}
