//! An amount of one agent, and how it is split among its pools.

use std::collections::BTreeMap;

use proffer_proto_model::resources::Shortage;
use proffer_proto_model::{Pool, PoolId, ReservedUse, Resources};

/// What is not reserved, and the parts of pools.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    pub unreserved: Resources,
    /// No part is empty.
    pub pools: BTreeMap<PoolId, Resources>,
}

impl Share {
    /// A total, of which these parts are reserved.
    pub fn split(total: &Resources, reserved: &[(PoolId, Resources)]) -> Self {
        let unreserved = reserved.iter().fold(total.clone(), |rest, (_, part)| rest.saturating_minus(part));
        let mut share = Self { unreserved, pools: BTreeMap::new() };
        reserved.iter().for_each(|(id, part)| share.add_to(Some(*id), part));
        share
    }

    /// All of it together.
    pub fn total(&self) -> Resources {
        self.pools.values().fold(self.unreserved.clone(), |sum, part| sum.saturating_sum(part))
    }

    /// The reserved parts, as records keep them.
    pub fn reserved(&self) -> Vec<(PoolId, Resources)> {
        self.pools.iter().map(|(id, part)| (*id, part.clone())).collect()
    }

    /// What is there of one pool, or of what is not reserved.
    pub fn of(&self, pool: Option<PoolId>) -> Resources {
        match pool {
            None => self.unreserved.clone(),
            Some(id) => self.pools.get(&id).cloned().unwrap_or_default(),
        }
    }

    /// Adds to one pool, or to what is not reserved.
    pub fn add_to(&mut self, pool: Option<PoolId>, part: &Resources) {
        match pool {
            _ if part.is_empty() => {}
            None => self.unreserved.add(part.clone()),
            Some(id) => self.pools.entry(id).or_default().add(part.clone()),
        }
    }

    /// Takes from one pool, or from what is not reserved, as far as it is there.
    pub fn take_from(&mut self, pool: Option<PoolId>, part: &Resources) {
        match pool {
            None => self.unreserved = self.unreserved.saturating_minus(part),
            Some(id) => {
                let rest = self.of(pool).saturating_minus(part);
                match rest.is_empty() {
                    true => drop(self.pools.remove(&id)),
                    false => drop(self.pools.insert(id, rest)),
                }
            }
        }
    }

    /// Adds another share of the same agent.
    pub fn add(&mut self, other: &Share) {
        self.add_to(None, &other.unreserved);
        other.pools.iter().for_each(|(id, part)| self.add_to(Some(*id), part));
    }

    /// Takes what a task needs, from `pools` in their order first. Nothing is taken when it is not there.
    pub fn take(&mut self, want: &Resources, from: ReservedUse, pools: &[PoolId]) -> Result<Share, Shortage> {
        let mut rest = want.clone();
        let mut taken = Share::default();
        if from != ReservedUse::UnreservedOnly {
            for id in pools {
                let part = self.of(Some(*id)).common(&rest);
                rest = rest.saturating_minus(&part);
                taken.add_to(Some(*id), &part);
            }
        }
        let nothing = Resources::default();
        let unreserved = if from == ReservedUse::ReservedOnly { &nothing } else { &self.unreserved };
        if let Some(shortage) = unreserved.shortage(&rest) {
            return Err(shortage);
        }
        taken.unreserved = rest;
        self.take_from(None, &taken.unreserved);
        taken.pools.iter().for_each(|(id, part)| self.take_from(Some(*id), part));
        Ok(taken)
    }
}

/// The order in which a task takes from pools: the deepest role first.
pub(crate) fn order(pools: &[Pool]) -> Vec<PoolId> {
    let mut ids: Vec<_> = pools.iter().map(|pool| (std::cmp::Reverse(pool.role.depth()), pool.id)).collect();
    ids.sort_unstable();
    ids.into_iter().map(|(_, id)| id).collect()
}
