//! A framework asks what is true of its tasks. Answers need no confirmation and change nothing.

use proffer_proto_model::{AgentId, FrameworkId, Now, TaskId, TaskKey, TaskReason, TaskSource, TaskState, TaskStatus};

use crate::state::State;

impl State {
    /// Answers for the tasks named, or for all the master knows when none is named.
    pub fn reconcile(&mut self, now: Now, framework: &FrameworkId, tasks: Vec<(TaskId, Option<AgentId>)>) {
        let asked = if tasks.is_empty() {
            let all = self.frameworks.get(framework).map(|f| f.tasks.clone()).unwrap_or_default();
            all.into_iter().map(|task| (task, None)).collect()
        } else {
            tasks
        };
        for (task, agent) in asked {
            let key = TaskKey { framework: framework.clone(), task };
            self.reconcile_one(now, &key, agent.as_ref());
        }
    }

    /// Answers for one task: the latest state when it is known, else what its agent's state tells.
    pub fn reconcile_one(&mut self, now: Now, key: &TaskKey, agent: Option<&AgentId>) {
        let status = match self.tasks.get(key) {
            Some(task) => TaskStatus {
                seq: 0,
                source: TaskSource::Master,
                reason: TaskReason::Reconciliation,
                ..task.record.status.clone()
            },
            None => {
                let (state, message) = match agent.and_then(|id| self.agents.get(id)).map(|a| &a.record) {
                    Some(record) if record.mode.is_gone() => {
                        (TaskState::GoneByOperator, "its agent was marked gone by an operator")
                    }
                    Some(record) if record.is_unreachable => (TaskState::Unreachable, "its agent cannot be reached"),
                    Some(_) => (TaskState::Gone, "its agent is known and the task is not: it has ended"),
                    None => (TaskState::Unknown, "neither the task nor its agent is known here"),
                };
                TaskStatus::new(key.task.clone(), agent.cloned(), state, TaskSource::Master, now.unix)
                    .because(TaskReason::Reconciliation, message)
            }
        };
        self.tell_status(&key.framework, status);
    }
}
