//! The scheduler of all jobs: takes and cancels them, states the demand, launches on offers, hears of results.
//!
//! Older jobs come first. Nothing here does I/O; every change is stored in the frame that makes it.

mod leaving;
mod offers;
mod requests;

use std::collections::{BTreeMap, BTreeSet};

use proffer_sdk::{Context, Event, Handled, Moment, Now, Scheduler, TaskReason, TaskSource, TaskState, TaskStatus};
use tokio::sync::watch;

use crate::attempt::Place;
use crate::job::Job;
use crate::records;
pub use requests::Refused;

/// Ended jobs that are remembered.
pub const KEPT_JOBS: usize = 1_000;

/// Attempts of ended jobs that are remembered, over all of them.
pub const KEPT_ENDED_ATTEMPTS: usize = 200_000;

/// Jobs that may live at once: each states a demand of its own.
pub const MAX_LIVING_JOBS: usize = 1_000;

/// The scheduler of all jobs.
#[derive(Debug)]
pub struct Batch {
    jobs: BTreeMap<u64, Job>,
    /// Jobs that have not ended, oldest first.
    living: BTreeSet<u64>,
    /// Jobs with changes that are not stored yet.
    dirty: BTreeSet<u64>,
    next_number: u64,
    /// The earliest wake asked for that has not come.
    wake: Option<Moment>,
    changed: watch::Sender<u64>,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// A scheduler without jobs; [`Event::Started`] brings those of earlier runs.
    pub fn new() -> Self {
        Self {
            jobs: BTreeMap::new(),
            living: BTreeSet::new(),
            dirty: BTreeSet::new(),
            next_number: 1,
            wake: None,
            changed: watch::Sender::new(0),
        }
    }

    /// Changes whenever a job does. What changed is durable once a request made after it is answered.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// All remembered jobs, oldest first.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = &Job> {
        self.jobs.values()
    }

    fn on_status(&mut self, status: TaskStatus, cx: &mut Context<'_>) {
        let task = status.task.clone();
        let may_still_run = !status.state.is_terminal();
        let Some(place) = Place::of(&task) else {
            tracing::warn!(%task, "a task that no job has; it is killed");
            if may_still_run {
                cx.kill(task, None);
            }
            return;
        };
        if place.job >= self.next_number {
            // State was lost: the numbers of what ran before must not come again.
            self.next_number = place.job + 1;
            records::keep_next(cx, self.next_number);
        }
        let must_end = match self.jobs.get_mut(&place.job) {
            Some(job) => {
                self.dirty.insert(place.job);
                job.on_status(place.index, place.number, status, now(cx))
            }
            None => may_still_run,
        };
        if must_end && cx.task(&task).is_none_or(|known| known.kill.is_none()) {
            cx.kill(task, None);
        }
    }

    /// Attempts the SDK does not know any more have ended unheard.
    fn on_reconciled(&mut self, cx: &mut Context<'_>) {
        let living = self.living.iter().filter_map(|number| self.jobs.get(number));
        let lost: Vec<_> = living.flat_map(Job::active_tasks).filter(|task| cx.task(task).is_none()).cloned().collect();
        for task in lost {
            let status = TaskStatus::new(task, None, TaskState::Gone, TaskSource::Master, cx.unix_now())
                .because(TaskReason::TaskUnknown, "nobody knows this task any more");
            self.on_status(status, cx);
        }
    }

    /// What waited for its time may start. Never in a turn that launches: there every launch must make the demand smaller, or
    /// the same demand would stand, which the SDK does not state again and the master takes as served.
    fn on_time(&mut self, cx: &Context<'_>) {
        for number in &self.living {
            if let Some(job) = self.jobs.get_mut(number) {
                job.on_time(cx.now());
            }
        }
    }

    /// Ends every turn: stores what changed, states the demand, asks for the next wake.
    fn finish(&mut self, cx: &mut Context<'_>) {
        let dirty = std::mem::take(&mut self.dirty);
        let mut has_one_ended = false;
        for number in &dirty {
            let Some(job) = self.jobs.get_mut(number) else { continue };
            records::keep_changes(cx, job);
            if job.phase().has_ended() && self.living.remove(number) {
                has_one_ended = true;
                tracing::info!(job = job.id(), phase = ?job.phase(), "job has ended");
            }
        }
        if has_one_ended {
            self.forget_ended(cx);
        }
        let mut demand = Vec::new();
        let mut wake: Option<Moment> = None;
        for number in &self.living {
            let Some(job) = self.jobs.get(number) else { continue };
            demand.extend(offers::demand_of(job));
            wake = wake.into_iter().chain(job.next_wake()).min();
        }
        cx.set_demand(demand.into_iter().collect());
        if let Some(at) = wake.filter(|at| self.wake.is_none_or(|pending| *at < pending)) {
            self.wake = Some(at);
            cx.wake_at(at);
        }
        if !dirty.is_empty() {
            self.changed.send_modify(|revision| *revision += 1);
        }
    }

    fn forget_ended(&mut self, cx: &mut Context<'_>) {
        loop {
            let ended = self.jobs.values().filter(|job| job.phase().has_ended());
            let attempts: usize = ended.clone().map(|job| job.attempts().len()).sum();
            let count = ended.clone().count();
            if count <= KEPT_JOBS && (attempts <= KEPT_ENDED_ATTEMPTS || count <= 1) {
                return;
            }
            let Some(oldest) = ended.min_by_key(|job| (job.progress().ended, job.number())).map(Job::number) else {
                return;
            };
            if let Some(job) = self.jobs.remove(&oldest) {
                records::forget_job(cx, &job);
            }
        }
    }
}

impl Scheduler for Batch {
    fn on_event(&mut self, event: Event, cx: &mut Context<'_>) -> Handled {
        if !matches!(event, Event::Offers(_)) {
            self.on_time(cx);
        }
        match event {
            Event::Started { stored } => {
                (self.next_number, self.jobs) = records::load(stored)?;
                let living = self.jobs.values().filter(|job| !job.phase().has_ended());
                self.living = living.map(Job::number).collect();
            }
            Event::Offers(offers) => self.on_offers(offers, cx),
            Event::InverseOffers(offers) => leaving::answer(offers),
            Event::Status(status) => self.on_status(status, cx),
            Event::Reconciled { unanswered: _ } => self.on_reconciled(cx),
            Event::Wake => self.wake = self.wake.filter(|at| *at > cx.now()),
            Event::Error { message } => tracing::warn!(message, "the master refused something"),
            Event::Connected { .. }
            | Event::Disconnected
            | Event::Rescinded { .. }
            | Event::InverseRescinded { .. }
            | Event::OperationStatus { .. }
            | Event::AgentLost { .. } => {}
        }
        self.finish(cx);
        Ok(())
    }
}

fn now(cx: &Context<'_>) -> Now {
    Now { mono: cx.now(), unix: cx.unix_now() }
}
