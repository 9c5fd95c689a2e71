//! What an attaching agent holds meets what the master believes. The agent is the truth about what runs.

use std::collections::BTreeSet;

use proffer_proto_model::{AgentId, Now, TaskKey, TaskReason, TaskSource, TaskState, TaskStatus};

use crate::registry::{GangStage, TaskRecord};
use crate::state::State;
use crate::{AttachedTask, ToAgent};

/// Tasks that one message asks for.
const EXPECTED_AT_ONCE: usize = 1_000;

impl State {
    /// Brings both sides together; what the master misses is asked for.
    pub(super) fn sync_tasks(&mut self, now: Now, agent: &AgentId, listed: Vec<AttachedTask>, was_unreachable: bool) {
        let mut seen = BTreeSet::new();
        for task in listed {
            let key = TaskKey { framework: task.framework.clone(), task: task.spec.id.clone() };
            seen.insert(key.clone());
            self.sync_task(now, agent, key, task, was_unreachable);
        }
        let Some(known) = self.agents.get(agent).map(|a| a.tasks.clone()) else { return };
        let is_living = |key: &&TaskKey| self.tasks.get(*key).is_some_and(|t| !t.record.status.state.is_terminal());
        let missing: Vec<TaskKey> = known.difference(&seen).filter(is_living).cloned().collect();
        // In several messages: an agent takes a few megabytes in one.
        for some in missing.chunks(EXPECTED_AT_ONCE) {
            self.tell_agent(agent, ToAgent::Expect(some.to_vec()));
        }
    }

    fn sync_task(&mut self, now: Now, agent: &AgentId, key: TaskKey, listed: AttachedTask, was_unreachable: bool) {
        let has_ended = listed.latest.state.is_terminal();
        let Some(is_removing) = self.frameworks.get(&key.framework).map(|f| f.record.is_removing) else {
            if !has_ended {
                self.send_kill(agent, &key, TaskReason::FrameworkRemoved);
            }
            return;
        };
        match self.tasks.get(&key).map(|task| task.record.agent == *agent) {
            Some(true) => self.sync_known_task(now, &key, listed.latest, was_unreachable),
            // The id was used again elsewhere: this one is a left-over.
            Some(false) if !has_ended => self.send_kill(agent, &key, TaskReason::TaskUnknown),
            None if !has_ended => self.adopt_task(agent, &key, listed, is_removing),
            Some(false) | None => {}
        }
        let Some(task) = self.tasks.get(&key).filter(|task| task.record.agent == *agent) else { return };
        let asked = task.record.is_kill_requested;
        if asked && !has_ended {
            let has_gang_failed = task.record.gang.is_some_and(|part| part.stage == GangStage::Failed);
            let is_preempted = task.record.is_preempted;
            let reason = match (is_removing, has_gang_failed) {
                (true, _) => TaskReason::FrameworkRemoved,
                (false, true) => TaskReason::GangFailed,
                (false, false) if is_preempted => TaskReason::Preempted,
                (false, false) => TaskReason::KillRequested,
            };
            self.send_kill(agent, &key, reason);
        }
    }

    fn sync_known_task(&mut self, now: Now, key: &TaskKey, latest: TaskStatus, was_unreachable: bool) {
        let Some(task) = self.tasks.get_mut(key) else { return };
        let (agent, old) = (task.record.agent.clone(), task.record.status.clone());
        if old.state.is_terminal() {
            if !latest.state.is_terminal() {
                self.send_kill(&agent, key, TaskReason::TaskUnknown);
            }
            return;
        }
        let is_back = was_unreachable || old.state == TaskState::Unreachable;
        // An end is recorded with the agent's own numbered update: told any earlier, older updates would follow it.
        let is_alive = !latest.state.is_terminal();
        task.is_over |= !is_alive;
        if is_alive && (is_back || (old.state.may_become(latest.state) && latest != old)) {
            task.record.status = TaskStatus { agent: Some(agent), ..latest.clone() };
            if latest.container.is_none() {
                task.record.status.container = old.container;
            }
            self.note_gang(key);
            self.put_task(key);
        }
        if latest.state.holds_resources() {
            self.charge_task(key);
        } else {
            self.release_task(key);
        }
        if is_back && is_alive {
            let mut status = TaskStatus { seq: 0, source: TaskSource::Master, at: now.unix, ..latest };
            status.agent = self.tasks.get(key).map(|task| task.record.agent.clone());
            let told = status.because(TaskReason::AgentReturned, "the agent is back and reports the task");
            self.tell_status(&key.framework, told);
        }
    }

    fn adopt_task(&mut self, agent: &AgentId, key: &TaskKey, listed: AttachedTask, is_removing: bool) {
        let AttachedTask { framework: _, spec, latest, role } = listed;
        self.add_task(TaskRecord {
            key: key.clone(),
            agent: agent.clone(),
            role,
            resources: spec.resources.clone(),
            reserved: Vec::new(),
            spec,
            status: TaskStatus { agent: Some(agent.clone()), ..latest },
            is_kill_requested: is_removing,
            is_preempted: false,
            gang: None,
        });
    }
}
