//! One task on this agent: what is kept of it, which step it is at, and what it waits for.
//!
//! A task never looks at another task and never reaches the master itself: it puts operations and effects
//! into the frame of its [`Context`].

mod delivery;
mod ending;
mod killing;
mod recovery;
mod steps;

use std::sync::Arc;

use proffer_proto_model::task::{ContainerStatus, NetworkMode, PortMapping, Protocol};
use proffer_proto_model::{AgentId, Moment, Now, TaskKey, TaskReason, TaskSource, TaskSpec, TaskState, TaskStatus};

use crate::{AttachedTask, EndedTask, Frame, Launch, Operation, Phase, Progress, SessionId, Timing, container_id};

/// What a task may see and use while it handles one input.
pub(crate) struct Context<'a> {
    pub now: Now,
    pub timing: &'a Timing,
    pub agent: Option<&'a AgentId>,
    /// Address at which published ports answer.
    pub host_address: &'a str,
    /// The stream on which updates may go now.
    pub link: Option<SessionId>,
    pub out: &'a mut Frame,
}

/// The step a task is at, in their order. Only [`Step::Wait`] lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Remove what an earlier try left.
    Clear,
    Image,
    /// Wait until the volumes it mounts are there.
    AwaitVolumes,
    /// Wait until no other task holds the same host ports.
    AwaitPorts,
    Network,
    Create,
    Start,
    /// It runs.
    Wait,
    Delete,
    Detach,
    Done,
}

/// What the task waits for in its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Nothing was asked for.
    Idle,
    /// The outcome of an effect.
    Busy,
    /// The time to ask again.
    RetryAt(Moment),
}

/// When a failed step is tried again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Retry {
    pub wait_ms: u64,
    pub since: Option<Moment>,
}

/// When the oldest unconfirmed update is sent again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resend {
    pub at: Moment,
    pub interval_ms: u64,
}

/// One task on this agent.
#[derive(Debug)]
pub(crate) struct Task {
    /// `None`: the agent never had the task and only answers for it.
    pub launch: Option<Launch>,
    pub progress: Progress,
    pub container: String,
    pub step: Step,
    pub activity: Activity,
    retry: Retry,
    netns: Option<String>,
    pid: u32,
    kill_at: Option<Moment>,
    run_deadline: Option<Moment>,
    resend: Option<Resend>,
    dirty: bool,
}

impl Task {
    /// Takes a task on: STARTING is its first update, its image the first step.
    pub fn launch(launch: Launch, cx: &mut Context<'_>) -> Self {
        cx.out.store(Operation::Launch(Box::new(launch.clone())));
        let mut task = Self::new(launch.key.clone(), Some(launch), cx);
        task.push(cx, TaskState::Starting, TaskReason::None, String::new());
        task.step = Step::Image;
        task.issue(cx);
        task
    }

    /// A task that never was here: it has ended, and only that is left to say.
    pub fn answer(key: TaskKey, state: TaskState, reason: TaskReason, message: &str, cx: &mut Context<'_>) -> Self {
        let mut task = Self::new(key, None, cx);
        task.progress.phase = Phase::Cleaned;
        task.push(cx, state, reason, message.to_owned());
        task
    }

    /// A task that is over and whose end must be said again, as it was.
    pub fn end_again(ended: EndedTask, cx: &mut Context<'_>) -> Self {
        let mut task = Self::new(ended.key, None, cx);
        task.progress.phase = Phase::Cleaned;
        task.progress.latest = ended.last;
        task.repeat_end(cx);
        task
    }

    /// A launch that is refused: kept like any task until its end is confirmed.
    pub fn refuse(launch: Launch, reason: TaskReason, message: String, cx: &mut Context<'_>) -> Self {
        cx.out.store(Operation::Launch(Box::new(launch.clone())));
        let mut task = Self::new(launch.key.clone(), Some(launch), cx);
        task.progress.phase = Phase::Cleaned;
        task.push(cx, TaskState::Dropped, reason, message);
        task
    }

    fn new(key: TaskKey, launch: Option<Launch>, cx: &Context<'_>) -> Self {
        let first =
            TaskStatus::new(key.task.clone(), cx.agent.cloned(), TaskState::Staging, TaskSource::Agent, cx.now.unix);
        let progress = Progress {
            key,
            phase: Phase::Launching,
            latest: first,
            unconfirmed: Default::default(),
            kill: None,
            address: String::new(),
            running_since_unix_ms: None,
        };
        Self::from_progress(launch, progress)
    }

    fn from_progress(launch: Option<Launch>, progress: Progress) -> Self {
        Self {
            container: container_id(&progress.key),
            launch,
            progress,
            step: Step::Done,
            activity: Activity::Idle,
            retry: Retry::default(),
            netns: None,
            pid: 0,
            kill_at: None,
            run_deadline: None,
            resend: None,
            dirty: false,
        }
    }

    pub fn key(&self) -> &TaskKey {
        &self.progress.key
    }

    pub fn spec(&self) -> Option<&Arc<TaskSpec>> {
        self.launch.as_ref().map(|launch| &launch.spec)
    }

    /// Nothing is left to do, to clean or to say.
    pub fn is_over(&self) -> bool {
        self.progress.phase == Phase::Cleaned && self.progress.unconfirmed.is_empty()
    }

    pub fn is_terminal(&self) -> bool {
        self.progress.latest.state.is_terminal()
    }

    /// It has written all its output.
    pub fn is_output_complete(&self) -> bool {
        matches!(self.step, Step::Detach | Step::Done)
    }

    pub fn is_bridged(&self) -> bool {
        self.spec().is_some_and(|spec| spec.container.network == NetworkMode::Bridge)
    }

    /// Its host ports may be wired to its container.
    pub fn holds_wired_ports(&self) -> bool {
        self.is_bridged() && self.step > Step::AwaitPorts && self.step != Step::Done
    }

    /// Something of it may have its volumes mounted: it is past waiting for them, or what an earlier try left is not
    /// cleared.
    pub fn may_hold_volumes(&self) -> bool {
        !matches!(self.step, Step::Image | Step::AwaitVolumes) && !self.is_output_complete()
    }

    /// It would go on if its volumes were there.
    pub fn waits_for_volumes(&self) -> bool {
        self.step == Step::AwaitVolumes
    }

    /// It would go on if its host ports were free.
    pub fn waits_for_ports(&self) -> bool {
        self.step == Step::AwaitPorts
    }

    /// Its host ports, to be compared with another task's.
    pub fn port_keys(&self) -> Vec<(bool, u16)> {
        let is_udp = |port: &PortMapping| port.protocol == Protocol::Udp;
        self.spec().map(|s| s.container.ports.iter().map(|p| (is_udp(p), p.host_port)).collect()).unwrap_or_default()
    }

    /// Host ports as they are published; a container port of 0 is the host port.
    pub fn ports(&self) -> Vec<PortMapping> {
        let resolve = |port: &PortMapping| PortMapping {
            container_port: if port.container_port == 0 { port.host_port } else { port.container_port },
            ..port.clone()
        };
        self.spec().map(|spec| spec.container.ports.iter().map(resolve).collect()).unwrap_or_default()
    }

    /// As an attaching agent tells it; `None` when the master has nothing to learn from it.
    pub fn attached(&self) -> Option<AttachedTask> {
        let launch = self.launch.as_ref()?;
        if self.is_terminal() && self.progress.unconfirmed.is_empty() {
            return None;
        }
        Some(AttachedTask {
            framework: launch.key.framework.clone(),
            spec: Arc::clone(&launch.spec),
            latest: self.progress.latest.clone(),
            role: launch.role.clone(),
        })
    }

    /// The progress to store, if it changed since the last call.
    pub fn take_change(&mut self) -> Option<Operation> {
        std::mem::take(&mut self.dirty).then(|| Operation::Progress(Box::new(self.progress.clone())))
    }

    /// The earliest moment at which [`Self::tick`] has something to do.
    pub fn deadline(&self) -> Option<Moment> {
        let retry = match self.activity {
            Activity::RetryAt(at) => Some(at),
            Activity::Idle | Activity::Busy => None,
        };
        let resend = self.resend.map(|resend| resend.at);
        [retry, resend, self.kill_at, self.run_deadline].into_iter().flatten().min()
    }

    /// Fires the timers that are due.
    pub fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.now.mono;
        let is_due = |at: Option<Moment>| at.is_some_and(|at| at <= now);
        if let Activity::RetryAt(at) = self.activity
            && at <= now
        {
            self.issue(cx);
        }
        if is_due(self.run_deadline) {
            self.run_out(cx);
        }
        if is_due(self.kill_at) {
            self.force(cx);
        }
        if is_due(self.resend.map(|resend| resend.at)) {
            self.resend(cx);
        }
    }

    fn container_status(&self, cx: &Context<'_>) -> Option<ContainerStatus> {
        self.launch.as_ref()?;
        Some(ContainerStatus {
            container_id: self.container.clone(),
            pid: self.pid,
            host_address: cx.host_address.to_owned(),
            address: self.progress.address.clone(),
            ports: self.ports(),
        })
    }
}
