//! The containerd process itself: started by us or found running. Signals only the process it can prove is this one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

#[derive(Debug)]
pub(super) enum Daemon {
    /// Started by this process.
    Child(Child),
    /// Found running: a detached one of an earlier process.
    Adopted(Pid),
}

impl Daemon {
    /// Starts containerd in a process group of its own, so that a terminal's Ctrl-C does not reach it.
    pub(super) fn spawn(config: &Path, pid_file: &Path, log: &Path) -> io::Result<Self> {
        use std::os::unix::process::CommandExt;
        let log = File::options().create(true).append(true).open(log)?;
        let child = Command::new("containerd")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        fs::write(pid_file, child.id().to_string())?;
        Ok(Self::Child(child))
    }

    /// A daemon that runs with this configuration already.
    pub(super) fn find(config: &Path, pid_file: &Path) -> Option<Self> {
        let pid: i32 = fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let ours = command.split(|byte| *byte == 0).any(|word| word == config.as_os_str().as_encoded_bytes());
        ours.then(|| Self::Adopted(Pid::from_raw(pid)))
    }

    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Child(child) => Some(child.id()),
            Self::Adopted(pid) => u32::try_from(pid.as_raw()).ok(),
        }
    }

    pub(super) fn has_ended(&mut self) -> bool {
        match self {
            Self::Child(child) => !matches!(child.try_wait(), Ok(None)),
            Self::Adopted(pid) => has_ended(*pid),
        }
    }

    /// Sends a signal unless it has ended: then its id may be somebody else's.
    pub(super) fn signal(&mut self, signal: Signal) {
        if let (false, Some(pid)) = (self.has_ended(), self.pid().and_then(|pid| i32::try_from(pid).ok())) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// True when a process that may be nobody's or our own child is gone, or only waits to be reaped.
fn has_ended(pid: Pid) -> bool {
    // Detached and taken over in the same process it is our child after all: reap it.
    if waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_ok_and(|status| status != WaitStatus::StillAlive) {
        return true;
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in brackets.
    stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.trim_start().starts_with('Z'))
}

/// Unmounts everything mounted below a directory, the deepest first.
pub(super) fn unmount_below(directory: &Path) -> io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mut targets: Vec<PathBuf> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|target| PathBuf::from(target.replace("\\040", " ")))
        .filter(|target| target.starts_with(directory) && target != directory)
        .collect();
    targets.sort();
    for target in targets.into_iter().rev() {
        umount2(&target, MntFlags::MNT_DETACH)?;
    }
    Ok(())
}
