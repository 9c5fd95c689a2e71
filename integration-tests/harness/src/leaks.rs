//! What a cluster must not leave on a machine: processes, mounts, namespaces, links, cgroups, rules.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Everything of this machine that a cluster could leave behind, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaks {
    found: BTreeSet<String>,
}

impl Leaks {
    /// Looks at the machine. `marker` is a text in the command lines and mounts of the cluster: its directory.
    pub fn look(marker: &Path) -> Self {
        let marker = marker.to_string_lossy();
        let mut found = BTreeSet::new();
        found.extend(processes().into_iter().filter(|p| p.contains(&*marker)).map(|p| format!("process {p}")));
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        found.extend(mounts.lines().filter(|l| l.contains(&*marker)).map(|l| format!("mount {l}")));
        found.extend(names("/run/netns").map(|n| format!("network namespace {n}")));
        found.extend(names("/sys/class/net").map(|n| format!("link {n}")));
        found.extend(cgroups(Path::new("/sys/fs/cgroup"), 0));
        found.extend(rules());
        Self { found }
    }

    /// What is there now and was not in `before`.
    pub fn since(&self, before: &Leaks) -> Vec<String> {
        self.found.difference(&before.found).cloned().collect()
    }
}

fn names(dir: &str) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| e.file_name().to_string_lossy().into_owned())
}

/// Command lines of all processes but this one.
fn processes() -> Vec<String> {
    let own = std::process::id().to_string();
    let pids = names("/proc").filter(|n| n.bytes().all(|b| b.is_ascii_digit()) && *n != own);
    pids.filter_map(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        (!line.is_empty()).then(|| format!("{pid} {line}"))
    })
    .collect()
}

/// Cgroups whose path names Proffer, at most four levels down.
fn cgroups(dir: &Path, depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if depth > 4 {
        return found;
    }
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_type().is_ok_and(|t| t.is_dir()) {
            continue;
        }
        if path.to_string_lossy().contains("proffer") {
            found.insert(format!("cgroup {}", path.display()));
        }
        found.extend(cgroups(&path, depth + 1));
    }
    found
}

/// All iptables rules and chains but the counters.
fn rules() -> BTreeSet<String> {
    let output = Command::new("iptables-save").output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    let own = text.lines().filter(|l| l.starts_with("-A") || (l.starts_with(':') && !is_built_in(l)));
    own.map(|l| format!("rule {}", l.split(" [").next().unwrap_or(l))).collect()
}

/// A chain every table has once it was touched, not something that was left behind.
fn is_built_in(line: &str) -> bool {
    [":INPUT", ":OUTPUT", ":FORWARD", ":PREROUTING", ":POSTROUTING"].iter().any(|c| line.starts_with(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_names_the_directory_is_found_and_its_end_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let before = Leaks::look(dir.path());
        let mut child = Command::new("tail").arg("-f").arg("/dev/null").arg(dir.path().join("x")).spawn().unwrap();
        crate::wait_until("the process to show", std::time::Duration::from_secs(5), || {
            Leaks::look(dir.path()).since(&before).iter().any(|l| l.starts_with("process"))
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Leaks::look(dir.path()).since(&before), Vec::<String>::new());
    }
}
