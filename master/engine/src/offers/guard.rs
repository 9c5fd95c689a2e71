//! Keeps one framework from costing the others.
//!
//! Whoever lets offers expire gets none for a while, longer each time, then one that expires soon, and more again as it
//! answers. Whoever
//! gives the same agent back unused again and again waits longer each time, whatever its filters say. Nothing here is
//! ever stored.

use std::collections::BTreeSet;

use proffer_proto_model::{AgentId, FrameworkId, Moment, Now, OfferId};

use super::rows::Rows;
use crate::state::State;
use crate::timers::Timer;

/// So many unused returns of an agent in a row are free: its rest may be of use at once.
const FREE_RETURNS: u32 = 3;
/// The filter that the first return after those gets at least; each further one doubles it.
const FIRST_FLOOR_MS: u64 = 10;
/// The longest such filter.
const MOST_FLOOR_MS: u64 = 1_000;
/// How long whoever lets an offer expire gets none; each further time doubles it.
const FIRST_PAUSE_MS: u64 = 5_000;
/// So often it is doubled at most: up to 320 s.
const MOST_DOUBLINGS: u32 = 6;
/// The offer after a pause expires in this part of the usual time: a role's share of a small cluster is not held for
/// longer than it is free.
const PROBE_PART: u64 = 6;

/// What is remembered of how a framework answers.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Most offers it may have while it is not trusted; `None` when it may have as many as any.
    most_offers: Option<usize>,
    /// Gets none until then.
    paused_until: Option<Moment>,
    /// Pauses since it answered last.
    pauses: u32,
    rows: Rows,
}

impl Guard {
    /// Most offers the framework may have now.
    pub fn most_offers(&self, of_any: usize) -> usize {
        self.most_offers.unwrap_or(of_any).min(of_any)
    }

    /// How long an offer may stay unanswered, when it is `usual_ms` for others.
    pub fn offer_timeout_ms(&self, usual_ms: u64) -> u64 {
        if self.pauses > 0 { usual_ms.div_ceil(PROBE_PART) } else { usual_ms }
    }

    /// The least filter of an agent that comes back unused.
    fn floor_ms(&mut self, agent: &AgentId, now: Moment, asked_ms: u64) -> u64 {
        if asked_ms >= MOST_FLOOR_MS {
            self.rows.forget(agent);
            return asked_ms;
        }
        let returns = self.rows.count(agent, now);
        let Some(doublings) = returns.checked_sub(FREE_RETURNS + 1) else { return asked_ms };
        let floor_ms = FIRST_FLOOR_MS << doublings.min(16);
        asked_ms.max(floor_ms.min(MOST_FLOOR_MS))
    }
}

impl State {
    /// How long an agent that comes back unused is kept away, when `asked_ms` is what the framework asked for.
    pub fn return_filter_ms(&mut self, now: Now, framework: &FrameworkId, agent: &AgentId, asked_ms: u64) -> u64 {
        let Some(framework) = self.frameworks.get_mut(framework) else { return asked_ms };
        framework.guard.floor_ms(agent, now.mono, asked_ms)
    }

    /// A framework launched something on an agent: its returns do not count any more.
    pub fn used_agent(&mut self, framework: &FrameworkId, agent: &AgentId) {
        if let Some(framework) = self.frameworks.get_mut(framework) {
            framework.guard.rows.forget(agent);
        }
    }

    /// A framework let an offer expire: it gets none for a while.
    pub fn offer_unanswered(&mut self, now: Now, id: &FrameworkId) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let guard = &mut framework.guard;
        if guard.paused_until.is_some() {
            return;
        }
        let until = now.mono + (FIRST_PAUSE_MS << guard.pauses.min(MOST_DOUBLINGS));
        guard.pauses = guard.pauses.saturating_add(1);
        guard.paused_until = Some(until);
        self.start_timer(until, Timer::EndPause(id.clone()));
        self.set_most_offers(id, Some(0));
        self.hasten_offers(now, id);
    }

    /// Some of these was held for so long without an answer that leaving now is no better than letting it expire.
    pub fn is_any_kept_waiting(&self, now: Now, offers: &BTreeSet<OfferId>) -> bool {
        let patience_ms = self.config.offer_timeout_ms.div_ceil(PROBE_PART);
        let mut open = offers.iter().filter_map(|id| self.offers.get(id));
        open.any(|open| now.mono.since_ms(open.sent.mono) >= patience_ms)
    }

    /// What a framework that does not answer got a moment ago is not held for the usual time either.
    fn hasten_offers(&mut self, now: Now, id: &FrameworkId) {
        let Some(framework) = self.frameworks.get(id) else { return };
        let soon = now.mono + framework.guard.offer_timeout_ms(self.config.offer_timeout_ms);
        for offer in framework.offers.clone() {
            let Some(open) = self.offers.get_mut(&offer).filter(|open| open.expires > soon) else { continue };
            let usual = std::mem::replace(&mut open.expires, soon);
            self.timers.remove(&(usual, Timer::OfferExpires(offer.clone())));
            self.start_timer(soon, Timer::OfferExpires(offer));
        }
    }

    /// Time is over for a pause.
    pub fn end_pause(&mut self, at: Moment, id: &FrameworkId) {
        if self.frameworks.get(id).is_some_and(|framework| framework.guard.paused_until == Some(at)) {
            self.framework_returned(id);
        }
    }

    /// A framework in a pause gets another chance: one offer.
    pub fn framework_returned(&mut self, id: &FrameworkId) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        if let Some(until) = framework.guard.paused_until.take() {
            self.timers.remove(&(until, Timer::EndPause(id.clone())));
            self.set_most_offers(id, Some(1));
        }
    }

    /// A framework answered so many offers: one that is not trusted may have so many more.
    pub fn offers_answered(&mut self, id: &FrameworkId, count: usize) {
        if count == 0 {
            return;
        }
        self.framework_returned(id);
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        framework.guard.pauses = 0;
        if let Some(most) = framework.guard.most_offers {
            let most = Some(most.saturating_add(count));
            self.set_most_offers(id, most.filter(|most| *most < self.config.max_offers_per_framework));
        }
    }

    fn set_most_offers(&mut self, id: &FrameworkId, most: Option<usize>) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        if framework.guard.most_offers != most {
            framework.guard.most_offers = most;
            self.allocator.limit_grants(id, most.unwrap_or(self.config.max_offers_per_framework));
            self.touched.framework(id);
        }
    }
}
