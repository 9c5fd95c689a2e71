//! What the kernel wrote down about a container's cgroup: kills, peaks, what is left to remove.
//! Reads and removes only cgroups under the path it is given; never changes a limit.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::CgroupVersion;

/// The kernel charges memory in batches, so the peak may stay this far below the limit.
const CHARGE_SLACK_BYTES: u64 = 1024 * 1024;

/// Where the cgroup hierarchies of this host are mounted.
#[derive(Debug, Clone)]
pub struct Cgroups {
    version: CgroupVersion,
    root: PathBuf,
    swap_accounting: bool,
}

/// What the memory controller counted for one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MemoryRecord {
    /// Processes of this cgroup the out-of-memory killer ended.
    pub oom_kills: Option<u64>,
    /// True when the cgroup ran into its own limit, rather than the host into its own.
    pub reached_limit: Option<bool>,
    /// Highest use in bytes.
    pub peak_bytes: Option<u64>,
}

impl Cgroups {
    /// Looks at this host's `/sys/fs/cgroup`.
    pub fn detect() -> Self {
        Self::at(Path::new("/sys/fs/cgroup"))
    }

    fn at(root: &Path) -> Self {
        let version = match root.join("cgroup.controllers").exists() {
            true => CgroupVersion::V2,
            false => CgroupVersion::V1,
        };
        let swap_accounting = match version {
            CgroupVersion::V1 => root.join("memory/memory.memsw.limit_in_bytes").exists(),
            // The root of a v2 tree has no limits of its own: a child shows what the kernel can do.
            CgroupVersion::V2 => directories(root).iter().any(|child| child.join("memory.swap.max").exists()),
        };
        Self { version, root: root.to_owned(), swap_accounting }
    }

    /// The hierarchy that holds the limits.
    pub fn version(&self) -> CgroupVersion {
        self.version
    }

    /// True when the kernel can bound swap per cgroup.
    pub fn swap_accounting(&self) -> bool {
        self.swap_accounting
    }

    /// What the memory controller counted for the cgroup `path` (as in the spec, e.g. `/proffer/ns/id`).
    pub(crate) fn memory_record(&self, path: &str) -> MemoryRecord {
        let path = path.trim_start_matches('/');
        match self.version {
            CgroupVersion::V1 => {
                let memory = self.root.join("memory").join(path);
                MemoryRecord {
                    oom_kills: read_field(&memory.join("memory.oom_control"), "oom_kill"),
                    reached_limit: reached_limit_v1(&memory),
                    peak_bytes: read_number(&memory.join("memory.max_usage_in_bytes")),
                }
            }
            CgroupVersion::V2 => {
                let group = self.root.join(path);
                MemoryRecord {
                    oom_kills: read_field(&group.join("memory.events"), "oom_kill"),
                    reached_limit: read_field(&group.join("memory.events"), "oom").map(|count| count > 0),
                    peak_bytes: read_number(&group.join("memory.peak")),
                }
            }
        }
    }

    /// Removes the cgroup `path` and everything below it where no process is left. Missing ones are fine.
    pub(crate) fn remove(&self, path: &str) {
        for root in self.roots() {
            remove_tree(&root.join(path.trim_start_matches('/')));
        }
    }

    /// Removes the cgroup `path` unless something is in it.
    pub(crate) fn remove_if_empty(&self, path: &str) {
        for root in self.roots() {
            let _ = fs::remove_dir(root.join(path.trim_start_matches('/')));
        }
    }

    /// Names of the cgroups right below `path`.
    pub(crate) fn children(&self, path: &str) -> Vec<String> {
        let below = |root: PathBuf| directories(&root.join(path.trim_start_matches('/')));
        let children = self.roots().into_iter().flat_map(below);
        let mut names: Vec<_> = children.filter_map(|child| child.file_name()?.to_str().map(str::to_owned)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Sends SIGKILL to every process in the cgroup `path` and below it; returns how many there were.
    pub(crate) fn kill(&self, path: &str) -> usize {
        let mut pids = BTreeSet::new();
        for root in self.roots() {
            collect_processes(&root.join(path.trim_start_matches('/')), &mut pids);
        }
        for pid in &pids {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(*pid), nix::sys::signal::Signal::SIGKILL);
        }
        pids.len()
    }

    fn roots(&self) -> Vec<PathBuf> {
        match self.version {
            CgroupVersion::V2 => vec![self.root.clone()],
            CgroupVersion::V1 => directories(&self.root),
        }
    }
}

fn remove_tree(group: &Path) {
    for child in directories(group) {
        remove_tree(&child);
    }
    // A cgroup that is missing or still holds processes stays: nobody else's business is touched.
    let _ = fs::remove_dir(group);
}

fn collect_processes(group: &Path, pids: &mut BTreeSet<i32>) {
    for child in directories(group) {
        collect_processes(&child, pids);
    }
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    // 0 stands for a process of another pid namespace, and for kill(2) for this one's whole group.
    pids.extend(text.lines().filter_map(|line| line.trim().parse().ok()).filter(|pid: &i32| *pid > 1));
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Newer kernels no longer count failures in the v1 files, so a peak at the limit says it as well.
fn reached_limit_v1(memory: &Path) -> Option<bool> {
    let failures = read_number(&memory.join("memory.failcnt"))?;
    let peak_bytes = read_number(&memory.join("memory.max_usage_in_bytes"))?;
    let limit_bytes = read_number(&memory.join("memory.limit_in_bytes"))?;
    Some(failures > 0 || peak_bytes.saturating_add(CHARGE_SLACK_BYTES) >= limit_bytes)
}

fn read_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn read_field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hierarchies_tell_kills_and_peak() {
        let dir = tempfile::tempdir().unwrap();
        let v1 = dir.path().join("v1");
        let group = v1.join("memory/proffer/ns/a");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n").unwrap();
        fs::write(group.join("memory.failcnt"), "0\n").unwrap();
        fs::write(group.join("memory.limit_in_bytes"), "4096\n").unwrap();
        fs::write(group.join("memory.max_usage_in_bytes"), "4096\n").unwrap();
        let record = Cgroups::at(&v1).memory_record("/proffer/ns/a");
        assert_eq!(record, MemoryRecord { oom_kills: Some(2), reached_limit: Some(true), peak_bytes: Some(4096) });

        let v2 = dir.path().join("v2");
        let group = v2.join("proffer/ns/a");
        fs::create_dir_all(&group).unwrap();
        fs::write(v2.join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        fs::write(group.join("memory.events"), "low 0\noom 1\noom_kill 1\n").unwrap();
        fs::write(group.join("memory.peak"), "8192\n").unwrap();
        let cgroups = Cgroups::at(&v2);
        assert_eq!(cgroups.version(), CgroupVersion::V2);
        let record = MemoryRecord { oom_kills: Some(1), reached_limit: Some(true), peak_bytes: Some(8192) };
        assert_eq!(cgroups.memory_record("/proffer/ns/a"), record);
        assert_eq!(cgroups.memory_record("/proffer/ns/missing"), MemoryRecord::default());
    }
}
