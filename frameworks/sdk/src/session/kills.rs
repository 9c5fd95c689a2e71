//! Kills: durable, sent at once, and again until the task has ended.

use proffer_proto_model::task::KillPolicy;
use proffer_proto_model::{Moment, Now, TaskId, TaskState};

use super::{Call, Session, SessionFrame, records};
use crate::scheduler::KillRequest;
use crate::{KnownTask, Scheduler};

const FIRST_RETRY_MS: u64 = 5_000;
const LAST_RETRY_MS: u64 = 60_000;

/// When a kill is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct KillTimer {
    pub(super) next: Moment,
    wait_ms: u64,
}

impl KillTimer {
    fn sent(self, now: Moment) -> Self {
        let wait_ms = (self.wait_ms * 2).clamp(FIRST_RETRY_MS, LAST_RETRY_MS);
        Self { next: now + wait_ms, wait_ms }
    }
}

impl<S: Scheduler> Session<S> {
    pub(super) fn ask_kill(&mut self, now: Now, task: TaskId, policy: Option<KillPolicy>, frame: &mut SessionFrame) {
        if self.seen.has_ended(&task) {
            return;
        }
        let unheard = KnownTask { agent: None, state: TaskState::Unknown, is_confirmed: false, kill: None };
        let known = self.facts.tasks.entry(task.clone()).or_insert(unheard);
        known.kill = Some(KillRequest { policy });
        frame.store.push(records::keep_task(&task, known));
        self.kill_timers.insert(task.clone(), KillTimer::default());
        if self.phase.is_subscribed() {
            self.send_kill(now, task, frame);
        }
    }

    /// Sends every kill again that is due.
    pub(super) fn retry_kills(&mut self, now: Now, frame: &mut SessionFrame) {
        if !self.phase.is_subscribed() {
            return;
        }
        let due: Vec<TaskId> =
            self.kill_timers.iter().filter(|(_, timer)| timer.next <= now.mono).map(|(task, _)| task.clone()).collect();
        for task in due {
            self.send_kill(now, task, frame);
        }
    }

    /// A new connection: what was sent before may be lost.
    pub(super) fn resend_kills(&mut self, now: Now, frame: &mut SessionFrame) {
        self.kill_timers.values_mut().for_each(|timer| *timer = KillTimer::default());
        self.retry_kills(now, frame);
    }

    fn send_kill(&mut self, now: Now, task: TaskId, frame: &mut SessionFrame) {
        let Some((known, kill)) = self.facts.tasks.get(&task).and_then(|known| Some((known, known.kill?))) else {
            self.kill_timers.remove(&task);
            return;
        };
        let agent = known.agent.clone();
        let timer = self.kill_timers.entry(task.clone()).or_default();
        *timer = timer.sent(now.mono);
        frame.send.push(Call::Kill { task, agent, policy: kill.policy });
    }
}
