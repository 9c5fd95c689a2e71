//! What a driver that was killed in the middle of its work left on the host: shims, processes, cgroups and files
//! of containers that containerd no longer knows. Ends only what carries this driver's own daemon and namespace.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Inner;
use super::containers::shim_socket;
use crate::RuntimeError;
use crate::id::check_id;

/// How long killed processes may take to be gone.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between two looks at a process.
const POLL: Duration = Duration::from_millis(10);

/// A shim's process: the parent of one container, started by containerd.
#[derive(Debug, PartialEq, Eq)]
struct Shim {
    pid: i32,
    id: String,
}

impl Inner {
    /// See [`crate::ContainerRuntime::sweep`].
    pub(super) async fn sweep(&self) -> Result<usize, RuntimeError> {
        let known: BTreeSet<String> = self.list().await?.into_iter().map(|container| container.id).collect();
        let mut swept = BTreeSet::new();
        for shim in self.shims().into_iter().filter(|shim| !known.contains(&shim.id)) {
            // Looked up once more: nothing may be ended because of an old list.
            if self.record(&shim.id).await?.is_none() {
                self.end_shim(&shim).await;
                swept.insert(shim.id);
            }
        }
        for id in self.traces() {
            if !known.contains(&id) && self.record(&id).await?.is_none() {
                self.remove_traces(&id).await;
                swept.insert(id);
            }
        }
        for id in &swept {
            tracing::warn!(container = %id, "removed what an earlier run left behind");
        }
        Ok(swept.len())
    }

    /// Every shim of this daemon and namespace.
    fn shims(&self) -> Vec<Shim> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid| self.shim_of(pid)).collect()
    }

    /// The process as a shim, when it is one of this daemon and namespace.
    fn shim_of(&self, pid: i32) -> Option<Shim> {
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8(command).ok()?;
        let id = shim_id(&command, &self.config.namespace, &self.config.socket)?;
        Some(Shim { pid, id })
    }

    async fn end_shim(&self, shim: &Shim) {
        // The bundle is the shim's working directory; afterwards nobody can tell where it was.
        let bundle = fs::read_link(format!("/proc/{}/cwd", shim.pid)).ok();
        if self.shim_of(shim.pid).as_ref() == Some(shim) {
            let _ = kill(Pid::from_raw(shim.pid), Signal::SIGKILL);
        }
        until(|| self.shim_of(shim.pid).is_none()).await;
        self.remove_traces(&shim.id).await;
        if let Some(bundle) = bundle {
            remove_bundle(&bundle, &self.config.namespace, &shim.id);
        }
        let _ = fs::remove_file(shim_socket(&self.config.socket, &self.config.namespace, &shim.id));
    }

    /// Ids that have a directory or a cgroup of this driver.
    fn traces(&self) -> BTreeSet<String> {
        let mut ids: BTreeSet<String> = self.cgroups.children(&self.cgroup_parent()).into_iter().collect();
        for directory in [self.config.state_dir.join("containers"), self.runc_state()] {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            ids.extend(entries.filter_map(|entry| entry.file_name().into_string().ok()));
        }
        ids.retain(|id| check_id(id).is_ok());
        ids
    }

    async fn remove_traces(&self, id: &str) {
        let cgroup = self.cgroup_of(id);
        until(|| self.cgroups.kill(&cgroup) == 0).await;
        self.cgroups.remove(&cgroup);
        if check_id(id).is_ok() {
            let _ = fs::remove_dir_all(self.files_of(id));
            let _ = fs::remove_dir_all(self.runc_state().join(id));
        }
    }

    fn runc_state(&self) -> PathBuf {
        self.config.state_dir.join("runc").join(&self.config.namespace)
    }
}

/// The container's id in a shim's command line (words end in NUL), when it serves this namespace of this daemon.
fn shim_id(command: &str, namespace: &str, daemon: &Path) -> Option<String> {
    let words: Vec<&str> = command.split('\0').collect();
    let program = Path::new(words.first()?).file_name()?.to_str()?;
    let option = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1)).copied();
    let ours = program.starts_with("containerd-shim-")
        && option("-namespace") == Some(namespace)
        && option("-address").is_some_and(|address| is_same(Path::new(address), daemon));
    // `shim start` and `shim delete` carry the same options, but are containerd's own short-lived helpers.
    let serves = !words.iter().any(|word| ["start", "delete"].contains(word));
    (ours && serves).then(|| option("-id").map(str::to_owned)).flatten()
}

/// Two names of one socket are the same: `/var/run` is often a link.
fn is_same(left: &Path, right: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    left == right || real(left) == real(right)
}

/// containerd removes the bundle of a shim that ends under its eyes; here of those it had forgotten.
fn remove_bundle(bundle: &Path, namespace: &str, id: &str) {
    if !bundle.ends_with(Path::new(namespace).join(id)) {
        return;
    }
    let _ = umount2(&bundle.join("rootfs"), MntFlags::MNT_DETACH);
    // A root file system that is still mounted must not be emptied: removing it alone fails then.
    if fs::remove_dir(bundle.join("rootfs")).is_err() && bundle.join("rootfs").exists() {
        return;
    }
    if let Ok(work) = fs::read_link(bundle.join("work"))
        && work.ends_with(Path::new(namespace).join(id))
    {
        let _ = fs::remove_dir_all(work);
    }
    let _ = fs::remove_dir_all(bundle);
}

/// Looks until it holds, for at most [`END_TIMEOUT`].
async fn until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + END_TIMEOUT;
    while !holds() && Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shims_of_this_daemon_and_namespace_are_seen() {
        let command = |namespace: &str, id: &str, address: &str| {
            format!("/usr/bin/containerd-shim-runc-v2\0-namespace\0{namespace}\0-id\0{id}\0-address\0{address}\0")
        };
        let seen = |command: &str| shim_id(command, "ours", Path::new("/run/c.sock"));
        assert_eq!(seen(&command("ours", "web.0", "/run/c.sock")).as_deref(), Some("web.0"));
        assert_eq!(seen(&command("theirs", "web.0", "/run/c.sock")), None);
        assert_eq!(seen(&command("ours", "web.0", "/run/other.sock")), None);
        assert_eq!(seen(&format!("{}start\0", command("ours", "web.0", "/run/c.sock"))), None);
        assert_eq!(seen("/bin/sh\0-namespace\0ours\0-id\0x\0-address\0/run/c.sock\0"), None);
        assert_eq!(seen(""), None);
    }
}
