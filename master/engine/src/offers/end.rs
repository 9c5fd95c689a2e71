//! Offers end: declined, withdrawn, or closed by an accept. Exactly once; afterwards the id means nothing.

use proffer_master_allocator::Closed;
use proffer_proto_model::{
    AgentId, DeclineReason, Filter, FrameworkId, MAX_REFUSE_MS, Now, OfferId, RescindReason, Resources, Role,
};

use crate::state::{OpenOffer, State};
use crate::timers::Timer;
use crate::view::{OfferOutcome, OfferView};
use crate::{Effect, ToFramework};

impl State {
    /// A framework gives offers back. Unknown ones are ignored: they may have ended meanwhile.
    pub fn decline(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        offers: &[OfferId],
        reason: &DeclineReason,
        filter: Filter,
    ) {
        let mut answered = 0;
        for id in offers {
            if self.offers.get(id).is_none_or(|open| open.framework != *framework) {
                continue;
            }
            if let Some((open, closed)) = self.close_offer(now, id, OfferOutcome::Declined(reason.clone())) {
                let refused = closed.resources.saturating_sum(&closed.beside);
                self.return_unused(now, framework, &open.offer.role, &open.offer.agent, refused, filter);
                answered += 1;
            }
        }
        self.offers_answered(framework, answered);
    }

    /// Keeps what came back unused away as long as the framework asked, and longer when it does so again and again.
    pub fn return_unused(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        returned: Resources,
        filter: Filter,
    ) {
        let refuse_ms = self.return_filter_ms(now, framework, agent, filter.refuse_ms);
        self.refuse(now, framework, role, agent, returned, Filter { refuse_ms });
    }

    /// Keeps what was refused away from the framework as long as it asked.
    pub fn refuse(
        &mut self,
        now: Now,
        framework: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        refused: Resources,
        filter: Filter,
    ) {
        let refuse_ms = filter.refuse_ms.min(MAX_REFUSE_MS);
        self.allocator.refuse(framework, role, agent, refused, now.mono, refuse_ms);
    }

    /// Withdraws an offer and says so. Offers withdrawn in a row for the same reason travel in one message.
    pub fn rescind(&mut self, now: Now, id: &OfferId, reason: RescindReason) {
        let Some((open, closed)) = self.close_offer(now, id, OfferOutcome::Rescinded(reason)) else { return };
        if reason == RescindReason::Expired {
            // Whoever does not answer is not asked for the same again at once: others come first.
            let filter = Filter::default();
            let refused = closed.resources.saturating_sum(&closed.beside);
            self.refuse(now, &open.framework, &open.offer.role, &open.offer.agent, refused, filter);
            self.offer_unanswered(now, &open.framework);
        }
        let Some(session) = self.frameworks.get(&open.framework).and_then(|f| f.session) else { return };
        if let Some(Effect::ToFramework { session: last, message: ToFramework::Rescind { offers, reason: same } }) =
            self.send.last_mut()
            && *last == session
            && *same == reason
        {
            offers.push(id.clone());
            return;
        }
        let message = ToFramework::Rescind { offers: vec![id.clone()], reason };
        self.send.push(Effect::ToFramework { session, message });
    }

    /// Ends an offer; all it held is available again. `None` when it has ended already.
    pub fn close_offer(&mut self, now: Now, id: &OfferId, outcome: OfferOutcome) -> Option<(OpenOffer, Closed)> {
        let open = self.offers.remove(id)?;
        self.timers.remove(&(open.expires, Timer::OfferExpires(id.clone())));
        if let Some(agent) = self.agents.get_mut(&open.offer.agent) {
            agent.offers.remove(id);
        }
        if let Some(framework) = self.frameworks.get_mut(&open.framework) {
            framework.offers.remove(id);
        }
        self.uncount_offer_in_roles(&open.offer.role, &open.offer.resources);
        self.touched.agent(&open.offer.agent);
        self.touched.framework(&open.framework);
        self.touched.offer(OfferView {
            offer: open.offer.clone(),
            framework: open.framework.clone(),
            sent: open.sent.unix,
            outcome,
            held_ms: now.mono.since_ms(open.sent.mono),
        });
        let nothing = Closed { resources: open.offer.resources.clone(), beside: Resources::default() };
        let closed = self.allocator.close(open.grant).unwrap_or(nothing);
        Some((open, closed))
    }
}
