//! What the owner tells the metrics while it works.

use proffer_master_engine::view::{Change, InverseOutcome, InverseView, OfferOutcome, OfferView};
use proffer_master_engine::{Effect, FrameworkCall, Input, ToAgent, ToFramework};
use proffer_proto_model::{DeclineKind, InverseCause, InverseEnd, RescindReason, TaskReason};

use super::{Labels, Metrics};
use crate::read_models::ReadModels;

/// How much there was to do when a batch was done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Inputs of the batch.
    pub(crate) batch: usize,
    /// Inputs that wait already.
    pub(crate) waiting: usize,
    /// Open streams.
    pub(crate) sessions: usize,
    /// Filters at the allocator.
    pub(crate) filters: usize,
}

impl Metrics {
    /// An input is about to be handled.
    pub(crate) fn received(&self, input: &Input) {
        let (peer, kind) = match input {
            Input::AgentAttach { .. } => ("agent", "attach"),
            Input::AgentUpdates { .. } => ("agent", "updates"),
            Input::AgentVolumes { .. } => ("agent", "volumes"),
            Input::AgentPong { .. } => ("agent", "pong"),
            Input::AgentDisconnected { .. } => ("agent", "disconnected"),
            Input::Subscribe { .. } => ("framework", "subscribe"),
            Input::Framework { call, .. } => ("framework", call_kind(call)),
            Input::FrameworkDisconnected { .. } => ("framework", "disconnected"),
            Input::Operator(_) => ("operator", "call"),
            Input::DryRun(_) => ("operator", "dry_run"),
            Input::Tick => ("master", "tick"),
        };
        self.received.get_or_create(&peer_and_kind(peer, kind)).inc();
    }

    /// One input was handled: seconds to decide, then to make offers.
    pub(crate) fn handled(&self, decision: f64, allocation: f64) {
        self.decision.observe(decision);
        self.allocation.observe(allocation);
    }

    /// A batch was made durable.
    pub(crate) fn stored(&self, commit: f64, load: Load) {
        self.commit.observe(commit);
        self.batch.observe(load.batch as f64);
        self.inbox.set(signed(load.waiting));
        self.sessions.set(signed(load.sessions));
        self.filters.set(signed(load.filters));
    }

    /// A message is about to be sent.
    pub(crate) fn sends(&self, effect: &Effect) {
        if let Effect::ToAgent { message: ToAgent::Kill { reason: TaskReason::Preempted, .. }, .. } = effect {
            self.preemption_kills.inc();
        }
        let (peer, kind) = match effect {
            Effect::ToFramework { message, .. } => ("framework", event_kind(message)),
            Effect::ToAgent { message, .. } => ("agent", order_kind(message)),
            Effect::OperatorReply { .. } | Effect::WhyReply { .. } => ("operator", "reply"),
            Effect::Close { .. } => return,
        };
        self.sent.get_or_create(&peer_and_kind(peer, kind)).inc();
    }

    /// A stream was cut off because its reader was too slow.
    pub(crate) fn cut_off(&self, peer: &'static str) {
        self.cut_off.get_or_create(&vec![("peer", peer.to_owned())]).inc();
    }

    /// A call of a framework has to wait: it calls too fast.
    pub(crate) fn paced(&self, framework: &str) {
        self.paced.get_or_create(&vec![("framework", self.names.label(framework))]).inc();
    }

    /// Readers are about to be shown a change.
    pub(crate) fn changed(&self, change: &Change, readers: &ReadModels) {
        if let Change::Inverse(view) = change {
            return self.inverse(view, readers);
        }
        let Change::Offer(offer) = change else { return };
        let framework = self.names.label(&readers.framework_name(&offer.framework));
        let OfferView { outcome, held_ms, offer, .. } = &**offer;
        if offer.is_optimistic
            && let Some(result) = race_result(outcome)
        {
            self.races.get_or_create(&vec![("framework", framework.clone()), ("result", result.to_owned())]).inc();
        }
        let (outcome, reason) = match outcome {
            OfferOutcome::Outstanding => {
                self.offers_sent.get_or_create(&vec![("framework", framework)]).inc();
                return;
            }
            OfferOutcome::Accepted { .. } => ("accepted", "none"),
            OfferOutcome::Declined(reason) => ("declined", decline_kind(&reason.kind)),
            OfferOutcome::Rescinded(reason) => ("rescinded", rescind_kind(*reason)),
        };
        let labels = vec![("framework", framework), ("outcome", outcome.to_owned()), ("reason", reason.to_owned())];
        self.offers_ended.get_or_create(&labels).inc();
        let held = self.offer_hold.get_or_create_owned(&vec![("outcome", outcome.to_owned())]);
        held.observe(*held_ms as f64 / 1_000.0);
    }
}

impl Metrics {
    /// A request to leave an agent was sent, answered or is over.
    fn inverse(&self, view: &InverseView, readers: &ReadModels) {
        let framework = self.names.label(&readers.framework_name(&view.framework));
        let cause = match view.offer.cause {
            InverseCause::Maintenance => "maintenance",
            InverseCause::Drain => "drain",
            InverseCause::Preemption => "preemption",
        };
        let answer = match &view.outcome {
            InverseOutcome::Outstanding => "none",
            InverseOutcome::Accepted { .. } => "accepted",
            InverseOutcome::Declined { .. } => "declined",
        };
        let mut labels = vec![("framework", framework), ("cause", cause.to_owned())];
        let counter = match (view.ended, &view.outcome) {
            (None, InverseOutcome::Outstanding) => &self.inverse_sent,
            (None, InverseOutcome::Accepted { .. } | InverseOutcome::Declined { .. }) => {
                labels.push(("answer", answer.to_owned()));
                &self.inverse_answered
            }
            (Some(end), _) => {
                let reason = match end {
                    InverseEnd::Left => "left",
                    InverseEnd::Cancelled => "cancelled",
                    InverseEnd::Replaced => "replaced",
                    InverseEnd::AgentLost => "agent_lost",
                };
                labels.extend([("answer", answer.to_owned()), ("reason", reason.to_owned())]);
                &self.inverse_ended
            }
        };
        counter.get_or_create(&labels).inc();
    }
}

/// What an optimistic offer became for its framework; nothing when it gave it back.
fn race_result(outcome: &OfferOutcome) -> Option<&'static str> {
    match outcome {
        OfferOutcome::Outstanding => Some("opened"),
        OfferOutcome::Accepted { is_used: true, .. } => Some("won"),
        OfferOutcome::Rescinded(RescindReason::LostRace) => Some("lost"),
        OfferOutcome::Accepted { .. } | OfferOutcome::Declined(_) | OfferOutcome::Rescinded(_) => None,
    }
}

fn peer_and_kind(peer: &str, kind: &str) -> Labels {
    vec![("peer", peer.to_owned()), ("kind", kind.to_owned())]
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn call_kind(call: &FrameworkCall) -> &'static str {
    match call {
        FrameworkCall::Update(_) => "update",
        FrameworkCall::Demand(_) => "demand",
        FrameworkCall::Accept(_) => "accept",
        FrameworkCall::Decline { .. } => "decline",
        FrameworkCall::Kill { .. } => "kill",
        FrameworkCall::Acknowledge(_) => "acknowledge",
        FrameworkCall::Reconcile(_) => "reconcile",
        FrameworkCall::InverseReply(_) => "inverse_reply",
        FrameworkCall::Teardown => "teardown",
    }
}

fn event_kind(message: &ToFramework) -> &'static str {
    match message {
        ToFramework::Subscribed { .. } => "subscribed",
        ToFramework::Offers(_) => "offers",
        ToFramework::Rescind { .. } => "rescind",
        ToFramework::Status(_) => "status",
        ToFramework::OperationStatus { .. } => "operation_status",
        ToFramework::InverseOffers(_) => "inverse_offers",
        ToFramework::RescindInverse { .. } => "rescind_inverse",
        ToFramework::AgentLost { .. } => "agent_lost",
        ToFramework::Error { .. } => "error",
        ToFramework::Heartbeat => "heartbeat",
    }
}

fn order_kind(message: &ToAgent) -> &'static str {
    match message {
        ToAgent::Attached { .. } => "attached",
        ToAgent::Launch { .. } => "launch",
        ToAgent::Kill { .. } => "kill",
        ToAgent::Acknowledge { .. } => "acknowledge",
        ToAgent::Expect(_) => "expect",
        ToAgent::CreateVolume(_) => "create_volume",
        ToAgent::DestroyVolume { .. } => "destroy_volume",
        ToAgent::Ping => "ping",
        ToAgent::Refused { .. } => "refused",
    }
}

fn decline_kind(kind: &DeclineKind) -> &'static str {
    match kind {
        DeclineKind::Unspecified => "unspecified",
        DeclineKind::NoDemand => "no_demand",
        DeclineKind::ResourcesShort { .. } => "resources_short",
        DeclineKind::Constraint { .. } => "constraint",
        DeclineKind::BackOff => "back_off",
        DeclineKind::Spread => "spread",
        DeclineKind::Leftover => "leftover",
        DeclineKind::NotReady => "not_ready",
        DeclineKind::Other => "other",
    }
}

fn rescind_kind(reason: RescindReason) -> &'static str {
    match reason {
        RescindReason::Expired => "expired",
        RescindReason::AgentLost => "agent_lost",
        RescindReason::AgentChanged => "agent_changed",
        RescindReason::DemandChanged => "demand_changed",
        RescindReason::Operator => "operator",
        RescindReason::LostRace => "lost_race",
    }
}
