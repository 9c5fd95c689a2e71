//! Why an agent shall be left, by when, and which tasks that is about. Reads what is there, changes nothing.

use std::collections::BTreeSet;

use proffer_proto_model::{
    AgentId, FrameworkId, InverseCause, InverseEnd, InverseOffer, Now, TaskId, TaskKey, Unavailability, UnixMillis,
};

use crate::agents::mode::{AgentMode, Drain};
use crate::registry::{WindowAction, WindowRecord};
use crate::state::State;

/// Why an agent shall be left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Occasion {
    pub cause: InverseCause,
    pub unavailability: Unavailability,
    pub message: String,
    /// The tasks it is about; `None` for all.
    pub only: Option<BTreeSet<TaskKey>>,
}

impl Occasion {
    /// It is about this task.
    pub fn is_about(&self, framework: &FrameworkId, task: &TaskId) -> bool {
        let key = || TaskKey { framework: framework.clone(), task: task.clone() };
        self.only.as_ref().is_none_or(|only| only.contains(&key()))
    }

    /// A request made before still says what is to be said; else why it is over.
    pub fn goes_on(&self, offer: &InverseOffer, framework: &FrameworkId, living: &[TaskId]) -> Result<(), InverseEnd> {
        let mut in_question = living.iter().filter(|task| self.is_about(framework, task)).peekable();
        let is_same = offer.cause == self.cause && offer.unavailability == self.unavailability;
        if is_same && self.only.is_none() {
            return Ok(());
        }
        if in_question.peek().is_none() {
            return Err(InverseEnd::Cancelled);
        }
        let is_known = in_question.all(|task| offer.tasks.contains(task));
        if is_same && is_known { Ok(()) } else { Err(InverseEnd::Replaced) }
    }
}

impl State {
    /// Why an agent shall be left, when it shall.
    pub fn occasion(&self, now: Now, id: &AgentId) -> Option<Occasion> {
        let mode = self.agents.get(id)?.record.mode;
        match mode {
            AgentMode::Draining(drain) => self.window_that_drains(id).map(maintenance).or_else(|| drained(&drain)),
            AgentMode::Active | AgentMode::Deactivated => {
                self.near_window(now, id).map(maintenance).or_else(|| self.preemption_on(id))
            }
            AgentMode::Drained | AgentMode::Gone => None,
        }
    }

    /// The open window that took the agent.
    fn window_that_drains(&self, id: &AgentId) -> Option<&WindowRecord> {
        let took = |window: &&WindowRecord| window.taken.as_ref().is_some_and(|taken| taken.contains(id));
        self.windows_of(id).find(took)
    }

    /// The next window that will drain the agent, when it begins within the notice.
    fn near_window(&self, now: Now, id: &AgentId) -> Option<&WindowRecord> {
        let next = self.windows_of(id).find(|window| !window.is_open() && window.is_drain())?;
        self.is_near(now, next).then_some(next)
    }

    /// Frameworks are asked to leave the agents of this window.
    pub fn is_near(&self, now: Now, window: &WindowRecord) -> bool {
        window.start.0.saturating_sub(self.config.maintenance_notice_ms) <= now.unix.0
    }
}

fn maintenance(window: &WindowRecord) -> Occasion {
    let grace = match window.action {
        WindowAction::Drain { max_grace_ms: Some(ms) } => format!(", with {ms} ms of grace at most"),
        WindowAction::Drain { max_grace_ms: None } | WindowAction::Deactivate => String::new(),
    };
    Occasion {
        cause: InverseCause::Maintenance,
        unavailability: Unavailability { start: window.start, duration_ms: window.duration_ms },
        message: format!("maintenance window {} ends the tasks that are left at its start{grace}", window.id),
        only: None,
    }
}

/// Only a drain with a bound has a time by which its tasks are ended.
fn drained(drain: &Drain) -> Option<Occasion> {
    let grace_ms = drain.max_grace_ms?;
    let start = UnixMillis(drain.since.0.saturating_add(grace_ms));
    let then = if drain.mark_gone { "; it will not come back" } else { "" };
    Some(Occasion {
        cause: InverseCause::Drain,
        unavailability: Unavailability { start, duration_ms: 0 },
        message: format!(
            "an operator drains the agent: its tasks get SIGTERM now, and SIGKILL after {grace_ms} ms{then}"
        ),
        only: None,
    })
}
