//! The facts that preemption is planned with: what a role is owed, what agents have for it, who would lose what. Changes
//! nothing.
//!
//! What is reserved is room for its role and those below only, and counts as held by it before it is used. A task that
//! runs in a reservation gives that part back to it.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{AgentId, DemandItem, PoolId, Resources, Role, TaskKey};

use super::Preemption;
use super::plan::{Candidate, Floor, Place, Want, only};
use crate::registry::AgentRecord;
use crate::reservations::Share;
use crate::roles::is_within;
use crate::state::{State, Task, countable};

impl State {
    /// What a wanted shape is to a role that is promised something.
    pub(super) fn want_of(&self, role: &Role, item: &DemandItem) -> Option<Want> {
        let state = self.roles.get(role)?;
        let promised = state.quota.guarantee.clone();
        let held = state.consumed().saturating_sum(&self.offered_beside_own(role));
        let owed = promised.saturating_minus(&only(&held, &promised));
        let shape = item.shape.clone()?;
        let (ports, priority) = (item.ports, item.priority);
        Some(Want { shape, ports, priority, owed, promised, over: Vec::new(), fits_elsewhere: false })
    }

    /// What is out in offers to a role and those below, beside what is reserved for them: that counts already.
    pub(super) fn offered_beside_own(&self, role: &Role) -> Resources {
        let Some(state) = self.roles.get(role) else { return Resources::default() };
        if state.kept.is_empty() || state.offered.is_empty() {
            return state.offered.clone();
        }
        let offers = self.offers.values().filter(|open| is_within(&open.offer.role, role));
        offers.fold(Resources::default(), |sum, open| {
            let record = self.agents.get(&open.offer.agent).map(|agent| &agent.record);
            let is_own = |id: &PoolId| record.and_then(|r| r.pool(*id)).is_some_and(|pool| is_within(&pool.role, role));
            let own = open.share.pools.iter().filter(|(id, _)| is_own(id)).map(|(_, part)| part);
            let beside = own.fold(open.offer.resources.clone(), |rest, part| rest.saturating_minus(part));
            sum.saturating_sum(&countable(&beside))
        })
    }

    /// What roles outside hold and were promised: their reservations, and tasks that are not on their way out. One that
    /// holds both sides neither wins nor loses. The victims of `but` are counted as if they stayed.
    pub(super) fn floors(&self, role: &Role, but: Option<&Preemption>) -> BTreeMap<Role, Floor> {
        let others = self.roles.iter().filter(|(other, state)| {
            !state.quota.guarantee.is_empty() && !is_within(role, other) && !is_within(other, role)
        });
        let floor = |(other, state): (&Role, &crate::roles::RoleState)| {
            (other.clone(), Floor { held: state.consumed(), promised: state.quota.guarantee.clone() })
        };
        let mut floors: BTreeMap<Role, Floor> = others.map(floor).collect();
        if floors.is_empty() {
            return floors;
        }
        let is_own = |key: &&TaskKey| but.is_some_and(|but| but.victims.contains(*key));
        let preempted = self.preempting.values().flat_map(|other| &other.victims).filter(|key| !is_own(key));
        let going: BTreeSet<&TaskKey> = preempted.chain(&self.leaving).collect();
        for task in going.into_iter().filter_map(|key| self.tasks.get(key)).filter(|task| task.is_charged) {
            self.count_loss(task, &mut floors);
        }
        floors
    }

    fn count_loss(&self, task: &Task, floors: &mut BTreeMap<Role, Floor>) {
        let mut next = Some(task.record.role.clone());
        while let Some(role) = next {
            if let Some(floor) = floors.get_mut(&role) {
                let stays = self.returns(task).into_iter().filter(|(of, _)| is_within(of, &role));
                let lost = stays.fold(task.record.resources.clone(), |rest, (_, part)| rest.saturating_minus(&part));
                floor.held = floor.held.saturating_minus(&lost);
            }
            next = role.parent();
        }
    }

    /// The agent takes work of this want. One that has less than is reserved on it gives nothing to anybody.
    pub(super) fn may_go_to(&self, agent: &AgentId, item: &DemandItem) -> bool {
        self.agents.get(agent).is_some_and(|agent| {
            let record = &agent.record;
            let is_there = agent.session.is_some() && record.mode.is_offered();
            let is_whole = record.pools.is_empty() || record.info.resources.contains(&record.reserved());
            is_there && is_whole && item.constraints.iter().all(|rule| rule.is_met_by(&record.info))
        })
    }

    /// What no task holds and the role may have; offers may come back and count as free.
    pub(super) fn free_for(&self, role: &Role, agent: &AgentId) -> Resources {
        let Some(state) = self.agents.get(agent) else { return Resources::default() };
        if state.record.pools.is_empty() {
            return state.record.info.resources.saturating_minus(&state.allocated);
        }
        let share = self.unheld_share(agent);
        let own = share.pools.iter().filter(|(id, _)| is_for(&state.record, **id, role)).map(|(_, part)| part);
        own.fold(share.unreserved.clone(), |sum, part| sum.saturating_sum(part))
    }

    /// Some task on the agent may have to go for the want.
    pub(super) fn has_victims(&self, agent: &AgentId, want: &Want) -> bool {
        let lowest = self.agents.get(agent).and_then(|agent| agent.ranks.first_key_value());
        lowest.is_some_and(|(rank, _)| *rank < want.rank())
    }

    /// An agent as a place for a want of the promised `role`.
    pub(super) fn place(&self, role: &Role, item: &DemandItem, want: &Want, agent: &AgentId) -> Place {
        let keys = self.agents.get(agent).map(|agent| &agent.tasks).into_iter().flatten();
        let may_go = |key: &&TaskKey| {
            self.tasks.get(*key).is_some_and(|task| {
                task.is_charged
                    && task.rank() < want.rank()
                    && !task.record.is_kill_requested
                    && !is_within(&task.record.role, role)
            })
        };
        let tasks = keys.filter(may_go).filter_map(|key| self.candidate(item, key)).collect();
        let free = self.free_for(&item.role, agent);
        Place { agent: agent.clone(), free, kept: self.kept_for(role, item, agent), tasks }
    }

    /// What is free of the item's reservations within the promised role: it is held by the role already.
    pub(super) fn kept_for(&self, role: &Role, item: &DemandItem, agent: &AgentId) -> Resources {
        let Some(record) = self.agents.get(agent).map(|agent| &agent.record).filter(|r| !r.pools.is_empty()) else {
            return Resources::default();
        };
        let share = self.unheld_share(agent);
        let is_kept = |id: &PoolId| {
            is_for(record, *id, &item.role) && record.pool(*id).is_some_and(|pool| is_within(&pool.role, role))
        };
        let kept = share.pools.iter().filter(|(id, _)| is_kept(id));
        kept.fold(Resources::default(), |sum, (_, part)| sum.saturating_sum(&countable(part)))
    }

    /// A task as one that may have to go for a want.
    pub(super) fn candidate(&self, item: &DemandItem, key: &TaskKey) -> Option<Candidate> {
        let task = self.tasks.get(key)?;
        let record = &task.record;
        let returns = self.returns(task);
        let others = returns.iter().filter(|(of, _)| !is_within(&item.role, of));
        let usable = others.fold(record.resources.clone(), |rest, (_, part)| rest.saturating_minus(part));
        Some(Candidate {
            key: key.clone(),
            role: record.role.clone(),
            priority: record.spec.priority,
            is_revocable: record.spec.is_revocable,
            since: record.status.at.0,
            resources: record.resources.clone(),
            usable,
            returns,
        })
    }

    /// The reservations to which parts of a task go back.
    fn returns(&self, task: &Task) -> Vec<(Role, Resources)> {
        let agent = self.agents.get(&task.record.agent).filter(|_| !task.record.reserved.is_empty());
        let Some(agent) = agent else { return Vec::new() };
        let parts = task.record.reserved.iter();
        parts.filter_map(|(id, part)| Some((agent.record.pool(*id)?.role.clone(), part.clone()))).collect()
    }

    /// What of an agent no task holds, offered or not.
    fn unheld_share(&self, agent: &AgentId) -> Share {
        let mut share = self.free_share(agent);
        let offers = self.agents.get(agent).map(|agent| &agent.offers);
        offers.into_iter().for_each(|offers| self.apart(offers).for_each(|open| share.add(&open.share)));
        share
    }
}

/// The pool is for the role: of it, or of one above.
fn is_for(record: &AgentRecord, pool: PoolId, role: &Role) -> bool {
    record.pool(pool).is_some_and(|pool| is_within(role, &pool.role))
}
