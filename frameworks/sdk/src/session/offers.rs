//! Offers in, answers and demand out. Answers to offers that are void never leave.

use std::collections::BTreeMap;

use proffer_proto_model as model;
use proffer_proto_model::{
    Accept, AgentId, DeclineKind, DeclineReason, Filter, Now, OfferId, Operation, RescindReason, TaskId, TaskReason,
    TaskSource, TaskState, TaskStatus, UnixMillis,
};

use super::connection::Phase;
use super::{CALL_ENTRIES, Call, End, Session, SessionFrame, records};
use crate::offer::Answer;
use crate::{Event, KnownTask, Offer, Scheduler};

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
        let mut declines: Vec<(DeclineReason, Filter, Vec<OfferId>)> = Vec::new();
        for answer in self.outbox.take() {
            let is_open = self.open_offers.remove(&answer.offer);
            if answer.operations.is_empty() {
                if is_open {
                    let reason = answer.reason.unwrap_or_else(|| self.silent_reason());
                    match declines.iter_mut().find(|(r, f, _)| *r == reason && *f == answer.filter) {
                        Some((_, _, offers)) => offers.push(answer.offer),
                        None => declines.push((reason, answer.filter, vec![answer.offer])),
                    }
                }
            } else if is_open {
                self.accept(answer, frame);
            } else {
                self.drop_launches(answer);
            }
        }
        for (reason, filter, offers) in declines {
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
        let Answer { offer, mut operations, reason, filter } = answer;
        operations.retain_mut(|operation| self.note_launches(operation, frame));
        let leftover = reason.unwrap_or_else(|| DeclineReason::new(DeclineKind::Leftover));
        frame.send.push(match operations.is_empty() {
            true => Call::Decline { offers: vec![offer], reason: leftover, filter },
            false => Call::Accept(Accept { offers: vec![offer], operations, filter, leftover }),
        });
    }

    /// Makes launches durable, so that each happens at most once. Says whether anything of the operation is left.
    fn note_launches(&mut self, operation: &mut Operation, frame: &mut SessionFrame) -> bool {
        match operation {
            Operation::Launch { tasks } => {
                tasks.retain(|launch| self.note_launch(&launch.task.id, &launch.agent, frame));
                !tasks.is_empty()
            }
            Operation::LaunchGroup { tasks, .. } => {
                let used = tasks.iter().find(|launch| self.was_used(&launch.task.id)).map(|l| l.task.id.clone());
                if let Some(used) = used {
                    self.refuse_launch(&used);
                    return false;
                }
                tasks.iter().for_each(|launch| {
                    self.note_launch(&launch.task.id, &launch.agent, frame);
                });
                true
            }
            Operation::Reserve { .. }
            | Operation::Unreserve { .. }
            | Operation::CreateVolume { .. }
            | Operation::DestroyVolume { .. } => true,
        }
    }

    fn note_launch(&mut self, task: &TaskId, agent: &Option<AgentId>, frame: &mut SessionFrame) -> bool {
        if self.was_used(task) {
            self.refuse_launch(task);
            return false;
        }
        let known = KnownTask { agent: agent.clone(), state: TaskState::Staging, is_confirmed: false, kill: None };
        frame.store.push(records::keep_task(task, &known));
        self.facts.tasks.insert(task.clone(), known);
        true
    }

    fn was_used(&self, task: &TaskId) -> bool {
        self.facts.tasks.contains_key(task) || self.seen.has_ended(task) || self.seen.is_lost(task)
    }

    fn refuse_launch(&mut self, task: &TaskId) {
        let message =
            format!("task {task} was not launched: its id was used before; give every launch an id of its own");
        self.local.push_back(Event::Error { message });
    }

    /// The offer is void: its tasks never start, and the scheduler is told so.
    fn drop_launches(&mut self, answer: Answer) {
        let launches: BTreeMap<TaskId, Option<AgentId>> = answer
            .operations
            .into_iter()
            .flat_map(|operation| match operation {
                Operation::Launch { tasks } | Operation::LaunchGroup { tasks, .. } => tasks,
                Operation::Reserve { .. }
                | Operation::Unreserve { .. }
                | Operation::CreateVolume { .. }
                | Operation::DestroyVolume { .. } => Vec::new(),
            })
            .map(|launch| (launch.task.id, launch.agent))
            .collect();
        for (task, agent) in launches {
            if self.was_used(&task) {
                self.refuse_launch(&task);
                continue;
            }
            self.seen.end(task.clone());
            let status = TaskStatus::new(task, agent, TaskState::Dropped, TaskSource::Master, UnixMillis(0)).because(
                TaskReason::InvalidOffers,
                format!("offer {} was no longer valid; launch it again", answer.offer),
            );
            self.local.push_back(Event::Status(status));
        }
    }

    /// Sends the demand when it differs from what the master has. Offers follow from it, so it waits for reconciliation.
    pub(super) fn send_demand(&mut self, frame: &mut SessionFrame) {
        if self.phase != Phase::Ready || self.is_teardown_pending {
            return;
        }
        let (Some(wanted), Some(first)) = (&self.wanted, self.facts.roles.first()) else { return };
        let wanted = wanted.to_model(first);
        if wanted != self.sent_demand {
            self.sent_demand = wanted.clone();
            frame.send.push(Call::Demand(wanted));
        }
    }
}
