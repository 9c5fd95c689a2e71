//! What has to be done so that a service becomes what is wanted. Pure: state and time in, steps out.

use proffer_sdk::Moment;

use crate::state::Service;

/// Longest wait before an instance is started again, in milliseconds.
pub const MAX_BACK_OFF_MS: u64 = 60_000;
/// An instance that ran this long has forgotten its failures, in milliseconds.
pub const RESET_AFTER_MS: u64 = 60_000;

/// The next steps of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Slots that have to be there and are not.
    pub open: Vec<u32>,
    /// Slots whose task is to be ended.
    pub kill: Vec<u32>,
    /// Slots that are empty and no longer wanted.
    pub forget: Vec<u32>,
    /// Slots that wait for an offer.
    pub start: Vec<u32>,
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
    plan.kill.extend(replaced(service, wanted));
    plan.is_gone = service.record.is_removing && plan.forget.len() == service.slots.len();
    plan
}

/// Instances of an older version to end now: those that do not run, and one that runs when all others are well.
fn replaced(service: &Service, wanted: u32) -> Vec<u32> {
    let version = service.record.version;
    let slots = || service.slots.range(..wanted).map(|(&number, slot)| (number, slot.task.as_ref()));
    let old = || {
        slots().filter_map(|(number, task)| task.filter(|t| t.version < version && !t.is_killed).map(|t| (number, t)))
    };
    let idle: Vec<u32> = old().filter(|(_, task)| !task.is_running()).map(|(number, _)| number).collect();
    let are_all_well = service.slots.range(..wanted).count() == wanted as usize
        && slots().all(|(_, task)| task.is_some_and(|task| task.is_running()));
    if are_all_well { old().map(|(number, _)| number).take(1).collect() } else { idle }
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
