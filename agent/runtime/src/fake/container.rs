//! One container of the fake runtime: a small state machine that is moved on by whoever looks at it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::{OnTerminate, Run, Script};
use crate::{ContainerRequest, ContainerStatus, Exit, ExitCause, Stats};

const SIGKILL: u8 = 9;

/// HUP, INT, QUIT, TERM: what a polite program ends on.
const TERMINATING: [u8; 4] = [1, 2, 3, 15];

/// Memory a fake container claims to use.
const MEMORY_BYTES: u64 = 8 * 1024 * 1024;

pub(super) struct Container {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) script: Script,
    pub(super) signals: Vec<i32>,
    pub(super) exit: Option<Exit>,
    pid: u32,
    memory_limit_bytes: Option<u64>,
    started: Option<Instant>,
    /// When it ends by itself, and how.
    ends: Option<(Instant, ExitCause)>,
    stdout: File,
    stderr: File,
}

impl Container {
    pub(super) fn create(request: &ContainerRequest, script: Script, pid: u32) -> io::Result<Self> {
        // Tests that never look at logs need not name a directory.
        let open = |name: &str| match request.log_dir.as_os_str().is_empty() {
            true => File::options().write(true).open("/dev/null"),
            false => File::options().create(true).append(true).open(request.log_dir.join(name)),
        };
        if !request.log_dir.as_os_str().is_empty() {
            fs::create_dir_all(&request.log_dir)?;
        }
        Ok(Self {
            labels: request.labels.clone(),
            script,
            signals: Vec::new(),
            exit: None,
            pid,
            memory_limit_bytes: request.limits.memory_limit_bytes,
            started: None,
            ends: None,
            stdout: open("stdout.log")?,
            stderr: open("stderr.log")?,
        })
    }

    pub(super) fn is_created(&self) -> bool {
        self.started.is_none() && self.exit.is_none()
    }

    pub(super) fn status(&self) -> ContainerStatus {
        match (&self.exit, self.started) {
            (Some(_), _) => ContainerStatus::Ended,
            (None, Some(_)) => ContainerStatus::Running { pid: self.pid },
            (None, None) => ContainerStatus::Created { pid: self.pid },
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        if !self.is_created() {
            return;
        }
        self.started = Some(now);
        // A full disk loses output, as with the real log writer.
        let _ = self.stdout.write_all(self.script.stdout.as_bytes());
        let _ = self.stderr.write_all(self.script.stderr.as_bytes());
        self.ends = match self.script.run {
            Run::Forever => None,
            Run::Exit { code, after } => Some((now + after, ExitCause::Code(code))),
            Run::OutOfMemory { after } => Some((now + after, ExitCause::OutOfMemory)),
        };
        self.settle(now);
    }

    pub(super) fn signal(&mut self, signal: u8, now: Instant) {
        self.signals.push(i32::from(signal));
        if signal == SIGKILL {
            self.end(ExitCause::Signal(SIGKILL));
        } else if TERMINATING.contains(&signal) {
            match self.script.on_terminate {
                OnTerminate::Die => drop(self.end(ExitCause::Signal(signal))),
                OnTerminate::Exit { code, after } => {
                    self.ends = Some((now + after, ExitCause::Code(code)));
                    self.settle(now);
                }
                OnTerminate::Ignore => {}
            }
        }
    }

    /// Ends it now; false when it had ended.
    pub(super) fn end(&mut self, cause: ExitCause) -> bool {
        if self.exit.is_some() {
            return false;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let known = cause != ExitCause::Unknown;
        let peak = match cause {
            ExitCause::OutOfMemory => self.memory_limit_bytes.unwrap_or(MEMORY_BYTES),
            _ => MEMORY_BYTES,
        };
        self.exit = Some(Exit {
            cause,
            ended_unix_ms: if known { u64::try_from(now.as_millis()).unwrap_or_default() } else { 0 },
            peak_memory_bytes: known.then_some(peak),
        });
        true
    }

    /// When it ends by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        self.ends.map(|(at, _)| at)
    }

    /// Ends it when that is due.
    pub(super) fn settle(&mut self, now: Instant) {
        if let Some((at, cause)) = self.ends
            && at <= now
        {
            self.end(cause);
        }
    }

    pub(super) fn stats(&self, now: Instant) -> Stats {
        let running = self.started.map(|started| now.saturating_duration_since(started)).unwrap_or_default();
        Stats {
            cpu_ns: u64::try_from(running.as_nanos() / 100).unwrap_or(u64::MAX),
            memory_bytes: MEMORY_BYTES,
            memory_peak_bytes: MEMORY_BYTES,
            pids: 1,
        }
    }
}
