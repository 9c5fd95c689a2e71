//! What the master measures of itself, for Prometheus at `/metrics`. Every name stands in `docs/metrics.md`.
//!
//! It never changes what the master does, and the number of series is bounded whatever frameworks call themselves.

mod bounded;
mod kept;
mod now;
mod queues;
mod record;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use crate::read_models::ReadModels;
use bounded::{Named, Names};
use queues::Queues;
pub(crate) use queues::Reader;
pub(crate) use record::Load;

/// Labels: names are fixed, values are words of ours or bounded by [`Names`].
type Labels = Vec<(&'static str, String)>;

/// All that is measured. The owner writes, `/metrics` reads.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    names: Arc<Names>,
    roles: Arc<Names>,
    /// How much waits for readers.
    pub(crate) queues: Arc<Queues>,
    decision: Histogram,
    allocation: Histogram,
    commit: Histogram,
    batch: Histogram,
    inbox: Gauge,
    sessions: Gauge,
    filters: Gauge,
    offers_sent: Named,
    offers_ended: Named,
    offer_hold: Family<Labels, Histogram, fn() -> Histogram>,
    races: Named,
    preemption_kills: Counter,
    inverse_sent: Named,
    inverse_answered: Named,
    inverse_ended: Named,
    received: Family<Labels, Counter>,
    sent: Family<Labels, Counter>,
    cut_off: Family<Labels, Counter>,
    paced: Named,
}

impl Metrics {
    /// Nothing measured yet; what is true at the moment of a look comes from the read models.
    pub(crate) fn new(readers: Arc<ReadModels>) -> Self {
        let mut registry = Registry::default();
        let queues = Arc::new(Queues::default());
        let kept = &mut registry;
        let mut metrics = Self {
            decision: seconds(kept, "proffer_master_decision_seconds", "Time to decide on one input"),
            allocation: seconds(kept, "proffer_master_allocation_seconds", "Time to make offers after one input"),
            commit: seconds(kept, "proffer_master_store_commit_seconds", "Time to make one batch durable"),
            batch: {
                let sizes = Histogram::new(exponential_buckets(1.0, 2.0, 10));
                keep(kept, "proffer_master_batch_inputs", "Inputs that shared one commit", sizes)
            },
            inbox: keep(kept, "proffer_master_inbox_length", "Inputs that wait for the owner", Gauge::default()),
            sessions: keep(kept, "proffer_master_sessions", "Open streams of agents and frameworks", Gauge::default()),
            filters: keep(kept, "proffer_master_filters", "Filters that keep agents away", Gauge::default()),
            offers_sent: named(kept, "proffer_master_offers_sent", "Offers sent"),
            offers_ended: {
                let help = "Offers answered or withdrawn, by outcome and reason";
                named(kept, "proffer_master_offers_ended", help)
            },
            offer_hold: {
                let times = Family::new_with_constructor(hold_times as fn() -> Histogram);
                keep(kept, "proffer_master_offer_hold_seconds", "How long offers were held", times)
            },
            races: {
                let help =
                    "Optimistic offers sent, and which of them were used first or withdrawn as another was faster";
                named(kept, "proffer_master_races", help)
            },
            preemption_kills: {
                let help = "Kills sent to make room for roles that are short of their guarantee";
                keep(kept, "proffer_master_preemption_kills", help, Counter::default())
            },
            inverse_sent: {
                let help = "Requests to leave an agent that were sent, repeats after an answer included";
                named(kept, "proffer_master_inverse_offers_sent", help)
            },
            inverse_answered: {
                let help = "Answers to requests to leave an agent";
                named(kept, "proffer_master_inverse_offers_answered", help)
            },
            inverse_ended: {
                let help = "Requests to leave an agent that are over, by the last answer and the reason";
                named(kept, "proffer_master_inverse_offers_ended", help)
            },
            received: keep(kept, "proffer_master_messages_received", "Inputs by kind", Family::default()),
            sent: keep(kept, "proffer_master_messages_sent", "Messages to sessions by kind", Family::default()),
            cut_off: {
                let help = "Streams cut off because their reader was too slow";
                keep(kept, "proffer_master_slow_readers_cut_off", help, Family::default())
            },
            paced: {
                let help = "Calls that waited because their framework calls too fast";
                named(kept, "proffer_master_calls_paced", help)
            },
            names: Arc::default(),
            roles: Arc::default(),
            queues,
            registry,
        };
        let Self { offers_sent, offers_ended, races, inverse_sent, inverse_answered, inverse_ended, paced, .. } =
            &metrics;
        let by_name = [offers_sent, offers_ended, races, inverse_sent, inverse_answered, inverse_ended, paced];
        metrics.names = Arc::new(Names::of(by_name.map(Named::clone).to_vec()));
        let (names, roles) = (Arc::clone(&metrics.names), Arc::clone(&metrics.roles));
        let now = now::Now { readers, names, roles, queues: Arc::clone(&metrics.queues) };
        metrics.registry.register_collector(Box::new(now));
        metrics.paced.add(&vec![("framework", "other".to_owned())], 0);
        let other = ("framework", "other".to_owned());
        let none = |label| (label, "none".to_owned());
        for result in ["opened", "won", "lost"] {
            metrics.races.add(&vec![other.clone(), ("result", result.to_owned())], 0);
        }
        let cause = ("cause", "maintenance".to_owned());
        metrics.inverse_sent.add(&vec![other.clone(), cause.clone()], 0);
        let declined = ("answer", "declined".to_owned());
        metrics.inverse_answered.add(&vec![other.clone(), cause.clone(), declined], 0);
        let left = ("reason", "left".to_owned());
        metrics.inverse_ended.add(&vec![other, cause, none("answer"), left], 0);
        for peer in ["agent", "framework"] {
            // A counter that can be asked for before it first counts.
            metrics.cut_off.get_or_create_owned(&vec![("peer", peer.to_owned())]);
        }
        metrics
    }

    /// `/metrics`.
    pub(crate) fn router(metrics: Arc<Self>) -> Router {
        Router::new().route("/metrics", get(show)).with_state(metrics)
    }
}

async fn show(State(metrics): State<Arc<Metrics>>) -> Response {
    let mut page = String::new();
    if encode(&mut page, &metrics.registry).is_err() {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response();
    }
    let kind = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    (kind, page).into_response()
}

/// A counter by names that others choose.
fn named(registry: &mut Registry, name: &str, help: &str) -> Named {
    Named::from(keep(registry, name, help, Family::default()))
}

fn keep<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// From a microsecond to half a minute.
fn seconds(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    keep(registry, name, help, Histogram::new(exponential_buckets(1e-6, 4.0, 13)))
}

/// From a millisecond to some nine minutes.
fn hold_times() -> Histogram {
    Histogram::new(exponential_buckets(1e-3, 3.0, 13))
}
