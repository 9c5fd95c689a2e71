//! Which windows an agent is in, and when it is not there next. Offers say so; when it changes they are made anew.

use proffer_proto_model::{AgentId, Now, RescindReason, Unavailability, UnixMillis};

use crate::registry::{WindowId, WindowRecord};
use crate::state::State;

impl State {
    /// The windows an agent is in, by their start.
    pub fn windows_of(&self, agent: &AgentId) -> impl Iterator<Item = &WindowRecord> {
        let named = self.calendar.get(agent).into_iter().flatten();
        named.filter_map(|(_, window)| self.windows.get(window))
    }

    /// The first window of an agent that goes on between these times. Its windows do not overlap: looking back from the
    /// end, the first that was over by the start is the last to look at.
    pub(super) fn window_between(&self, agent: &AgentId, start: UnixMillis, end: UnixMillis) -> Option<&WindowId> {
        let before_end = self.calendar.get(agent)?.range(..(end, WindowId(String::new()))).rev();
        let windows = before_end.filter_map(|(_, window)| self.windows.get(window));
        windows.take_while(|window| window.end() > start).last().map(|window| &window.id)
    }

    /// When an agent is not there next: the first window to come that drains it.
    ///
    /// One that is open says nothing: the agent is not offered in it, or an operator wants it to be.
    pub fn unavailability(&self, agent: &AgentId) -> Option<Unavailability> {
        let next = self.windows_of(agent).find(|window| !window.is_open() && window.is_drain())?;
        Some(Unavailability { start: next.start, duration_ms: next.duration_ms })
    }

    /// A window is known; the same again changes nothing.
    pub(super) fn note_window(&mut self, window: &WindowRecord) {
        for agent in &window.agents {
            let entry = (window.start, window.id.clone());
            self.calendar.entry(agent.clone()).or_default().insert(entry);
        }
    }

    /// An agent is in a window no more.
    pub(super) fn leave_window(&mut self, window: &WindowRecord, agent: &AgentId) {
        let Some(entries) = self.calendar.get_mut(agent) else { return };
        entries.remove(&(window.start, window.id.clone()));
        if entries.is_empty() {
            self.calendar.remove(agent);
        }
    }

    /// Withdraws the offers that say something else than is planned now, and looks at who is asked to leave.
    pub(super) fn replan(&mut self, now: Now, agents: &[AgentId]) {
        for id in agents {
            let Some(agent) = self.agents.get(id) else { continue };
            let planned = self.unavailability(id);
            let is_old = |offer: &&proffer_proto_model::OfferId| {
                self.offers.get(offer).is_some_and(|open| open.offer.unavailability != planned)
            };
            let old: Vec<_> = agent.offers.iter().filter(is_old).cloned().collect();
            for offer in old {
                self.rescind(now, &offer, RescindReason::AgentChanged);
            }
            self.look_at(id);
        }
    }
}
