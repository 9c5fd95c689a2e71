//! The steps of a task's life. [`Task::issue`] asks for the present step; [`Task::finish_step`] takes its
//! outcome and goes on by exactly one step.

use std::sync::Arc;

use proffer_proto_model::{TaskReason, TaskState};

use super::{Activity, Context, Retry, Step, Task};
use crate::volumes::mounted;
use crate::{Effect, Failure, FailureKind, Phase, StepResult};

impl Task {
    /// Asks for the present step.
    pub(super) fn issue(&mut self, cx: &mut Context<'_>) {
        let (key, container) = (self.key().clone(), self.container.clone());
        let Some(spec) = self.spec().map(Arc::clone) else { return };
        self.activity = Activity::Busy;
        let effect = match self.step {
            Step::AwaitVolumes | Step::AwaitPorts | Step::Done => {
                self.activity = Activity::Idle;
                return;
            }
            Step::Clear | Step::Delete => Effect::DeleteContainer { key, container },
            Step::Image => Effect::PrepareImage { key, spec },
            Step::Network => Effect::AttachNetwork { key, container, ports: self.ports() },
            Step::Create => Effect::CreateContainer { key, container, spec, netns: self.netns.clone() },
            Step::Start => Effect::StartContainer { key, container },
            Step::Wait => Effect::WaitContainer { key, container },
            Step::Detach => Effect::DetachNetwork { key, container },
        };
        cx.out.send(effect);
    }

    fn go(&mut self, step: Step, cx: &mut Context<'_>) {
        self.step = step;
        self.issue(cx);
    }

    /// Takes the outcome of the present step. An outcome of another step is late and of no interest.
    pub fn finish_step(&mut self, result: StepResult, cx: &mut Context<'_>) {
        if self.activity != Activity::Busy {
            return;
        }
        match (self.step, result) {
            (Step::Clear, StepResult::Deleted) => self.launch_on(Step::Image, cx),
            (Step::Clear, StepResult::DeleteFailed(failure)) => self.launch_failed(Step::Clear, failure, cx),
            // The engine lets a task on when its volumes are there and its ports are free.
            (Step::Image, StepResult::ImageReady) if self.mounts_volumes() => self.launch_on(Step::AwaitVolumes, cx),
            (Step::Image, StepResult::ImageReady) => self.launch_on(self.step_with_volumes(), cx),
            (Step::Image, StepResult::ImageFailed(failure)) => self.launch_failed(Step::Image, failure, cx),
            (Step::Network, StepResult::NetworkReady { netns, address }) => {
                (self.netns, self.progress.address) = (Some(netns), address);
                self.launch_on(Step::Create, cx);
            }
            (Step::Network, StepResult::NetworkFailed(failure)) => self.launch_failed(Step::Network, failure, cx),
            (Step::Create, StepResult::Created { pid }) => {
                self.pid = pid;
                self.launch_on(Step::Start, cx);
            }
            (Step::Create, StepResult::CreateFailed(failure)) => match failure.kind {
                FailureKind::AlreadyExists => self.launch_failed(Step::Clear, failure, cx),
                FailureKind::NotFound => self.launch_failed(Step::Image, failure, cx),
                FailureKind::Temporary | FailureKind::Permanent => self.launch_failed(Step::Create, failure, cx),
            },
            (Step::Start, StepResult::Started) => self.started(cx),
            (Step::Start, StepResult::StartFailed(failure)) => self.launch_failed(Step::Start, failure, cx),
            (Step::Wait, StepResult::Exited(exit)) => self.exited(exit, cx),
            (Step::Wait, StepResult::WaitFailed(failure)) => self.wait_failed(failure, cx),
            (Step::Delete, StepResult::Deleted) if self.is_bridged() => self.go(Step::Detach, cx),
            (Step::Delete, StepResult::Deleted) | (Step::Detach, StepResult::Detached) => self.cleaned(),
            (Step::Delete, StepResult::DeleteFailed(_)) | (Step::Detach, StepResult::DetachFailed(_)) => {
                self.retry_later(cx);
            }
            _ => {}
        }
    }

    /// The next step of a launch, unless the launch is not wanted any more.
    fn launch_on(&mut self, next: Step, cx: &mut Context<'_>) {
        if self.stop_launch(cx) {
            return;
        }
        if next == Step::Start {
            // Stored before the effect leaves: from here on it is never started a second time.
            self.progress.phase = Phase::Starting;
            self.dirty = true;
        }
        self.go(next, cx);
    }

    /// All its volumes are there.
    pub fn volumes_are_ready(&mut self, cx: &mut Context<'_>) {
        if self.step == Step::AwaitVolumes {
            let next = self.step_with_volumes();
            self.go(next, cx);
        }
    }

    /// A volume it waits for could not be made.
    pub fn volume_failed(&mut self, message: String, cx: &mut Context<'_>) {
        if self.step == Step::AwaitVolumes {
            self.end(cx, TaskState::Failed, TaskReason::ContainerLaunchFailed, message);
        }
    }

    fn step_with_volumes(&self) -> Step {
        if self.is_bridged() { Step::AwaitPorts } else { Step::Create }
    }

    fn mounts_volumes(&self) -> bool {
        self.launch.as_ref().is_some_and(|launch| mounted(&launch.spec, &launch.role).next().is_some())
    }

    /// No other task holds this one's host ports.
    pub fn ports_are_free(&mut self, cx: &mut Context<'_>) {
        if self.step == Step::AwaitPorts {
            self.go(Step::Network, cx);
        }
    }

    /// The process runs. Says so, unless it is to end: then the end begins.
    pub(super) fn started(&mut self, cx: &mut Context<'_>) {
        self.progress.phase = Phase::Running;
        self.progress.running_since_unix_ms = Some(cx.now.unix.0);
        self.dirty = true;
        self.retry = Retry::default();
        if self.progress.kill.is_none() {
            self.push(cx, TaskState::Running, TaskReason::None, String::new());
        }
        self.watch(cx);
    }

    /// Waits for the end of a running container and takes up its timers.
    pub(super) fn watch(&mut self, cx: &mut Context<'_>) {
        self.go(Step::Wait, cx);
        if self.progress.kill.is_some() {
            self.begin_end(cx);
        } else if let Some(limit_ms) = self.spec().and_then(|spec| spec.max_run_time_ms) {
            // A restart of the agent loses the monotonic clock, so time that passed before comes from the wall clock.
            let since = self.progress.running_since_unix_ms.unwrap_or(cx.now.unix.0);
            let ran_ms = cx.now.unix.0.saturating_sub(since);
            self.run_deadline = Some(cx.now.mono + limit_ms.saturating_sub(ran_ms));
        }
    }

    /// A step before RUNNING failed: tries again from `again`, for a while, unless that cannot help.
    fn launch_failed(&mut self, again: Step, failure: Failure, cx: &mut Context<'_>) {
        if self.stop_launch(cx) {
            return;
        }
        let is_final = match failure.kind {
            FailureKind::Permanent => true,
            FailureKind::NotFound => again != Step::Image || self.step == Step::Image,
            FailureKind::Temporary | FailureKind::AlreadyExists => false,
        };
        let since = *self.retry.since.get_or_insert(cx.now.mono);
        if !is_final && cx.now.mono.since_ms(since) < cx.timing.launch_retry_ms {
            self.step = again;
            self.retry_later(cx);
            return;
        }
        let reason = match self.step {
            Step::Image => TaskReason::ImageUnavailable,
            Step::Network => TaskReason::NetworkFailed,
            _ => TaskReason::ContainerLaunchFailed,
        };
        self.end(cx, TaskState::Failed, reason, failure.message);
    }

    fn wait_failed(&mut self, failure: Failure, cx: &mut Context<'_>) {
        if failure.kind == FailureKind::NotFound {
            self.vanished(cx);
        } else {
            self.retry_later(cx);
        }
    }

    fn retry_later(&mut self, cx: &mut Context<'_>) {
        self.retry.wait_ms = match self.retry.wait_ms {
            0 => cx.timing.retry_first_ms,
            last => last.saturating_mul(2).min(cx.timing.retry_max_ms),
        };
        self.activity = Activity::RetryAt(cx.now.mono + self.retry.wait_ms);
    }

    fn cleaned(&mut self) {
        self.progress.phase = Phase::Cleaned;
        self.dirty = true;
        self.step = Step::Done;
        self.activity = Activity::Idle;
    }
}
