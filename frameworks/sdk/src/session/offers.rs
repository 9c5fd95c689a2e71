//! Offers in, answers and demand out. Answers to offers that are void never leave.

use std::collections::BTreeSet;

use proffer_proto_model as model;
use proffer_proto_model::{
    Accept, DeclineKind, DeclineReason, Filter, Now, OfferId, Operation, RescindReason, TaskId, TaskLaunch, TaskReason,
    TaskSource, TaskState, TaskStatus,
};

use super::connection::Phase;
use super::{CALL_ENTRIES, Call, End, Session, SessionFrame, records};
use crate::offer::Answer;
use crate::outgoing::{check_demand, check_task, fit_demand, shorten};
use crate::{Event, KnownTask, Offer, Scheduler};

const GROUP_REFUSED: &str =
    "another task of its group is wrong or has the same id; launch the group again under other ids";

const GANG_VOID: &str = "another offer of the same gang was no longer valid";

/// Offers declined with the same words go in one call.
struct Declined {
    reason: DeclineReason,
    filter: Filter,
    offers: Vec<OfferId>,
}

fn collect(declines: &mut Vec<Declined>, reason: DeclineReason, filter: Filter, offers: Vec<OfferId>) {
    if offers.is_empty() {
        return;
    }
    match declines.iter_mut().find(|d| d.reason == reason && d.filter == filter) {
        Some(same) => same.offers.extend(offers),
        None => declines.push(Declined { reason, filter, offers }),
    }
}

impl<S: Scheduler> Session<S> {
    pub(super) fn on_offers(
        &mut self,
        now: Now,
        offers: Vec<model::Offer>,
        frame: &mut SessionFrame,
    ) -> Result<(), End> {
        match &mut self.phase {
            Phase::Down | Phase::Subscribing => return Ok(()),
            Phase::Reconciling(reconciling) => {
                reconciling.held.extend(offers);
                return Ok(());
            }
            Phase::Ready => {}
        }
        let mut fresh = Vec::with_capacity(offers.len());
        for offer in offers {
            if self.open_offers.insert(offer.id.clone()) {
                fresh.push(Offer::new(offer, self.outbox.clone()));
            }
        }
        if fresh.is_empty() { Ok(()) } else { self.deliver(now, Event::Offers(fresh), frame) }
    }

    pub(super) fn on_rescind(
        &mut self,
        now: Now,
        mut offers: Vec<OfferId>,
        reason: RescindReason,
        frame: &mut SessionFrame,
    ) -> Result<(), End> {
        if let Phase::Reconciling(reconciling) = &mut self.phase {
            reconciling.held.retain(|held| !offers.contains(&held.id));
        }
        offers.retain(|offer| self.open_offers.remove(offer));
        if offers.is_empty() { Ok(()) } else { self.deliver(now, Event::Rescinded { offers, reason }, frame) }
    }

    /// Turns the answers of dropped offers into calls.
    pub(super) fn answer_offers(&mut self, frame: &mut SessionFrame) {
        let mut declines: Vec<Declined> = Vec::new();
        for answer in self.outbox.take() {
            let (open, void): (Vec<OfferId>, Vec<OfferId>) =
                answer.offers.iter().cloned().partition(|offer| self.open_offers.remove(offer));
            if answer.operations.is_empty() {
                let reason = answer.reason.map_or_else(|| self.silent_reason(), shorten);
                collect(&mut declines, reason, answer.filter, open);
            } else if void.is_empty() {
                self.accept(answer, frame);
            } else {
                self.drop_launches(answer);
                let reason = DeclineReason { kind: DeclineKind::Other, message: GANG_VOID.to_owned() };
                collect(&mut declines, reason, Filter::NONE, open);
            }
        }
        for Declined { reason, filter, offers } in declines {
            for offers in offers.chunks(CALL_ENTRIES) {
                frame.send.push(Call::Decline { offers: offers.to_vec(), reason: reason.clone(), filter });
            }
        }
    }

    /// Why an offer was not used when nobody said.
    fn silent_reason(&self) -> DeclineReason {
        match &self.wanted {
            Some(demand) if !demand.is_none() => DeclineReason {
                kind: DeclineKind::Other,
                message: "the framework did not use it and gave no reason".to_owned(),
            },
            Some(_) | None => DeclineReason::new(DeclineKind::NoDemand),
        }
    }

    fn accept(&mut self, answer: Answer, frame: &mut SessionFrame) {
        let Answer { offers, mut operations, reason, filter } = answer;
        operations.retain_mut(|operation| self.note_launches(operation, frame));
        let leftover = reason.map_or_else(|| DeclineReason::new(DeclineKind::Leftover), shorten);
        frame.send.push(match operations.is_empty() {
            true => Call::Decline { offers, reason: leftover, filter },
            false => Call::Accept(Accept { offers, operations, filter, leftover }),
        });
    }

    /// Makes launches durable, so that each happens at most once. Says whether anything of the operation is left.
    fn note_launches(&mut self, operation: &mut Operation, frame: &mut SessionFrame) -> bool {
        match operation {
            Operation::Launch { tasks } => {
                tasks.retain(|launch| {
                    let is_launchable = self.is_launchable(launch);
                    if is_launchable {
                        self.note_launch(launch, frame);
                    }
                    is_launchable
                });
                !tasks.is_empty()
            }
            Operation::LaunchGroup { tasks, .. } => {
                let ids: BTreeSet<&TaskId> = tasks.iter().map(|launch| &launch.task.id).collect();
                let is_whole = tasks.iter().all(|launch| self.is_launchable(launch)) && ids.len() == tasks.len();
                if is_whole {
                    tasks.iter().for_each(|launch| self.note_launch(launch, frame));
                } else {
                    // Those that were refused are ended already; the others of the group go with them.
                    tasks.iter().for_each(|launch| self.drop_launch(launch, TaskReason::TaskInvalid, GROUP_REFUSED));
                }
                is_whole
            }
            Operation::Reserve { .. }
            | Operation::Unreserve { .. }
            | Operation::CreateVolume { .. }
            | Operation::DestroyVolume { .. } => true,
        }
    }

    fn note_launch(&mut self, launch: &TaskLaunch, frame: &mut SessionFrame) {
        let task = launch.task.id.clone();
        let agent = launch.agent.clone();
        let known = KnownTask { agent, state: TaskState::Staging, is_confirmed: false, kill: None };
        frame.store.push(records::keep_task(&task, &known));
        self.facts.tasks.insert(task, known);
    }

    /// May it leave? If not, the scheduler is told why.
    fn is_launchable(&mut self, launch: &TaskLaunch) -> bool {
        let task = &launch.task.id;
        if self.facts.tasks.contains_key(task) || self.seen.is_remembered(task) {
            let message =
                format!("task {task} was not launched: its id was used before; give each launch an id of its own");
            self.local.push_back(Event::Error { message });
            return false;
        }
        if let Err(error) = check_task(&launch.task) {
            self.end_locally(launch, TaskState::Error, TaskReason::TaskInvalid, error.to_string());
            return false;
        }
        true
    }

    /// The offer is void: its tasks never start, and the scheduler is told so.
    fn drop_launches(&mut self, answer: Answer) {
        let offers: Vec<&str> = answer.offers.iter().map(OfferId::as_str).collect();
        let message =
            format!("offer {} was no longer valid; launch the task again under another id", offers.join(" or "));
        for operation in &answer.operations {
            let (Operation::Launch { tasks } | Operation::LaunchGroup { tasks, .. }) = operation else { continue };
            for launch in tasks {
                if self.is_launchable(launch) {
                    self.drop_launch(launch, TaskReason::InvalidOffers, &message);
                }
            }
        }
    }

    fn drop_launch(&mut self, launch: &TaskLaunch, reason: TaskReason, message: &str) {
        if !self.facts.tasks.contains_key(&launch.task.id) && !self.seen.is_remembered(&launch.task.id) {
            self.end_locally(launch, TaskState::Dropped, reason, message.to_owned());
        }
    }

    /// The task ends here without having left.
    fn end_locally(&mut self, launch: &TaskLaunch, state: TaskState, reason: TaskReason, message: String) {
        let task = launch.task.id.clone();
        self.seen.end(task.clone());
        let status = TaskStatus::new(task, launch.agent.clone(), state, TaskSource::Master, self.unix_now);
        self.local.push_back(Event::Status(status.because(reason, message)));
    }

    /// Sends the demand when it differs from what the master has. Offers follow from it, so it waits for reconciliation.
    pub(super) fn send_demand(&mut self, frame: &mut SessionFrame) {
        if self.phase != Phase::Ready || self.is_teardown_pending {
            return;
        }
        let (Some(wanted), Some(first)) = (&self.wanted, self.facts.roles.first()) else { return };
        let wanted = fit_demand(wanted.to_model(first));
        if wanted == self.sent_demand {
            return;
        }
        if let Err(error) = check_demand(&wanted) {
            self.wanted = None;
            self.local.push_back(Event::Error { message: format!("the demand was not stated: {error}") });
        } else {
            self.sent_demand = wanted.clone();
            frame.send.push(Call::Demand(wanted));
        }
    }
}
