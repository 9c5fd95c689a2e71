//! The engine's invariants, computed from scratch.

use proffer_proto_model::{TaskKey, TaskState};

use crate::task::{Activity, Step, Task};
use crate::{Engine, Phase};

/// An invariant that does not hold: a mistake in the engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("task {task}: {broken}")]
pub struct AuditError {
    /// Where.
    pub task: TaskKey,
    /// What does not hold.
    pub broken: String,
}

impl Engine {
    /// Checks every invariant; the first that does not hold is the error.
    pub fn audit(&self) -> Result<(), AuditError> {
        for (key, task) in &self.tasks {
            check(task).map_err(|broken| AuditError { task: key.clone(), broken })?;
            if self.ended_serials.contains_key(key) {
                return Err(AuditError { task: key.clone(), broken: "is both held and remembered".to_owned() });
            }
        }
        for (serial, ended) in &self.ended {
            let broken = if self.ended_serials.get(&ended.key) != Some(serial) {
                "is remembered under another number"
            } else if !ended.last.state.is_terminal() {
                "is remembered but has not ended"
            } else if *serial >= self.next_serial {
                "has a number that comes again"
            } else {
                continue;
            };
            return Err(AuditError { task: ended.key.clone(), broken: broken.to_owned() });
        }
        Ok(())
    }
}

fn check(task: &Task) -> Result<(), String> {
    let progress = &task.progress;
    let seqs: Vec<u64> = progress.unconfirmed.iter().map(|status| status.seq).collect();
    if seqs.windows(2).any(|pair| pair[1] != pair[0] + 1) {
        return Err(format!("its unconfirmed updates are numbered {seqs:?}"));
    }
    if seqs.last().is_some_and(|last| *last != progress.latest.seq) {
        return Err(format!("its latest update is {}, its last unconfirmed one {seqs:?}", progress.latest.seq));
    }
    let states: Vec<TaskState> = progress.unconfirmed.iter().map(|status| status.state).collect();
    if states.windows(2).any(|pair| !pair[0].may_become(pair[1])) {
        return Err(format!("its states {states:?} are no legal life"));
    }
    let is_terminal = progress.latest.state.is_terminal();
    let has_ended = matches!(progress.phase, Phase::Ended | Phase::Cleaned);
    if is_terminal != has_ended {
        return Err(format!("is {} in phase {:?}", progress.latest.state, progress.phase));
    }
    if task.is_over() {
        return Err("is over and still held".to_owned());
    }
    let fits = match task.step {
        Step::Clear | Step::Image | Step::AwaitVolumes | Step::AwaitPorts | Step::Network | Step::Create => {
            progress.phase == Phase::Launching
        }
        Step::Start => progress.phase == Phase::Starting || progress.phase == Phase::Running,
        Step::Wait => progress.phase == Phase::Starting || progress.phase == Phase::Running,
        Step::Delete | Step::Detach => progress.phase == Phase::Ended,
        Step::Done => progress.phase == Phase::Cleaned,
    };
    if !fits {
        return Err(format!("is at step {:?} in phase {:?}", task.step, progress.phase));
    }
    let rests = matches!(task.step, Step::AwaitVolumes | Step::AwaitPorts | Step::Done);
    if rests != (task.activity == Activity::Idle) {
        return Err(format!("is {:?} at step {:?}", task.activity, task.step));
    }
    Ok(())
}
