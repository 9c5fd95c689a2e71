//! One job as a state machine: which tasks wait, run and have ended. Pure: time comes in, nothing goes out.
//!
//! Tasks that were never tried are only a number (`next`), so that a job of a million tasks costs nothing before it runs.
//! When a task is out of retries the job is failing: nothing new starts, what runs may end, then the job has failed.

mod verdict;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proffer_sdk::{AgentId, Moment, Now, TaskId, TaskSource, TaskState, TaskStatus, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, Outcome};
use crate::spec::JobSpec;
pub use verdict::backoff_ms;

/// First wait before another try, in milliseconds; doubled each time.
pub const FIRST_BACKOFF_MS: u64 = 1_000;

/// Longest wait before another try, in milliseconds.
pub const MAX_BACKOFF_MS: u64 = 30_000;

/// So often a task may be lost through no fault of its own; the next loss fails it.
pub const MAX_LOSSES: u32 = 10;

/// Most ended attempts that one job remembers; the oldest are forgotten first.
pub const KEPT_ATTEMPTS: usize = 10_000;

/// A job and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    number: u64,
    id: String,
    spec: JobSpec,
    progress: Progress,
    /// Tasks that were tried and have not ended for good.
    open: BTreeMap<u32, Tries>,
    /// Of those, the ones that may start now.
    due: BTreeSet<u32>,
    /// Of those, the ones that wait, by the time at which they may start.
    backing_off: BTreeSet<(Moment, u32)>,
    running: u32,
    attempts: BTreeMap<(u32, u32), Attempt>,
    /// Attempts of tasks that have ended, oldest first: these may be forgotten.
    forgettable: VecDeque<(u32, u32)>,
    changes: Changes,
    revision: u64,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Tasks start and run.
    Active,
    /// A task failed for good; what runs may end.
    Failing,
    /// Cancelled; what runs is being killed.
    Cancelling,
    /// Every task succeeded.
    Succeeded,
    /// A task failed for good and nothing runs any more.
    Failed,
    /// Cancelled, and nothing runs any more.
    Cancelled,
}

impl Phase {
    /// Nothing runs and nothing will.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// The counters of a job, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Where it is.
    pub phase: Phase,
    /// The first task that was never tried.
    pub next: u32,
    /// Tasks that succeeded.
    pub succeeded: u32,
    /// Tasks that failed for good.
    pub failed: u32,
    /// Attempts that were tried again after a failure or a loss.
    pub retried: u32,
    /// Taken at.
    pub created: UnixMillis,
    /// Ended at.
    pub ended: Option<UnixMillis>,
    /// For people: why it failed.
    pub message: String,
}

/// How often a task was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tries {
    last: u32,
    failures: u32,
    losses: u32,
}

/// What of a job is not stored yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The counters.
    pub progress: bool,
    /// Attempts that are new or changed.
    pub attempts: BTreeSet<(u32, u32)>,
    /// Attempts that were forgotten.
    pub forgotten: Vec<(u32, u32)>,
}

/// A try that may start now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextTry {
    /// Which task, from 0.
    pub index: u32,
    /// Which try, from 1.
    pub number: u32,
}

impl Job {
    /// A new job.
    pub fn new(number: u64, spec: JobSpec, now: Now) -> Self {
        let progress = Progress {
            phase: Phase::Active,
            next: 0,
            succeeded: 0,
            failed: 0,
            retried: 0,
            created: now.unix,
            ended: None,
            message: String::new(),
        };
        Self { changes: Changes { progress: true, ..Changes::default() }, ..Self::empty(number, spec, progress) }
    }

    fn empty(number: u64, spec: JobSpec, progress: Progress) -> Self {
        Self {
            number,
            id: format!("{}-{number}", spec.name),
            spec,
            progress,
            open: BTreeMap::new(),
            due: BTreeSet::new(),
            backing_off: BTreeSet::new(),
            running: 0,
            attempts: BTreeMap::new(),
            forgettable: VecDeque::new(),
            changes: Changes::default(),
            revision: 1,
        }
    }

    /// The job as it was stored. Attempts that ran are taken to run still: their statuses bring the truth. What waited for
    /// another try may start at once.
    pub fn restore(number: u64, spec: JobSpec, progress: Progress, attempts: BTreeMap<(u32, u32), Attempt>) -> Self {
        let mut job = Self::empty(number, spec, progress);
        let mut ended = BTreeSet::new();
        for (&(index, last), attempt) in &attempts {
            let tries = job.open.entry(index).or_default();
            tries.last = last;
            match attempt.outcome {
                Outcome::Active => job.running += 1,
                Outcome::Succeeded | Outcome::Failed | Outcome::Killed => {
                    ended.insert(index);
                }
                Outcome::Retried => tries.failures += 1,
                Outcome::Lost => tries.losses += 1,
            }
        }
        job.open.retain(|index, _| !ended.contains(index));
        let runs = |(index, tries): (&u32, &Tries)| {
            let is_active = attempts.get(&(*index, tries.last)).is_some_and(|a| a.outcome == Outcome::Active);
            (!is_active).then_some(*index)
        };
        job.due = job.open.iter().filter_map(runs).collect();
        job.forgettable = attempts.keys().filter(|(index, _)| ended.contains(index)).copied().collect();
        job.attempts = attempts;
        job
    }

    /// Its number, never used again.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its id: the name and the number.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What is wanted.
    pub fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// The counters.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.progress.phase
    }

    /// Attempts that start or run.
    pub fn running(&self) -> u32 {
        self.running
    }

    /// Tasks that neither run nor have ended.
    pub fn waiting(&self) -> u32 {
        let Progress { succeeded, failed, .. } = self.progress;
        self.spec.completions.saturating_sub(succeeded).saturating_sub(failed).saturating_sub(self.running)
    }

    /// Attempts by index and number.
    pub fn attempts(&self) -> &BTreeMap<(u32, u32), Attempt> {
        &self.attempts
    }

    /// Grows with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What is to be stored; forgotten with this call.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// The id of the task of one try.
    pub fn task_id(&self, index: u32, number: u32) -> String {
        format!("{}.{index}.{number}", self.id)
    }

    /// How many tries may start now.
    pub fn wanted(&self) -> u32 {
        if self.progress.phase != Phase::Active {
            return 0;
        }
        let untried = self.spec.completions - self.progress.next.min(self.spec.completions);
        let due = u32::try_from(self.due.len()).unwrap_or(u32::MAX);
        self.spec.parallelism.saturating_sub(self.running).min(untried.saturating_add(due))
    }

    /// When the next task may be tried again; `None` when none waits for its time.
    pub fn next_wake(&self) -> Option<Moment> {
        if self.progress.phase != Phase::Active {
            return None;
        }
        self.backing_off.first().map(|(at, _)| *at)
    }

    /// Time has passed: what waited for it may start.
    pub fn on_time(&mut self, now: Moment) {
        while let Some((at, index)) = self.backing_off.first().copied().filter(|(at, _)| *at <= now) {
            self.backing_off.remove(&(at, index));
            self.due.insert(index);
        }
    }

    /// What starts next; `None` when nothing may start.
    pub fn next_try(&self) -> Option<NextTry> {
        if self.wanted() == 0 {
            return None;
        }
        let index = self.due.first().copied().unwrap_or(self.progress.next);
        Some(NextTry { index, number: self.open.get(&index).map_or(0, |tries| tries.last) + 1 })
    }

    /// What [`Job::next_try`] gave was launched.
    pub fn started(&mut self, next: &NextTry, task: TaskId, agent: AgentId, hostname: String, now: Now) {
        if !self.due.remove(&next.index) {
            self.progress.next = self.progress.next.max(next.index + 1);
        }
        self.open.entry(next.index).or_default().last = next.number;
        self.running += 1;
        let status = TaskStatus::new(task, Some(agent), TaskState::Staging, TaskSource::Master, now.unix);
        let key = (next.index, next.number);
        self.attempts.insert(key, Attempt { status, hostname, outcome: Outcome::Active });
        self.touch(Some(key));
    }

    /// Ends the job. Gives the tasks to kill.
    pub fn cancel(&mut self, now: Now) -> Vec<TaskId> {
        if !self.progress.phase.has_ended() {
            self.progress.phase = Phase::Cancelling;
            self.progress.message = "cancelled".to_owned();
            self.touch(None);
            self.settle(now);
        }
        self.active_tasks().cloned().collect()
    }

    /// The tasks of the attempts that start or run.
    pub fn active_tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.attempts.values().filter(|a| a.outcome == Outcome::Active).map(|a| &a.status.task)
    }

    fn touch(&mut self, attempt: Option<(u32, u32)>) {
        self.changes.progress = true;
        self.changes.attempts.extend(attempt);
        self.revision += 1;
    }
}
