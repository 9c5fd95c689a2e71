//! What roles hold on agents that cannot be reached. It may turn out to run on, so it counts for limits until the agent is
//! gone for good or says how it ended; it serves nobody now, so it keeps no guarantee.

use std::collections::BTreeMap;

use proffer_proto_model::{AgentId, Resources, Role, TaskKey, TaskState};

use super::is_within;
use crate::state::{State, Task, countable};

/// Agents that are named in one sentence.
const MOST_NAMED: usize = 3;

impl Task {
    /// It may run on at an agent that cannot be reached, or was not said to have ended since.
    fn may_come_back(&self) -> bool {
        !self.is_charged && self.is_alive() && self.record.status.state == TaskState::Unreachable
    }
}

impl State {
    /// Counts a task as away when it may come back, and else not.
    pub fn settle_away(&mut self, key: &TaskKey) {
        let is_away = self.tasks.get(key).is_some_and(Task::may_come_back);
        self.set_away(key, is_away);
    }

    /// The same, when it is known.
    pub fn set_away(&mut self, key: &TaskKey, is_away: bool) {
        let Some(task) = self.tasks.get_mut(key).filter(|task| task.is_away != is_away) else { return };
        task.is_away = is_away;
        let record = &task.record;
        let (role, resources, agent) = (record.role.clone(), countable(&record.resources), record.agent.clone());
        self.count_away(&role, &resources, is_away);
        self.count_kept(&agent);
    }

    /// Counts an amount of an agent that is away in, in a role and all above, or out.
    pub fn count_away(&mut self, role: &Role, amount: &Resources, is_more: bool) {
        self.allocator.count_away(role, amount, is_more);
        self.for_role_and_above(role, |state| {
            state.away = match is_more {
                true => state.away.saturating_sum(amount),
                false => state.away.saturating_minus(amount),
            };
        });
    }

    /// Who holds what of a role where nobody can be reached, and what to do about it; `None` when nobody does.
    pub fn away_words(&self, role: &Role) -> Option<String> {
        let total = &self.roles.get(role).filter(|state| !state.away.is_empty())?.away;
        let mut by_agent: BTreeMap<&AgentId, Resources> = BTreeMap::new();
        for task in self.tasks.values().filter(|task| task.is_away && is_within(&task.record.role, role)) {
            by_agent.entry(&task.record.agent).or_default().add(countable(&task.record.resources));
        }
        for (id, agent) in self.agents.iter().filter(|(_, agent)| agent.is_kept_away) {
            let kept = agent.kept.iter().filter(|(of, _)| is_within(of, role));
            kept.for_each(|(_, kept)| by_agent.entry(id).or_default().add(kept.clone()));
        }
        let host = |id: &AgentId| self.agents.get(id).map(|agent| agent.record.info.hostname.clone());
        let named = by_agent.iter().take(MOST_NAMED);
        let named = named.map(|(id, held)| format!("{held} on {id} ({})", host(id).unwrap_or_default()));
        let named = named.collect::<Vec<_>>().join(", ");
        let more = match by_agent.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let first = by_agent.keys().next()?;
        Some(format!(
            "limit of role {role}: {total} of it is held by tasks and reservations on unreachable agents, {named}{more}; \
             it counts until they are back or gone: mark an agent that never comes back gone to free it \
             (`proffer agents gone {first}`)"
        ))
    }

    /// The sums against what there is.
    pub fn audit_away(&self, broken: &mut Vec<String>) {
        let mut sums: BTreeMap<Role, Resources> = BTreeMap::new();
        let mut add = |role: &Role, amount: &Resources| {
            let path = std::iter::successors(Some(role.clone()), Role::parent);
            path.for_each(|role| sums.entry(role).or_default().add(amount.clone()));
        };
        for (key, task) in &self.tasks {
            if task.is_away != task.may_come_back() {
                broken.push(format!("task {key}: counted as away={}, it is not so", task.is_away));
            }
            if task.may_come_back() {
                add(&task.record.role, &countable(&task.record.resources));
            }
        }
        for agent in self.agents.values().filter(|agent| agent.record.is_unreachable) {
            agent.kept.iter().for_each(|(role, kept)| add(role, kept));
        }
        for (role, state) in &self.roles {
            let sum = sums.remove(role).unwrap_or_default();
            if sum != state.away {
                broken.push(format!("role {role}: counts {} on unreachable agents, it is {sum}", state.away));
            }
        }
        for (role, _) in sums.into_iter().filter(|(_, sum)| !sum.is_empty()) {
            broken.push(format!("role {role} holds something on unreachable agents and is not known"));
        }
    }
}
