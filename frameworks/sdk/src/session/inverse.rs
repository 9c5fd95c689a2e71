//! Inverse offers: handed out once the present state of the tasks is known, answered when the scheduler did.

use std::collections::BTreeMap;

use proffer_proto_model as model;
use proffer_proto_model::{Filter, InverseAnswer, InverseEnd, InverseOfferId, Now};

use super::connection::Phase;
use super::{CALL_ENTRIES, Call, End, Session, SessionFrame};
use crate::outgoing::shorten_text;
use crate::{Event, InverseOffer, Scheduler};

impl<S: Scheduler> Session<S> {
    pub(super) fn on_inverse_offers(
        &mut self,
        now: Now,
        offers: Vec<model::InverseOffer>,
        frame: &mut SessionFrame,
    ) -> Result<(), End> {
        match &mut self.phase {
            Phase::Down | Phase::Subscribing => return Ok(()),
            Phase::Reconciling(reconciling) => {
                reconciling.held_inverse.extend(offers);
                return Ok(());
            }
            Phase::Ready => {}
        }
        // The same may come again: whoever asked for that is to hear it.
        self.open_inverse.extend(offers.iter().map(|offer| offer.id.clone()));
        let offers: Vec<_> = offers.into_iter().map(|offer| InverseOffer::new(offer, self.outbox.clone())).collect();
        if offers.is_empty() { Ok(()) } else { self.deliver(now, Event::InverseOffers(offers), frame) }
    }

    pub(super) fn on_rescind_inverse(
        &mut self,
        now: Now,
        mut offers: Vec<InverseOfferId>,
        end: InverseEnd,
        frame: &mut SessionFrame,
    ) -> Result<(), End> {
        if let Phase::Reconciling(reconciling) = &mut self.phase {
            reconciling.held_inverse.retain(|held| !offers.contains(&held.id));
        }
        offers.retain(|offer| self.open_inverse.remove(offer));
        if offers.is_empty() { Ok(()) } else { self.deliver(now, Event::InverseRescinded { offers, end }, frame) }
    }

    /// Turns answers into calls: the same words in one. What is over meanwhile needs no answer any more.
    pub(super) fn answer_inverse(&mut self, frame: &mut SessionFrame) {
        type Words = (InverseAnswer, String, Option<u64>);
        let mut replies: BTreeMap<Words, Vec<InverseOfferId>> = BTreeMap::new();
        for model::InverseReply { offers, answer, message, filter } in self.outbox.take_inverse() {
            let open = offers.into_iter().filter(|offer| self.open_inverse.contains(offer));
            let words = (answer, shorten_text(message), filter.map(|filter| filter.refuse_ms));
            replies.entry(words).or_default().extend(open);
        }
        for ((answer, message, refuse_ms), offers) in replies {
            for offers in offers.chunks(CALL_ENTRIES) {
                let filter = refuse_ms.map(|refuse_ms| Filter { refuse_ms });
                let (offers, message) = (offers.to_vec(), message.clone());
                frame.send.push(Call::InverseReply(model::InverseReply { offers, answer, message, filter }));
            }
        }
    }
}
