//! Operators change what an agent is for: no new work, emptied, back again, gone. Each is stored before it is answered;
//! kills are repeated whenever the agent attaches, so that neither a new master nor an absent agent ends a drain.

use std::collections::BTreeSet;

use proffer_proto_model::task::KillPolicy;
use proffer_proto_model::{AgentId, Now, RescindReason, TaskKey, TaskReason, TaskState, Volume};

use super::mode::{AgentMode, Drain};
use crate::registry::Operation;
use crate::state::State;
use crate::{Consequences, Effect, FatalError, ToAgent, VolumeName};

/// What an operator can ask of one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentCommand {
    /// No new work, and end all that runs there.
    Drain {
        /// Bounds each task's own grace, in milliseconds.
        max_grace_ms: Option<u64>,
        /// Mark it gone once it is empty.
        mark_gone: bool,
    },
    /// No new work; what runs goes on.
    Deactivate,
    /// Ends a drain that is under way: the agent is what it was before. Takes no kill back.
    CancelDrain,
    /// Work again for one that is deactivated or drained.
    Reactivate,
    /// It never comes back, and nothing runs there any more.
    MarkGone,
}

impl State {
    /// An operator's command. The same again changes nothing and succeeds.
    pub fn operator_agent(&mut self, now: Now, request: u64, id: &AgentId, command: AgentCommand) {
        let result = self.check_agent_command(now, id, command);
        let result = result.and_then(|what| self.agent_command(now, id, command).map(|()| what));
        self.send.push(Effect::OperatorReply { request, result });
    }

    /// What comes of it, or why it makes no sense.
    pub fn check_agent_command(
        &self,
        now: Now,
        id: &AgentId,
        command: AgentCommand,
    ) -> Result<Consequences, FatalError> {
        let Some(agent) = self.agents.get(id) else { return Err(unknown(id)) };
        let (mode, next) = (agent.record.mode, next_mode(now, id, agent.record.mode, command)?);
        if next == mode {
            return Ok(Consequences::so_already());
        }
        let name = |volume: &Volume| VolumeName { agent: id.clone(), role: volume.role.clone(), id: volume.id.clone() };
        Ok(Consequences {
            tasks: if next.is_emptied() || next.is_gone() { self.living_on(id) } else { 0 },
            offers: if next.is_offered() { 0 } else { agent.offers.len() },
            volumes: match next.is_gone() {
                true => agent.record.kept_volumes().map(|known| name(&known.volume)).collect(),
                false => BTreeSet::new(),
            },
            ..Consequences::default()
        })
    }

    /// Does what is asked, or says why it makes no sense.
    pub fn agent_command(&mut self, now: Now, id: &AgentId, command: AgentCommand) -> Result<(), FatalError> {
        let Some(mode) = self.agents.get(id).map(|agent| agent.record.mode) else { return Err(unknown(id)) };
        let next = next_mode(now, id, mode, command)?;
        if next == mode {
            return Ok(());
        }
        if next.is_gone() {
            self.agent_gone(now, id);
        } else {
            self.set_mode(now, id, next);
        }
        Ok(())
    }

    /// Stores the mode and does what follows from it.
    fn set_mode(&mut self, now: Now, id: &AgentId, mode: AgentMode) {
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.record.mode = mode;
        let (is_attached, offers) = (agent.session.is_some(), agent.offers.clone());
        self.store.push(Operation::PutAgent(Box::new(agent.record.clone())));
        self.touched.agent(id);
        self.allocator.set_agent_active(id, is_attached && mode.is_offered());
        if !mode.is_offered() {
            for offer in offers {
                self.rescind(now, &offer, RescindReason::Operator);
            }
        }
        self.look_at(id);
        self.draining.remove(id);
        if let AgentMode::Draining(_) = mode {
            self.draining.insert(id.clone());
        }
        self.look_at(id);
        self.kill_for_drain(id);
    }

    /// Ends all that lives on an agent that shall be empty; nothing on any other.
    pub fn kill_for_drain(&mut self, id: &AgentId) {
        let Some(agent) = self.agents.get(id).filter(|agent| agent.record.mode.is_emptied()) else { return };
        let (bound, tasks) = (agent.record.mode.max_grace_ms(), agent.tasks.clone());
        for key in &tasks {
            self.drain_task(id, key, bound);
        }
    }

    fn drain_task(&mut self, id: &AgentId, key: &TaskKey, bound: Option<u64>) {
        let Some(task) = self.tasks.get(key).filter(|task| !task.record.status.state.is_terminal()) else { return };
        let own = task.kill_policy.unwrap_or(task.record.spec.kill_policy).grace_ms;
        let policy = Some(KillPolicy { grace_ms: bound.map_or(own, |bound| bound.min(own)) });
        let (framework, task, reason) = (key.framework.clone(), key.task.clone(), TaskReason::AgentDraining);
        self.tell_agent(id, ToAgent::Kill { framework, task, policy, reason });
    }

    /// Agents under drain that are empty now are drained, or gone when that was asked for.
    pub fn settle_drains(&mut self, now: Now) {
        if self.draining.is_empty() {
            return;
        }
        for id in self.draining.clone() {
            let Some(agent) = self.agents.get(&id) else {
                self.draining.remove(&id);
                continue;
            };
            let AgentMode::Draining(drain) = agent.record.mode else { continue };
            let has_ended = |key: &TaskKey| self.tasks.get(key).is_none_or(|t| t.record.status.state.is_terminal());
            if drain.mark_gone && agent.tasks.is_empty() {
                self.agent_gone(now, &id);
            } else if !drain.mark_gone && agent.tasks.iter().all(has_ended) {
                self.set_mode(now, &id, AgentMode::Drained);
            }
        }
    }

    /// The agent is gone for good: stored, its stream ended, its tasks with it. Its id is never let in again.
    fn agent_gone(&mut self, now: Now, id: &AgentId) {
        let session = self.agents.get(id).and_then(|agent| agent.session);
        self.fail_awaited(id, &format!("an operator marked agent {id} gone for good, and its volumes with it"));
        if let Some(session) = session {
            let message = ToAgent::Refused { message: told_gone(id), is_final: true };
            self.send.push(Effect::ToAgent { session, message });
            self.send.push(Effect::Close { session });
        }
        self.detach_agent(now, id);
        self.end_silence(id);
        let Some(agent) = self.agents.get_mut(id) else { return };
        agent.lost_at = None;
        agent.record.is_unreachable = true;
        agent.record.mode = AgentMode::Gone;
        agent.record.pools.clear();
        agent.record.volumes.clear();
        let hostname = agent.record.info.hostname.clone();
        self.store.push(Operation::PutAgent(Box::new(agent.record.clone())));
        self.draining.remove(id);
        let message = format!("agent {id} ({hostname}) was marked gone by an operator");
        self.end_tasks_of_gone(now, id, TaskState::GoneByOperator, &message);
        self.count_kept(id);
        self.allocator.remove_agent(id);
        self.tell_agent_lost(id, &hostname);
        self.touched.agent(id);
    }
}

fn unknown(id: &AgentId) -> FatalError {
    FatalError { is_not_found: true, message: format!("agent_id: there is no agent {id}; see `proffer agents`") }
}

/// The mode a command leads to, or why it makes no sense now.
fn next_mode(now: Now, id: &AgentId, mode: AgentMode, command: AgentCommand) -> Result<AgentMode, FatalError> {
    let refused = |message: String| Err(FatalError { is_not_found: false, message });
    Ok(match (mode, command) {
        (AgentMode::Gone, AgentCommand::MarkGone | AgentCommand::Drain { mark_gone: true, .. }) => AgentMode::Gone,
        (AgentMode::Gone, _) => {
            return refused(format!(
                "agent_id: agent {id} is marked gone for good; empty its work directory and start it again, \
                 then it joins as a new agent"
            ));
        }
        (_, AgentCommand::MarkGone) => AgentMode::Gone,
        (AgentMode::Draining(_), AgentCommand::Reactivate) => {
            return refused(format!(
                "agent_id: agent {id} is being drained; cancel that with `proffer drain cancel {id}`, or wait until it is \
                 DRAINED"
            ));
        }
        (_, AgentCommand::Reactivate) => AgentMode::Active,
        (AgentMode::Draining(Drain { was_deactivated: true, .. }), AgentCommand::CancelDrain) => AgentMode::Deactivated,
        (AgentMode::Draining(_), AgentCommand::CancelDrain) => AgentMode::Active,
        (mode, AgentCommand::CancelDrain) => {
            let way_out = match mode {
                AgentMode::Active => format!("to begin one: `proffer drain {id}`"),
                _ => format!("to offer it again: `proffer agents reactivate {id}`"),
            };
            return refused(format!("agent_id: agent {id} is {mode}: no drain is under way; {way_out}"));
        }
        (AgentMode::Active, AgentCommand::Deactivate) => AgentMode::Deactivated,
        (mode, AgentCommand::Deactivate) => mode,
        (AgentMode::Drained, AgentCommand::Drain { mark_gone: false, .. }) => AgentMode::Drained,
        (AgentMode::Draining(old), AgentCommand::Drain { max_grace_ms, mark_gone }) => {
            AgentMode::Draining(Drain { max_grace_ms, mark_gone, ..old })
        }
        (mode, AgentCommand::Drain { max_grace_ms, mark_gone }) => {
            let was_deactivated = mode != AgentMode::Active;
            AgentMode::Draining(Drain { since: now.unix, max_grace_ms, mark_gone, was_deactivated })
        }
    })
}

/// What an agent is told that was marked gone.
pub(super) fn told_gone(id: &AgentId) -> String {
    format!(
        "an operator marked agent {id} gone for good; to use this machine again, stop the agent, empty its work \
         directory and start it: it joins as a new agent"
    )
}
