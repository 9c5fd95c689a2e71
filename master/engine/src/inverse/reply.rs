//! What frameworks answer: recorded for operators, and asked for again when the framework wants that.

use std::collections::BTreeMap;

use proffer_proto_model::{
    FrameworkId, InverseAnswer, InverseOfferId, InverseReply, MAX_REFUSE_MS, MIN_ASK_AGAIN_MS, Moment, Now,
};

use crate::FrameworkErrorKind;
use crate::state::State;
use crate::timers::Timer;
use crate::view::InverseOutcome;

/// Names that one error lists.
const LISTED: usize = 5;

impl State {
    /// A framework answers requests. What is wrong with a name is told by name; the others are recorded.
    pub fn inverse_reply(&mut self, now: Now, framework: &FrameworkId, reply: InverseReply) {
        let InverseReply { offers, answer, message, filter } = reply;
        let mut wrong: BTreeMap<Wrong, Vec<InverseOfferId>> = BTreeMap::new();
        for id in offers {
            if let Err(what) = self.check_inverse(framework, &id) {
                wrong.entry(what).or_default().push(id);
                continue;
            }
            let again = filter.map(|filter| now.mono + filter.refuse_ms.clamp(MIN_ASK_AGAIN_MS, MAX_REFUSE_MS));
            let Some(open) = self.inverse.open.get_mut(&id) else { continue };
            open.outcome = match answer {
                InverseAnswer::Accepted => InverseOutcome::Accepted { at: now.unix, message: message.clone() },
                InverseAnswer::Declined => InverseOutcome::Declined { at: now.unix, message: message.clone() },
            };
            let view = open.view();
            if let Some(before) = std::mem::replace(&mut open.ask_again, again) {
                self.timers.remove(&(before, Timer::AskAgain(id.clone())));
            }
            if let Some(at) = again {
                self.start_timer(at, Timer::AskAgain(id));
            }
            self.touched.inverse(view);
        }
        let Some(session) = self.frameworks.get(framework).and_then(|f| f.session) else { return };
        for (what, ids) in wrong {
            self.framework_error(session, what.kind(), what.message(&ids), false);
        }
    }

    fn check_inverse(&self, framework: &FrameworkId, id: &InverseOfferId) -> Result<(), Wrong> {
        match self.inverse.open.get(id) {
            Some(open) if open.framework == *framework => Ok(()),
            Some(_) => Err(Wrong::Foreign),
            None => match id.number() {
                Some((epoch, number)) if epoch < self.epoch.0 && epoch > 0 && number > 0 => Err(Wrong::Stale),
                Some((epoch, number)) if epoch == self.epoch.0 && (1..=self.inverse.next).contains(&number) => {
                    Err(Wrong::Stale)
                }
                _ => Err(Wrong::Unknown),
            },
        }
    }

    /// The time a framework asked for has passed and its tasks are still there: it is asked again.
    pub fn ask_again(&mut self, at: Moment, id: &InverseOfferId) {
        let Some(open) = self.inverse.open.get_mut(id).filter(|open| open.ask_again == Some(at)) else { return };
        open.ask_again = None;
        open.outcome = InverseOutcome::Outstanding;
        let (view, framework, offer) = (open.view(), open.framework.clone(), open.offer.clone());
        self.touched.inverse(view);
        self.tell_inverse(&framework, vec![offer]);
    }
}

/// What is wrong with the name of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    Unknown,
    Stale,
    Foreign,
}

impl Wrong {
    fn kind(self) -> FrameworkErrorKind {
        match self {
            Self::Unknown => FrameworkErrorKind::UnknownInverseOffer,
            Self::Stale => FrameworkErrorKind::StaleInverseOffer,
            Self::Foreign => FrameworkErrorKind::Forbidden,
        }
    }

    fn message(self, ids: &[InverseOfferId]) -> String {
        let listed = ids.iter().take(LISTED).map(InverseOfferId::as_str).collect::<Vec<_>>().join(", ");
        let more = if ids.len() > LISTED { format!(" and {} more", ids.len() - LISTED) } else { String::new() };
        let what = match self {
            Self::Unknown => "no master ever made that; use the ids of the inverse offers that were received",
            Self::Stale => "it is over, or was made by an earlier master; what still holds is sent again by itself",
            Self::Foreign => "it was made for another framework; answer your own only",
        };
        format!("inverse_reply.inverse_offer_ids: {listed}{more}: {what}")
    }
}
