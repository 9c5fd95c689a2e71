//! The scheduler of all jobs: takes and cancels them, states the demand, launches on offers, hears of results.
//!
//! Older jobs come first. Nothing here does I/O; every change is stored in the frame that makes it.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::convert::WireError;
use proffer_sdk::{
    Context, DeclineKind, DeclineReason, Demand, Event, Handled, Moment, Now, Offer, Resources, Role, Scheduler,
    TaskReason, TaskSource, TaskState, TaskStatus,
};
use tokio::sync::watch;

use crate::attempt::Place;
use crate::job::{Job, Phase};
use crate::launch::task_of;
use crate::records;
use crate::spec::JobSpec;

/// Ended jobs that are remembered.
pub const KEPT_JOBS: usize = 1_000;

/// Attempts of ended jobs that are remembered, over all of them.
pub const KEPT_ENDED_ATTEMPTS: usize = 200_000;

/// Jobs that may live at once.
pub const MAX_LIVING_JOBS: usize = 10_000;

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

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such job.
    #[error("no job {asked:?}; {known}")]
    Unknown {
        /// As asked for.
        asked: String,
        /// The jobs there are, in words.
        known: String,
    },
    /// A living job has this name.
    #[error(
        "job {id} of this name has not ended; wait for it, cancel it with `proffer job cancel {id}`, or rename the new one"
    )]
    NameTaken {
        /// Its id.
        id: String,
    },
    /// The job has ended.
    #[error("job {id} has ended already ({phase:?}); nothing to cancel")]
    Ended {
        /// Its id.
        id: String,
        /// How.
        phase: Phase,
    },
    /// The framework does not have the role.
    #[error("job.role is {role}, which this framework does not have; use one of: {known}")]
    Role {
        /// As asked for.
        role: Role,
        /// The framework's roles.
        known: String,
    },
    /// The job's task could never be launched.
    #[error("job.{0}")]
    Task(#[from] WireError),
    /// Too many jobs live.
    #[error("{MAX_LIVING_JOBS} jobs have not ended; wait for some or cancel them")]
    TooMany,
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

    /// The job with this id, or the newest of this name.
    pub fn find(&self, asked: &str) -> Result<&Job, Refused> {
        let mut newest_first = self.jobs.values().rev();
        let by_id = newest_first.clone().find(|job| job.id() == asked);
        by_id.or_else(|| newest_first.find(|job| job.spec().name == asked)).ok_or_else(|| self.unknown(asked))
    }

    /// Takes a job; gives its id.
    pub fn run(&mut self, spec: JobSpec, cx: &mut Context<'_>) -> Result<String, Refused> {
        if let Some(role) = spec.role.as_ref().filter(|role| !cx.roles().contains(role)) {
            let known = cx.roles().iter().map(Role::as_str).collect::<Vec<_>>().join(", ");
            return Err(Refused::Role { role: role.clone(), known });
        }
        let mut living = self.living.iter().filter_map(|number| self.jobs.get(number));
        if let Some(job) = living.find(|job| job.spec().name == spec.name) {
            return Err(Refused::NameTaken { id: job.id().to_owned() });
        }
        if self.living.len() >= MAX_LIVING_JOBS {
            return Err(Refused::TooMany);
        }
        let number = self.next_number;
        let job = Job::new(number, spec, now(cx));
        // Every name and number makes a task id: this fails only for what no agent could run.
        task_of(&job, 0, 1)?;
        self.next_number += 1;
        records::keep_next(cx, self.next_number);
        records::keep_job(cx, &job);
        let id = job.id().to_owned();
        self.jobs.insert(number, job);
        self.living.insert(number);
        self.dirty.insert(number);
        self.finish(cx);
        Ok(id)
    }

    /// Ends a job; gives how many attempts are being killed.
    pub fn cancel(&mut self, asked: &str, cx: &mut Context<'_>) -> Result<u32, Refused> {
        let number = self.find(asked)?.number();
        let Some(job) = self.jobs.get_mut(&number) else { return Err(self.unknown(asked)) };
        if job.phase().has_ended() {
            return Err(Refused::Ended { id: job.id().to_owned(), phase: job.phase() });
        }
        let tasks = job.cancel(now(cx));
        let killed = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        for task in tasks {
            cx.kill(task, None);
        }
        self.dirty.insert(number);
        self.finish(cx);
        Ok(killed)
    }

    fn unknown(&self, asked: &str) -> Refused {
        let ids: Vec<&str> = self.jobs.values().rev().take(20).map(Job::id).collect();
        let known = match ids.as_slice() {
            [] => "there are no jobs".to_owned(),
            _ if self.jobs.len() > ids.len() => format!("the newest jobs are {}", ids.join(", ")),
            _ => format!("the jobs are {}", ids.join(", ")),
        };
        Refused::Unknown { asked: asked.chars().take(80).collect(), known }
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

    fn on_offers(&mut self, offers: Vec<Offer>, cx: &mut Context<'_>) {
        for offer in offers {
            self.on_offer(offer, cx);
        }
    }

    fn on_offer(&mut self, mut offer: Offer, cx: &mut Context<'_>) {
        let mut reason = DeclineReason::new(DeclineKind::NoDemand);
        let mut is_used = false;
        for number in &self.living {
            let Some(job) = self.jobs.get_mut(number) else { continue };
            job.on_time(cx.now());
            match fill(job, &mut offer, cx) {
                Filled::Some => {
                    is_used = true;
                    self.dirty.insert(*number);
                }
                Filled::None(kind) if matches!(reason.kind, DeclineKind::NoDemand | DeclineKind::BackOff) => {
                    reason = DeclineReason { kind, message: format!("job {}", job.id()) };
                }
                Filled::None(_) | Filled::NothingWanted => {}
            }
        }
        // What is left of a used offer goes back as such by itself.
        if !is_used {
            offer.decline(reason);
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
            let Some(job) = self.jobs.get_mut(number) else { continue };
            job.on_time(cx.now());
            demand.extend(demand_of(job));
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
        match event {
            Event::Started { stored } => {
                (self.next_number, self.jobs) = records::load(stored)?;
                let living = self.jobs.values().filter(|job| !job.phase().has_ended());
                self.living = living.map(Job::number).collect();
            }
            Event::Offers(offers) => self.on_offers(offers, cx),
            Event::Status(status) => self.on_status(status, cx),
            Event::Reconciled { unanswered: _ } => self.on_reconciled(cx),
            Event::Wake => self.wake = self.wake.filter(|at| *at > cx.now()),
            Event::Error { message } => tracing::warn!(message, "the master refused something"),
            Event::Connected { .. }
            | Event::Disconnected
            | Event::Rescinded { .. }
            | Event::OperationStatus { .. }
            | Event::AgentLost { .. } => {}
        }
        self.finish(cx);
        Ok(())
    }
}

/// What an offer did for a job.
enum Filled {
    Some,
    None(DeclineKind),
    NothingWanted,
}

fn now(cx: &Context<'_>) -> Now {
    Now { mono: cx.now(), unix: cx.unix_now() }
}

fn demand_of(job: &Job) -> Option<Demand> {
    let wanted = job.wanted();
    let next = job.next_try()?;
    let task = task_of(job, next.index, next.number).ok()?;
    let mut demand = Demand::of(&task, wanted);
    for constraint in &job.spec().constraints {
        demand = demand.constraint(constraint.clone());
    }
    Some(match &job.spec().role {
        Some(role) => demand.role(role.clone()),
        None => demand,
    })
}

/// Launches as much of a job as the offer holds.
fn fill(job: &mut Job, offer: &mut Offer, cx: &Context<'_>) -> Filled {
    if job.wanted() == 0 {
        return match job.next_wake() {
            Some(_) => Filled::None(DeclineKind::BackOff),
            None => Filled::NothingWanted,
        };
    }
    let role = job.spec().role.as_ref().or_else(|| cx.roles().first());
    if role.is_some_and(|role| role != offer.role()) {
        return Filled::NothingWanted;
    }
    if let Some(constraint) = job.spec().constraints.iter().find(|rule| !offer.meets(rule)) {
        return Filled::None(DeclineKind::Constraint { constraint: Some(constraint.clone()) });
    }
    let mut filled = Filled::NothingWanted;
    while let Some(next) = job.next_try() {
        // It was checked when the job was taken.
        let Ok(task) = task_of(job, next.index, next.number) else { break };
        let id = task.id.clone();
        match offer.launch(task) {
            Ok(launched) => {
                job.started(&next, id, launched.agent, offer.hostname().to_owned(), now(cx));
                filled = Filled::Some;
            }
            Err(refused) => {
                if !matches!(filled, Filled::Some) {
                    let shortage: Resources = *refused.shortage;
                    filled = Filled::None(DeclineKind::ResourcesShort { shortage });
                }
                break;
            }
        }
    }
    filled
}
