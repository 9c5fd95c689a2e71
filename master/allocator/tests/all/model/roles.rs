//! Which roles are known, as the model knows it: in which something is wanted, held, reserved or set.

use std::collections::BTreeSet;

use proffer_master_allocator::Placement;
use proffer_proto_model::*;

use super::naive::{Naive, number};
use crate::common::framework_id;

impl Naive {
    /// The framework is in these from now on.
    pub fn set_roles(&mut self, framework: usize, roles: BTreeSet<Role>) {
        let list: Vec<Role> = roles.iter().cloned().collect();
        self.allocator.set_roles(&framework_id(framework), &list);
        if self.frameworks.contains_key(&framework) {
            self.memberships.insert(framework, roles);
        }
    }

    pub fn set_weight(&mut self, role: &Role, weight: Weight) {
        self.allocator.set_weight(role, weight);
        self.weights.insert(role.clone(), weight);
        self.weights.retain(|_, weight| *weight != Weight::default());
    }

    pub fn set_placement(&mut self, role: &Role, placement: Option<Placement>) {
        self.allocator.set_placement(role, placement.clone());
        match placement {
            Some(placement) => self.placements.insert(role.clone(), placement),
            None => self.placements.remove(role),
        };
    }

    /// Takes all away that there is, and every setting.
    pub fn clear(&mut self) {
        self.frameworks.keys().copied().collect::<Vec<_>>().into_iter().for_each(|id| self.remove_framework(id));
        self.agents.keys().copied().collect::<Vec<_>>().into_iter().for_each(|id| self.remove_agent(id));
        while !self.away.is_empty() {
            self.back(0);
        }
        for role in self.quotas.keys().cloned().collect::<Vec<_>>() {
            self.set_quota(&role, Quota::default());
        }
        for role in self.min_offers.keys().cloned().collect::<Vec<_>>() {
            self.set_min_offer(role, None);
        }
        for role in self.optimistic.clone() {
            self.set_optimistic(&role, false);
        }
        for role in self.weights.keys().cloned().collect::<Vec<_>>() {
            self.set_weight(&role, Weight::default());
        }
        for role in self.placements.keys().cloned().collect::<Vec<_>>() {
            self.set_placement(&role, None);
        }
    }

    /// What is granted now, without numbers.
    pub fn granted(&self) -> Vec<String> {
        let granted = self.grants.values();
        let mut granted: Vec<String> = granted
            .map(|grant| format!("{} {} {} {}", grant.framework, grant.role, grant.agent, grant.resources))
            .collect();
        granted.sort();
        granted
    }

    /// Exactly those roles are known that somebody needs, and those above them.
    pub(super) fn broken_roles(&mut self) -> Option<String> {
        let is_used = |(framework, role): &(usize, Role)| {
            let granted = self.grants.values().map(|grant| (number(grant.framework.as_str()), &grant.role));
            let held = self.tasks.iter().map(|task| (task.framework, &task.role));
            let demand = self.frameworks.get(framework).map(|known| &known.1);
            let wanted = demand.into_iter().flat_map(|demand| &demand.items).map(|item| (*framework, &item.role));
            let mut uses = granted.chain(held).chain(wanted);
            let is_member = self.memberships.get(framework).is_none_or(|roles| roles.contains(role));
            is_member || uses.any(|used| used == (*framework, role))
        };
        let clients: BTreeSet<(usize, Role)> = self.clients.iter().filter(|client| is_used(client)).cloned().collect();
        self.clients = clients;
        let quotas = self.quotas.iter().filter(|(_, quota)| !quota.is_empty()).map(|(role, _)| role);
        let settings = quotas.chain(self.min_offers.keys().flatten()).chain(&self.optimistic);
        let settings = settings.chain(self.weights.keys()).chain(self.placements.keys());
        let pools = self.pools.values().flatten().map(|pool| &pool.role);
        let away = self.away.iter().map(|(role, _)| role);
        let used = settings.chain(pools).chain(away).chain(self.clients.iter().map(|(_, role)| role));
        let path = |role: &Role| std::iter::successors(Some(role.clone()), Role::parent).collect::<Vec<_>>();
        let expected: BTreeSet<Role> = used.flat_map(path).collect();
        let known = self.allocator.roles_known();
        (!known.iter().copied().eq(&expected)).then(|| format!("{known:?} are known, {expected:?} are needed"))
    }
}
