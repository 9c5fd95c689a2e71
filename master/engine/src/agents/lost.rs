//! An agent's stream ends, or the agent is silent: first only its offers go, later its tasks are unreachable.

use proffer_proto_model::{AgentId, Now, RescindReason, TaskReason, TaskSource, TaskState, TaskStatus};

use crate::registry::Operation;
use crate::state::State;
use crate::{SessionId, ToFramework};

impl State {
    /// An agent answered a ping.
    pub fn agent_pong(&mut self, now: Now, session: SessionId) {
        if let Some(agent) = self.agent_sessions.get(&session).cloned() {
            self.expect_agent(now, &agent);
        }
    }

    /// An agent's stream ended. Only of interest when it is the newest one.
    pub fn agent_disconnected(&mut self, now: Now, session: SessionId) {
        if let Some(agent) = self.agent_sessions.get(&session).cloned() {
            self.detach_agent(now, &agent);
            self.expect_agent(now, &agent);
        }
    }

    /// The agent has no stream any more: its offers are void, its tasks stay as they are.
    pub(super) fn detach_agent(&mut self, now: Now, id: &AgentId) {
        self.stop_pings(id);
        let Some(agent) = self.agents.get_mut(id) else { return };
        if let Some(session) = agent.session.take() {
            self.agent_sessions.remove(&session);
        }
        self.allocator.set_agent_active(id, false);
        for offer in self.agents.get(id).map(|a| a.offers.clone()).unwrap_or_default() {
            self.count_steps(1);
            self.rescind(now, &offer, RescindReason::AgentLost);
        }
        let strays = self.strays.forget_agent(id);
        self.count_steps(strays);
        self.touched.agent(id);
    }

    /// The agent was not heard of for too long, and has no stream: stored, then every framework is told.
    pub(super) fn agent_unreachable(&mut self, now: Now, id: &AgentId) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.record.is_unreachable = true;
        let (tasks, hostname) = (agent.tasks.clone(), agent.record.info.hostname.clone());
        self.store.push(Operation::PutAgent(Box::new(agent.record.clone())));
        self.count_steps(tasks.len());
        for key in &tasks {
            let Some(task) = self.tasks.get_mut(key) else { continue };
            if !task.record.status.state.may_become(TaskState::Unreachable) {
                continue;
            }
            let old = task.record.status.container.take();
            let mut status = TaskStatus::new(
                key.task.clone(),
                Some(id.clone()),
                TaskState::Unreachable,
                TaskSource::Master,
                now.unix,
            )
            .because(TaskReason::AgentLost, format!("agent {id} ({hostname}) cannot be reached; it may come back"));
            status.container = old;
            task.record.status = status.clone();
            self.note_gang(key);
            self.put_task(key);
            self.release_task(key);
            self.tell_status(&key.framework, status);
        }
        self.count_kept(id);
        self.allocator.remove_agent(id);
        self.tell_agent_lost(id, &hostname);
        self.drop_unreachable_of_removed(now, &tasks);
        self.touched.agent(id);
    }

    /// Tells every connected framework.
    pub(super) fn tell_agent_lost(&mut self, id: &AgentId, hostname: &str) {
        let connected: Vec<_> =
            self.frameworks.iter().filter(|(_, f)| f.session.is_some()).map(|(id, _)| id.clone()).collect();
        self.count_steps(self.frameworks.len());
        for framework in &connected {
            let message = ToFramework::AgentLost { agent: id.clone(), hostname: hostname.to_owned() };
            self.tell_framework(framework, message);
        }
    }
}
