//! Optimistic roles, as the model knows them: who shares a grant with whom, and who should.

use proffer_master_allocator::{Grant, GrantId};
use proffer_proto_model::*;

use super::naive::{Naive, number, times};

impl Naive {
    /// Frameworks of the role race for what they are granted from now on.
    pub fn set_optimistic(&mut self, role: &Role, is_optimistic: bool) {
        self.allocator.set_optimistic(role, is_optimistic);
        match is_optimistic {
            true => self.optimistic.insert(role.clone()),
            false => self.optimistic.remove(role),
        };
    }

    /// Of an optimistic role, and nothing is promised to it or above it.
    fn is_racing(&self, role: &Role) -> bool {
        let mut path = std::iter::successors(Some(role.clone()), Role::parent);
        let is_promised = |role: Role| self.quotas.get(&role).is_some_and(|quota| quota.guarantee.cpus.0 > 0);
        self.optimistic.contains(role) && !path.any(is_promised)
    }

    /// Open grants, of each race only one: together they hold nothing twice.
    pub fn grants_apart(&self) -> impl Iterator<Item = &Grant> {
        let mut seen = std::collections::BTreeSet::new();
        self.grants.values().filter(move |grant| seen.insert(grant.race))
    }

    /// A new grant may be raced for.
    pub fn begin_race(&mut self, grant: &Grant) {
        let is_race = self.is_racing(&grant.role) && grant.reserved.is_empty();
        if is_race {
            self.races.insert(grant.id);
        }
        if grant.is_optimistic != is_race {
            self.problem = Some(format!("{grant:?} says the wrong thing"));
        }
    }

    /// A grant of what is granted to others.
    pub fn join(&mut self, grant: Grant) {
        let Some(first) = self.members(grant.race).next() else {
            self.problem = Some(format!("{grant:?} joins a race that nobody is in"));
            return;
        };
        let is_same =
            (&first.agent, &first.resources, &first.reserved) == (&grant.agent, &grant.resources, &grant.reserved);
        let is_there = self.members(grant.race).any(|member| member.framework == grant.framework);
        if !is_same || is_there || !self.races.contains(&grant.race) || !self.is_racing(&grant.role) {
            self.problem = Some(format!("{grant:?} joins {first:?}"));
        }
        self.grants.insert(grant.id, grant.clone());
        self.check_limits(&grant);
    }

    fn members(&self, race: GrantId) -> impl Iterator<Item = &Grant> {
        self.grants.values().filter(move |grant| grant.race == race)
    }

    /// Somebody who wants what is raced for, and may have it, is not in the race.
    pub fn missed_race(&self, framework: usize) -> Option<String> {
        let (is_active, demand) = self.frameworks.get(&framework)?;
        let own = self.grants.values().filter(|grant| number(grant.framework.as_str()) == framework);
        if !is_active || own.count() == self.cap {
            return None;
        }
        let races = self.grants_apart().filter(|grant| self.races.contains(&grant.race));
        let missed = |grant: &&Grant| {
            let is_there = |member: &Grant| number(member.framework.as_str()) == framework;
            !self.members(grant.race).any(is_there)
                && demand.items.iter().any(|item| self.may_join(framework, item, grant))
        };
        let mut races = races.filter(missed);
        races.next().map(|grant| format!("framework {framework} is not shown {grant:?}, wants {:?}", demand.items))
    }

    fn may_join(&self, framework: usize, item: &DemandItem, grant: &Grant) -> bool {
        let agent = number(grant.agent.as_str());
        let Some((info, true)) = self.agents.get(&agent) else { return false };
        let what = &grant.resources;
        let is_enough = match &item.shape {
            Some(shape) => what.contains(shape) && times(item, what) > 0,
            None => what.cpus >= MilliCpus(10) || what.memory >= Bytes::mib(32),
        };
        let is_within = self.limited_beside(&item.role).all(|(_, left)| left >= what.cpus.0);
        is_enough
            && is_within
            && self.is_racing(&item.role)
            && what.cpus.0 >= self.min_offer(&item.role)
            && !self.is_covered(framework, item)
            && item.constraints.iter().all(|rule| rule.is_met_by(info))
            && !self.is_refused(framework, &item.role, agent, what)
    }
}
