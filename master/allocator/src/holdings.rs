//! Who holds what: tasks charged and recovered, grants closed, launches noted.

use proffer_proto_model::{AgentId, FrameworkId, Moment, Resources, Role};

use crate::allocator::{Allocator, Closed};
use crate::forget::ClientRef;
use crate::grants::GrantId;

/// How long a launched task counts as wanted no more while the framework has not stated a new demand.
const LAUNCH_HOLD_MS: u64 = 1_000;

impl Allocator {
    /// Counts resources as held by a task.
    pub fn charge(&mut self, framework: &FrameworkId, role: &Role, agent: &AgentId, resources: &Resources) {
        let client = self.frameworks.find(framework).map(|slot| self.client_slot(slot, role));
        if let Some(client) = client {
            self.count_held(client, resources, true);
            self.clients.get_mut(client).into_iter().for_each(|client| client.count_use(true));
        }
        if let Some(slot) = self.agents.find(agent) {
            let was_returned = self.returned_by(slot) == client;
            if let Some(agent) = self.agents.get_mut(slot).filter(|_| was_returned) {
                agent.returned_by = None;
            }
            self.use_agent(slot, resources);
            client.into_iter().for_each(|client| self.count_place(client, slot, true));
        }
    }

    /// The task that held these resources has ended.
    pub fn recover(&mut self, framework: &FrameworkId, role: &Role, agent: &AgentId, resources: &Resources) {
        let client = self.find_client(framework, role);
        if let Some(client) = client {
            self.count_held(client, resources, false);
            self.clients.get_mut(client).into_iter().for_each(|client| client.count_use(false));
        }
        if let Some(slot) = self.agents.find(agent) {
            client.into_iter().for_each(|client| self.count_place(client, slot, false));
            self.free_agent(slot, resources.clone());
            // It has more than somebody gave back: whose turn it is counts again.
            if let Some(agent) = self.agents.get_mut(slot) {
                agent.returned_by = None;
            }
        }
        client.into_iter().for_each(|client| self.forget_idle_client(client));
    }

    /// Ends a grant: all of it is available again, unless others race for it. `None` when it is not open.
    pub fn close(&mut self, grant: GrantId) -> Option<Closed> {
        let open = self.grants.remove(grant)?;
        self.count_held(open.client, &open.resources, false);
        self.count_place(open.client, open.agent, false);
        if !self.leave_race(grant, &open) {
            self.free_agent(open.agent, open.resources.clone());
            self.use_pools(open.agent, &open.reserved, false);
            let by = self.clients.get(open.client).map(|state| ClientRef { slot: open.client, serial: state.serial });
            if let Some(agent) = self.agents.get_mut(open.agent) {
                agent.returned_by = by;
            }
        }
        if let Some(client) = self.clients.get_mut(open.client) {
            client.count_use(false);
            for (serial, count) in &open.covers {
                client.count_outstanding(*serial, -i64::from(*count));
            }
            let framework = client.framework;
            let mut was_full = false;
            if let Some(framework) = self.frameworks.get_mut(framework) {
                was_full = framework.grants_open >= framework.most_grants;
                framework.grants_open = framework.grants_open.saturating_sub(1);
            }
            if was_full {
                self.refresh_clients_of(framework);
            } else if !open.covers.is_empty() {
                // Else nothing of what it may get depends on the grant.
                self.refresh_client(open.client);
            }
            self.forget_idle_client(open.client);
        }
        Some(Closed { resources: open.resources, beside: open.beside.map(|beside| *beside).unwrap_or_default() })
    }

    /// A task was launched: its part of the demand is not offered for again until the framework says what it
    /// wants now, or a second has passed.
    pub fn note_launch(&mut self, framework: &FrameworkId, role: &Role, task: &Resources, now: Moment) {
        let Some(client) = self.find_client(framework, role) else { return };
        let Some(state) = self.clients.get_mut(client) else { return };
        if let Some(serial) = state.note_launch(task) {
            let until = now + LAUNCH_HOLD_MS;
            state.holds.insert((until, serial));
            *self.hold_ends.entry((until, client, serial)).or_default() += 1;
            self.refresh_client(client);
        }
    }

    pub(crate) fn count_held(&mut self, client: usize, resources: &Resources, is_more: bool) {
        self.count_held_and_grants(client, resources, is_more, 0);
    }

    /// Counts what a client holds more or less, and how many grants that makes.
    pub(crate) fn count_held_and_grants(&mut self, client: usize, resources: &Resources, is_more: bool, grants: u64) {
        let amounts = self.kinds.amounts(resources);
        let Some(state) = self.clients.get(client) else { return };
        self.tree.count_held(state.node, &amounts, is_more, grants);
        if let Some(framework) = self.frameworks.get_mut(state.framework) {
            let held = &mut framework.held;
            if is_more { held.add(&amounts) } else { held.sub(&amounts) }
        }
    }
}
