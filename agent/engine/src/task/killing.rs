//! Ending a task on request: SIGTERM, then SIGKILL again and again until it has ended.

use proffer_proto_model::{TaskReason, TaskState};

use super::{Activity, Context, Step, Task};
use crate::{Effect, KillOrder, Signal};

impl Task {
    /// Orders the end. A second order can only make it come sooner.
    pub fn kill(&mut self, order: KillOrder, cx: &mut Context<'_>) {
        if self.is_terminal() {
            return;
        }
        match &mut self.progress.kill {
            Some(standing) => {
                if order.grace_ms < standing.grace_ms {
                    standing.grace_ms = order.grace_ms;
                    self.dirty = true;
                    let sooner = cx.now.mono + order.grace_ms;
                    self.kill_at = self.kill_at.map(|at| at.min(sooner));
                }
            }
            None => {
                self.progress.kill = Some(order);
                self.dirty = true;
                self.obey(cx);
            }
        }
    }

    /// Carries out a fresh order, as far as the present step allows.
    pub(super) fn obey(&mut self, cx: &mut Context<'_>) {
        let is_busy = self.activity == Activity::Busy;
        match self.step {
            Step::Wait => self.begin_end(cx),
            // A pull may take long, and no container exists: nobody has to wait for it.
            Step::Image => {
                if is_busy {
                    cx.out.send(Effect::CancelImage { key: self.key().clone() });
                }
                self.stop_launch(cx);
            }
            // The outcome of a short step decides what there is to remove: it is waited for.
            Step::Clear | Step::Network | Step::Create | Step::Start if is_busy => {}
            Step::Clear | Step::AwaitVolumes | Step::AwaitPorts | Step::Network | Step::Create | Step::Start => {
                self.stop_launch(cx);
            }
            Step::Delete | Step::Detach | Step::Done => {}
        }
    }

    /// Ends a launch that is not wanted any more; `false` when it is.
    pub(super) fn stop_launch(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(order) = self.progress.kill else { return false };
        let message = "killed before its container ran".to_owned();
        // Whoever asked for it knows why; of any other reason the framework must learn.
        let is_asked = order.reason == TaskReason::KillRequested;
        let reason = if is_asked { TaskReason::KilledDuringLaunch } else { order.reason };
        self.end(cx, TaskState::Killed, reason, message);
        true
    }

    /// Tells the master and sends the first signal.
    pub(super) fn begin_end(&mut self, cx: &mut Context<'_>) {
        let Some(order) = self.progress.kill else { return };
        if self.progress.latest.state != TaskState::Killing {
            self.push(cx, TaskState::Killing, order.reason, String::new());
        }
        self.run_deadline = None;
        if order.grace_ms == 0 {
            self.force(cx);
        } else {
            self.signal(Signal::Term, cx);
            self.kill_at = Some(cx.now.mono + order.grace_ms);
        }
    }

    /// SIGKILL, to be repeated while it has not ended.
    pub(super) fn force(&mut self, cx: &mut Context<'_>) {
        self.signal(Signal::Kill, cx);
        self.kill_at = Some(cx.now.mono + cx.timing.kill_repeat_ms);
    }

    /// It ran for as long as it may.
    pub(super) fn run_out(&mut self, cx: &mut Context<'_>) {
        self.run_deadline = None;
        let Some(grace_ms) = self.spec().map(|spec| spec.kill_policy.grace_ms) else { return };
        self.kill(KillOrder { reason: TaskReason::MaxRunTime, grace_ms }, cx);
    }

    fn signal(&mut self, signal: Signal, cx: &mut Context<'_>) {
        cx.out.send(Effect::SignalContainer { key: self.key().clone(), container: self.container.clone(), signal });
    }
}
