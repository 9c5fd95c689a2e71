//! A framework ends a task: the wish is stored and repeated to the agent until the task has ended.

use proffer_proto_model::task::KillPolicy;
use proffer_proto_model::{AgentId, FrameworkId, Now, TaskId, TaskKey, TaskReason};

use crate::ToAgent;
use crate::state::State;

impl State {
    /// A framework asks for a task's end. Of a task that is unknown or has ended it is told the state.
    pub fn kill(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        task: TaskId,
        agent: Option<AgentId>,
        policy: Option<KillPolicy>,
    ) {
        let key = TaskKey { framework: framework.clone(), task };
        let Some(known) = self.tasks.get_mut(&key).filter(|t| !t.record.status.state.is_terminal()) else {
            return self.reconcile_one(now, &key, agent.as_ref());
        };
        known.kill_policy = policy.or(known.kill_policy);
        let agent = known.record.agent.clone();
        if !std::mem::replace(&mut known.record.is_kill_requested, true) {
            self.put_task(&key);
        }
        self.send_kill(&agent, &key, TaskReason::KillRequested);
    }

    /// Tells the agent to end a task, if it is attached.
    pub fn send_kill(&mut self, agent: &AgentId, key: &TaskKey, reason: TaskReason) {
        let policy = self.tasks.get(key).and_then(|task| task.kill_policy);
        let message = ToAgent::Kill { framework: key.framework.clone(), task: key.task.clone(), policy, reason };
        self.tell_agent(agent, message);
    }
}
