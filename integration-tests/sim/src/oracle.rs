//! What the frameworks were told, seen from outside: the judge of the promises made to them.

use std::collections::BTreeMap;

use proffer_proto_model::{Accept, Operation, TaskId, TaskReason, TaskSource, TaskState, TaskStatus};

use crate::net::ConnId;

/// A task as its framework was told.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The last state.
    pub last: Option<TaskState>,
    /// The terminal state, once there is one.
    pub terminal: Option<TaskState>,
    /// Its framework was removed for good since: nobody hears of it any more.
    pub is_dismissed: bool,
    /// Highest number of an agent's update.
    highest_seq: u64,
}

/// All tasks of all frameworks, by framework number and task id.
#[derive(Debug, Default)]
pub struct Oracle {
    told: BTreeMap<(usize, TaskId), Told>,
    accepts: BTreeMap<TaskId, ConnId>,
    gangs: Vec<Vec<TaskId>>,
    broken: Vec<String>,
}

impl Oracle {
    /// An accept reached the master.
    pub fn accepted(&mut self, conn: ConnId, accept: &Accept) {
        for operation in &accept.operations {
            if let Operation::LaunchGroup { tasks, .. } = operation {
                self.gangs.push(tasks.iter().map(|launch| launch.task.id.clone()).collect());
            }
            if let Operation::Launch { tasks } | Operation::LaunchGroup { tasks, .. } = operation {
                for launch in tasks {
                    if self.accepts.insert(launch.task.id.clone(), conn).is_some() {
                        self.broken.push(format!("task {} was asked for twice", launch.task.id));
                    }
                }
            }
        }
    }

    /// A framework's process handled a status.
    pub fn told(&mut self, framework: usize, status: &TaskStatus) {
        let told = self.told.entry((framework, status.task.clone())).or_default();
        let is_answer = status.reason == TaskReason::Reconciliation;
        if let Some(terminal) = told.terminal
            && status.state != terminal
            && status.state != TaskState::Unknown
        {
            // A terminal state is final; only "I do not know it" may follow, once all is confirmed and forgotten.
            let message = format!("task {} ended as {terminal} and later was told {status:?}", status.task);
            self.broken.push(message);
        }
        if status.source == TaskSource::Agent && status.seq > 0 && !is_answer {
            if status.seq > told.highest_seq + 1 {
                let message = format!("task {}: update {} came after {}", status.task, status.seq, told.highest_seq);
                self.broken.push(message);
            }
            told.highest_seq = told.highest_seq.max(status.seq);
        }
        if status.state.is_terminal() {
            told.terminal = Some(status.state);
        }
        told.last = Some(status.state);
    }

    /// A framework was removed for good: it hears no more of its tasks.
    pub fn dismiss(&mut self, framework: usize) {
        self.told.iter_mut().filter(|((of, _), _)| *of == framework).for_each(|(_, told)| told.is_dismissed = true);
    }

    /// Something outside of what frameworks are told was found to be broken.
    pub(crate) fn note_broken(&mut self, broken: String) {
        self.broken.push(broken);
    }

    /// What was broken since the last call.
    pub fn take_broken(&mut self) -> Vec<String> {
        std::mem::take(&mut self.broken)
    }

    /// Every task a framework was told of.
    pub fn tasks(&self) -> impl Iterator<Item = (&(usize, TaskId), &Told)> {
        self.told.iter()
    }

    /// The tasks of each gang that was ever accepted.
    pub fn gangs(&self) -> &[Vec<TaskId>] {
        &self.gangs
    }

    /// Number of tasks that were ever accepted.
    pub fn accepts(&self) -> usize {
        self.accepts.len()
    }
}
