//! What is reserved for roles and not held by tasks: it counts for their quotas as if it were. Kept as sums that
//! change with every reservation, and with tasks on agents that have some.

use std::collections::BTreeMap;

use proffer_proto_model::{AgentId, Resources, Role};

use crate::state::{State, Task, countable};

/// What is reserved on one agent and not held by tasks, by role. Without ports and sets.
pub(crate) type Kept = BTreeMap<Role, Resources>;

impl State {
    /// Counts anew what is reserved on an agent and not held.
    pub fn count_kept(&mut self, id: &AgentId) {
        let new = self.kept_on(id);
        let Some(agent) = self.agents.get_mut(id) else { return };
        let (was_away, is_away) = (agent.is_kept_away, agent.record.is_unreachable);
        if agent.kept == new && was_away == is_away {
            return;
        }
        agent.is_kept_away = is_away;
        let old = std::mem::replace(&mut agent.kept, new.clone());
        for (role, kept) in &new {
            self.count_kept_in(role, kept, is_away, true);
        }
        for (role, kept) in &old {
            self.count_kept_in(role, kept, was_away, false);
        }
    }

    /// What is reserved where nobody can be reached is away: it counts for limits, and keeps no guarantee.
    fn count_kept_in(&mut self, role: &Role, kept: &Resources, is_away: bool, is_more: bool) {
        if is_away {
            return self.count_away(role, kept, is_more);
        }
        self.for_role_and_above(role, |state| {
            state.kept = match is_more {
                true => state.kept.saturating_sum(kept),
                false => state.kept.saturating_minus(kept),
            };
        });
    }

    /// Volumes are reserved too.
    fn kept_on(&self, id: &AgentId) -> Kept {
        let mut kept = Kept::new();
        let Some(agent) = self.agents.get(id).filter(|agent| !agent.record.pools.is_empty()) else { return kept };
        for pool in &agent.record.pools {
            kept.entry(pool.role.clone()).or_default().add(countable(&pool.resources));
        }
        let holds = |task: &&Task| task.is_charged || task.is_away;
        for task in agent.tasks.iter().filter_map(|key| self.tasks.get(key)).filter(holds) {
            for (pool, part) in &task.record.reserved {
                let pool = agent.record.pool(*pool);
                if let Some(kept) = pool.and_then(|pool| kept.get_mut(&pool.role)) {
                    *kept = kept.saturating_minus(&countable(part));
                }
            }
        }
        kept.retain(|_, kept| !kept.is_empty());
        kept
    }

    /// The sums against what there is.
    pub fn audit_kept(&self, broken: &mut Vec<String>) {
        let mut sums: BTreeMap<Role, Resources> = BTreeMap::new();
        for (id, agent) in &self.agents {
            let kept = self.kept_on(id);
            if kept != agent.kept {
                broken.push(format!("agent {id}: counts {:?} as reserved and not held, it is {kept:?}", agent.kept));
            }
            for (role, kept) in kept.into_iter().filter(|_| !agent.record.is_unreachable) {
                let mut next = Some(role);
                while let Some(role) = next {
                    next = role.parent();
                    sums.entry(role).or_default().add(kept.clone());
                }
            }
        }
        for (role, state) in &self.roles {
            let sum = sums.remove(role).unwrap_or_default();
            if sum != state.kept {
                broken.push(format!("role {role}: counts {} as reserved and not held, it is {sum}", state.kept));
            }
        }
        for (role, _) in sums {
            broken.push(format!("role {role} has reservations and is not known"));
        }
    }
}
