//! What has to be done so that a service becomes what is wanted. Pure: state and time in, steps out.

use proffer_sdk::Moment;

use crate::scheduler::leaving::next_move;
use crate::state::{Placed, Service, Slot};

/// Longest wait before an instance is started again, in milliseconds.
pub const MAX_BACK_OFF_MS: u64 = 60_000;
/// How long a replacement waits for room beside the old instance before that one is ended first, in milliseconds.
pub const ROOM_WAIT_MS: u64 = 3_000;
/// An instance that ran this long has forgotten its failures, in milliseconds.
pub const RESET_AFTER_MS: u64 = 60_000;

/// The next steps of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Slots that have to be there and are not.
    pub open: Vec<u32>,
    /// Slots whose task is to be ended.
    pub kill: Vec<u32>,
    /// Slots whose replacement is to be ended.
    pub kill_next: Vec<u32>,
    /// Slots that are empty and no longer wanted.
    pub forget: Vec<u32>,
    /// Slots that wait for an offer.
    pub start: Vec<u32>,
    /// The slot that waits for an offer for a replacement, which starts beside the old instance.
    pub replace: Option<u32>,
    /// The slot that waits for an offer for an instance that leaves its agent: it ends when the new one runs.
    pub moves: Option<u32>,
    /// The next end of a back-off.
    pub wake: Option<Moment>,
    /// Nothing is left of a service that is being removed.
    pub is_gone: bool,
}

/// How long to wait after this many failures in a row: not at all, then 1 s, 2 s, 4 s and so on.
pub fn back_off_ms(failures: u32) -> u64 {
    match failures {
        0 | 1 => 0,
        n => 1_000u64.checked_shl(n - 2).filter(|_| n < 16).map_or(MAX_BACK_OFF_MS, |ms| ms.min(MAX_BACK_OFF_MS)),
    }
}

/// Compares what is wanted with what is there.
pub fn plan(service: &Service, now: Moment) -> Plan {
    let mut plan = Plan::default();
    let wanted = if service.record.is_removing { 0 } else { service.record.spec.instances };
    plan.open = (0..wanted).filter(|number| !service.slots.contains_key(number)).collect();
    plan.start = plan.open.clone();
    // Highest slots first.
    for (&number, slot) in service.slots.range(wanted..).rev() {
        match &slot.task {
            Some(task) if !task.is_killed => plan.kill.push(number),
            Some(_) => {}
            None => plan.forget.push(number),
        }
        if slot.next.as_ref().is_some_and(|next| !next.is_killed) {
            plan.kill_next.push(number);
        }
    }
    for (&number, slot) in service.slots.range(..wanted) {
        if slot.task.is_none() {
            if slot.is_backing_off(now) {
                plan.wake = plan.wake.into_iter().chain(slot.back_off_until).min();
            } else {
                plan.start.push(number);
            }
        }
    }
    plan.start.sort_unstable();
    update(service, wanted, now, &mut plan);
    plan.is_gone = service.record.is_removing && plan.forget.len() == service.slots.len();
    plan
}

impl Plan {
    /// Every slot that waits for an offer.
    pub fn waiting(&self) -> impl Iterator<Item = u32> {
        self.start.iter().copied().chain(self.replace).chain(self.moves)
    }
}

/// Instances of an older version: those that do not run are ended now. Of those that run, one at a time is replaced
/// while all others are well: by an instance that starts beside it, or in its place where there is no room.
fn update(service: &Service, wanted: u32, now: Moment, plan: &mut Plan) {
    let version = service.record.version;
    let slots = || service.slots.range(..wanted);
    let outdated = slots().filter(|(_, slot)| slot.next.as_ref().is_some_and(|n| n.version < version && !n.is_killed));
    plan.kill_next.extend(outdated.map(|(number, _)| number));
    let is_old = |task: &Placed| task.version < version && !task.is_killed;
    let old =
        || slots().filter_map(|(&number, slot)| slot.task.as_ref().filter(|t| is_old(t)).map(|t| (number, slot, t)));
    let is_well = |slot: &Slot| slot.next.is_none() && slot.task.as_ref().is_some_and(Placed::is_running);
    if slots().count() != wanted as usize || !slots().all(|(_, slot)| is_well(slot)) {
        let is_idle = |slot: &Slot, task: &Placed| slot.next.is_none() && !task.is_running();
        plan.kill.extend(old().filter(|(_, slot, task)| is_idle(slot, task)).map(|(number, ..)| number));
        return;
    }
    let Some((number, slot, _)) = old().next() else {
        plan.moves = next_move(service, wanted);
        return;
    };
    if service.is_stop_first || !service.record.spec.may_overlap() {
        plan.kill.push(number);
    } else if slot.is_backing_off(now) {
        plan.wake = plan.wake.into_iter().chain(slot.back_off_until).min();
    } else {
        plan.replace = Some(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_minute() {
        let waits: Vec<u64> = (0..10).map(back_off_ms).collect();
        assert_eq!(waits, [0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(back_off_ms(u32::MAX), MAX_BACK_OFF_MS);
    }
}
