//! One try of one task, and how it ended.

use proffer_sdk::{TaskId, TaskReason, TaskState, TaskStatus};
use serde::{Deserialize, Serialize};

/// One try of one task of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The latest status of its task.
    pub status: TaskStatus,
    /// Host name of its agent.
    pub hostname: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an attempt ended, as the job counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It starts or runs.
    Active,
    /// Its task succeeded.
    Succeeded,
    /// It failed and used up a retry.
    Retried,
    /// It failed, and its task with it.
    Failed,
    /// It was lost with its agent or never started: nobody's fault.
    Lost,
    /// It was ended with its job.
    Killed,
}

/// What a status means for an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    GoesOn,
    /// It did its work.
    Success,
    /// It failed; another try may succeed.
    Failure,
    /// It failed, and so will every other.
    Hopeless,
    /// It was lost through no fault of its own.
    Loss,
}

impl Verdict {
    /// Reads a status.
    pub fn of(status: &TaskStatus) -> Self {
        match status.state {
            TaskState::Staging | TaskState::Starting | TaskState::Running | TaskState::Killing | TaskState::Unknown => {
                Self::GoesOn
            }
            TaskState::Finished => Self::Success,
            TaskState::Error => Self::Hopeless,
            TaskState::Dropped | TaskState::Unreachable | TaskState::Gone | TaskState::GoneByOperator => Self::Loss,
            TaskState::Killed if matches!(status.reason, TaskReason::AgentDraining | TaskReason::Preempted) => {
                Self::Loss
            }
            TaskState::Failed | TaskState::Killed => Self::Failure,
        }
    }
}

/// Which task of which job an attempt is, read from its task id `<name>-<number>.<index>.<attempt>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The job's number.
    pub job: u64,
    /// Which task of the job, from 0.
    pub index: u32,
    /// Which try, from 1.
    pub number: u32,
}

impl Place {
    /// `None`: no job of this framework has such a task.
    pub fn of(task: &TaskId) -> Option<Self> {
        let mut parts = task.as_str().rsplitn(3, '.');
        let (number, index, job) = (parts.next()?, parts.next()?, parts.next()?);
        let (_, job) = job.rsplit_once('-')?;
        Some(Self { job: job.parse().ok()?, index: index.parse().ok()?, number: number.parse().ok()? })
    }
}
