//! A framework confirms updates: passed on to the agent; a confirmed end is forgotten.

use proffer_proto_model::{FrameworkId, TaskId, TaskKey, TaskSource};

use crate::state::State;

impl State {
    /// A framework confirms updates. What the master made needs no confirmation and is ignored.
    pub fn acknowledge(&mut self, framework: &FrameworkId, acks: Vec<(TaskId, u64, TaskSource)>) {
        for (task, seq, source) in acks {
            if source == TaskSource::Agent && seq > 0 {
                self.acknowledge_one(TaskKey { framework: framework.clone(), task }, seq);
            }
        }
    }

    fn acknowledge_one(&mut self, key: TaskKey, seq: u64) {
        let Some(task) = self.tasks.get_mut(&key) else {
            if let Some(agent) = self.strays.remove(&key) {
                self.confirm(&agent, &key, seq);
            }
            return;
        };
        task.unconfirmed.retain(|known, _| *known > seq);
        let agent = task.record.agent.clone();
        let status = &task.record.status;
        let is_end = status.state.is_terminal() && status.source == TaskSource::Agent && status.seq == seq;
        self.confirm(&agent, &key, seq);
        if is_end {
            self.forget_task(&key);
        }
    }

    /// Confirms a task's last update in the stead of a framework that is being removed.
    pub fn confirm_to_agent(&mut self, key: &TaskKey) {
        let Some(task) = self.tasks.get(key) else { return };
        let (agent, seq) = (task.record.agent.clone(), task.record.status.seq);
        self.confirm(&agent, key, seq);
    }
}
