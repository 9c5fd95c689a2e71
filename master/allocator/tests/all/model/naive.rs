//! The allocator beside a model that knows the same by walking lists. Never asks the allocator what is true.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_allocator::{Allocator, Grant, GrantId, ReservedParts};
use proffer_proto_model::*;

use super::reserved::{Pool, parts_of};
use crate::common::*;

struct Filter {
    framework: usize,
    role: Role,
    agent: usize,
    refused: Resources,
    until: u64,
}

pub(super) struct Task {
    framework: usize,
    role: Role,
    pub(super) agent: usize,
    resources: Resources,
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
    min_offers: BTreeMap<Option<Role>, u64>,
    pub(super) agents: BTreeMap<usize, (AgentInfo, bool)>,
    /// Reserved parts by agent, in the order of their numbers.
    pub(super) pools: BTreeMap<usize, Vec<Pool>>,
    pub(super) next_pool: u64,
    pub(super) frameworks: BTreeMap<usize, (bool, Demand)>,
    pub(super) optimistic: BTreeSet<Role>,
    /// First grants of races that were begun.
    pub(super) races: BTreeSet<GrantId>,
    pub(super) grants: BTreeMap<GrantId, Grant>,
    pub(super) tasks: Vec<Task>,
    filters: Vec<Filter>,
    /// Framework, role and end of the time in which a launch counts.
    holds: Vec<(usize, Role, u64)>,
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
            grants: BTreeMap::new(),
            tasks: Vec::new(),
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
        self.allocator.remove_framework(&framework_id(framework));
    }

    pub fn demand(&mut self, framework: usize, demand: Demand) {
        self.allocator.set_demand(&framework_id(framework), &demand);
        let Some(known) = self.frameworks.get_mut(&framework) else { return };
        let old = std::mem::replace(&mut known.1, demand.clone());
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

    /// Grants, checked one by one, and once more: then there must be nothing left to do.
    pub fn allocate(&mut self) {
        let before = self.promises();
        let grants = self.allocator.allocate(Moment(self.now));
        let apart = grants.iter().filter(|grant| grant.race == grant.id);
        let agents: Vec<AgentId> = apart.map(|grant| grant.agent.clone()).collect();
        for grant in grants {
            if grant.race != grant.id {
                self.join(grant);
                continue;
            }
            let classes = self.classes().into_iter().map(|(shapes, owed)| (self.usable(&shapes), shapes, owed));
            let classes: Vec<_> = classes.map(|(usable, shapes, owed)| (shapes, usable, owed)).collect();
            let (to_it, copy) = (self.owed_to(&grant.role), grant.clone());
            let agent = number(grant.agent.as_str());
            let before = self.visible(Some(&grant.role), agent);
            self.check_parts(&grant, agents.iter().filter(|agent| **agent == grant.agent).count() == 1);
            if before.checked_sub(&grant.resources).is_none() {
                self.problem = Some(format!("{grant:?} is cut from {before}"));
            }
            self.begin_race(&grant);
            self.grants.insert(grant.id, grant);
            // Parts of one agent are cut in turns: what each of them left is not seen from here.
            if agents.iter().filter(|agent| **agent == copy.agent).count() == 1 {
                self.check_kept(&copy, &classes, to_it);
            }
            self.check_limits(&copy);
        }
        self.check_promises(before);
        let work = self.allocator.work();
        let more = self.allocator.allocate(Moment(self.now));
        if !more.is_empty() || self.allocator.work() != work {
            self.problem = Some(format!("nothing changed and there was work: {more:?}"));
        }
    }

    /// No limit is exceeded by the grant.
    pub(super) fn check_limits(&mut self, grant: &Grant) {
        // What is reserved below a role is used up there before it is granted.
        let is_new = |above: &Role| grant.resources.cpus.0 > self.reserved_below(grant, above);
        let over = self.limited(&grant.role).find(|(above, left)| *left < 0 && is_new(above));
        if let Some(over) = over {
            self.problem = Some(format!("{grant:?} is granted, of which is left {over:?}"));
        }
    }

    /// The first thing that is wrong.
    pub fn broken(&self) -> Option<String> {
        self.problem
            .clone()
            .or_else(|| self.agents.keys().find_map(|agent| self.broken_agent(*agent)))
            .or_else(|| self.frameworks.keys().find_map(|framework| self.broken_framework(*framework)))
            .or_else(|| self.frameworks.keys().find_map(|framework| self.missed_race(*framework)))
            .or_else(|| self.broken_deadline())
    }

    fn broken_agent(&self, agent: usize) -> Option<String> {
        let total = &self.agents.get(&agent)?.0.resources;
        let mut sum = Resources::default();
        let granted = self.grants_apart().filter(|grant| number(grant.agent.as_str()) == agent);
        let mut has_grants = false;
        for resources in granted.map(|grant| &grant.resources).inspect(|_| has_grants = true) {
            let Some(more) = sum.checked_add(resources) else { return Some(format!("{resources} granted twice")) };
            sum = more;
        }
        for task in self.tasks.iter().filter(|task| task.agent == agent) {
            let Some(more) = sum.checked_add(&task.resources) else { return Some(format!("{sum} is held twice")) };
            sum = more;
        }
        let is_over = has_grants && !total.contains(&sum);
        is_over.then(|| format!("agent {agent}: {sum} is held and granted of {total}"))
    }

    fn broken_framework(&self, framework: usize) -> Option<String> {
        let own = || self.grants.values().filter(|grant| number(grant.framework.as_str()) == framework);
        if own().count() > self.cap {
            return Some(format!("framework {framework} has {} grants of {}", own().count(), self.cap));
        }
        let (is_active, demand) = self.frameworks.get(&framework)?;
        if !is_active || own().count() == self.cap {
            return None;
        }
        for item in &demand.items {
            let is_covered = self.is_covered(framework, item);
            let place = self.agents.keys().find(|agent| self.would_fit(framework, item, **agent));
            if let Some(agent) = place.filter(|_| !is_covered) {
                return Some(format!("framework {framework} wants {item:?}, is not offered any of agent {agent}"));
            }
        }
        None
    }

    /// All of it is granted or launched.
    pub(super) fn is_covered(&self, framework: usize, item: &DemandItem) -> bool {
        let own = self.grants.values().filter(|grant| number(grant.framework.as_str()) == framework);
        let granted: u64 = own.filter(|grant| grant.role == item.role).map(|grant| times(item, &grant.resources)).sum();
        let launches =
            self.holds.iter().filter(|(f, role, until)| *f == framework && *role == item.role && *until > self.now);
        item.count.is_some_and(|count| u64::from(count) <= granted + launches.count() as u64)
    }

    /// The limits on a role: how far each role of its path is above (or below) its own, in CPU.
    pub(super) fn limited(&self, role: &Role) -> impl Iterator<Item = (Role, i64)> {
        let path = std::iter::successors(Some(role.clone()), Role::parent);
        let limit = |role: Role| {
            let most = self.quotas.get(&role)?.limit.cpus?;
            let left = most.0 as i64 - self.consumed(&role) as i64;
            Some((role, left))
        };
        path.filter_map(limit)
    }

    /// CPU that is granted and held in a role and below it, and what is reserved there and not used.
    fn consumed(&self, role: &Role) -> u64 {
        self.held(role).cpus.0 + self.kept(role)
    }

    /// All that is granted and held in a role and below it.
    fn held(&self, role: &Role) -> Resources {
        let granted = self.grants.values().map(|grant| (&grant.role, &grant.resources));
        let all = granted.chain(self.tasks.iter().map(|task| (&task.role, &task.resources)));
        let within = all.filter(|(other, _)| is_within(other, role));
        within.fold(Resources::default(), |sum, (_, more)| sum.saturating_sum(more))
    }

    /// What a role and those below are promised and do not hold: what is promised to those below is part of it.
    fn owed(&self, role: &Role) -> u64 {
        let guarantee = self.quotas.get(role).map_or(0, |quota| quota.guarantee.cpus.0);
        let own = guarantee.saturating_sub(self.consumed(role));
        let below = self.roles().into_iter().filter(|other| other.parent().as_ref() == Some(role));
        own.max(below.map(|below| self.owed(&below)).sum())
    }

    /// Promised to roles of this path themselves, not further down: what a client of the role may count on.
    fn owed_to(&self, role: &Role) -> u64 {
        let path = std::iter::successors(Some(role.clone()), Role::parent);
        let own = |role: Role| {
            let below = self.roles().into_iter().filter(|other| other.parent().as_ref() == Some(&role));
            self.owed(&role).saturating_sub(below.map(|below| self.owed(&below)).sum())
        };
        path.map(own).sum()
    }

    fn roles(&self) -> Vec<Role> {
        let mut roles: Vec<Role> = Vec::new();
        for role in self.quotas.keys() {
            roles.extend(std::iter::successors(Some(role.clone()), Role::parent));
        }
        roles.sort();
        roles.dedup();
        roles
    }

    /// CPU that is free and not reserved, and CPU that is promised and not held.
    fn promises(&self) -> (u64, u64) {
        let active = self.agents.iter().filter(|(_, (_, is_active))| *is_active);
        let free = active.map(|(agent, _)| self.visible(None, *agent).cpus.0).sum();
        let highest = self.roles().into_iter().filter(|role| role.parent().is_none());
        (free, highest.map(|role| self.owed(&role)).sum())
    }

    /// What is promised was kept free, or all that was given was promised.
    fn check_promises(&mut self, (free_before, owed_before): (u64, u64)) {
        let (free, owed) = self.promises();
        // What a role below gets of a reservation above it is promised, and was not free.
        let is_kept = free >= owed || free_before - free <= owed_before - owed;
        if !is_kept {
            self.problem = Some(format!("free {free_before} -> {free}, promised {owed_before} -> {owed}"));
        }
    }

    /// So much may be granted of CPU and memory of an agent in a role.
    fn room(&self, role: &Role, agent: usize) -> (u64, u64, u32) {
        let (free, owed) = self.promises();
        let spare = if owed == 0 { u64::MAX } else { free.saturating_sub(owed) };
        let own = self.own_pools(role, agent);
        let by_limit = |(above, left): (Role, i64)| {
            let below = own.iter().filter(|pool| is_within(&pool.role, &above)).map(|pool| pool.resources.cpus.0);
            u64::try_from(left).unwrap_or(0) + below.sum::<u64>()
        };
        let by_limits = self.limited(role).map(by_limit).min();
        let to_it = self.owed_to(role);
        let mut room = (spare.saturating_add(to_it), u64::MAX, u32::MAX);
        let left = self.visible(None, agent);
        for (shapes, owed) in self.classes() {
            let Some(kept) = shapes.iter().find(|shape| self.is_usable(shape, agent)) else { continue };
            let usable = self.usable(&shapes);
            if owed == 0 || usable - left.cpus.0 >= owed || left.cpus.0 == 0 {
                continue;
            }
            room.0 = room.0.min(usable.saturating_sub(owed).saturating_add(to_it));
            if to_it == 0 {
                let shape_ports = kept.ports;
                let kept = kept.shape.clone().unwrap_or_else(|| res(10, 32));
                room.0 = room.0.min(left.cpus.0.saturating_sub(kept.cpus.0));
                room.2 = room.2.min(left.ports.count() - shape_ports);
                room.1 = room.1.min(left.memory.0.saturating_sub(kept.memory.0));
            }
        }
        // What is kept for guarantees keeps nobody from what is reserved for it.
        for free in own.iter().map(|pool| &pool.resources) {
            room.0 = room.0.saturating_add(free.cpus.0);
            room.1 = room.1.saturating_add(free.memory.0);
            room.2 = room.2.saturating_add(free.ports.count());
        }
        room.0 = room.0.min(by_limits.unwrap_or(u64::MAX));
        room
    }

    /// Roles that are promised something and want the same: what they want, and what is owed to them together.
    fn classes(&self) -> Vec<(Vec<DemandItem>, u64)> {
        let mut classes: Vec<(Vec<DemandItem>, u64)> = Vec::new();
        for (role, _) in self.quotas.iter().filter(|(_, quota)| quota.guarantee.cpus.0 > 0) {
            let items = self.frameworks.values().flat_map(|(_, demand)| &demand.items);
            let mut shapes: Vec<DemandItem> = Vec::new();
            for item in items.filter(|item| is_within(&item.role, role)) {
                let shape = DemandItem { role: Role::default_role(), count: None, priority: 0, ..item.clone() };
                if !shapes.contains(&shape) {
                    shapes.push(shape);
                }
            }
            shapes.sort_by_key(|shape| format!("{:?} {} {:?}", shape.shape, shape.ports, shape.constraints));
            let below = self.roles().into_iter().filter(|other| other.parent().as_ref() == Some(role));
            let owed = self.owed(role).saturating_sub(below.map(|below| self.owed(&below)).sum());
            match classes.iter_mut().find(|(known, _)| *known == shapes) {
                _ if shapes.is_empty() => {}
                Some((_, sum)) => *sum += owed,
                None => classes.push((shapes, owed)),
            }
        }
        classes
    }

    fn is_usable(&self, item: &DemandItem, agent: usize) -> bool {
        let Some((info, true)) = self.agents.get(&agent) else { return false };
        let left = self.visible(None, agent);
        let is_enough = match &item.shape {
            Some(shape) => left.contains(shape),
            None => left.cpus >= MilliCpus(10) || left.memory >= Bytes::mib(32),
        };
        is_enough && left.ports.count() >= item.ports && item.constraints.iter().all(|rule| rule.is_met_by(info))
    }

    fn usable(&self, shapes: &[DemandItem]) -> u64 {
        let usable = |agent: &&usize| shapes.iter().any(|shape| self.is_usable(shape, **agent));
        self.agents.keys().filter(usable).map(|agent| self.visible(None, *agent).cpus.0).sum()
    }

    /// What a class is promised is kept where it can be used, or all that was given there was promised to somebody.
    fn check_kept(&mut self, grant: &Grant, before: &[(Vec<DemandItem>, u64, u64)], to_it: u64) {
        let classes = self.classes();
        for (shapes, usable, _) in before {
            let owed = classes.iter().find(|(known, _)| known == shapes).map_or(0, |(_, owed)| *owed);
            let after = self.usable(shapes);
            let is_kept = after >= owed || after == *usable;
            // Those who are promised something themselves take it anywhere.
            if to_it == 0 && !is_kept {
                self.problem = Some(format!("{grant:?}: usable {usable} -> {after} of {owed} for {shapes:?}"));
            }
        }
    }

    fn would_fit(&self, framework: usize, item: &DemandItem, agent: usize) -> bool {
        let Some((info, true)) = self.agents.get(&agent) else { return false };
        let left = self.visible(Some(&item.role), agent);
        let is_enough = match &item.shape {
            Some(shape) => left.contains(shape),
            None => left.cpus >= MilliCpus(10) || left.memory >= Bytes::mib(32),
        };
        let room = self.room(&item.role, agent);
        let least = self.min_offer(&item.role);
        if left.cpus.0 < least || (item.shape.is_none() && room.0 < least) {
            return false;
        }
        let is_within = match &item.shape {
            Some(shape) => shape.cpus.0 <= room.0 && shape.memory.0 <= room.1 && item.ports <= room.2,
            None => left.cpus.0.min(room.0) >= 10 || left.memory.0.min(room.1) >= Bytes::mib(32).0,
        };
        let is_refused = self.is_refused(framework, &item.role, agent, &left);
        let is_allowed = item.constraints.iter().all(|rule| rule.is_met_by(info));
        is_enough && is_within && is_allowed && !is_refused && left.ports.count() >= item.ports
    }

    pub(super) fn is_refused(&self, framework: usize, role: &Role, agent: usize, left: &Resources) -> bool {
        self.filters.iter().any(|filter| {
            (filter.framework, &filter.role, filter.agent) == (framework, role, agent)
                && filter.until > self.now
                && filter.refused.contains(left)
        })
    }

    /// An idle cluster is silent: nothing is due when nothing can end.
    fn broken_deadline(&self) -> Option<String> {
        let due = self.allocator.next_deadline()?;
        if due.0 <= self.now {
            return Some(format!("{due:?} was due and is not done"));
        }
        let ends = self.filters.iter().map(|f| f.until).chain(self.holds.iter().map(|hold| hold.2));
        (!ends.into_iter().any(|end| end == due.0)).then(|| format!("{due:?} is the end of nothing"))
    }

    pub(super) fn available(&self, agent: usize) -> Resources {
        let Some((info, _)) = self.agents.get(&agent) else { return Resources::default() };
        let granted = self.grants_apart().filter(|g| number(g.agent.as_str()) == agent).map(|g| &g.resources);
        let tasks = self.tasks.iter().filter(|task| task.agent == agent).map(|task| &task.resources);
        let used = granted.chain(tasks).fold(Resources::default(), |sum, more| sum.saturating_sum(more));
        info.resources.checked_sub(&used).unwrap_or_default()
    }

    fn pick(&mut self, at: usize) -> Option<Grant> {
        let id = *self.grants.keys().nth(at % self.grants.len().max(1))?;
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
