//! The offer dashboard: pages for people on the master's own port, made from the read models alone.
//!
//! It never reaches the owner, changes nothing, and never loads anything from another place. Everything that comes
//! from agents, frameworks or tasks is escaped by the templates.

mod amounts;
mod assets;
mod headers;
mod layout;
mod live;
mod pages;
mod query;
mod widgets;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use axum::routing::get;
use proffer_proto_transport::Shutdown;

use crate::clock::unix_now;
use crate::read_models::ReadModels;
use layout::{Layout, Section};
use live::Live;

/// What every page is made from. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Dashboard {
    readers: Arc<ReadModels>,
    live: Arc<Live>,
}

impl Dashboard {
    /// All pages; live updates end when `shutdown` begins.
    pub(crate) fn router(readers: Arc<ReadModels>, shutdown: Shutdown) -> Router {
        let live = Live::start(&readers, shutdown);
        let dashboard = Self { readers, live: Arc::new(live) };
        Router::new()
            .route("/", get(pages::overview::show))
            .route("/offers", get(pages::offers::show))
            .route("/agents", get(pages::agents::show))
            .route("/agents/{id}", get(pages::agents::show_one))
            .route("/frameworks", get(pages::frameworks::show))
            .route("/tasks", get(pages::tasks::show))
            .route("/events", get(live::serve))
            .route("/healthz", get(healthz))
            .route("/assets/{name}", get(assets::serve))
            .fallback(pages::problem::not_found)
            .method_not_allowed_fallback(pages::problem::method_not_allowed)
            .with_state(dashboard)
            .layer(map_response(headers::secure))
    }

    /// The frame around a page. Made before the page reads anything: what changes in between is then told live.
    fn layout(&self, section: Section, title: impl Into<String>) -> Layout {
        let (cluster, epoch, started) = self.readers.identity();
        Layout::new(section, title.into(), self.live.seen(), unix_now(), (cluster, epoch, started))
    }
}

/// For probes: a master that answers is up.
async fn healthz() -> &'static str {
    "ok\n"
}
