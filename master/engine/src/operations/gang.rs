//! Gangs: the tasks of one group. While not all of them run, the loss of one ends the others; once all have run, each
//! lives on its own. What a gang is stands in its tasks' records, so that a new master goes on where the old one ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use proffer_proto_model::{TaskKey, TaskReason, TaskState};
use serde::{Deserialize, Serialize};

use crate::state::State;

/// A gang: by the epoch of the master that launched it and a number within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GangId {
    /// The master's generation.
    pub epoch: u64,
    /// Counts its gangs.
    pub number: u64,
}

impl fmt::Display for GangId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "G{}-{}", self.epoch, self.number)
    }
}

/// A task's part in a gang.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GangPart {
    /// Which gang.
    pub gang: GangId,
    /// How far this task is.
    pub stage: GangStage,
}

/// How far a task is within its gang.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GangStage {
    /// Its agent has not reported it running yet.
    Starting,
    /// It ran. When all did, the gang is dissolved; nothing is written then, for nothing is left to wait for.
    Started,
    /// The gang failed before all had run: this task is ended, or has to be.
    Failed,
}

/// What a state means to a gang that is not whole yet.
enum Meaning {
    Waits,
    Runs,
    IsLost,
}

fn meaning(state: TaskState) -> Meaning {
    match state {
        TaskState::Staging | TaskState::Starting | TaskState::Killing | TaskState::Unknown => Meaning::Waits,
        TaskState::Running | TaskState::Finished => Meaning::Runs,
        TaskState::Failed
        | TaskState::Killed
        | TaskState::Error
        | TaskState::Dropped
        | TaskState::Unreachable
        | TaskState::Gone
        | TaskState::GoneByOperator => Meaning::IsLost,
    }
}

impl State {
    /// A new gang, to be named in the records of its tasks.
    pub(super) fn next_gang(&mut self) -> GangId {
        self.next_gang += 1;
        GangId { epoch: self.epoch.0, number: self.next_gang }
    }

    /// A task of a gang was taken in; those of dissolved gangs are not kept track of.
    pub fn join_gang(&mut self, key: &TaskKey, part: GangPart) {
        if part.stage != GangStage::Failed {
            self.gangs.entry(part.gang).or_default().insert(key.clone());
        }
    }

    /// After all tasks of an earlier master are taken in: gangs of which all have started are no more.
    pub fn recover_gangs(&mut self) {
        let gangs = std::mem::take(&mut self.gangs);
        self.gangs = gangs.into_iter().filter(|(_, members)| self.is_starting(members)).collect();
    }

    /// A task of a gang is forgotten.
    pub fn leave_gang(&mut self, key: &TaskKey, part: GangPart) {
        let Some(members) = self.gangs.get_mut(&part.gang) else { return };
        members.remove(key);
        if members.is_empty() {
            self.gangs.remove(&part.gang);
        }
    }

    /// A task's state changed: its gang comes nearer to being whole, or fails. The caller stores the task itself after it.
    pub fn note_gang(&mut self, key: &TaskKey) {
        let Some(task) = self.tasks.get_mut(key) else { return };
        let Some(part) = &mut task.record.gang else { return };
        let gang = part.gang;
        if !self.gangs.contains_key(&gang) {
            return;
        }
        match meaning(task.record.status.state) {
            Meaning::Waits => {}
            Meaning::Runs => {
                part.stage = GangStage::Started;
                if self.gangs.get(&gang).is_some_and(|members| !self.is_starting(members)) {
                    self.gangs.remove(&gang);
                }
            }
            Meaning::IsLost => self.fail_gang(gang, key),
        }
    }

    /// All tasks of the gang are ended. One that cannot be reached is ended when its agent comes back.
    fn fail_gang(&mut self, gang: GangId, lost: &TaskKey) {
        for key in self.gangs.remove(&gang).unwrap_or_default() {
            let Some(task) = self.tasks.get_mut(&key) else { continue };
            let state = task.record.status.state;
            if state == TaskState::Finished {
                continue;
            }
            task.record.gang = Some(GangPart { gang, stage: GangStage::Failed });
            let agent = task.record.agent.clone();
            if !state.is_terminal() {
                task.record.is_kill_requested = true;
            }
            if key != *lost {
                self.put_task(&key);
                self.send_kill(&agent, &key, TaskReason::GangFailed);
            }
        }
    }

    fn is_starting(&self, members: &BTreeSet<TaskKey>) -> bool {
        let part = |key: &TaskKey| self.tasks.get(key).and_then(|task| task.record.gang);
        members.iter().filter_map(part).any(|part| part.stage == GangStage::Starting)
    }

    /// The index against the records; and no gang waits for a task while another one of it is lost.
    pub fn audit_gangs(&self, broken: &mut Vec<String>) {
        let mut gangs: BTreeMap<GangId, BTreeSet<TaskKey>> = BTreeMap::new();
        for (key, task) in &self.tasks {
            let Some(part) = task.record.gang else { continue };
            let state = task.record.status.state;
            if part.stage != GangStage::Failed {
                gangs.entry(part.gang).or_default().insert(key.clone());
            } else if !state.is_terminal() && !task.record.is_kill_requested {
                broken.push(format!("task {key} is {state} and its gang {} failed: nobody ends it", part.gang));
            }
        }
        gangs.retain(|_, members| self.is_starting(members));
        if gangs != self.gangs {
            broken.push(format!("gangs: counts {:?}, they are {gangs:?}", self.gangs));
        }
        for (gang, key) in gangs.iter().flat_map(|(gang, members)| members.iter().map(move |key| (gang, key))) {
            let state = self.tasks.get(key).map(|task| task.record.status.state);
            if state.is_some_and(|state| matches!(meaning(state), Meaning::IsLost)) {
                broken.push(format!("gang {gang} waits for others and its task {key} is lost"));
            }
        }
    }
}
