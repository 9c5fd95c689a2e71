//! What must hold of every grant and after every pass, asked of the model and never of the allocator.

use proffer_master_allocator::Grant;
use proffer_proto_model::*;

use super::naive::{Naive, number, times};

impl Naive {
    /// Grants, checked one by one, and once more: then there must be nothing left to do.
    pub fn allocate(&mut self) {
        let (before, lacking) = (self.promises(), self.lacking());
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
        self.check_lacking(&lacking);
        let work = self.allocator.work();
        let more = self.allocator.allocate(Moment(self.now));
        if !more.is_empty() || self.allocator.work() != work {
            self.problem = Some(format!("nothing changed and there was work: {more:?}"));
        }
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

    /// Within no limit a pass takes what is promised to others. Not asked for each grant: parts of one agent are cut in turns.
    fn check_lacking(&mut self, before: &[(Role, u64)]) {
        let more = |((role, before), (_, after)): (&(Role, u64), &(Role, u64))| {
            (after > before).then(|| format!("within the limit of {role} lack {before} -> {after}"))
        };
        let after = self.lacking();
        if let Some(problem) = before.iter().zip(&after).find_map(more) {
            self.problem = Some(problem);
        }
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
    pub fn broken(&mut self) -> Option<String> {
        self.problem
            .clone()
            .or_else(|| self.agents.keys().find_map(|agent| self.broken_agent(*agent)))
            .or_else(|| self.frameworks.keys().find_map(|framework| self.broken_framework(*framework)))
            .or_else(|| self.frameworks.keys().find_map(|framework| self.missed_race(*framework)))
            .or_else(|| self.broken_deadline())
            .or_else(|| self.broken_roles())
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

    /// An idle cluster is silent: nothing is due when nothing can end.
    fn broken_deadline(&self) -> Option<String> {
        let due = self.allocator.next_deadline()?;
        if due.0 <= self.now {
            return Some(format!("{due:?} was due and is not done"));
        }
        let ends = self.filters.iter().map(|f| f.until).chain(self.holds.iter().map(|hold| hold.2));
        (!ends.into_iter().any(|end| end == due.0)).then(|| format!("{due:?} is the end of nothing"))
    }
}
