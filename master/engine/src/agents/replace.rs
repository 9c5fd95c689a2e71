//! An agent without an id where another one used to answer: its work directory is new, so the old agent is gone for
//! good, and with it all that ran there. Without this, an agent that died before it had stored its id would leave
//! another one behind that nobody ever sees again, with tasks that never end.

use proffer_proto_model::{AgentId, AgentInfo, Now, TaskKey, TaskReason, TaskSource, TaskState, TaskStatus};

use crate::registry::Operation;
use crate::state::State;

/// The agent that answered at an address before.
pub(super) enum Former {
    /// Its stream is open: it may be the same agent, whose old stream's end was not noticed yet.
    Attached(AgentId),
    /// Nobody but the new one answers there.
    Away(AgentId),
}

impl State {
    /// Who else is known at the address of an agent that brings no id.
    pub(super) fn former_agent(&self, info: &AgentInfo) -> Option<Former> {
        if info.id.is_some() || info.api_address.is_empty() {
            return None;
        }
        let is_there = |known: &AgentInfo| known.hostname == info.hostname && known.api_address == info.api_address;
        // One that is gone is remembered, to be refused; it is not replaced.
        let mut known = self.agents.iter().filter(|(_, agent)| !agent.record.mode.is_gone());
        let (id, agent) = known.find(|(_, agent)| is_there(&agent.record.info))?;
        Some(if agent.session.is_some() { Former::Attached(id.clone()) } else { Former::Away(id.clone()) })
    }

    /// Forgets an agent that was replaced. Its tasks are gone; each framework is told once, and asks again when it
    /// was not there to hear.
    pub(super) fn agent_replaced(&mut self, now: Now, id: &AgentId) {
        let Some(agent) = self.agents.get(id) else { return };
        let message = format!(
            "agent {id} ({}) was replaced by a new one at the same address: its work directory is lost",
            agent.record.info.hostname
        );
        self.fail_awaited(id, &message);
        self.end_tasks_of_gone(now, id, TaskState::Gone, &message);
        self.strays.forget_agent(id);
        self.allocator.remove_agent(id);
        if let Some(agent) = self.agents.get_mut(id) {
            agent.record.pools.clear();
        }
        self.count_kept(id);
        self.end_silence(id);
        self.agents.remove(id);
        self.draining.remove(id);
        self.to_settle.remove(id);
        self.drop_from_windows(id);
        self.store.push(Operation::DeleteAgent(id.clone()));
        self.touched.agent_forgotten(id);
    }

    /// All that ran on an agent that never comes back has ended.
    pub(super) fn end_tasks_of_gone(&mut self, now: Now, agent: &AgentId, state: TaskState, message: &str) {
        for key in self.agents.get(agent).map(|known| known.tasks.clone()).unwrap_or_default() {
            self.task_gone(now, agent, &key, state, message);
        }
    }

    fn task_gone(&mut self, now: Now, agent: &AgentId, key: &TaskKey, state: TaskState, message: &str) {
        let Some(task) = self.tasks.get_mut(key) else { return };
        let last = &task.record.status;
        let status = if last.state.is_terminal() {
            // Its framework has not confirmed this end, and nobody is left who could repeat it.
            TaskStatus { seq: 0, source: TaskSource::Master, ..last.clone() }
        } else {
            TaskStatus::new(key.task.clone(), Some(agent.clone()), state, TaskSource::Master, now.unix)
                .because(TaskReason::AgentRemoved, message)
        };
        task.record.status = status.clone();
        self.note_gang(key);
        self.touched.task(key);
        self.tell_status(&key.framework, status);
        self.forget_task(key);
        self.forget_framework_if_empty(now, &key.framework);
    }
}
