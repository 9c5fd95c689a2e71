//! What a cluster must not leave on a machine: processes, mounts, namespaces, links, cgroups, rules.
//!
//! Looks only for what carries the marks of one cluster, so that others can come and go meanwhile.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::{AgentFlags, Cluster};

/// Everything by which the traces of one cluster can be told from those of others.
#[derive(Debug, Clone)]
pub struct Leaks {
    directory: String,
    agents: Vec<AgentFlags>,
    links: BTreeSet<String>,
}

impl Leaks {
    /// Learns the marks of a running cluster.
    pub fn watch(cluster: &Cluster) -> Self {
        Self {
            directory: cluster.data_dir().to_string_lossy().into_owned(),
            agents: cluster.agents().iter().map(|agent| cluster.flags(agent)).collect(),
            links: BTreeSet::new(),
        }
    }

    /// Notes the links on the cluster's bridges: once a bridge is gone, nothing tells whose they were.
    pub fn note_links(&mut self) {
        for agent in &self.agents {
            self.links.insert(format!("pf-{}", agent.bridge));
            self.links.extend(names(&format!("/sys/class/net/pf-{}/brif", agent.bridge)));
        }
    }

    /// Everything of the cluster that is on the machine now, one line each.
    pub fn left(&self) -> Vec<String> {
        let mut left: Vec<String> = self.processes();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        left.extend(mounts.lines().filter(|l| self.is_ours(l)).map(|l| format!("mount {l}")));
        left.extend(names("/run/netns").filter(|n| self.is_ours(n)).map(|n| format!("network namespace {n}")));
        left.extend(names("/sys/class/net").filter(|n| self.links.contains(n)).map(|n| format!("link {n}")));
        self.cgroups(Path::new("/sys/fs/cgroup"), 0, &mut left);
        for save in ["iptables-save", "ip6tables-save"] {
            let text = Command::new(save).output().map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
            left.extend(text.unwrap_or_default().lines().filter(|l| self.is_ours(l)).map(|l| format!("{save} {l}")));
        }
        left
    }

    /// Whether a text names the cluster's directory, or a namespace, bridge, chain or subnet of its agents.
    fn is_ours(&self, text: &str) -> bool {
        let of_agent = |agent: &AgentFlags| {
            let AgentFlags { namespace, bridge, subnet, host_ports: _ } = agent;
            text.contains(namespace.as_str())
                || text.contains(&format!("pf-{bridge}"))
                || text.contains(&format!("PF-{bridge}-"))
                || text.contains(&format!("proffer:{bridge}:"))
                || text.contains(subnet.as_str())
        };
        text.contains(&self.directory) || self.agents.iter().any(of_agent)
    }

    /// Processes by their command lines, and those in containers by their cgroups.
    fn processes(&self) -> Vec<String> {
        let own = std::process::id().to_string();
        let pids = names("/proc").filter(|n| n.bytes().all(|b| b.is_ascii_digit()) && *n != own);
        let read = |pid: &str, file: &str| {
            let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        pids.filter_map(|pid| {
            let line = read(&pid, "cmdline");
            (self.is_ours(&line) || self.is_ours(&read(&pid, "cgroup"))).then(|| format!("process {pid} {line}"))
        })
        .collect()
    }

    /// Cgroups of the agents, at most five levels down.
    fn cgroups(&self, dir: &Path, depth: usize, left: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if depth > 5 || !entry.file_type().is_ok_and(|t| t.is_dir()) {
                continue;
            }
            let path = entry.path();
            if self.is_ours(&path.to_string_lossy()) {
                left.push(format!("cgroup {}", path.display()));
            } else {
                self.cgroups(&path, depth + 1, left);
            }
        }
    }
}

fn names(dir: &str) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| e.file_name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_names_the_directory_is_found_and_its_end_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().to_string_lossy().into_owned();
        let leaks = Leaks { directory, agents: Vec::new(), links: BTreeSet::from(["lo".to_owned()]) };
        let mut child = Command::new("tail").arg("-f").arg("/dev/null").arg(dir.path().join("x")).spawn().unwrap();
        crate::wait_until("the process to show", std::time::Duration::from_secs(5), || {
            leaks.left().iter().any(|l| l.starts_with("process"))
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(leaks.left(), ["link lo"], "a noted link is found too");
    }
}
