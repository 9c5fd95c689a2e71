//! Agents that were not heard of for too long: at most so many a minute are declared unreachable.
//!
//! When many fall silent at once, it is mostly the network and not the machines: their tasks run on. Telling frameworks
//! all at once would start everything a second time on what is left. Offers of a silent agent end at once in any case;
//! and whoever is heard of again while it waits was never lost.

use std::collections::{BTreeSet, VecDeque};

use proffer_proto_model::{AgentId, Moment, Now};

use crate::Effect;
use crate::state::State;
use crate::timers::Timer;

/// The time for which declarations are counted.
const MINUTE_MS: u64 = 60_000;

/// This part of all agents may be declared in a minute, if that is more than the configured number.
const PART: usize = 10;

/// Who is silent and not declared unreachable yet, and what was declared in the last minute.
#[derive(Debug, Default)]
pub(crate) struct Silent {
    /// By when they were given up.
    waiting: BTreeSet<(Moment, AgentId)>,
    /// When agents were declared unreachable, oldest first; no more than may be in a minute.
    declared: VecDeque<Moment>,
    /// The timer that is running.
    timer_at: Option<Moment>,
}

impl Silent {
    /// When the next agent may be declared; `None` for now.
    fn full_until(&mut self, now: Moment, most: usize) -> Option<Moment> {
        while self.declared.front().is_some_and(|at| *at + MINUTE_MS <= now) {
            self.declared.pop_front();
        }
        // The limit shrinks with the cluster: then more than one have to be over.
        let over = self.declared.len().checked_sub(most)?;
        self.declared.get(over).map(|at| *at + MINUTE_MS)
    }
}

impl State {
    /// The agent's time is over: no offers of it any more, and unreachable as soon as there is room for that.
    pub fn agent_silent(&mut self, now: Now, id: &AgentId) {
        let session = self.agents.get(id).and_then(|agent| agent.session);
        self.detach_agent(now, id);
        if let Some(session) = session {
            self.send.push(Effect::Close { session });
        }
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.lost_at = None;
        agent.silent_since = Some(now.mono);
        self.silent.waiting.insert((now.mono, id.clone()));
        self.declare_silent(now);
    }

    /// The agent was heard of, or it is gone for good: it is not silent.
    pub fn end_silence(&mut self, id: &AgentId) {
        if let Some(since) = self.agents.get_mut(id).and_then(|agent| agent.silent_since.take()) {
            self.silent.waiting.remove(&(since, id.clone()));
        }
    }

    /// Whoever is not known to be lost is expected to be heard of, or waits: it is never forgotten.
    pub fn audit_silence(&self, id: &AgentId, broken: &mut Vec<String>) {
        let Some(agent) = self.agents.get(id) else { return };
        let waits = agent.silent_since.is_some_and(|since| self.silent.waiting.contains(&(since, id.clone())));
        let ways = usize::from(agent.record.is_unreachable) + usize::from(agent.lost_at.is_some()) + usize::from(waits);
        if ways != 1 || waits != agent.silent_since.is_some() {
            broken.push(format!("agent {id}: is unreachable, expected or silent in {ways} ways instead of one"));
        }
    }

    /// Declares those unreachable that were silent longest, as many as there is room for.
    pub fn declare_silent(&mut self, now: Now) {
        let most = (self.agents.len() / PART).max(self.config.agent_removals_per_minute.max(1));
        while let Some((since, id)) = self.silent.waiting.first().cloned() {
            if let Some(at) = self.silent.full_until(now.mono, most) {
                if self.silent.timer_at != Some(at) {
                    self.silent.timer_at = Some(at);
                    self.start_timer(at, Timer::DeclareSilent);
                }
                return;
            }
            self.silent.waiting.remove(&(since, id.clone()));
            self.silent.declared.push_back(now.mono);
            if let Some(agent) = self.agents.get_mut(&id) {
                agent.silent_since = None;
            }
            self.agent_unreachable(now, &id);
        }
    }
}
