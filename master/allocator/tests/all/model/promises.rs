//! Guarantees and limits, as the model knows them: what is owed to whom, what is kept for it, and what that leaves to others.

use proffer_proto_model::*;

use super::naive::{Naive, is_within};
use crate::common::res;

impl Naive {
    /// The limits on a role: how far each role of its path is above (or below) its own, in CPU, with what is promised to
    /// others below it: the more of them hold what they are promised the more of the rest is for this one.
    pub(super) fn limited_beside(&self, role: &Role) -> impl Iterator<Item = (Role, u64)> {
        self.limited(role).map(|(above, left)| {
            let left = u64::try_from(left).unwrap_or(0);
            let on_the_way = std::iter::successors(Some(role.clone()), Role::parent).take_while(|at| *at != above);
            let own: u64 = on_the_way.map(|at| self.owed_itself(&at)).sum();
            let room = left.min(left.saturating_sub(self.owed_below(&above)) + own);
            (above, room)
        })
    }

    /// How much more is promised within limits than they leave, by role with a limit.
    pub(super) fn lacking(&self) -> Vec<(Role, u64)> {
        let limited = self.quotas.iter().filter(|(_, quota)| quota.limit.cpus.is_some()).map(|(role, _)| role);
        let lacking = |role: &Role| {
            let left = self.limited(role).next().map_or(0, |(_, left)| u64::try_from(left).unwrap_or(0));
            (role.clone(), self.owed_below(role).saturating_sub(left))
        };
        limited.map(lacking).collect()
    }

    /// The limits on a role: how far each role of its path is above (or below) its own, in CPU.
    pub(super) fn limited(&self, role: &Role) -> impl Iterator<Item = (Role, i64)> {
        let path = std::iter::successors(Some(role.clone()), Role::parent);
        let limit = |role: Role| {
            let most = self.quotas.get(&role)?.limit.cpus?;
            let left = most.0 as i64 - (self.consumed(&role) + self.away(&role)) as i64;
            Some((role, left))
        };
        path.filter_map(limit)
    }

    /// So much CPU is held in a role on an agent that is away.
    pub fn count_away(&mut self, role: &Role, cpus: u64) {
        self.allocator.count_away(role, &res(cpus, 0), true);
        self.away.push((role.clone(), cpus));
    }

    /// Some of it is not any more.
    pub fn back(&mut self, at: usize) {
        if !self.away.is_empty() {
            let (role, cpus) = self.away.swap_remove(at % self.away.len());
            self.allocator.count_away(&role, &res(cpus, 0), false);
        }
    }

    /// CPU that is held in a role and below it on agents that are away.
    fn away(&self, role: &Role) -> u64 {
        self.away.iter().filter(|(other, _)| is_within(other, role)).map(|(_, cpus)| cpus).sum()
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

    /// What a role and those below are promised and do not hold: what is promised to those below is part of it. What its
    /// limit does not let it use is not.
    fn owed(&self, role: &Role) -> u64 {
        let quota = self.quotas.get(role).cloned().unwrap_or_default();
        let most = quota.limit.cpus.map_or(u64::MAX, |most| most.0);
        let within = most.saturating_sub(self.consumed(role) + self.away(role));
        let own = quota.guarantee.cpus.0.saturating_sub(self.consumed(role));
        own.max(self.owed_below(role)).min(within)
    }

    fn owed_below(&self, role: &Role) -> u64 {
        let below = self.roles().into_iter().filter(|other| other.parent().as_ref() == Some(role));
        below.map(|below| self.owed(&below)).sum()
    }

    /// Promised to the role itself, not further down.
    fn owed_itself(&self, role: &Role) -> u64 {
        self.owed(role).saturating_sub(self.owed_below(role))
    }

    /// Promised to roles of this path themselves, not further down: what a client of the role may count on.
    pub(super) fn owed_to(&self, role: &Role) -> u64 {
        std::iter::successors(Some(role.clone()), Role::parent).map(|role| self.owed_itself(&role)).sum()
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
    pub(super) fn promises(&self) -> (u64, u64) {
        let active = self.agents.iter().filter(|(_, (_, is_active))| *is_active);
        let free = active.map(|(agent, _)| self.visible(None, *agent).cpus.0).sum();
        let highest = self.roles().into_iter().filter(|role| role.parent().is_none());
        (free, highest.map(|role| self.owed(&role)).sum())
    }

    /// So much may be granted of CPU and memory of an agent in a role.
    pub(super) fn room(&self, role: &Role, agent: usize) -> (u64, u64, u32) {
        let (free, owed) = self.promises();
        let spare = if owed == 0 { u64::MAX } else { free.saturating_sub(owed) };
        let own = self.own_pools(role, agent);
        let by_limit = |(above, left): (Role, u64)| {
            let below = own.iter().filter(|pool| is_within(&pool.role, &above)).map(|pool| pool.resources.cpus.0);
            left + below.sum::<u64>()
        };
        let by_limits = self.limited_beside(role).map(by_limit).min();
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
    pub(super) fn classes(&self) -> Vec<(Vec<DemandItem>, u64)> {
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
            // No more than the limits above leave.
            let above = role.parent().map(|above| self.limited(&above).map(|(_, left)| left).min());
            let most = above.flatten().map_or(u64::MAX, |left| u64::try_from(left).unwrap_or(0));
            let owed = self.owed_itself(role).min(most);
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

    pub(super) fn usable(&self, shapes: &[DemandItem]) -> u64 {
        let usable = |agent: &&usize| shapes.iter().any(|shape| self.is_usable(shape, **agent));
        self.agents.keys().filter(usable).map(|agent| self.visible(None, *agent).cpus.0).sum()
    }
}
