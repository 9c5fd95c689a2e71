//! Maintenance windows: at its start a window takes its agents out of work, at its end it gives back those it took.
//!
//! Each step is stored with what it changed, so that a new master goes on where the last one was. Nothing here reads a
//! clock: the wall clock comes with each input, and is looked at again at least once a minute, since it may be set.

mod calendar;
pub(crate) mod window;

use std::collections::BTreeSet;

use proffer_proto_model::{AgentId, Now, UnixMillis};

use crate::agents::mode::AgentMode;
use crate::registry::{Operation, WindowAction, WindowId, WindowRecord};
use crate::state::State;
use crate::timers::Timer;
use crate::{AgentCommand, Consequences, Effect, FatalError};

/// The wall clock is looked at again after this time at the latest.
const LOOK_MS: u64 = 60_000;
/// Longest window: what is longer is a mistake, or an agent to be removed.
const MAX_DURATION_MS: u64 = 366 * 86_400_000;
/// How far ahead a window may be planned.
const MAX_AHEAD_MS: u64 = 5 * 366 * 86_400_000;
/// Most windows at a time.
const MAX_WINDOWS: usize = 10_000;

/// What an operator can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaintenanceCommand {
    /// Plans a window.
    Schedule {
        /// Which agents.
        agents: Vec<AgentId>,
        /// When it begins; `None` is now.
        start: Option<UnixMillis>,
        /// How long it lasts, in milliseconds.
        duration_ms: u64,
        /// What becomes of the agents.
        action: WindowAction,
    },
    /// Takes a window back; one that is open ends now.
    Remove(WindowId),
}

impl State {
    /// An operator's command.
    pub fn operator_maintenance(&mut self, now: Now, request: u64, command: MaintenanceCommand) {
        let result = self.check_maintenance(now, &command);
        if result.is_ok() {
            match command {
                MaintenanceCommand::Schedule { agents, start, duration_ms, action } => {
                    self.schedule_window(now, agents, start, duration_ms, action);
                }
                MaintenanceCommand::Remove(id) => self.end_window(now, &id),
            }
        }
        self.maintain(now);
        self.send.push(Effect::OperatorReply { request, result });
    }

    /// What comes of it, or why it cannot be.
    pub fn check_maintenance(&self, now: Now, command: &MaintenanceCommand) -> Result<Consequences, FatalError> {
        match command {
            MaintenanceCommand::Schedule { agents, start, duration_ms, action } => {
                self.check_window(now, agents, *start, *duration_ms)?;
                let known = agents.iter().filter_map(|id| self.agents.get(id));
                let is_drain = matches!(action, WindowAction::Drain { .. });
                Ok(Consequences {
                    tasks: if is_drain { agents.iter().map(|id| self.living_on(id)).sum() } else { 0 },
                    offers: known.map(|agent| agent.offers.len()).sum(),
                    ..Consequences::default()
                })
            }
            MaintenanceCommand::Remove(id) if self.windows.contains_key(id) => Ok(Consequences::default()),
            MaintenanceCommand::Remove(id) => {
                let message = format!("window_id: there is no window {id}; see `proffer maintenance ls`");
                Err(FatalError { is_not_found: true, message })
            }
        }
    }

    fn check_window(
        &self,
        now: Now,
        agents: &[AgentId],
        start: Option<UnixMillis>,
        duration_ms: u64,
    ) -> Result<(), FatalError> {
        if self.windows.len() >= MAX_WINDOWS {
            return Err(refused(format!(
                "there are {MAX_WINDOWS} windows already; take some back first with `proffer maintenance remove`"
            )));
        }
        let start = start.unwrap_or(now.unix);
        check_times(now, start, duration_ms)?;
        let unique: BTreeSet<AgentId> = agents.iter().cloned().collect();
        if unique.is_empty() || unique.len() < agents.len() {
            return Err(refused("agent_ids: none or one twice; name at least one agent, and each once".to_owned()));
        }
        for id in &unique {
            let Some(agent) = self.agents.get(id) else {
                let message = format!("agent_ids: there is no agent {id}; see `proffer agents`");
                return Err(FatalError { is_not_found: true, message });
            };
            if agent.record.mode.is_gone() {
                return Err(refused(format!("agent_ids: {id} is gone for good; leave it out")));
            }
        }
        let end = UnixMillis(start.0.saturating_add(duration_ms));
        if let Some((agent, other)) = unique.iter().find_map(|id| Some((id, self.window_between(id, start, end)?))) {
            return Err(refused(format!(
                "agent_ids: agent {agent} is in window {other} at that time already; choose another time, or take that one back \
                 with `proffer maintenance remove {other}`"
            )));
        }
        Ok(())
    }

    /// What was checked.
    fn schedule_window(
        &mut self,
        now: Now,
        agents: Vec<AgentId>,
        start: Option<UnixMillis>,
        duration_ms: u64,
        action: WindowAction,
    ) {
        let id = loop {
            self.next_window += 1;
            let id = WindowId(format!("M{}-{}", self.epoch.0, self.next_window));
            if !self.windows.contains_key(&id) {
                break id;
            }
        };
        let agents: Vec<AgentId> = agents.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let start = start.unwrap_or(now.unix);
        self.put_window(WindowRecord { id, agents: agents.clone(), start, duration_ms, action, taken: None });
        self.replan(now, &agents);
    }

    /// Begins and ends the windows that are due, and sets when to look again.
    pub fn maintain(&mut self, now: Now) {
        let ended = self.windows.values().filter(|window| window.end() <= now.unix);
        for id in ended.map(|window| window.id.clone()).collect::<Vec<_>>() {
            self.end_window(now, &id);
        }
        let due = self.windows.values().filter(|window| !window.is_open() && window.start <= now.unix);
        for id in due.map(|window| window.id.clone()).collect::<Vec<_>>() {
            self.begin_window(now, &id);
        }
        if let Some(at) = self.maintain_at.take() {
            self.timers.remove(&(at, Timer::Maintenance));
        }
        let near = self.windows.values().filter(|window| self.is_near(now, window));
        let agents: BTreeSet<AgentId> = near.flat_map(|window| window.agents.iter().cloned()).collect();
        agents.iter().for_each(|agent| self.look_at(agent));
        let edges = self.windows.values().map(|window| self.next_edge(now, window));
        if let Some(edge) = edges.min() {
            let at = now.mono + edge.0.saturating_sub(now.unix.0).min(LOOK_MS);
            self.maintain_at = Some(at);
            self.start_timer(at, Timer::Maintenance);
        }
    }

    /// When something happens to a window next: its notice, its start or its end.
    fn next_edge(&self, now: Now, window: &WindowRecord) -> UnixMillis {
        if window.is_open() {
            return window.end();
        }
        let notice = UnixMillis(window.start.0.saturating_sub(self.config.maintenance_notice_ms));
        if notice > now.unix { notice } else { window.start }
    }

    fn begin_window(&mut self, now: Now, id: &WindowId) {
        let Some(mut record) = self.windows.get(id).cloned() else { return };
        let mut taken = Vec::new();
        for agent in &record.agents {
            let Some(mode) = self.agents.get(agent).map(|agent| agent.record.mode) else { continue };
            let command = match record.action {
                WindowAction::Drain { max_grace_ms } => AgentCommand::Drain { max_grace_ms, mark_gone: false },
                WindowAction::Deactivate => AgentCommand::Deactivate,
            };
            // What an operator asked for before stays as it is, also after the window.
            let is_idle = !matches!(mode, AgentMode::Active | AgentMode::Deactivated);
            if !is_idle && self.agent_command(now, agent, command).is_ok() && mode == AgentMode::Active {
                taken.push(agent.clone());
            }
        }
        record.taken = Some(taken);
        let agents = record.agents.clone();
        self.put_window(record);
        self.replan(now, &agents);
    }

    /// Gives back the agents it took, as far as nobody wanted something else of them meanwhile, and forgets it.
    fn end_window(&mut self, now: Now, id: &WindowId) {
        let Some(record) = self.windows.remove(id) else { return };
        record.agents.iter().for_each(|agent| self.leave_window(&record, agent));
        self.replan(now, &record.agents);
        self.store.push(Operation::DeleteWindow(id.clone()));
        self.touched.window_forgotten(id);
        for agent in record.taken.unwrap_or_default() {
            let command = match self.agents.get(&agent).map(|agent| agent.record.mode) {
                Some(AgentMode::Draining(_)) => AgentCommand::CancelDrain,
                Some(AgentMode::Drained | AgentMode::Deactivated) => AgentCommand::Reactivate,
                Some(AgentMode::Active | AgentMode::Gone) | None => continue,
            };
            // Each of these is legal in the mode it is chosen for.
            let _ = self.agent_command(now, &agent, command);
        }
    }

    /// An agent is forgotten: no window is about it any more.
    pub fn drop_from_windows(&mut self, agent: &AgentId) {
        let named: Vec<WindowRecord> = self.windows.values().filter(|w| w.agents.contains(agent)).cloned().collect();
        for mut record in named {
            self.leave_window(&record, agent);
            record.agents.retain(|other| other != agent);
            if let Some(taken) = record.taken.as_mut() {
                taken.retain(|other| other != agent);
            }
            if record.agents.is_empty() {
                self.windows.remove(&record.id);
                self.store.push(Operation::DeleteWindow(record.id.clone()));
                self.touched.window_forgotten(&record.id);
            } else {
                self.put_window(record);
            }
        }
    }

    /// Takes in a window that is stored.
    pub fn recover_window(&mut self, record: WindowRecord) {
        self.touched.window(&record.id);
        self.note_window(&record);
        self.windows.insert(record.id.clone(), record);
    }

    fn put_window(&mut self, record: WindowRecord) {
        self.store.push(Operation::PutWindow(record.clone()));
        self.touched.window(&record.id);
        self.note_window(&record);
        self.windows.insert(record.id.clone(), record);
    }
}

fn check_times(now: Now, start: UnixMillis, duration_ms: u64) -> Result<(), FatalError> {
    if start < now.unix {
        let late_s = (now.unix.0 - start.0) / 1_000;
        return Err(refused(format!("start_unix_ms: that was {late_s} s ago; give a time to come, or `now`")));
    }
    if start.0 - now.unix.0 > MAX_AHEAD_MS {
        return Err(refused("start_unix_ms: is more than five years ahead; give an earlier time".to_owned()));
    }
    if duration_ms == 0 || duration_ms > MAX_DURATION_MS {
        return Err(refused(
            "duration_ms: is nothing or too long; give more than nothing and at most 366 days".to_owned(),
        ));
    }
    Ok(())
}

fn refused(message: String) -> FatalError {
    FatalError { is_not_found: false, message }
}
