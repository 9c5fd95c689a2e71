//! The edges: each turns wire messages into inputs for the owner, or read models into wire messages.

mod accept;
pub(crate) mod agent;
mod change;
mod drain;
mod incoming;
mod inverse;
mod maintenance;
pub(crate) mod operator;
mod price;
pub(crate) mod rate;
mod reservations;
mod roles;
pub(crate) mod scheduler;
mod watch;
mod why;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proffer_master_engine::{Input, SessionId};
use proffer_proto_transport::{ErrorKind, Shutdown, to_status};
use tokio::sync::mpsc;
use tonic::Status;

use crate::owner::ToOwner;

/// The way to the owner, and numbers for sessions.
#[derive(Debug, Clone)]
pub(crate) struct OwnerLink {
    pub(crate) inbox: mpsc::Sender<ToOwner>,
    pub(crate) shutdown: Shutdown,
    sessions: Arc<AtomicU64>,
}

/// The owner is gone: this master is stopping.
#[derive(Debug)]
pub(crate) struct OwnerGone;

impl OwnerLink {
    pub(crate) fn new(inbox: mpsc::Sender<ToOwner>, shutdown: Shutdown) -> Self {
        Self { inbox, shutdown, sessions: Arc::default() }
    }

    pub(crate) fn next_session(&self) -> SessionId {
        SessionId(self.sessions.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(crate) async fn input(&self, input: Input) -> Result<(), OwnerGone> {
        self.send(ToOwner::Input(Box::new(input))).await
    }

    pub(crate) async fn send(&self, message: ToOwner) -> Result<(), OwnerGone> {
        self.inbox.send(message).await.map_err(|_| OwnerGone)
    }
}

/// What a peer is told when this master stops.
pub(crate) fn stopping() -> Status {
    to_status(ErrorKind::Unavailable, "this master is stopping; connect again, or to another one")
}
