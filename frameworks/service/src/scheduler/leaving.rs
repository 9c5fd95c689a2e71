//! Requests to leave agents: the instances in question move one after the other, each started elsewhere before it ends.
//!
//! Nothing here is durable: the master asks again after every connect. What has not moved in time is ended by the
//! master and started again like any instance whose agent is drained.

use std::collections::BTreeMap;

use proffer_sdk::{
    Context, DeclineKind, DeclineReason, InverseCause, InverseEnd, InverseOffer, InverseOfferId, Moment, Offer, TaskId,
};

use super::ServiceScheduler;
use crate::state::Service;

/// An agent that is not there so soon is not started on while another may come, in milliseconds: one hour.
pub(super) const NEAR_MS: u64 = 3_600_000;
/// How long an instance waits for an agent that stays, in milliseconds. Then one that leaves will do for a while.
const PATIENCE_MS: u64 = 10_000;
/// Nothing is started on an agent that leaves as soon as this, in milliseconds.
const TOO_NEAR_MS: u64 = 60_000;

/// What is asked of this framework, and who waits for an agent that stays.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    asked: BTreeMap<InverseOfferId, Vec<TaskId>>,
    waiting_since: BTreeMap<String, Moment>,
}

/// What an agent that leaves is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    /// It stays for long.
    Long,
    /// It leaves soon: only when no other comes, and never for an instance that moves.
    Short,
    /// It leaves too soon for anything.
    None,
}

impl Stay {
    /// How long the agent of an offer stays.
    pub(super) fn of(offer: &Offer, cx: &Context<'_>) -> Self {
        match offer.unavailability().map(|planned| planned.begins_in_ms(cx.unix_now())) {
            Some(ms) if ms < TOO_NEAR_MS => Self::None,
            Some(ms) if ms < NEAR_MS => Self::Short,
            Some(_) | None => Self::Long,
        }
    }
}

impl Leaving {
    /// Begins or goes on to wait for an agent that stays; false once patience has ended.
    pub(super) fn waits(&mut self, service: &str, now: Moment) -> bool {
        let since = *self.waiting_since.entry(service.to_owned()).or_insert(now);
        now.since_ms(since) < PATIENCE_MS
    }

    /// Nothing of the service waits any more.
    pub(super) fn done(&mut self, service: &str) {
        self.waiting_since.remove(service);
    }
}

impl ServiceScheduler {
    /// Says what will become of the instances in question, and marks those that move.
    pub(super) fn on_inverse_offers(&mut self, offers: Vec<InverseOffer>) {
        for offer in offers {
            let (moving, staying) = self.leave(offer.tasks());
            self.leaving.asked.insert(offer.id().clone(), moving.clone());
            let ended = match offer.cause() {
                InverseCause::Drain => "they are being ended already and start elsewhere",
                InverseCause::Maintenance | InverseCause::Preemption => "they start elsewhere once they were ended",
            };
            match (moving.len(), staying) {
                (0, 0) => offer.accept("nothing of this framework is left there"),
                (count, 0) => offer.accept(format!("moving {count} instances")),
                (0, count) => offer.decline(format!("{count} instances cannot run twice at once: {ended}")),
                (moving, count) => {
                    offer.decline(format!("moving {moving} instances; {count} more cannot run twice at once: {ended}"))
                }
            }
        }
    }

    /// Marks instances that may run beside their replacement; gives them, and how many may not.
    fn leave(&mut self, tasks: &[TaskId]) -> (Vec<TaskId>, usize) {
        let (mut moving, mut staying) = (Vec::new(), 0);
        for task in tasks {
            let Some((name, number, _)) = self.state.slot_of(task) else { continue };
            let name = name.to_owned();
            let may_overlap = self.state.service(&name).is_some_and(|service| service.record.spec.may_overlap());
            let Some(slot) = self.state.slot_mut(&name, number) else { continue };
            let Some(placed) = slot.task.as_mut().filter(|placed| placed.task == *task) else { continue };
            if may_overlap {
                placed.is_leaving = true;
                moving.push(task.clone());
            } else {
                staying += 1;
            }
        }
        (moving, staying)
    }

    /// What is not to move any more stays, unless it has moved already.
    pub(super) fn on_inverse_rescinded(&mut self, offers: &[InverseOfferId], end: InverseEnd) {
        let asked: Vec<TaskId> = offers.iter().filter_map(|id| self.leaving.asked.remove(id)).flatten().collect();
        if end == InverseEnd::Cancelled {
            asked.iter().for_each(|task| self.stay(task));
        }
    }

    /// The master asks again for what still holds.
    pub(super) fn forget_requests(&mut self) {
        for task in std::mem::take(&mut self.leaving.asked).into_values().flatten() {
            self.stay(&task);
        }
    }

    fn stay(&mut self, task: &TaskId) {
        let Some((name, number, _)) = self.state.slot_of(task) else { return };
        let name = name.to_owned();
        let placed = self.state.slot_mut(&name, number).and_then(|slot| slot.task.as_mut());
        if let Some(placed) = placed.filter(|placed| placed.task == *task) {
            placed.is_leaving = false;
        }
    }

    /// Why an offer of an agent that leaves soon is not used for this service now; `None` when it may be.
    /// Nothing that moves goes there at all.
    pub(super) fn refusal_of_leaving(
        &mut self,
        service: &str,
        only_moves: bool,
        offer: &Offer,
        cx: &Context<'_>,
    ) -> Option<DeclineReason> {
        let stay = Stay::of(offer, cx);
        let waits = match stay {
            Stay::Long => false,
            Stay::None => true,
            Stay::Short => only_moves || self.leaving.waits(service, cx.now()),
        };
        let ms = offer.unavailability()?.begins_in_ms(cx.unix_now());
        let message = format!("the agent is not there in {} s; one that stays is waited for", ms / 1_000);
        waits.then_some(DeclineReason { kind: DeclineKind::Other, message })
    }
}

/// The instance that moves now: one at a time, while all others are well.
pub(crate) fn next_move(service: &Service, wanted: u32) -> Option<u32> {
    let of = |number: &u32| service.slots.get(number);
    let is_moving = |number: &u32| {
        of(number).and_then(|slot| slot.task.as_ref()).is_some_and(|placed| placed.is_leaving && placed.is_running())
    };
    (0..wanted).find(is_moving)
}
