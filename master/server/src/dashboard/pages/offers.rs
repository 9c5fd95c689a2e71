//! `/offers`: what is offered to whom now, and what became of the latest offers.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use proffer_master_engine::view::{OfferOutcome, OfferView};
use proffer_proto_model::{Constraint, ConstraintOperator, DeclineKind, DeclineReason, RescindReason, UnixMillis};

use super::asked::{AskedRow, asked};
use super::{Pager, answer};
use crate::dashboard::amounts::Shape;
use crate::dashboard::query::{BadQuery, Params, RawParams};
use crate::dashboard::widgets::{Badge, Time};
use crate::dashboard::{Dashboard, Layout, Section, words};
use crate::read_models::ReadModels;

/// Answered offers that are shown.
const HISTORY: usize = 100;

#[derive(Template)]
#[template(path = "offers.html")]
struct Offers {
    layout: Layout,
    open: Vec<OpenRow>,
    pager: Pager,
    asked: Vec<AskedRow>,
    answered: Vec<AnsweredRow>,
}

/// An offer that waits for its answer.
#[derive(Debug)]
pub(super) struct OpenRow {
    pub id: String,
    pub framework: String,
    pub framework_id: String,
    pub agent: String,
    pub hostname: String,
    pub role: String,
    pub shape: Shape,
    pub sent: Time,
    pub expires: Time,
    /// When its agent is not there next.
    pub planned: Option<Time>,
}

/// An offer that has its answer.
#[derive(Debug)]
pub(super) struct AnsweredRow {
    pub id: String,
    pub framework: String,
    pub framework_id: String,
    pub agent: String,
    pub hostname: String,
    pub outcome: Badge,
    pub reason: String,
    pub shape: Shape,
    pub held: String,
    pub answered: Time,
}

/// `/offers`
pub(crate) async fn show(State(dashboard): State<Dashboard>, query: RawParams) -> Response {
    answer(&dashboard, page(&dashboard, query))
}

fn page(dashboard: &Dashboard, query: RawParams) -> Result<Offers, BadQuery> {
    let mut params = Params::new(query)?;
    let number = params.take_page()?;
    params.end()?;
    let layout = dashboard.layout(Section::Offers, "Offers");
    let readers = &dashboard.readers;
    let mut offers = readers.offers();
    // The next to expire first.
    offers.sort_by_key(|view| view.sent.0.saturating_add(view.offer.expires_in_ms));
    let pager = Pager::cut(&mut offers, number, String::new());
    let open = offers.iter().map(|view| OpenRow::new(readers, view, layout.now)).collect();
    let answered = answered(readers, HISTORY, layout.now);
    let asked = asked(readers, layout.now);
    Ok(Offers { layout, open, pager, asked, answered })
}

/// The latest answers, newest first.
pub(super) fn answered(readers: &ReadModels, most: usize, now: UnixMillis) -> Vec<AnsweredRow> {
    readers.offer_history(most).iter().map(|view| AnsweredRow::new(readers, view, now)).collect()
}

impl OpenRow {
    pub(super) fn new(readers: &ReadModels, view: &OfferView, now: UnixMillis) -> Self {
        let offer = &view.offer;
        Self {
            id: offer.id.to_string(),
            framework: readers.framework_name(&view.framework),
            framework_id: view.framework.to_string(),
            agent: offer.agent.to_string(),
            hostname: offer.hostname.clone(),
            role: offer.role.to_string(),
            shape: Shape::of(&offer.resources),
            sent: Time::ago(view.sent, now),
            expires: Time::until(UnixMillis(view.sent.0.saturating_add(offer.expires_in_ms)), now),
            planned: offer.unavailability.map(|planned| Time::until(planned.start, now)),
        }
    }
}

impl AnsweredRow {
    fn new(readers: &ReadModels, view: &OfferView, now: UnixMillis) -> Self {
        let offer = &view.offer;
        Self {
            id: offer.id.to_string(),
            framework: readers.framework_name(&view.framework),
            framework_id: view.framework.to_string(),
            agent: offer.agent.to_string(),
            hostname: offer.hostname.clone(),
            outcome: Badge::from(&view.outcome),
            reason: why(&view.outcome),
            shape: Shape::of(&offer.resources),
            held: words::span(view.held_ms),
            answered: Time::ago(UnixMillis(view.sent.0.saturating_add(view.held_ms)), now),
        }
    }
}

/// Why an offer ended as it did; empty when there is nothing to say.
fn why(outcome: &OfferOutcome) -> String {
    match outcome {
        OfferOutcome::Outstanding | OfferOutcome::Accepted { leftover: None, .. } => String::new(),
        // That something is left over is what usually happens.
        OfferOutcome::Accepted { leftover: Some(reason), .. }
            if *reason == DeclineReason::new(DeclineKind::Leftover) =>
        {
            String::new()
        }
        OfferOutcome::Accepted { leftover: Some(reason), .. } => format!("rest left: {}", declined(reason)),
        OfferOutcome::Declined(reason) => declined(reason),
        OfferOutcome::Rescinded(reason) => match reason {
            RescindReason::Expired => "not answered in time",
            RescindReason::AgentLost => "the agent was lost",
            RescindReason::AgentChanged => "the agent's resources changed",
            RescindReason::DemandChanged => "the demand changed",
            RescindReason::Operator => "an operator needs the resources",
            RescindReason::LostRace => "another framework was faster",
        }
        .to_owned(),
    }
}

fn declined(reason: &DeclineReason) -> String {
    let kind = match &reason.kind {
        DeclineKind::Unspecified => String::new(),
        DeclineKind::NoDemand => "nothing wanted".to_owned(),
        DeclineKind::ResourcesShort { shortage } => format!("short of {shortage}"),
        DeclineKind::Constraint { constraint: Some(rule) } => format!("rule not met: {}", rule_text(rule)),
        DeclineKind::Constraint { constraint: None } => "a rule is not met".to_owned(),
        DeclineKind::BackOff => "backing off".to_owned(),
        DeclineKind::Spread => "enough on this agent".to_owned(),
        DeclineKind::Leftover => "rest left over".to_owned(),
        DeclineKind::NotReady => "framework not ready".to_owned(),
        DeclineKind::Other => "other".to_owned(),
    };
    match (kind.is_empty(), reason.message.is_empty()) {
        (true, true) => "no reason given".to_owned(),
        (true, false) => reason.message.clone(),
        (false, true) => kind,
        (false, false) => format!("{kind}: {}", reason.message),
    }
}

/// A rule as people write it.
pub(super) fn rule_text(rule: &Constraint) -> String {
    let Constraint { subject, operator, value } = rule;
    match operator {
        ConstraintOperator::Exists => format!("{subject} exists"),
        ConstraintOperator::NotExists => format!("{subject} does not exist"),
        ConstraintOperator::Equals => format!("{subject} = {value}"),
        ConstraintOperator::NotEquals => format!("{subject} ≠ {value}"),
        ConstraintOperator::Matches(pattern) => format!("{subject} matches {pattern}"),
        ConstraintOperator::NotMatches(pattern) => format!("{subject} does not match {pattern}"),
    }
}

#[cfg(test)]
mod tests {
    use proffer_proto_model::{Bytes, MilliCpus, Resources};

    use super::*;

    #[test]
    fn every_typed_reason_becomes_words() {
        let said =
            |kind, message: &str| why(&OfferOutcome::Declined(DeclineReason { kind, message: message.to_owned() }));
        let shortage = Resources::new(MilliCpus(1_500), Bytes(0));
        assert_eq!(said(DeclineKind::ResourcesShort { shortage }, ""), "short of 1.5 cpus");
        let rule = Constraint { subject: "@zone".into(), operator: ConstraintOperator::Equals, value: "b".into() };
        assert_eq!(said(DeclineKind::Constraint { constraint: Some(rule) }, ""), "rule not met: @zone = b");
        assert_eq!(said(DeclineKind::BackOff, "web.0 crashed"), "backing off: web.0 crashed");
        assert_eq!(said(DeclineKind::Unspecified, ""), "no reason given");
        let leftover = Some(DeclineReason::new(DeclineKind::NoDemand));
        assert_eq!(why(&OfferOutcome::Accepted { leftover, is_used: true }), "rest left: nothing wanted");
        assert_eq!(why(&OfferOutcome::Rescinded(RescindReason::Expired)), "not answered in time");
    }
}
