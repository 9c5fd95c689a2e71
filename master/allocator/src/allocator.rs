//! What is there, who holds it and who wants it: the state, and every change of it. Grants are made in `pass`.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{AgentId, AgentInfo, Demand, FrameworkId, Moment, Resources, Role};

use crate::client::{Client, Refused};
use crate::share::{Amounts, Kinds};
use crate::slots::Slots;

/// How long a launched task counts as wanted no more while the framework has not stated a new demand.
const LAUNCH_HOLD_MS: u64 = 1_000;

/// The number of a grant, never used again by the same allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub u64);

/// Resources of one agent given to one framework in one role, until [`Allocator::close`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its number.
    pub id: GrantId,
    /// To whom.
    pub framework: FrameworkId,
    /// In which role.
    pub role: Role,
    /// Of which agent.
    pub agent: AgentId,
    /// What.
    pub resources: Resources,
}

/// What a closed grant was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// What it held.
    pub resources: Resources,
    /// What else was free on the agent when the grant was cut. A refusal covers it too, or the framework
    /// would be offered the same agent again at once.
    pub beside: Resources,
}

#[derive(Debug)]
pub(crate) struct Agent {
    pub id: AgentId,
    pub info: AgentInfo,
    pub used: Resources,
    pub available: Resources,
    pub is_active: bool,
}

#[derive(Debug)]
pub(crate) struct Framework {
    pub id: FrameworkId,
    pub is_active: bool,
    pub grants_open: usize,
    pub clients: BTreeSet<usize>,
    pub held: Amounts,
}

/// A role. The tree is flat for now: every path is a leaf below the root.
#[derive(Debug)]
pub(crate) struct RoleState {
    pub name: Role,
    pub weight: u32,
    pub held: Amounts,
    pub grants_made: u64,
}

#[derive(Debug)]
pub(crate) struct OpenGrant {
    pub client: usize,
    pub agent: usize,
    pub resources: Resources,
    pub beside: Resources,
    /// Serial of a wanted shape, and how many of it this stands for.
    pub covers: Vec<(u64, u32)>,
}

/// Decides who is offered what. See the crate's documentation.
#[derive(Debug, Default)]
pub struct Allocator {
    pub(crate) kinds: Kinds,
    pub(crate) total: Amounts,
    pub(crate) agents: Slots<AgentId, Agent>,
    pub(crate) frameworks: Slots<FrameworkId, Framework>,
    pub(crate) roles: Slots<Role, RoleState>,
    pub(crate) clients: Slots<(usize, usize), Client>,
    pub(crate) grants: BTreeMap<GrantId, OpenGrant>,
    pub(crate) next_grant: u64,
    pub(crate) max_grants: usize,
    pub(crate) dirty_agents: BTreeSet<usize>,
    pub(crate) dirty_clients: BTreeSet<usize>,
    pub(crate) free_agents: BTreeSet<usize>,
    pub(crate) wanting: BTreeSet<usize>,
    filter_ends: BTreeSet<(Moment, usize, usize)>,
    hold_ends: BTreeSet<(Moment, usize)>,
}

impl Allocator {
    /// An empty cluster. No framework holds more than `max_grants_per_framework` open grants.
    pub fn new(max_grants_per_framework: usize) -> Self {
        Self { max_grants: max_grants_per_framework.max(1), ..Self::default() }
    }

    /// Adds an agent, or takes a known one's new description. What is charged to a known one stays.
    pub fn put_agent(&mut self, id: &AgentId, info: &AgentInfo, is_active: bool) {
        let old = self.agents.find(id).and_then(|slot| self.agents.get(slot));
        let used = old.map(|agent| agent.used.clone()).unwrap_or_default();
        if let Some(old) = old.map(|agent| agent.info.resources.clone()) {
            let old = self.kinds.amounts(&old);
            self.total.sub(&old);
        }
        let more = self.kinds.amounts(&info.resources);
        self.total.add(&more);
        let agent = Agent { id: id.clone(), info: info.clone(), used, available: Resources::default(), is_active };
        let slot = self.agents.insert(id.clone(), agent);
        self.refresh_agent(slot);
    }

    /// Offers the agent's resources, or stops to. Unknown agents are ignored.
    pub fn set_agent_active(&mut self, id: &AgentId, is_active: bool) {
        let Some(slot) = self.agents.find(id) else { return };
        if let Some(agent) = self.agents.get_mut(slot) {
            agent.is_active = is_active;
        }
        self.refresh_agent(slot);
    }

    /// Forgets an agent. All that was charged to it must have been recovered, all its grants closed.
    pub fn remove_agent(&mut self, id: &AgentId) {
        let Some((slot, agent)) = self.agents.remove(id) else { return };
        let less = self.kinds.amounts(&agent.info.resources);
        self.total.sub(&less);
        self.dirty_agents.remove(&slot);
        self.free_agents.remove(&slot);
        let clients: Vec<usize> = self.clients.iter().map(|(client, _)| client).collect();
        for client in clients {
            if let Some(client) = self.clients.get_mut(client) {
                client.filters.remove(&slot);
            }
        }
    }

    /// Adds a framework, or makes a known one active or inactive. An inactive one gets nothing and has no filters.
    pub fn put_framework(&mut self, id: &FrameworkId, is_active: bool) {
        let slot = match self.frameworks.find(id) {
            Some(slot) => slot,
            None => {
                let framework = Framework {
                    id: id.clone(),
                    is_active,
                    grants_open: 0,
                    clients: BTreeSet::new(),
                    held: Amounts::default(),
                };
                self.frameworks.insert(id.clone(), framework)
            }
        };
        let Some(framework) = self.frameworks.get_mut(slot) else { return };
        framework.is_active = is_active;
        for client in framework.clients.clone() {
            if !is_active && let Some(client) = self.clients.get_mut(client) {
                client.filters.clear();
            }
            self.refresh_client(client, true);
        }
    }

    /// Forgets a framework. All that was charged to it must have been recovered, all its grants closed.
    pub fn remove_framework(&mut self, id: &FrameworkId) {
        let Some((slot, framework)) = self.frameworks.remove(id) else { return };
        for client in framework.clients {
            self.wanting.remove(&client);
            self.dirty_clients.remove(&client);
            if let Some(role) = self.clients.get(client).map(|c| c.role) {
                self.clients.remove(&(slot, role));
            }
        }
    }

    /// The weight of a role; 1 when never set, 0 counts as 1.
    pub fn set_weight(&mut self, role: &Role, weight: u32) {
        let slot = self.role_slot(role);
        if let Some(role) = self.roles.get_mut(slot) {
            role.weight = weight.max(1);
        }
    }

    /// All a framework wants now. Filters of a role end when more, or something else, is wanted of it.
    pub fn set_demand(&mut self, id: &FrameworkId, demand: &Demand) {
        let Some(framework) = self.frameworks.find(id) else { return };
        let mut by_role: BTreeMap<&Role, Vec<_>> = BTreeMap::new();
        for item in &demand.items {
            by_role.entry(&item.role).or_default().push(item.clone());
        }
        let named: BTreeSet<usize> = by_role.keys().map(|role| self.client_slot(framework, role)).collect();
        let all = self.frameworks.get(framework).map(|f| f.clients.clone()).unwrap_or_default();
        for gone in all.difference(&named) {
            self.replace_demand(*gone, Vec::new());
        }
        for (role, items) in by_role {
            let client = self.client_slot(framework, role);
            self.replace_demand(client, items);
        }
    }

    /// Counts resources as held by a task.
    pub fn charge(&mut self, framework: &FrameworkId, role: &Role, agent: &AgentId, resources: &Resources) {
        if let Some(client) = self.frameworks.find(framework).map(|slot| self.client_slot(slot, role)) {
            self.count_held(client, resources, true);
        }
        if let Some(slot) = self.agents.find(agent) {
            self.use_agent(slot, resources);
        }
    }

    /// The task that held these resources has ended.
    pub fn recover(&mut self, framework: &FrameworkId, role: &Role, agent: &AgentId, resources: &Resources) {
        if let Some(client) = self.frameworks.find(framework).map(|slot| self.client_slot(slot, role)) {
            self.count_held(client, resources, false);
        }
        if let Some(slot) = self.agents.find(agent) {
            self.free_agent(slot, resources);
        }
    }

    /// Ends a grant: all of it is available again. `None` when it is not open.
    pub fn close(&mut self, grant: GrantId) -> Option<Closed> {
        let open = self.grants.remove(&grant)?;
        self.count_held(open.client, &open.resources, false);
        self.free_agent(open.agent, &open.resources);
        if let Some(client) = self.clients.get_mut(open.client) {
            let mut was_covered = false;
            for (serial, count) in &open.covers {
                was_covered |= client.is_covered(*serial);
                client.count_outstanding(*serial, -i64::from(*count));
            }
            let framework = client.framework;
            let mut was_full = false;
            if let Some(framework) = self.frameworks.get_mut(framework) {
                was_full = framework.grants_open >= self.max_grants;
                framework.grants_open = framework.grants_open.saturating_sub(1);
            }
            self.refresh_client(open.client, was_covered || was_full);
        }
        Some(Closed { resources: open.resources, beside: open.beside })
    }

    /// A task was launched: its part of the demand is not offered for again until the framework says what it
    /// wants now, or a second has passed.
    pub fn note_launch(&mut self, framework: &FrameworkId, role: &Role, task: &Resources, now: Moment) {
        let Some(slot) = self.frameworks.find(framework) else { return };
        let client = self.client_slot(slot, role);
        if let Some(state) = self.clients.get_mut(client) {
            state.note_launch(task);
            self.hold_ends.insert((now + LAUNCH_HOLD_MS, client));
            self.refresh_client(client, false);
        }
    }

    /// Keeps `refused` or less of an agent away from a framework's role for a while. 0 ms is no filter.
    pub fn refuse(
        &mut self,
        framework: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        refused: Resources,
        now: Moment,
        refuse_ms: u64,
    ) {
        let (Some(framework), Some(agent)) = (self.frameworks.find(framework), self.agents.find(agent)) else {
            return;
        };
        if refuse_ms == 0 || refused.is_empty() {
            return;
        }
        let client = self.client_slot(framework, role);
        let until = now + refuse_ms;
        if let Some(state) = self.clients.get_mut(client) {
            let filters = state.filters.entry(agent).or_default();
            filters.retain(|old| old.until > now && !(old.until <= until && refused.contains(&old.resources)));
            filters.push(Refused { resources: refused, until });
            self.filter_ends.insert((until, client, agent));
        }
    }

    /// When [`Allocator::allocate`] has something to do even if nothing else happens.
    pub fn next_deadline(&self) -> Option<Moment> {
        let filter = self.filter_ends.first().map(|end| end.0);
        let hold = self.hold_ends.first().map(|end| end.0);
        filter.into_iter().chain(hold).min()
    }

    /// What is charged to the agent and out in grants; for checks.
    pub fn agent_used(&self, id: &AgentId) -> Option<&Resources> {
        Some(&self.agents.get(self.agents.find(id)?)?.used)
    }

    /// What could be granted of the agent now; nothing when it is not active.
    pub fn agent_available(&self, id: &AgentId) -> Option<&Resources> {
        let slot = self.agents.find(id)?;
        if !self.free_agents.contains(&slot) {
            return None;
        }
        Some(&self.agents.get(slot)?.available)
    }

    /// The framework's dominant share of the cluster over all roles, in millionths.
    pub fn share_millionths(&self, id: &FrameworkId) -> u64 {
        let framework = self.frameworks.find(id).and_then(|slot| self.frameworks.get(slot));
        framework.map_or(0, |framework| framework.held.dominant_share(&self.total).millionths())
    }

    /// Ends filters and holds that are due; their agents and clients are looked at again.
    pub(crate) fn expire(&mut self, now: Moment) {
        while let Some(&(until, client, agent)) = self.filter_ends.first()
            && until <= now
        {
            self.filter_ends.pop_first();
            if let Some(filters) = self.clients.get_mut(client).and_then(|c| c.filters.get_mut(&agent)) {
                filters.retain(|filter| filter.until > now);
            }
            if self.agents.get(agent).is_some() {
                self.dirty_agents.insert(agent);
            }
        }
        while let Some(&(until, client)) = self.hold_ends.first()
            && until <= now
        {
            self.hold_ends.pop_first();
            if self.hold_ends.iter().any(|later| later.1 == client) {
                continue;
            }
            if let Some(state) = self.clients.get_mut(client) {
                state.end_hold();
                self.refresh_client(client, true);
            }
        }
    }

    pub(crate) fn use_agent(&mut self, slot: usize, resources: &Resources) {
        if let Some(agent) = self.agents.get_mut(slot) {
            agent.used = agent.used.saturating_sum(resources);
        }
        self.refresh_agent(slot);
    }

    fn free_agent(&mut self, slot: usize, resources: &Resources) {
        if let Some(agent) = self.agents.get_mut(slot) {
            agent.used = agent.used.saturating_minus(resources);
        }
        self.refresh_agent(slot);
    }

    /// Recomputes what is available; an agent with more than before is looked at again.
    fn refresh_agent(&mut self, slot: usize) {
        let Some(agent) = self.agents.get_mut(slot) else { return };
        let available = agent.info.resources.saturating_minus(&agent.used);
        let is_free = agent.is_active && !available.is_empty();
        if is_free && !(agent.available.contains(&available) && self.free_agents.contains(&slot)) {
            self.dirty_agents.insert(slot);
        }
        agent.available = available;
        if is_free {
            self.free_agents.insert(slot);
        } else {
            self.free_agents.remove(&slot);
        }
    }

    pub(crate) fn count_held(&mut self, client: usize, resources: &Resources, is_more: bool) {
        let amounts = self.kinds.amounts(resources);
        let count = |held: &mut Amounts| if is_more { held.add(&amounts) } else { held.sub(&amounts) };
        let Some(state) = self.clients.get_mut(client) else { return };
        count(&mut state.held);
        let (framework, role) = (state.framework, state.role);
        if let Some(role) = self.roles.get_mut(role) {
            count(&mut role.held);
        }
        if let Some(framework) = self.frameworks.get_mut(framework) {
            count(&mut framework.held);
        }
    }

    fn replace_demand(&mut self, client: usize, wanted: Vec<proffer_proto_model::DemandItem>) {
        let Some(state) = self.clients.get_mut(client) else { return };
        let was_wanting = self.wanting.contains(&client);
        let has_news = state.replace_demand(wanted);
        self.hold_ends.retain(|end| end.1 != client);
        self.refresh_client(client, has_news || !was_wanting);
    }

    /// Sorts the client in among those that want something; with `look` every free agent is tried for it.
    pub(crate) fn refresh_client(&mut self, client: usize, look: bool) {
        let Some(state) = self.clients.get(client) else { return };
        let is_active = self.frameworks.get(state.framework).is_some_and(|framework| framework.is_active);
        if is_active && state.is_wanting() {
            self.wanting.insert(client);
            if look {
                self.dirty_clients.insert(client);
            }
        } else {
            self.wanting.remove(&client);
            self.dirty_clients.remove(&client);
        }
    }

    fn role_slot(&mut self, role: &Role) -> usize {
        match self.roles.find(role) {
            Some(slot) => slot,
            None => {
                let state = RoleState { name: role.clone(), weight: 1, held: Amounts::default(), grants_made: 0 };
                self.roles.insert(role.clone(), state)
            }
        }
    }

    fn client_slot(&mut self, framework: usize, role: &Role) -> usize {
        let role = self.role_slot(role);
        match self.clients.find(&(framework, role)) {
            Some(slot) => slot,
            None => {
                let slot = self.clients.insert((framework, role), Client::new(framework, role));
                if let Some(framework) = self.frameworks.get_mut(framework) {
                    framework.clients.insert(slot);
                }
                slot
            }
        }
    }
}
