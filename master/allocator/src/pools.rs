//! Reserved parts of agents: granted only to the role they are reserved for and those below it.
//!
//! What is free of an agent holds its pools' free parts; who may not have them does not see them. Agents without
//! reservations pay one look at an `Option`.

use std::borrow::Cow;

use proffer_proto_model::{AgentId, PoolId, PortSet, Resources, Role};

use crate::allocator::{Agent, Allocator};
use crate::share::Amounts;
use crate::tree::NodeId;

/// A reserved part of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPool {
    /// Its number.
    pub id: PoolId,
    /// For whom.
    pub role: Role,
    /// How much of the agent.
    pub resources: Resources,
    /// Reserved beside that and never granted, such as volumes: it counts for the role's quota.
    pub beside: Resources,
}

/// Which part of an amount is of which pool.
pub type ReservedParts = Vec<(PoolId, Resources)>;

/// The pools of one agent, deepest role first.
pub(crate) type Pools = Option<Box<Vec<PoolState>>>;

/// A pool and what of it is granted or held.
#[derive(Debug)]
pub(crate) struct PoolState {
    pool: AgentPool,
    /// Of its role.
    node: NodeId,
    used: Resources,
}

/// What is free of a pool that a client sees.
#[derive(Debug)]
pub(crate) struct OwnPool {
    /// For whom it is.
    pub role: NodeId,
    pub free: Amounts,
    pub resources: Resources,
}

/// What is left of an amount beside them.
pub(crate) fn beside<'a>(own: &[OwnPool], left: &'a Resources) -> Cow<'a, Resources> {
    own.iter().fold(Cow::Borrowed(left), |left, pool| Cow::Owned(left.saturating_minus(&pool.resources)))
}

/// What is free of a kind in all of them.
pub(crate) fn sum_of(own: &[OwnPool], kind: usize) -> u64 {
    own.iter().map(|pool| pool.free.of(kind)).fold(0, u64::saturating_add)
}

impl PoolState {
    /// For whom it is.
    pub fn role(&self) -> &Role {
        &self.pool.role
    }

    fn kept(&self) -> Resources {
        self.free().saturating_sum(&self.pool.beside)
    }

    fn free(&self) -> Resources {
        self.pool.resources.saturating_minus(&self.used)
    }
}

impl Agent {
    /// What of `left` somebody in the role may have: all but what is reserved for others. Nothing when the agent shrank
    /// below what is reserved.
    pub fn visible<'a>(&self, role: Option<&Role>, left: &'a Resources) -> Cow<'a, Resources> {
        let Some(pools) = &self.pools else { return Cow::Borrowed(left) };
        let (mut reserved, mut hidden) = (Resources::default(), Resources::default());
        for state in pools.iter() {
            let free = state.free();
            if !role.is_some_and(|role| state.pool.role.holds(role)) {
                hidden.add(free.clone());
            }
            reserved.add(free);
        }
        let is_there = left.contains(&reserved);
        Cow::Owned(if is_there { left.saturating_minus(&hidden) } else { Resources::default() })
    }
}

impl Allocator {
    /// Replaces the reservations of an agent. What is used of pools that stay is kept; what was used of others counts as
    /// not reserved. Unknown agents are ignored.
    pub fn set_pools(&mut self, id: &AgentId, pools: Vec<AgentPool>) {
        let Some(slot) = self.agents.find(id) else { return };
        let nodes: Vec<Option<NodeId>> = pools.iter().map(|pool| self.role_node(&pool.role)).collect();
        pools.iter().for_each(|pool| self.count_pool(&pool.role, true));
        self.count_free(slot, false);
        self.count_kept(slot, false);
        let Some(agent) = self.agents.get_mut(slot) else { return };
        let old = agent.pools.take().map(|pools| *pools).unwrap_or_default();
        let used = |id: PoolId| old.iter().find(|old| old.pool.id == id).map(|old| old.used.clone());
        let with_node = |(pool, node): (AgentPool, Option<NodeId>)| {
            Some(PoolState { used: used(pool.id).unwrap_or_default(), node: node?, pool })
        };
        let mut states: Vec<PoolState> = pools.into_iter().zip(nodes).filter_map(with_node).collect();
        states.sort_by_key(|state| (std::cmp::Reverse(state.pool.role.depth()), state.pool.id));
        agent.pools = (!states.is_empty()).then(|| Box::new(states));
        self.count_kept(slot, true);
        self.count_free(slot, true);
        // Somebody may see more of it than before.
        self.look_at_agent(slot);
        old.iter().for_each(|old| self.count_pool(old.role(), false));
    }

    /// A task holds these parts of an agent's pools; beside [`Allocator::charge`], which counts the whole.
    pub fn charge_reserved(&mut self, id: &AgentId, parts: &[(PoolId, Resources)]) {
        if let Some(slot) = self.agents.find(id) {
            self.use_pools(slot, parts, true);
        }
    }

    /// The task that held these parts has ended; beside [`Allocator::recover`].
    pub fn recover_reserved(&mut self, id: &AgentId, parts: &[(PoolId, Resources)]) {
        if let Some(slot) = self.agents.find(id) {
            self.use_pools(slot, parts, false);
        }
    }

    /// What is granted and held of a pool; for checks.
    pub fn pool_used(&self, id: &AgentId, pool: PoolId) -> Option<&Resources> {
        let pools = self.agents.get(self.agents.find(id)?)?.pools.as_ref()?;
        pools.iter().find(|state| state.pool.id == pool).map(|state| &state.used)
    }

    /// What of `left` of the agent the client may have.
    pub(crate) fn visible<'a>(&self, client: usize, agent: usize, left: &'a Resources) -> Cow<'a, Resources> {
        let Some(place) = self.agents.get(agent).filter(|agent| agent.pools.is_some()) else {
            return Cow::Borrowed(left);
        };
        let role = self.clients.get(client).and_then(|client| self.roles.get(client.role));
        place.visible(role.map(|role| &role.name), left)
    }

    /// As many host ports as `taken`, with the `named` ones, and of the others those reserved for the client before those
    /// that may be kept for guarantees.
    pub(crate) fn with_own_ports(
        &self,
        client: usize,
        agent: usize,
        named: Option<&PortSet>,
        visible: &PortSet,
        taken: PortSet,
    ) -> PortSet {
        let has_pools = self.agents.get(agent).is_some_and(|agent| agent.pools.is_some());
        let node = self.clients.get(client).map(|state| state.node).filter(|_| has_pools && !taken.is_empty());
        let Some(node) = node else { return taken };
        let named = named.cloned().unwrap_or_default();
        let own = self.own_pools(node, agent);
        let own = own.iter().fold(PortSet::default(), |all, pool| all.union(&pool.resources.ports)).minus(&named);
        let others = visible.minus(&own).minus(&named);
        let free = taken.count().saturating_sub(named.count());
        let of_own = own.lowest(free.min(own.count())).unwrap_or_default();
        let rest = others.lowest(free.saturating_sub(of_own.count())).unwrap_or_default();
        named.union(&of_own).union(&rest)
    }

    /// Takes an amount that the client sees from the pools, the deepest role first; what they do not hold is of what
    /// is not reserved. Gives the parts.
    pub(crate) fn take_reserved(&mut self, client: usize, agent: usize, taken: &Resources) -> ReservedParts {
        if self.agents.get(agent).is_none_or(|agent| agent.pools.is_none()) {
            return Vec::new();
        }
        self.count_free(agent, false);
        self.count_kept(agent, false);
        let role = self.clients.get(client).and_then(|client| self.roles.get(client.role));
        let pools = self.agents.get_mut(agent).and_then(|agent| agent.pools.as_mut());
        let mut rest = taken.clone();
        let mut parts = Vec::new();
        let is_theirs = |state: &&mut PoolState| role.is_some_and(|role| state.pool.role.holds(&role.name));
        for state in pools.into_iter().flat_map(|pools| pools.iter_mut()).filter(is_theirs) {
            let part = state.free().common(&rest);
            if !part.is_empty() {
                rest = rest.saturating_minus(&part);
                state.used.add(part.clone());
                parts.push((state.pool.id, part));
            }
        }
        self.count_kept(agent, true);
        self.count_free(agent, true);
        parts
    }

    /// Counts parts of an agent's pools as used, or as free again. Pools that are gone are passed over.
    pub(crate) fn use_pools(&mut self, slot: usize, parts: &[(PoolId, Resources)], is_more: bool) {
        if parts.is_empty() {
            return;
        }
        self.count_free(slot, false);
        self.count_kept(slot, false);
        let mut pools = self.agents.get_mut(slot).and_then(|agent| agent.pools.as_mut());
        for (id, part) in parts {
            let Some(pools) = &mut pools else { break };
            let Some(state) = pools.iter_mut().find(|state| state.pool.id == *id) else { continue };
            state.used = match is_more {
                true => state.used.saturating_sum(part),
                false => state.used.saturating_minus(part),
            };
        }
        self.count_kept(slot, true);
        self.count_free(slot, true);
    }

    /// What is free of the agent's pools that a client sees.
    pub(crate) fn own_pools(&self, client: NodeId, agent: usize) -> Vec<OwnPool> {
        let Some(pools) = self.agents.get(agent).and_then(|agent| agent.pools.as_ref()) else { return Vec::new() };
        let is_own = |state: &&PoolState| self.tree.path(client).any(|at| at == state.node);
        let own = pools.iter().filter(is_own).map(|state| (state.node, state.free()));
        own.map(|(role, resources)| OwnPool { role, free: self.kinds.amounts_of(&resources), resources }).collect()
    }

    /// Counts what is free of the agent's pools as used up for the quotas of their roles, or no more.
    pub(crate) fn count_kept(&mut self, slot: usize, is_more: bool) {
        let pools = self.agents.get(slot).and_then(|agent| agent.pools.as_ref());
        let free: Vec<_> = pools.into_iter().flat_map(|pools| pools.iter()).map(|s| (s.node, s.kept())).collect();
        for (node, free) in free {
            let amounts = self.kinds.amounts(&free);
            self.tree.count_kept(node, &amounts, is_more);
        }
    }

    fn role_node(&mut self, role: &Role) -> Option<NodeId> {
        let slot = self.role_slot(role);
        self.roles.get(slot).map(|role| role.node)
    }
}

/// Adds parts, one entry for each pool.
pub(crate) fn add_parts(parts: &mut ReservedParts, more: ReservedParts) {
    for (id, part) in more {
        match parts.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) => known.add(part),
            None => parts.push((id, part)),
        }
    }
}
