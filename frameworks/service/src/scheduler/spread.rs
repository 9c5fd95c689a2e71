//! Which agents there are besides those whose offer is at hand: an instance may be better off on one of them.
//!
//! Only a preference: after a short wait any agent will do. Nothing here is durable.

use std::collections::BTreeMap;

use proffer_sdk::{AgentId, Moment};

/// How long an instance waits for an agent with fewer of its service, in milliseconds.
pub(super) const PATIENCE_MS: u64 = 1_000;
/// An agent that offered nothing for this long is not waited for, in milliseconds.
const KNOWN_FOR_MS: u64 = 600_000;

/// What is remembered of agents and of the services that wait for one.
#[derive(Debug, Default)]
pub(super) struct Spread {
    offered: BTreeMap<AgentId, Moment>,
    waiting_since: BTreeMap<String, Moment>,
}

impl Spread {
    /// An agent has offered something.
    pub(super) fn note_offer(&mut self, agent: &AgentId, now: Moment) {
        self.offered.insert(agent.clone(), now);
        self.offered.retain(|_, at| now.since_ms(*at) < KNOWN_FOR_MS);
    }

    /// An agent is lost.
    pub(super) fn forget(&mut self, agent: &AgentId) {
        self.offered.remove(agent);
    }

    /// Begins or goes on to wait for an agent that has fewer than `count` of the service and is not among those `tried`.
    /// False when there is none, or patience has ended.
    pub(super) fn waits(
        &mut self,
        service: &str,
        count: usize,
        counts: &BTreeMap<AgentId, usize>,
        tried: &[&AgentId],
        now: Moment,
    ) -> bool {
        let is_emptier =
            |agent: &&AgentId| !tried.contains(agent) && counts.get(*agent).copied().unwrap_or_default() < count;
        if !self.offered.keys().any(|agent| is_emptier(&agent)) {
            return false;
        }
        let since = *self.waiting_since.entry(service.to_owned()).or_insert(now);
        now.since_ms(since) < PATIENCE_MS
    }

    /// Nothing of the service waits any more.
    pub(super) fn done(&mut self, service: &str) {
        self.waiting_since.remove(service);
    }
}
