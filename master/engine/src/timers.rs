//! Everything that happens because time passed. A timer that is out of date when it fires does nothing.

use proffer_proto_model::{AgentId, FrameworkId, InverseOfferId, Moment, Now, OfferId, RescindReason};

use crate::state::State;
use crate::{ToAgent, ToFramework};

/// What is due at a moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Withdraw an offer.
    OfferExpires(OfferId),
    /// Ping an agent.
    Ping(AgentId),
    /// See whether an agent was heard of.
    AgentLost(AgentId),
    /// Tell a framework that the master lives.
    Heartbeat(FrameworkId),
    /// Offer something again to a framework that let offers expire.
    EndPause(FrameworkId),
    /// Remove a framework that did not come back.
    RemoveFramework(FrameworkId),
    /// Ask a framework again to leave an agent.
    AskAgain(InverseOfferId),
    /// Look whether a role is short of its guarantee.
    Preempt,
    /// Begin and end maintenance windows.
    Maintenance,
    /// Declare agents unreachable that had to wait for it.
    DeclareSilent,
}

impl State {
    /// When something is due next.
    pub fn next_deadline(&self) -> Option<Moment> {
        let own = self.timers.first().map(|timer| timer.0);
        own.into_iter().chain(self.allocator.next_deadline()).min()
    }

    /// Does all that is due.
    pub fn fire_timers(&mut self, now: Now) {
        while let Some((at, _)) = self.timers.first()
            && *at <= now.mono
        {
            let Some((at, timer)) = self.timers.pop_first() else { return };
            match timer {
                Timer::OfferExpires(offer) => self.rescind(now, &offer, RescindReason::Expired),
                Timer::Ping(agent) => self.ping(now, &agent),
                Timer::AgentLost(agent) => self.check_agent(now, at, &agent),
                Timer::Heartbeat(framework) => self.heartbeat(now, &framework),
                Timer::EndPause(framework) => self.end_pause(at, &framework),
                Timer::AskAgain(offer) => self.ask_again(at, &offer),
                Timer::Preempt => self.preempt(now),
                Timer::Maintenance => self.maintain(now),
                Timer::DeclareSilent => self.declare_silent(now),
                Timer::RemoveFramework(framework) => self.check_removal(now, at, &framework),
            }
        }
    }

    /// Starts a timer.
    pub fn start_timer(&mut self, at: Moment, timer: Timer) {
        self.timers.insert((at, timer));
    }

    /// Sets when the agent counts as lost if nothing is heard of it.
    pub fn expect_agent(&mut self, now: Now, id: &AgentId) {
        self.end_silence(id);
        let at = now.mono + self.config.agent_timeout_ms;
        let Some(agent) = self.agents.get_mut(id) else { return };
        if let Some(old) = agent.lost_at.replace(at) {
            self.timers.remove(&(old, Timer::AgentLost(id.clone())));
        }
        self.start_timer(at, Timer::AgentLost(id.clone()));
    }

    /// Starts the repeated pings of an agent's stream, or the next one.
    pub fn start_pings(&mut self, now: Now, id: &AgentId) {
        self.stop_pings(id);
        let at = now.mono + self.config.heartbeat_interval_ms;
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.ping_at = Some(at);
        self.start_timer(at, Timer::Ping(id.clone()));
    }

    /// Stops the repeated pings of an agent's stream.
    pub fn stop_pings(&mut self, id: &AgentId) {
        if let Some(at) = self.agents.get_mut(id).and_then(|agent| agent.ping_at.take()) {
            self.timers.remove(&(at, Timer::Ping(id.clone())));
        }
    }

    /// Starts the repeated heartbeats of a framework's stream, or the next one.
    pub fn start_heartbeats(&mut self, now: Now, id: &FrameworkId) {
        self.stop_heartbeats(id);
        let at = now.mono + self.config.heartbeat_interval_ms;
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        framework.heartbeat_at = Some(at);
        self.start_timer(at, Timer::Heartbeat(id.clone()));
    }

    /// Stops the repeated heartbeats of a framework's stream.
    pub fn stop_heartbeats(&mut self, id: &FrameworkId) {
        if let Some(at) = self.frameworks.get_mut(id).and_then(|framework| framework.heartbeat_at.take()) {
            self.timers.remove(&(at, Timer::Heartbeat(id.clone())));
        }
    }

    fn ping(&mut self, now: Now, agent: &AgentId) {
        if self.agents.get(agent).is_some_and(|a| a.session.is_some()) {
            self.tell_agent(agent, ToAgent::Ping);
            self.start_pings(now, agent);
        }
    }

    fn check_agent(&mut self, now: Now, at: Moment, agent: &AgentId) {
        if self.agents.get(agent).is_some_and(|a| a.lost_at == Some(at)) {
            self.agent_silent(now, agent);
        }
    }

    fn heartbeat(&mut self, now: Now, framework: &FrameworkId) {
        if self.frameworks.get(framework).is_some_and(|f| f.session.is_some()) {
            self.tell_framework(framework, ToFramework::Heartbeat);
            self.start_heartbeats(now, framework);
        }
    }

    fn check_removal(&mut self, now: Now, at: Moment, framework: &FrameworkId) {
        if self.frameworks.get(framework).is_some_and(|f| f.removal_at == Some(at)) {
            self.remove_framework(now, framework);
        }
    }
}
