//! Requests to leave agents and what frameworks answered, as `proffer maintenance` shows them.

use proffer_proto_wire::operator::{InverseOfferRecord, ListInverseOffersRequest, inverse_offer_record::Answer};
use proffer_proto_wire::scheduler::inverse_offer::Cause;
use proffer_proto_wire::scheduler::rescind_inverse::End;
use serde::Serialize;

use crate::client::Cluster;
use crate::output::{self, Format, age, when};

use crate::{CliError, Outcome};

/// A request to leave an agent as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct InverseOfferView {
    pub(crate) inverse_offer_id: String,
    pub(crate) framework_id: String,
    pub(crate) framework: String,
    pub(crate) agent_id: String,
    pub(crate) hostname: String,
    /// MAINTENANCE, DRAIN or PREEMPTION.
    pub(crate) cause: &'static str,
    pub(crate) start_unix_ms: u64,
    pub(crate) duration_ms: u64,
    pub(crate) task_ids: Vec<String>,
    pub(crate) why: String,
    pub(crate) sent_unix_ms: u64,
    /// ACCEPTED, DECLINED or NONE.
    pub(crate) answer: &'static str,
    /// In the framework's words.
    pub(crate) message: String,
    pub(crate) answered_unix_ms: u64,
    /// Why it is over: LEFT, CANCELLED, REPLACED or AGENT_LOST; empty while it is open.
    pub(crate) end: &'static str,
}

impl InverseOfferView {
    pub(crate) fn new(record: InverseOfferRecord) -> Self {
        let answer = match record.answer() {
            Answer::Unspecified | Answer::None => "NONE",
            Answer::Accepted => "ACCEPTED",
            Answer::Declined => "DECLINED",
        };
        let end = match record.end() {
            End::Unspecified => "",
            other => other.as_str_name(),
        };
        let offer = record.inverse_offer.unwrap_or_default();
        let cause = match offer.cause() {
            Cause::Unspecified => "UNKNOWN",
            other => other.as_str_name(),
        };
        Self {
            inverse_offer_id: offer.inverse_offer_id,
            framework_id: record.framework_id,
            framework: record.framework_name,
            agent_id: offer.agent_id,
            hostname: offer.hostname,
            cause,
            start_unix_ms: offer.start_unix_ms,
            duration_ms: offer.duration_ms,
            task_ids: offer.task_ids,
            why: offer.message,
            sent_unix_ms: record.sent_unix_ms,
            answer,
            message: record.message,
            answered_unix_ms: record.answered_unix_ms,
            end,
        }
    }

    /// For `proffer events`.
    pub(crate) fn line(&self) -> String {
        let Self { inverse_offer_id, framework, hostname, cause, answer, message, end, task_ids, .. } = self;
        let words = if message.is_empty() { String::new() } else { format!(": {message}") };
        let state = if end.is_empty() { String::new() } else { format!(" {end};") };
        let tasks = task_ids.len();
        format!(
            "inverse    {inverse_offer_id}{state} {framework} to leave {hostname} ({cause}), {tasks} tasks; answer {answer}{words}"
        )
    }
}

/// A table of requests.
pub(crate) fn table(views: &[InverseOfferView], none: &str) -> Result<(), CliError> {
    let row = |view: &InverseOfferView| {
        let state = if view.end.is_empty() { "OPEN" } else { view.end };
        [
            view.inverse_offer_id.clone(),
            view.framework.clone(),
            view.hostname.clone(),
            view.cause.to_owned(),
            when(view.start_unix_ms),
            view.task_ids.len().to_string(),
            state.to_owned(),
            view.answer.to_owned(),
            age(view.sent_unix_ms),
            view.message.clone(),
        ]
    };
    let head = ["REQUEST", "FRAMEWORK", "HOST", "CAUSE", "BY", "TASKS", "STATE", "ANSWER", "AGE", "REASON"];
    output::table(head, views.iter().map(row).collect(), none)
}

/// `proffer maintenance requests`
pub(crate) async fn run(cluster: &Cluster, format: Format, history: u32) -> Result<Outcome, CliError> {
    let answer = cluster.operator().await?.list_inverse_offers(ListInverseOffersRequest { history }).await;
    let answer = answer.map_err(|error| CliError::remote("list requests to leave", error))?.into_inner();
    let views: Vec<_> = answer.open.into_iter().chain(answer.history).map(InverseOfferView::new).collect();
    match format {
        Format::Json => output::json(&views)?,
        Format::Table => table(&views, "no framework is asked to leave an agent")?,
    }
    Ok(Outcome::Good)
}
