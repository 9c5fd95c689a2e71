//! How a task ended: from what the runtime saw and what was asked, to the one terminal status.

use proffer_proto_model::resources::format_bytes;
use proffer_proto_model::{TaskReason, TaskState, TaskStatus};

use super::{Activity, Context, Retry, Step, Task};
use crate::{Exit, ExitCause, Phase};

impl Task {
    /// The container has ended.
    pub(super) fn exited(&mut self, exit: Exit, cx: &mut Context<'_>) {
        self.pid = 0;
        let (state, reason, message) = self.verdict(exit);
        let mut status = self.status(cx, state, reason, message);
        match exit.cause {
            ExitCause::Code(code) => status.exit_code = Some(u32::from(code)),
            ExitCause::Signal(signal) => status.signal = Some(u32::from(signal)),
            ExitCause::OutOfMemory | ExitCause::Unknown => {}
        }
        status.peak_memory_bytes = exit.peak_memory_bytes;
        self.end_with(cx, status);
    }

    /// The container is gone and nobody saw it end.
    pub(super) fn vanished(&mut self, cx: &mut Context<'_>) {
        self.exited(Exit { cause: ExitCause::Unknown, peak_memory_bytes: None }, cx);
    }

    /// Ends the task without an exit of its process.
    pub(super) fn end(&mut self, cx: &mut Context<'_>, state: TaskState, reason: TaskReason, message: String) {
        self.pid = 0;
        let status = self.status(cx, state, reason, message);
        self.end_with(cx, status);
    }

    fn end_with(&mut self, cx: &mut Context<'_>, status: TaskStatus) {
        self.push_status(cx, status);
        self.progress.phase = Phase::Ended;
        (self.kill_at, self.run_deadline) = (None, None);
        self.retry = Retry::default();
        self.step = Step::Delete;
        self.activity = Activity::Idle;
        self.issue(cx);
    }

    fn verdict(&self, exit: Exit) -> (TaskState, TaskReason, String) {
        let how = describe(exit.cause);
        if let Some(order) = self.progress.kill {
            return match order.reason {
                TaskReason::MaxRunTime => {
                    let limit_ms = self.spec().and_then(|spec| spec.max_run_time_ms).unwrap_or(0);
                    let message = format!("ran longer than its max run time of {} ms; {how}", limit_ms);
                    (TaskState::Failed, TaskReason::MaxRunTime, message)
                }
                reason => (TaskState::Killed, reason, how),
            };
        }
        match exit.cause {
            ExitCause::Code(0) => (TaskState::Finished, TaskReason::None, String::new()),
            ExitCause::Code(_) => (TaskState::Failed, TaskReason::Exited, how),
            ExitCause::Signal(_) => (TaskState::Failed, TaskReason::Signalled, how),
            ExitCause::OutOfMemory => (TaskState::Failed, TaskReason::OutOfMemory, self.out_of_memory(exit)),
            ExitCause::Unknown => (TaskState::Failed, TaskReason::ExitUnknown, how),
        }
    }

    fn out_of_memory(&self, exit: Exit) -> String {
        let limit = self.spec().map(|spec| spec.limits.memory.unwrap_or(spec.resources.memory));
        let limit = limit
            .filter(|limit| limit.0 > 0)
            .map_or("its memory limit".to_owned(), |limit| format!("its memory limit of {limit}"));
        let peak = exit.peak_memory_bytes.map_or(String::new(), |peak| format!(" (peak {})", format_bytes(peak)));
        format!("ended by the kernel at {limit}{peak}; ask for more memory or set a higher memory limit")
    }
}

fn describe(cause: ExitCause) -> String {
    match cause {
        ExitCause::Code(code) => format!("exit code {code}"),
        ExitCause::Signal(signal) => format!("ended by signal {signal}{}", signal_name(signal)),
        ExitCause::OutOfMemory => "ended by the kernel at its memory limit".to_owned(),
        ExitCause::Unknown => "its container has ended and the exit code is lost".to_owned(),
    }
}

fn signal_name(signal: u8) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        3 => " (SIGQUIT)",
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        _ => "",
    }
}
