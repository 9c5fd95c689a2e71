//! An agent's numbered updates: recorded, forwarded in order, at least once. A terminal state never changes.

use proffer_proto_model::{AgentId, FrameworkId, Now, RescindReason, TaskKey, TaskSource, TaskState, TaskStatus};

use crate::state::State;
use crate::{SessionId, ToAgent};

/// Unconfirmed updates of one task kept for a quick repeat. The agent keeps all of them.
const MAX_UNCONFIRMED: usize = 64;

impl State {
    /// An attached agent reports updates, in order.
    pub fn agent_updates(&mut self, now: Now, session: SessionId, updates: Vec<(FrameworkId, TaskStatus, TaskState)>) {
        let Some(agent) = self.agent_sessions.get(&session).cloned() else { return };
        self.expect_agent(now, &agent);
        self.count_steps(updates.len());
        for (framework, status, latest) in updates {
            let key = TaskKey { framework, task: status.task.clone() };
            let status = TaskStatus { agent: Some(agent.clone()), source: TaskSource::Agent, ..status };
            self.agent_update(now, &agent, key, status, latest);
        }
    }

    fn agent_update(&mut self, now: Now, agent: &AgentId, key: TaskKey, status: TaskStatus, latest: TaskState) {
        let is_removing = self.frameworks.get(&key.framework).map(|f| f.record.is_removing);
        match self.tasks.get(&key).map(|task| task.record.agent == *agent) {
            Some(true) => self.update_known_task(now, &key, status, latest, is_removing.unwrap_or(true)),
            // Nobody will ever confirm it: neither a removed framework nor one that used the id elsewhere since.
            Some(false) => self.confirm(agent, &key, status.seq),
            None if is_removing != Some(false) => self.confirm(agent, &key, status.seq),
            None => {
                if status.seq > 0 {
                    self.strays.insert(key.clone(), agent.clone());
                }
                self.tell_status(&key.framework, status);
            }
        }
    }

    fn update_known_task(&mut self, now: Now, key: &TaskKey, status: TaskStatus, latest: TaskState, is_removing: bool) {
        let (agent, seq) = (status.agent.clone(), status.seq);
        if self.record_status(now, key, &status) {
            self.note_gang(key);
            self.put_task(key);
        }
        let has_ended = self.tasks.get(key).is_some_and(|task| task.record.status.state.is_terminal());
        if has_ended || latest.is_terminal() {
            if let Some(task) = self.tasks.get_mut(key) {
                task.is_over = true;
            }
            self.release_task(key);
        }
        if is_removing {
            if let Some(agent) = agent {
                self.confirm(&agent, key, seq);
            }
            if status.state.is_terminal() {
                self.forget_task(key);
                self.forget_framework_if_empty(now, &key.framework);
            }
            return;
        }
        if seq > 0
            && let Some(task) = self.tasks.get_mut(key)
            && (task.unconfirmed.len() < MAX_UNCONFIRMED || task.unconfirmed.contains_key(&seq))
        {
            task.unconfirmed.insert(seq, status.clone());
        }
        self.tell_status(&key.framework, status);
    }

    /// Takes a status as the latest when it is newer and the move is legal. True when the record changed.
    fn record_status(&mut self, now: Now, key: &TaskKey, status: &TaskStatus) -> bool {
        let Some(task) = self.tasks.get_mut(key) else { return false };
        let old = &task.record.status;
        let is_numbered_end = old.state == status.state && old.state.is_terminal() && old.seq == 0 && status.seq > 0;
        let is_old = old.source == TaskSource::Agent && status.seq <= old.seq;
        if !is_numbered_end && (is_old || !old.state.may_become(status.state)) {
            return false;
        }
        let container = status.container.clone().or_else(|| old.container.clone());
        let was_away = old.state == TaskState::Unreachable;
        task.record.status = TaskStatus { container, ..status.clone() };
        if was_away && status.state.holds_resources() {
            self.make_room(now, key);
            self.charge_task(key);
        }
        true
    }

    /// A task is back that its agent did not list when it attached: what it holds may be out in offers.
    fn make_room(&mut self, now: Now, key: &TaskKey) {
        let Some(task) = self.tasks.get(key).filter(|task| !task.is_charged && !task.is_over) else { return };
        let (agent, needed) = (task.record.agent.clone(), task.record.resources.clone());
        let is_reserved = !task.record.reserved.is_empty();
        if !is_reserved && self.allocator.agent_available(&agent).is_some_and(|free| free.contains(&needed)) {
            return;
        }
        let offers = self.agents.get(&agent).map(|agent| agent.offers.clone()).unwrap_or_default();
        for offer in offers {
            self.rescind(now, &offer, RescindReason::AgentChanged);
        }
    }

    /// Confirms an update to the agent in the framework's stead.
    pub(super) fn confirm(&mut self, agent: &AgentId, key: &TaskKey, seq: u64) {
        if seq > 0 {
            let message = ToAgent::Acknowledge { framework: key.framework.clone(), task: key.task.clone(), seq };
            self.tell_agent(agent, message);
        }
    }
}
