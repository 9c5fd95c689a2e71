//! Verbs that share one rule transaction, one search for stale connections and one deletion of links.
//!
//! Never answers a verb before the transaction that it rests on; each of these costs tens of milliseconds whatever its size.

use super::{Owner, Reply, Wired};
use crate::conntrack::{self, Stale};
use crate::contract::{Attachment, NetworkError, Protocol, PublishedPort};
use crate::rules::Rules;

/// A verb that waits for its rules.
#[derive(Debug)]
pub(super) enum Pending {
    Attach { id: String, wired: Wired, reply: Reply<Attachment> },
    Detach { id: String, reply: Reply<()> },
}

impl Pending {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Attach { id, .. } | Self::Detach { id, .. } => id,
        }
    }
}

impl Owner {
    /// Makes the batch's rules and finishes its verbs.
    pub(super) async fn flush(&mut self, batch: &mut Vec<Pending>) {
        let batch = std::mem::take(batch);
        let changes: Vec<_> = batch.iter().map(|pending| self.change_for(pending)).collect();
        let results = self.apply(changes).await;
        self.forget(&batch);
        self.unlink(&batch, &results).await;
        for (pending, result) in batch.into_iter().zip(results) {
            match pending {
                Pending::Attach { id, wired, reply } => {
                    drop(reply.send(self.finish_attach(id, wired, result).await));
                }
                Pending::Detach { id, reply } => drop(reply.send(self.finish_detach(&id, result).await)),
            }
        }
    }

    /// Makes the kernel forget UDP flows that were translated before, or were not, and now are otherwise.
    fn forget(&self, batch: &[Pending]) {
        let is_udp = |port: &&PublishedPort| port.protocol == Protocol::Udp;
        let mut stale = Vec::new();
        for pending in batch {
            match pending {
                Pending::Attach { wired, .. } => {
                    let ports = wired.ports.iter().filter(is_udp);
                    stale.extend(ports.map(|port| Stale::UdpTo(port.host_port)));
                }
                Pending::Detach { id, .. } => {
                    let wired = self.containers.get(id);
                    let wired = wired.filter(|wired| wired.ports.iter().any(|port| is_udp(&port)));
                    stale.extend(wired.map(|wired| Stale::From(wired.attachment.address)));
                }
            }
        }
        conntrack::forget(&stale);
    }

    /// Deletes the links of all containers whose rules went, together.
    async fn unlink(&self, batch: &[Pending], rules: &[Result<(), NetworkError>]) {
        let done = batch.iter().zip(rules).filter(|(_, result)| result.is_ok());
        let gone = done.filter_map(|(pending, _)| match pending {
            Pending::Detach { id, .. } => Some(self.names.host_link(id)),
            Pending::Attach { .. } => None,
        });
        let links: Vec<_> = gone.collect();
        if links.len() > 1
            && let Err(error) = self.links.delete_all(&links, self.bridge.unwrap_or_default()).await
        {
            // Each is tried again alone, with its own answer.
            tracing::warn!(%error, "cannot delete links together");
        }
    }

    fn change_for(&mut self, pending: &Pending) -> Change {
        let rules = match pending {
            Pending::Attach { id, wired, .. } => self.rules.container_rules(id, wired.attachment.address, &wired.ports),
            Pending::Detach { id, .. } => {
                // Before the rules go: otherwise connections would wait in the queue of a port nobody serves.
                if let Some(wired) = self.containers.get_mut(id) {
                    wired.held.clear();
                }
                Vec::new()
            }
        };
        Change { id: pending.id().to_owned(), rules }
    }

    /// Makes all changes in one transaction; when that fails, one by one against what the kernel really has.
    pub(super) async fn apply(&mut self, changes: Vec<Change>) -> Vec<Result<(), NetworkError>> {
        if self.restore(&changes).await.is_ok() {
            return changes.iter().map(|_| Ok(())).collect();
        }
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            // The second look: somebody else may have changed our rules.
            self.iptables = None;
            results.push(self.restore(std::slice::from_ref(&change)).await);
        }
        results
    }

    async fn restore(&mut self, changes: &[Change]) -> Result<(), NetworkError> {
        let iptables = self.iptables().await?;
        let remove = changes.iter().filter_map(|change| self.live_rules.get(&change.id)).flatten();
        let add = changes.iter().flat_map(|change| &change.rules);
        if let Some(transaction) = Rules::change(remove, add) {
            iptables.restore(&transaction).await?;
        }
        for change in changes {
            if change.rules.is_empty() {
                self.live_rules.remove(&change.id);
            } else {
                self.live_rules.insert(change.id.clone(), change.rules.clone());
            }
        }
        Ok(())
    }
}

/// Rules one container shall have in place of those it has.
pub(super) struct Change {
    pub(super) id: String,
    pub(super) rules: Vec<String>,
}
