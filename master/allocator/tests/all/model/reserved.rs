//! Reserved parts of agents, as the model knows them: who sees what, and what counts for quotas.

use proffer_master_allocator::{AgentPool, Grant, ReservedParts};
use proffer_proto_model::*;

use super::naive::{Naive, is_within, number};
use crate::common::agent_id;

/// A reserved part.
#[derive(Debug, Clone)]
pub struct Pool {
    pub id: PoolId,
    pub role: Role,
    /// All of it, or in answers what is free of it.
    pub resources: Resources,
    pub beside: Resources,
}

/// Which parts of a task come from which pool: what was granted first is used first.
pub fn parts_of(granted: &ReservedParts, task: &Resources) -> ReservedParts {
    let mut rest = task.clone();
    let mut parts = Vec::new();
    for (id, part) in granted {
        let part = part.common(&rest);
        rest = rest.saturating_minus(&part);
        if !part.is_empty() {
            parts.push((*id, part));
        }
    }
    parts
}

impl Naive {
    /// One pool for each role; those that stay keep their number, or all get new ones.
    pub fn set_pools(&mut self, agent: usize, parts: Vec<(Role, Resources, Resources)>, is_kept: bool) {
        if !self.agents.contains_key(&agent) {
            return;
        }
        let old = self.pools.remove(&agent).unwrap_or_default();
        let mut pools: Vec<Pool> = Vec::new();
        for (role, resources, beside) in parts {
            if pools.iter().any(|pool| pool.role == role) {
                continue;
            }
            let known = old.iter().find(|pool| is_kept && pool.role == role).map(|pool| pool.id);
            self.next_pool += 1;
            pools.push(Pool { id: known.unwrap_or(PoolId(self.next_pool)), role, resources, beside });
        }
        let set = pools.iter().cloned().map(|pool| {
            let Pool { id, role, resources, beside } = pool;
            AgentPool { id, role, resources, beside }
        });
        self.allocator.set_pools(&agent_id(agent), set.collect());
        self.pools.insert(agent, pools);
    }

    /// What is granted and held of a pool.
    fn used(&self, agent: usize, pool: PoolId) -> Resources {
        let granted = self.grants.values().filter(|grant| number(grant.agent.as_str()) == agent);
        let held = self.tasks.iter().filter(|task| task.agent == agent).map(|task| &task.reserved);
        let parts = granted.map(|grant| &grant.reserved).chain(held).flatten().filter(|(id, _)| *id == pool);
        parts.fold(Resources::default(), |sum, (_, part)| sum.saturating_sum(part))
    }

    /// The pools of an agent with what is free of them.
    fn free_pools(&self, agent: usize) -> impl Iterator<Item = Pool> {
        self.pools.get(&agent).into_iter().flatten().map(move |pool| {
            let free = pool.resources.saturating_minus(&self.used(agent, pool.id));
            Pool { resources: free, ..pool.clone() }
        })
    }

    /// What is free of the pools that somebody in a role sees.
    pub fn own_pools(&self, role: &Role, agent: usize) -> Vec<Pool> {
        self.free_pools(agent).filter(|pool| is_within(role, &pool.role)).collect()
    }

    /// What is free of an agent and not reserved for others; all of it counts as others' for nobody.
    pub fn visible(&self, role: Option<&Role>, agent: usize) -> Resources {
        let left = self.available(agent);
        let sum = |sum: Resources, pool: Pool| sum.saturating_sum(&pool.resources);
        let is_others = |pool: &Pool| !role.is_some_and(|role| is_within(role, &pool.role));
        let reserved = self.free_pools(agent).fold(Resources::default(), sum);
        let hidden = self.free_pools(agent).filter(is_others).fold(Resources::default(), sum);
        if left.contains(&reserved) { left.saturating_minus(&hidden) } else { Resources::default() }
    }

    /// CPU that is reserved in a role and below it and not used, and what lies beside it.
    pub fn kept(&self, role: &Role) -> u64 {
        let all = self.pools.keys().flat_map(|agent| self.free_pools(*agent));
        let within = all.filter(|pool| is_within(&pool.role, role));
        within.map(|pool| pool.resources.cpus.0 + pool.beside.cpus.0).sum()
    }

    /// CPU of a grant that is of pools of a role or below it.
    pub fn reserved_below(&self, grant: &Grant, role: &Role) -> u64 {
        let pools = self.pools.get(&number(grant.agent.as_str())).into_iter().flatten();
        let below = pools.filter(|pool| is_within(&pool.role, role));
        let part =
            |pool: &Pool| grant.reserved.iter().find(|(id, _)| *id == pool.id).map_or(0, |(_, part)| part.cpus.0);
        below.map(part).sum()
    }

    /// A grant takes only what is free of pools that its role sees; one that is `alone` on its agent takes first what is
    /// reserved, the deepest role's first.
    pub fn check_parts(&mut self, grant: &Grant, is_alone: bool) {
        let pools = self.own_pools(&grant.role, number(grant.agent.as_str()));
        let is_free =
            |(id, part): &(PoolId, Resources)| pools.iter().any(|pool| pool.id == *id && pool.resources.contains(part));
        if !grant.reserved.iter().all(is_free) {
            self.problem = Some(format!("{grant:?} takes what is not free of {pools:?}"));
        }
        if is_alone {
            self.check_order(grant);
        }
    }

    fn check_order(&mut self, grant: &Grant) {
        let mut rest = grant.resources.clone();
        let mut pools = self.own_pools(&grant.role, number(grant.agent.as_str()));
        pools.sort_by_key(|pool| (std::cmp::Reverse(pool.role.depth()), pool.id));
        let mut parts = ReservedParts::new();
        for pool in pools {
            let part = pool.resources.common(&rest);
            rest = rest.saturating_minus(&part);
            if !part.is_empty() {
                parts.push((pool.id, part));
            }
        }
        let mut granted = grant.reserved.clone();
        granted.sort_by_key(|(id, _)| *id);
        parts.sort_by_key(|(id, _)| *id);
        if granted != parts {
            self.problem = Some(format!("{grant:?} should hold the parts {parts:?}"));
        }
    }
}
