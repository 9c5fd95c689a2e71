//! The allocator beside a model that knows the same by walking lists: what is told to both, and what the model keeps.
//! Never asks the allocator what is true.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_allocator::{Allocator, Grant, GrantId, ReservedParts};
use proffer_proto_model::*;

use super::reserved::{Pool, parts_of};
use crate::common::*;

pub(super) struct Filter {
    framework: usize,
    role: Role,
    agent: usize,
    refused: Resources,
    pub(super) until: u64,
}

pub(super) struct Task {
    pub(super) framework: usize,
    pub(super) role: Role,
    pub(super) agent: usize,
    pub(super) resources: Resources,
    /// What of it is of which pool.
    pub(super) reserved: ReservedParts,
}

/// See the file's top.
pub struct Naive {
    pub allocator: Allocator,
    pub now: u64,
    pub(super) cap: usize,
    pub(super) quotas: BTreeMap<Role, Quota>,
    /// The smallest offers in CPU, of roles and of the cluster.
    pub(super) min_offers: BTreeMap<Option<Role>, u64>,
    pub(super) agents: BTreeMap<usize, (AgentInfo, bool)>,
    /// Reserved parts by agent, in the order of their numbers.
    pub(super) pools: BTreeMap<usize, Vec<Pool>>,
    pub(super) next_pool: u64,
    pub(super) frameworks: BTreeMap<usize, (bool, Demand)>,
    /// The roles they are in, of those that said so.
    pub(super) memberships: BTreeMap<usize, BTreeSet<Role>>,
    /// Whatever was wanted or held in a role, until it is forgotten.
    pub(super) clients: BTreeSet<(usize, Role)>,
    pub(super) weights: BTreeMap<Role, Weight>,
    pub(super) placements: BTreeMap<Role, Placement>,
    pub(super) optimistic: BTreeSet<Role>,
    /// First grants of races that were begun.
    pub(super) races: BTreeSet<GrantId>,
    pub(super) grants: BTreeMap<GrantId, Grant>,
    pub(super) tasks: Vec<Task>,
    /// CPU that is held on agents that are away.
    pub(super) away: Vec<(Role, u64)>,
    pub(super) filters: Vec<Filter>,
    /// Framework, role and end of the time in which a launch counts.
    pub(super) holds: Vec<(usize, Role, u64)>,
    pub(super) problem: Option<String>,
}

pub(super) fn number(id: &str) -> usize {
    id[1..].parse().unwrap()
}

pub(super) fn is_within(role: &Role, above: &Role) -> bool {
    role == above || role.as_str().starts_with(&format!("{above}/"))
}

/// How many of the item a grant could stand for.
pub(super) fn times(item: &DemandItem, granted: &Resources) -> u64 {
    let Some(shape) = &item.shape else { return 1 };
    let by = |have: u64, want: u64| have.checked_div(want).unwrap_or(u64::MAX);
    let by_ports = by(granted.ports.count().into(), item.ports.into());
    by(granted.cpus.0, shape.cpus.0).min(by(granted.memory.0, shape.memory.0)).min(by_ports)
}

impl Naive {
    pub fn new(cap: usize) -> Self {
        Self {
            allocator: Allocator::new(cap),
            now: 0,
            cap,
            quotas: BTreeMap::new(),
            min_offers: BTreeMap::new(),
            agents: BTreeMap::new(),
            pools: BTreeMap::new(),
            optimistic: BTreeSet::new(),
            races: BTreeSet::new(),
            next_pool: 0,
            frameworks: BTreeMap::new(),
            memberships: BTreeMap::new(),
            clients: BTreeSet::new(),
            weights: BTreeMap::new(),
            placements: BTreeMap::new(),
            grants: BTreeMap::new(),
            tasks: Vec::new(),
            away: Vec::new(),
            filters: Vec::new(),
            holds: Vec::new(),
            problem: None,
        }
    }

    /// All its grants are closed before, as the engine does.
    pub fn put_agent(&mut self, agent: usize, info: AgentInfo) {
        self.close_all(|grant| number(grant.agent.as_str()) == agent);
        self.allocator.put_agent(&agent_id(agent), &info, true);
        self.agents.insert(agent, (info, true));
    }

    pub fn set_active(&mut self, agent: usize, is_active: bool) {
        self.allocator.set_agent_active(&agent_id(agent), is_active);
        if let Some(known) = self.agents.get_mut(&agent) {
            known.1 = is_active;
        }
    }

    pub fn remove_agent(&mut self, agent: usize) {
        self.close_all(|grant| number(grant.agent.as_str()) == agent);
        self.end_all(|task| task.agent == agent);
        self.filters.retain(|filter| filter.agent != agent);
        self.agents.remove(&agent);
        self.pools.remove(&agent);
        self.allocator.remove_agent(&agent_id(agent));
    }

    pub fn put_framework(&mut self, framework: usize, is_active: bool) {
        self.allocator.put_framework(&framework_id(framework), is_active);
        self.frameworks.entry(framework).or_default().0 = is_active;
        if !is_active {
            self.filters.retain(|filter| filter.framework != framework);
        }
    }

    pub fn remove_framework(&mut self, framework: usize) {
        self.close_all(|grant| number(grant.framework.as_str()) == framework);
        self.end_all(|task| task.framework == framework);
        self.filters.retain(|filter| filter.framework != framework);
        self.holds.retain(|hold| hold.0 != framework);
        self.frameworks.remove(&framework);
        self.memberships.remove(&framework);
        self.clients.retain(|client| client.0 != framework);
        self.allocator.remove_framework(&framework_id(framework));
    }

    pub fn demand(&mut self, framework: usize, demand: Demand) {
        self.allocator.set_demand(&framework_id(framework), &demand);
        let Some(known) = self.frameworks.get_mut(&framework) else { return };
        let old = std::mem::replace(&mut known.1, demand.clone());
        self.clients.extend(demand.items.iter().map(|item| (framework, item.role.clone())));
        self.holds.retain(|hold| hold.0 != framework);
        let unbounded = |item: &DemandItem| item.count.unwrap_or(u32::MAX);
        for new in &demand.items {
            let shape = |item: &DemandItem| DemandItem { count: None, ..item.clone() };
            let same = old.items.iter().find(|old| shape(old) == shape(new));
            if same.is_none_or(|same| unbounded(new) > unbounded(same)) {
                self.filters.retain(|filter| filter.framework != framework || filter.role != new.role);
            }
        }
    }

    /// An empty one ends it.
    pub fn set_quota(&mut self, role: &Role, quota: Quota) {
        self.allocator.set_quota(role, Some(&quota).filter(|quota| !quota.is_empty()));
        self.quotas.insert(role.clone(), quota);
    }

    pub fn set_min_offer(&mut self, role: Option<Role>, least: Option<Resources>) {
        self.allocator.set_min_offer(role.as_ref(), least.clone());
        match least {
            Some(least) => self.min_offers.insert(role, least.cpus.0),
            None => self.min_offers.remove(&role),
        };
    }

    pub(super) fn min_offer(&self, role: &Role) -> u64 {
        let own = self.min_offers.get(&Some(role.clone()));
        own.or_else(|| self.min_offers.get(&None)).copied().unwrap_or(0)
    }

    pub fn decline(&mut self, at: usize, refuse_ms: u64) {
        let Some(grant) = self.pick(at) else { return };
        let closed = self.allocator.close(grant.id).unwrap();
        self.refuse(&grant, closed.resources.saturating_sum(&closed.beside), refuse_ms);
    }

    pub fn launch(&mut self, at: usize, task: Resources, refuse_ms: u64) {
        let Some(grant) = self.pick(at) else { return };
        let task = Resources { ports: grant.resources.ports.lowest(1).unwrap_or_default(), ..task };
        let closed = self.allocator.close(grant.id).unwrap();
        let mut rest = closed.resources.clone();
        let framework = number(grant.framework.as_str());
        if let Some(left) = rest.checked_sub(&task) {
            rest = left;
            // Before anything is taken, the others lose what it wins.
            self.close_all(|other| other.race == grant.race);
            self.allocator.note_launch(&grant.framework, &grant.role, &task, Moment(self.now));
            self.allocator.charge(&grant.framework, &grant.role, &grant.agent, &task);
            let reserved = parts_of(&grant.reserved, &task);
            self.allocator.charge_reserved(&grant.agent, &reserved);
            self.holds.push((framework, grant.role.clone(), self.now + 1_000));
            let agent = number(grant.agent.as_str());
            self.clients.insert((framework, grant.role.clone()));
            self.tasks.push(Task { framework, role: grant.role.clone(), agent, resources: task, reserved });
        }
        self.refuse(&grant, rest.saturating_sum(&closed.beside), refuse_ms);
    }

    pub fn end(&mut self, at: usize) {
        if !self.tasks.is_empty() {
            let task = self.tasks.swap_remove(at % self.tasks.len());
            self.recover(&task);
        }
    }

    pub(super) fn is_refused(&self, framework: usize, role: &Role, agent: usize, left: &Resources) -> bool {
        self.filters.iter().any(|filter| {
            (filter.framework, &filter.role, filter.agent) == (framework, role, agent)
                && filter.until > self.now
                && filter.refused.contains(left)
        })
    }

    pub(super) fn available(&self, agent: usize) -> Resources {
        let Some((info, _)) = self.agents.get(&agent) else { return Resources::default() };
        let granted = self.grants_apart().filter(|g| number(g.agent.as_str()) == agent).map(|g| &g.resources);
        let tasks = self.tasks.iter().filter(|task| task.agent == agent).map(|task| &task.resources);
        let used = granted.chain(tasks).fold(Resources::default(), |sum, more| sum.saturating_sum(more));
        info.resources.checked_sub(&used).unwrap_or_default()
    }

    fn pick(&mut self, at: usize) -> Option<Grant> {
        // Not in the order of their numbers: parts of one agent are numbered in any.
        let name = |grant: &Grant| format!("{} {} {} {}", grant.agent, grant.framework, grant.role, grant.resources);
        let mut grants: Vec<(String, GrantId)> = self.grants.values().map(|grant| (name(grant), grant.id)).collect();
        grants.sort();
        let id = grants.get(at % grants.len().max(1))?.1;
        self.grants.remove(&id)
    }

    fn refuse(&mut self, grant: &Grant, refused: Resources, refuse_ms: u64) {
        let Grant { framework, role, agent, .. } = grant;
        self.allocator.refuse(framework, role, agent, refused.clone(), Moment(self.now), refuse_ms);
        let (framework, agent) = (number(framework.as_str()), number(agent.as_str()));
        if refuse_ms > 0 {
            let until = self.now + refuse_ms;
            self.filters.push(Filter { framework, role: role.clone(), agent, refused, until });
        }
    }

    fn close_all(&mut self, is_meant: impl Fn(&Grant) -> bool) {
        let (gone, kept) = std::mem::take(&mut self.grants).into_iter().partition(|(_, grant)| is_meant(grant));
        self.grants = kept;
        let gone: BTreeMap<GrantId, Grant> = gone;
        for id in gone.into_keys() {
            self.allocator.close(id).unwrap();
        }
    }

    fn end_all(&mut self, is_meant: impl Fn(&Task) -> bool) {
        let (gone, kept) = std::mem::take(&mut self.tasks).into_iter().partition(|task| is_meant(task));
        self.tasks = kept;
        let gone: Vec<Task> = gone;
        for task in gone {
            self.recover(&task);
        }
    }

    fn recover(&mut self, task: &Task) {
        self.allocator.recover(&framework_id(task.framework), &task.role, &agent_id(task.agent), &task.resources);
        self.allocator.recover_reserved(&agent_id(task.agent), &task.reserved);
    }
}
