//! The pools of one agent as its record keeps them: found, grown, shrunk, and set anew when the agent attaches.

use std::collections::BTreeMap;

use proffer_proto_model::{FrameworkId, Offer, Pool, PoolId, Reserved, Resources, Role, StaticReservation};

use crate::registry::AgentRecord;

/// What a reservation is kept under, beside what it refines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolWords<'a> {
    pub role: &'a Role,
    pub labels: &'a BTreeMap<String, String>,
    pub principal: &'a str,
    /// The framework with which it ends.
    pub owner: Option<&'a FrameworkId>,
}

impl<'a> PoolWords<'a> {
    /// Of a role, and nothing else.
    pub fn of(role: &'a Role) -> Self {
        static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();
        Self { role, labels: &NO_LABELS, principal: "", owner: None }
    }
}

impl AgentRecord {
    /// A pool.
    pub(crate) fn pool(&self, id: PoolId) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.id == id)
    }

    /// All that is reserved.
    pub(crate) fn reserved(&self) -> Resources {
        self.pools.iter().fold(Resources::default(), |sum, pool| sum.saturating_sum(&pool.resources))
    }

    /// Adds to the pool with these words, which is made when it is not there.
    pub(crate) fn grow_pool(&mut self, parent: Option<PoolId>, words: PoolWords<'_>, more: &Resources) -> PoolId {
        let PoolWords { role, labels, principal, owner } = words;
        let is_it = |pool: &&mut Pool| {
            !pool.is_static
                && pool.role == *role
                && pool.parent == parent
                && pool.labels == *labels
                && pool.principal == principal
                && pool.owner.as_ref() == owner
        };
        if let Some(pool) = self.pools.iter_mut().find(is_it) {
            pool.resources.add(more.clone());
            return pool.id;
        }
        let id = self.next_pool_id();
        self.pools.push(Pool {
            id,
            role: role.clone(),
            parent,
            resources: more.clone(),
            labels: labels.clone(),
            principal: principal.to_owned(),
            is_static: false,
            owner: owner.cloned(),
        });
        id
    }

    /// Moves a part out of a pool to another one, or to what is not reserved.
    pub(crate) fn move_part(&mut self, from: Option<PoolId>, to: Option<PoolId>, part: &Resources) {
        for pool in &mut self.pools {
            if Some(pool.id) == from {
                pool.resources = pool.resources.saturating_minus(part);
            } else if Some(pool.id) == to {
                pool.resources.add(part.clone());
            }
        }
    }

    /// Forgets dynamic pools that hold nothing, unless something is refined from them.
    pub(crate) fn drop_empty_pools(&mut self) {
        loop {
            let parents: Vec<PoolId> = self.pools.iter().filter_map(|pool| pool.parent).collect();
            let before = self.pools.len();
            self.pools.retain(|pool| pool.is_static || !pool.resources.is_empty() || parents.contains(&pool.id));
            if self.pools.len() == before {
                return;
            }
        }
    }

    /// Takes the agent's own reservations in place of those it had. One that stays as it was keeps its number, and what
    /// was refined from it; what was refined from one that went goes back to what is not reserved when it ends.
    pub(crate) fn set_static_pools(&mut self, reservations: &[StaticReservation]) {
        let old: Vec<Pool> = self.pools.extract_if(.., |pool| pool.is_static).collect();
        let mut statics: Vec<Pool> = Vec::new();
        for StaticReservation { role, resources, labels } in reservations {
            let is_same = |pool: &Pool| pool.role == *role && pool.labels == *labels;
            if let Some(pool) = statics.iter_mut().find(|pool| is_same(pool)) {
                pool.resources.add(resources.clone());
                continue;
            }
            let id = match old.iter().find(|pool| is_same(pool)) {
                Some(known) => known.id,
                None => self.next_pool_id(),
            };
            statics.push(Pool {
                id,
                role: role.clone(),
                parent: None,
                resources: resources.clone(),
                labels: labels.clone(),
                principal: String::new(),
                is_static: true,
                owner: None,
            });
        }
        let refined: Vec<_> =
            self.pools.iter().filter_map(|pool| Some((pool.parent?, pool.resources.clone()))).collect();
        for pool in &mut statics {
            for (_, part) in refined.iter().filter(|(parent, _)| *parent == pool.id) {
                pool.resources = pool.resources.saturating_minus(part);
            }
        }
        self.pools.append(&mut statics);
        self.pools.sort_by_key(|pool| pool.id);
        let known: Vec<PoolId> = self.pools.iter().map(|pool| pool.id).collect();
        for pool in &mut self.pools {
            pool.parent = pool.parent.filter(|parent| known.contains(parent));
        }
    }

    /// The reserved parts of an offer in the words of frameworks, deepest role first.
    pub(crate) fn reserved_parts(&self, parts: &[(PoolId, Resources)]) -> Vec<Reserved> {
        let each = parts.iter().filter_map(|(id, part)| Some((self.pool(*id)?, part)));
        let mut parts: Vec<Reserved> = each
            .map(|(pool, part)| Reserved {
                role: pool.role.clone(),
                refines: self.roles_above(pool),
                resources: part.clone(),
                labels: pool.labels.clone(),
                is_static: pool.is_static,
                owner: pool.owner.clone(),
            })
            .collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.role.depth()));
        parts
    }

    /// All that is reserved in the words of frameworks, but for pools that hold nothing.
    pub(crate) fn all_reserved(&self) -> Vec<Reserved> {
        let there = self.pools.iter().filter(|pool| !pool.resources.is_empty());
        let parts: Vec<_> = there.map(|pool| (pool.id, pool.resources.clone())).collect();
        self.reserved_parts(&parts)
    }

    /// The roles a pool was refined from, outermost first.
    pub(crate) fn roles_above(&self, pool: &Pool) -> Vec<Role> {
        let above = |pool: &&Pool| pool.parent.and_then(|parent| self.pool(parent));
        let mut roles: Vec<Role> = std::iter::successors(above(&pool), above).map(|pool| pool.role.clone()).collect();
        roles.reverse();
        roles
    }

    fn next_pool_id(&mut self) -> PoolId {
        self.last_pool += 1;
        PoolId(self.last_pool)
    }
}

/// The offer holds nothing that is reserved for another role.
pub(crate) fn is_for_role(offer: &Offer, pool: &Pool) -> bool {
    pool.role.holds(&offer.role)
}
