//! Watch: a snapshot, then every change, of the kinds that were asked for. A watcher that is stuck is cut off.

use std::time::Duration;

use proffer_master_engine::view::Change;
use proffer_proto_transport::{ErrorKind, to_status};
use proffer_proto_wire::operator as wire;
use proffer_proto_wire::operator::cluster_event::Event;
use proffer_proto_wire::operator::watch_request::Kind;
use tokio::sync::broadcast::error::RecvError;
use tonic::Status;

use super::operator::{OperatorApi, agent, framework};
use crate::queue::{PushError, Sender};

/// Events that may wait for a slow watcher.
pub(super) const WATCH_QUEUE: usize = 1_024;
/// How long a watcher may leave no room before it is cut off.
const WATCH_PATIENCE: Duration = Duration::from_secs(10);

/// What a watcher wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kinds {
    /// Empty for all.
    only: Vec<Kind>,
    wants_snapshot: bool,
}

impl TryFrom<wire::WatchRequest> for Kinds {
    type Error = Status;

    fn try_from(wire::WatchRequest { kinds, changes_only }: wire::WatchRequest) -> Result<Self, Status> {
        let known = |(at, number): (usize, i32)| match Kind::try_from(number) {
            Ok(kind) if kind != Kind::Unspecified => Ok(kind),
            _ => {
                let message = format!("kinds[{at}] is {number}, which is no kind of event; use AGENT to INVERSE_OFFER");
                Err(to_status(ErrorKind::Invalid, message))
            }
        };
        let only = kinds.into_iter().enumerate().map(known).collect::<Result<_, _>>()?;
        Ok(Self { only, wants_snapshot: !changes_only })
    }
}

impl Kinds {
    /// Everything.
    #[cfg(test)]
    pub(super) fn all() -> Self {
        Self { only: Vec::new(), wants_snapshot: true }
    }

    fn wants(&self, kind: Kind) -> bool {
        self.only.is_empty() || self.only.contains(&kind)
    }

    fn snapshot(&self, kind: Kind) -> bool {
        self.wants_snapshot && self.wants(kind)
    }
}

impl OperatorApi {
    /// Subscribes before it takes the snapshot, so that nothing falls between the two.
    pub(super) async fn watch_into(&self, to: &Sender<wire::ClusterEvent>, kinds: Kinds) -> Result<(), Status> {
        let mut changes = self.readers.changes();
        let mut index = 0;
        let mut next = |event| {
            index += 1;
            wire::ClusterEvent { index, event: Some(event) }
        };
        let readers = &self.readers;
        let agents = if kinds.snapshot(Kind::Agent) { readers.agents() } else { Vec::new() };
        let frameworks = if kinds.snapshot(Kind::Framework) { readers.frameworks() } else { Vec::new() };
        let agents = agents.into_iter().map(|a| Event::Agent(agent(&a)));
        let frameworks = frameworks.into_iter().map(|f| Event::Framework(framework(&f)));
        let offers = if kinds.snapshot(Kind::Offer) { readers.offers() } else { Vec::new() };
        let tasks = if kinds.snapshot(Kind::Task) { readers.tasks() } else { Vec::new() };
        let offers = offers.into_iter().map(|o| Event::Offer(self.offer(&o)));
        let tasks = tasks.into_iter().map(|t| Event::Task(self.task(&t)));
        let roles = if kinds.snapshot(Kind::Role) { self.roles() } else { Vec::new() };
        let roles = roles.into_iter().map(Event::Role);
        let asked = if kinds.snapshot(Kind::InverseOffer) { readers.inverse_offers() } else { Vec::new() };
        let asked = asked.into_iter().map(|view| Event::InverseOffer(self.inverse_offer(&view)));
        let end = std::iter::once(Event::SnapshotEnd(wire::SnapshotEnd {}));
        for event in agents.chain(frameworks).chain(offers).chain(tasks).chain(roles).chain(asked).chain(end) {
            push(to, next(event)).await?;
        }
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = to.over().cancelled() => return Ok(()),
            };
            match change {
                Ok(change) => {
                    if let Some(event) = self.event(&change, &kinds) {
                        push(to, next(event)).await?;
                    }
                }
                Err(RecvError::Closed) => return Ok(()),
                Err(RecvError::Lagged(missed)) => {
                    let message = format!("this watch reads too slowly and missed {missed} changes; watch again");
                    return Err(to_status(ErrorKind::Exhausted, message));
                }
            }
        }
    }

    fn event(&self, change: &Change, kinds: &Kinds) -> Option<Event> {
        let kind = match change {
            Change::Agent(_) | Change::AgentRemoved(_) => Kind::Agent,
            Change::Framework(_) | Change::FrameworkRemoved(_) => Kind::Framework,
            Change::Offer(_) => Kind::Offer,
            Change::Task(_) => Kind::Task,
            Change::Role(_) | Change::RoleRemoved(_) => Kind::Role,
            Change::Inverse(_) => Kind::InverseOffer,
            // Its last state was told when it ended.
            Change::TaskForgotten(_) | Change::Window(_) | Change::WindowRemoved(_) => return None,
        };
        if !kinds.wants(kind) {
            return None;
        }
        Some(match change {
            Change::Agent(view) => Event::Agent(agent(view)),
            Change::AgentRemoved(id) => Event::AgentRemoved(id.to_string()),
            Change::Framework(view) => Event::Framework(framework(view)),
            Change::FrameworkRemoved(id) => Event::FrameworkRemoved(id.to_string()),
            Change::Offer(view) => Event::Offer(self.offer(view)),
            Change::Task(record) => Event::Task(self.task(record)),
            Change::Role(view) => Event::Role(self.role(view, &self.readers.total())),
            Change::Inverse(view) => Event::InverseOffer(self.inverse_offer(view)),
            Change::RoleRemoved(role) => Event::RoleRemoved(role.to_string()),
            Change::TaskForgotten(_) | Change::Window(_) | Change::WindowRemoved(_) => return None,
        })
    }
}

/// Waits for room, but not for ever: a watcher that is stuck is cut off and told why.
async fn push(to: &Sender<wire::ClusterEvent>, event: wire::ClusterEvent) -> Result<(), Status> {
    match tokio::time::timeout(WATCH_PATIENCE, to.push_when_room(event)).await {
        Ok(Ok(())) => Ok(()),
        // It went away and hears nothing any more.
        Ok(Err(PushError::Ended | PushError::Full)) => Err(Status::cancelled("the watcher is gone")),
        Err(_) => {
            let seconds = WATCH_PATIENCE.as_secs();
            let message = format!("this watch was not read for {seconds} s and was cut off; watch again and keep up");
            let status = to_status(ErrorKind::Exhausted, message);
            to.cut(None, status.clone());
            Err(status)
        }
    }
}

#[cfg(test)]
mod tests;
