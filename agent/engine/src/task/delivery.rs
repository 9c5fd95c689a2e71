//! Status delivery: numbered, kept until confirmed, in order, only the oldest in flight.

use proffer_proto_model::{TaskReason, TaskSource, TaskState, TaskStatus};

use super::{Context, Resend, Task};
use crate::Update;

impl Task {
    /// Adds an update without details.
    pub(super) fn push(&mut self, cx: &mut Context<'_>, state: TaskState, reason: TaskReason, message: String) {
        let status = self.status(cx, state, reason, message);
        self.push_status(cx, status);
    }

    /// A new status of this task, not numbered yet.
    pub(super) fn status(&self, cx: &Context<'_>, state: TaskState, reason: TaskReason, message: String) -> TaskStatus {
        let mut status =
            TaskStatus::new(self.key().task.clone(), cx.agent.cloned(), state, TaskSource::Agent, cx.now.unix)
                .because(reason, presentable(message));
        if state != TaskState::Starting {
            status.container = self.container_status(cx);
        }
        status
    }

    /// Numbers the update, keeps it, and sends it when it is the oldest.
    pub(super) fn push_status(&mut self, cx: &mut Context<'_>, mut status: TaskStatus) {
        debug_assert!(!self.is_terminal(), "{} has ended and cannot become {}", self.key(), status.state);
        status.seq = self.progress.latest.seq + 1;
        self.progress.latest = status.clone();
        self.progress.unconfirmed.push_back(status);
        self.dirty = true;
        if self.progress.unconfirmed.len() == 1 {
            self.send_first(cx, cx.timing.resend_first_ms);
        }
    }

    /// A master admitted the agent: the oldest update goes at once.
    pub fn attach(&mut self, cx: &mut Context<'_>) {
        self.send_first(cx, cx.timing.resend_first_ms);
    }

    /// There is no master to send to.
    pub fn detach(&mut self) {
        self.resend = None;
    }

    /// The framework has the update of this number. Any other number than the oldest's is of no interest.
    pub fn confirm(&mut self, seq: u64, cx: &mut Context<'_>) {
        if self.progress.unconfirmed.front().is_none_or(|oldest| oldest.seq != seq) {
            return;
        }
        self.progress.unconfirmed.pop_front();
        self.dirty = true;
        self.resend = None;
        self.send_first(cx, cx.timing.resend_first_ms);
    }

    /// The master does not know that this task has ended, though that was confirmed: say it again, the same.
    pub fn repeat_end(&mut self, cx: &mut Context<'_>) {
        if self.is_terminal() && self.progress.unconfirmed.is_empty() {
            self.progress.unconfirmed.push_back(self.progress.latest.clone());
            self.dirty = true;
            self.send_first(cx, cx.timing.resend_first_ms);
        }
    }

    pub(super) fn resend(&mut self, cx: &mut Context<'_>) {
        let last = self.resend.map_or(cx.timing.resend_first_ms, |resend| resend.interval_ms);
        self.send_first(cx, last.saturating_mul(2).min(cx.timing.resend_max_ms));
    }

    fn send_first(&mut self, cx: &mut Context<'_>, interval_ms: u64) {
        self.resend = None;
        let (Some(session), Some(oldest)) = (cx.link, self.progress.unconfirmed.front()) else { return };
        let update = Update {
            framework: self.progress.key.framework.clone(),
            status: oldest.clone(),
            latest: self.progress.latest.state,
        };
        cx.out.send_update(session, update);
        self.resend = Some(Resend { at: cx.now.mono + interval_ms, interval_ms });
    }
}

/// Longest message of a status, in characters.
const MAX_MESSAGE_CHARS: usize = 2_000;

/// What runtimes and kernels say goes to people and over the wire: bounded, and without control characters.
fn presentable(message: String) -> String {
    let is_fine = |c: char| c == '\n' || !c.is_control();
    if message.len() <= MAX_MESSAGE_CHARS && message.chars().all(is_fine) {
        return message;
    }
    let mut short: String = message.chars().filter(|c| is_fine(*c)).take(MAX_MESSAGE_CHARS).collect();
    if message.chars().count() > MAX_MESSAGE_CHARS {
        short.push('…');
    }
    short
}
