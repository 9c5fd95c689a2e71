//! Offers and what wants them: the demand of each job, and launches on what comes: the highest priority first, of equals the older job.

use std::cmp::Reverse;

use proffer_sdk::{Context, DeclineKind, DeclineReason, Demand, Offer, Resources};

use super::{Batch, leaving, now};
use crate::job::Job;
use crate::launch::task_of;

impl Batch {
    pub(super) fn on_offers(&mut self, offers: Vec<Offer>, cx: &mut Context<'_>) {
        let priority = |number: &u64| self.jobs.get(number).map_or(0, |job| job.spec().priority);
        let mut order: Vec<u64> = self.living.iter().copied().collect();
        order.sort_by_key(|number| (Reverse(priority(number)), *number));
        for offer in offers {
            self.on_offer(offer, &order, cx);
        }
    }

    fn on_offer(&mut self, mut offer: Offer, order: &[u64], cx: &mut Context<'_>) {
        let mut reason = DeclineReason::new(DeclineKind::NoDemand);
        let mut is_used = false;
        for number in order {
            let Some(job) = self.jobs.get_mut(number) else { continue };
            match fill(job, &mut offer, cx) {
                Filled::Some => {
                    is_used = true;
                    self.dirty.insert(*number);
                }
                Filled::Refused(refused) if matches!(reason.kind, DeclineKind::NoDemand | DeclineKind::BackOff) => {
                    reason = refused;
                }
                Filled::None(kind) if matches!(reason.kind, DeclineKind::NoDemand | DeclineKind::BackOff) => {
                    reason = DeclineReason { kind, message: format!("job {}", job.id()) };
                }
                Filled::None(_) | Filled::Refused(_) | Filled::NothingWanted => {}
            }
        }
        // What is left of a used offer goes back as such by itself.
        if !is_used {
            offer.decline(reason);
        }
    }
}

/// What an offer did for a job.
enum Filled {
    Some,
    None(DeclineKind),
    Refused(DeclineReason),
    NothingWanted,
}

/// What a job wants now; `None` when nothing.
pub(super) fn demand_of(job: &Job) -> Option<Demand> {
    let wanted = job.wanted();
    let next = job.next_try()?;
    let task = task_of(job, next.index, next.number).ok()?;
    let mut demand = Demand::of(&task, wanted).priority(job.spec().priority);
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
    if let Some(refused) = leaving::refusal(job, offer, cx.unix_now()) {
        return Filled::Refused(refused);
    }
    let mut filled = Filled::NothingWanted;
    while let Some(next) = job.next_try() {
        // Each launch may take a volume that the next one wants.
        if let Some(why) = offer.volume_problem(&job.spec().container) {
            let message = format!("job {}: {why}", job.id());
            let refused = DeclineReason { kind: DeclineKind::Other, message };
            return if matches!(filled, Filled::Some) { filled } else { Filled::Refused(refused) };
        }
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
