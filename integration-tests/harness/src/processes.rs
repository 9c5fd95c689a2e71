//! The processes of a cluster: which they are, killing them, keeping the supervisor from starting them again.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Cluster, wait_for, wait_until};

/// How long a process may take to go or to come.
const MOVE: Duration = Duration::from_secs(60);

/// While this lives, nothing that dies is started again.
pub struct Paused<'c> {
    cluster: &'c Cluster,
}

/// While this lives, a process answers nothing.
pub struct Frozen {
    pid: u32,
}

/// What an agent was started with.
#[derive(Debug, Clone)]
pub struct AgentFlags {
    /// Namespace in containerd.
    pub namespace: String,
    /// Tag of its bridge.
    pub bridge: String,
    /// `a.b.c.0/24` of its bridge.
    pub subnet: String,
    /// `begin-end` of its host ports.
    pub host_ports: String,
}

impl Cluster {
    /// The process id of one part: `master`, `agent-1`, `service`, `batch`.
    pub fn pid(&self, part: &str) -> u32 {
        let path = self.data_dir().join("run").join(format!("{part}.pid"));
        wait_for(&format!("{}", path.display()), MOVE, || {
            let text = std::fs::read_to_string(&path).map_err(|e| e.to_string())?;
            text.trim().parse::<u32>().map_err(|e| format!("{text:?}: {e}"))
        })
    }

    /// The process id of the cluster's own containerd; 0 while it is down.
    pub fn containerd_pid(&self) -> u32 {
        let path = self.data_dir().join("containerd").join("containerd.pid");
        std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
    }

    /// kill -9 of one part, and waits until the supervisor started it again.
    pub fn kill_9(&self, part: &str) {
        let pid = self.pid(part);
        kill_9(pid);
        wait_until(&format!("{part} to be started again"), MOVE, || self.pid(part) != pid);
    }

    /// Stops a part in its tracks: it reads nothing more and stays connected, until it is killed.
    pub fn freeze(&self, part: &str) {
        signal(self.pid(part), Signal::SIGSTOP);
    }

    /// Stops a part in its tracks until the guard is dropped.
    pub fn frozen(&self, part: &str) -> Frozen {
        let pid = self.pid(part);
        signal(pid, Signal::SIGSTOP);
        Frozen { pid }
    }

    /// Stops containerd in its tracks until the guard is dropped.
    pub fn freeze_containerd(&self) -> Frozen {
        let pid = self.containerd_pid();
        signal(pid, Signal::SIGSTOP);
        Frozen { pid }
    }

    /// Stops the supervisor from starting anything until the guard is dropped.
    pub fn pause(&self) -> Paused<'_> {
        signal(self.dev_pid(), Signal::SIGSTOP);
        Paused { cluster: self }
    }

    /// How `proffer dev` started an agent, also when it does not run any more.
    pub fn flags(&self, agent: &str) -> AgentFlags {
        self.flags.get(agent).cloned().unwrap_or_else(|| panic!("this cluster has no {agent}"))
    }

    /// The same, of an agent that runs.
    pub(crate) fn read_flags(&self, agent: &str) -> AgentFlags {
        let line = std::fs::read(format!("/proc/{}/cmdline", self.pid(agent))).expect("the agent runs");
        let line = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<&str> = line.split('\0').collect();
        let value = |flag: &str| {
            let at = words.iter().position(|word| *word == flag);
            let found = at.and_then(|at| words.get(at + 1));
            (*found.unwrap_or_else(|| panic!("{agent} was started without {flag}: {words:?}"))).to_owned()
        };
        AgentFlags {
            namespace: value("--namespace"),
            bridge: value("--bridge"),
            subnet: value("--bridge-subnet"),
            host_ports: value("--resources")
                .split(',')
                .find_map(|amount| amount.strip_prefix("ports="))
                .expect("dev gives each agent ports of its own")
                .to_owned(),
        }
    }

    /// What containerd itself says runs in an agent's namespace: container ids with the pids of their processes.
    pub fn containers(&self, namespace: &str) -> BTreeMap<String, u32> {
        self.try_containers(namespace).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same, or why containerd does not answer.
    pub fn try_containers(&self, namespace: &str) -> Result<BTreeMap<String, u32>, String> {
        let socket = self.data_dir().join("containerd").join("containerd.sock");
        let output = Command::new("ctr")
            .arg("--address")
            .arg(socket)
            .args(["--connect-timeout", "10s", "--namespace", namespace, "tasks", "ls"])
            .output()
            .expect("ctr starts");
        if !output.status.success() {
            return Err(format!("ctr tasks ls: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let row = |line: &str| {
            let mut words = line.split_whitespace();
            let (id, pid, state) = (words.next()?, words.next()?, words.next()?);
            (state == "RUNNING").then(|| (id.to_owned(), pid.parse().expect("ctr prints pids")))
        };
        Ok(text.lines().skip(1).filter_map(row).collect())
    }
}

impl Paused<'_> {
    /// kill -9 of one part, and waits until it is dead.
    pub fn kill_9(&self, part: &str) {
        kill_9(self.cluster.pid(part));
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal(self.pid, Signal::SIGCONT);
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        signal(self.cluster.dev_pid(), Signal::SIGCONT);
    }
}

/// kill -9 of a process of the test's own cluster; waits until it is dead.
pub fn kill_9(pid: u32) {
    signal(pid, Signal::SIGKILL);
    wait_until(&format!("the end of process {pid}"), MOVE, || !is_alive(pid));
}

/// True while a process runs: not gone and not only waiting to be reaped.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in brackets.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid as i32), signal).unwrap_or_else(|e| panic!("{signal} to {pid}: {e}"));
}
