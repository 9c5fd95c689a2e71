//! The processes of a dev cluster: starts them, starts them again when they die, ends them.
//!
//! Each part is a process of its own, so that any of them can be killed to see what survives. They are told
//! to end when `proffer dev` itself dies, so that nothing is left over.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A part that lived shorter than this waits before it is started again.
const STABLE: Duration = Duration::from_secs(5);
/// That wait.
const BACK_OFF: Duration = Duration::from_secs(1);
/// How long a part may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// One part: a name and how to start it.
#[derive(Debug, Clone)]
pub struct Part {
    /// `master`, `agent-1`, …: also the name of its log and pid files.
    pub name: String,
    /// Arguments of `proffer`.
    pub args: Vec<String>,
}

/// All parts of a running cluster.
#[derive(Debug)]
pub struct Supervisor {
    program: PathBuf,
    logs: PathBuf,
    run: PathBuf,
    parts: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    part: Part,
    child: Option<Child>,
    started: Instant,
    not_before: Option<Instant>,
}

impl Supervisor {
    /// Prepares the directories for logs and pid files below `data_dir`.
    pub fn new(program: PathBuf, data_dir: &Path) -> io::Result<Self> {
        let (logs, run) = (data_dir.join("logs"), data_dir.join("run"));
        fs::create_dir_all(&logs)?;
        fs::create_dir_all(&run)?;
        Ok(Self { program, logs, run, parts: Vec::new() })
    }

    /// Starts a part. Call it from the main thread: the part ends when the thread that started it does.
    pub fn start(&mut self, part: Part) -> io::Result<()> {
        let child = self.spawn(&part)?;
        self.parts.push(Running { part, child: Some(child), started: Instant::now(), not_before: None });
        Ok(())
    }

    /// Looks after the parts once: returns a line for people for each that died. Call it often.
    pub fn look_after(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        for at in 0..self.parts.len() {
            let running = &mut self.parts[at];
            if let Some(child) = &mut running.child {
                let Ok(Some(status)) = child.try_wait() else { continue };
                running.child = None;
                let is_stable = running.started.elapsed() > STABLE;
                running.not_before = Some(if is_stable { Instant::now() } else { Instant::now() + BACK_OFF });
                said.push(format!("{} ended ({status}); starting it again", running.part.name));
            }
            if running.not_before.is_some_and(|when| Instant::now() >= when) {
                let part = running.part.clone();
                let spawned = self.spawn(&part);
                let running = &mut self.parts[at];
                running.started = Instant::now();
                match spawned {
                    Ok(child) => (running.child, running.not_before) = (Some(child), None),
                    Err(error) => {
                        running.not_before = Some(Instant::now() + BACK_OFF);
                        said.push(format!("{} cannot be started: {error}", running.part.name));
                    }
                }
            }
        }
        said
    }

    /// Ends all parts, the last started first; those that do not end by themselves are killed.
    pub fn stop(&mut self) {
        for running in self.parts.iter_mut().rev() {
            if let Some(mut child) = running.child.take() {
                end(&mut child);
            }
            // A missing pid file is what we want.
            let _ = fs::remove_file(self.run.join(format!("{}.pid", running.part.name)));
        }
        self.parts.clear();
    }

    fn spawn(&self, part: &Part) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.logs.join(format!("{}.log", part.name)))?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(&self.program)
            .args(&part.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        fs::write(self.run.join(format!("{}.pid", part.name)), child.id().to_string())?;
        Ok(child)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop();
    }
}

/// SIGTERM, then SIGKILL after the grace.
fn end(child: &mut Child) {
    // The child is ours and not yet waited for, so its pid cannot have been given to another process.
    let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
    let asked = Instant::now();
    while asked.elapsed() < GRACE {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}
