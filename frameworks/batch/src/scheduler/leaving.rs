//! Agents that are left: attempts may end there in time, and nothing long starts there any more.

use proffer_sdk::{DeclineKind, DeclineReason, InverseCause, InverseOffer, Offer, UnixMillis};

use crate::job::Job;

/// An attempt without a bound starts only on an agent that stays so long, in milliseconds.
const UNBOUNDED_MS: u64 = 300_000;
/// One with a longer bound than this starts on an agent that stays this long, in milliseconds: few take all they may.
const MOST_MS: u64 = 3_600_000;

/// Says what becomes of the attempts in question: the agent is left by itself, since what does not end in time is
/// ended by the master, comes back as lost through no fault of its own, and is tried again elsewhere.
pub(super) fn answer(offers: Vec<InverseOffer>) {
    for offer in offers {
        let count = offer.tasks().len();
        let message = match offer.cause() {
            InverseCause::Drain => format!("{count} attempts are tried again elsewhere"),
            InverseCause::Maintenance | InverseCause::Preemption => {
                format!("{count} attempts may end until then; the rest is tried again elsewhere")
            }
        };
        offer.accept(message);
    }
}

/// Why an offer of an agent that is left soon is not used for a job; `None` when it may be.
pub(super) fn refusal(job: &Job, offer: &Offer, now: UnixMillis) -> Option<DeclineReason> {
    let left_ms = offer.unavailability()?.begins_in_ms(now);
    let needed_ms = job.spec().attempt_timeout_ms.map_or(UNBOUNDED_MS, |bound| bound.min(MOST_MS));
    if left_ms >= needed_ms {
        return None;
    }
    let (left_s, needed_s) = (left_ms / 1_000, needed_ms / 1_000);
    let message = format!("the agent is not there in {left_s} s; an attempt of {} may take {needed_s} s", job.id());
    Some(DeclineReason { kind: DeclineKind::Other, message })
}
