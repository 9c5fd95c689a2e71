//! A whole cluster of real processes, started by `proffer dev` in a directory of its own.
//!
//! It never shares a port, a subnet or a directory with another cluster of this machine, and a test fails
//! when its cluster leaves anything behind.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::slot::Slot;
use crate::{AgentFlags, Leaks, binary, require, wait_for};

/// How long a cluster may take to come up, on a loaded machine.
const START: Duration = Duration::from_secs(180);
/// How long it may take to end.
const STOP: Duration = Duration::from_secs(90);
/// Lines of each log that a failed test shows.
const LOG_LINES: usize = 25;

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Number of masters; more than one need etcd.
    pub masters: u32,
    /// Addresses of the members of the etcd that keeps the registry; the master's directory when left out.
    pub etcd: Option<String>,
    /// Number of agents, at most three.
    pub agents: u32,
    /// Apply the example stack at the start.
    pub with_stack: bool,
    /// Roles of services and jobs; only `default` when empty.
    pub roles: Vec<&'static str>,
    /// Further words of the master's command line.
    pub master_flags: Vec<&'static str>,
    /// What each agent offers, as `cpus=2,memory=1GiB`; a share of this machine when left out.
    pub agent_resources: Option<&'static str>,
    /// Further words of each agent's command line.
    pub agent_flags: Vec<String>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            masters: 1,
            etcd: None,
            agents: 1,
            with_stack: false,
            roles: Vec::new(),
            master_flags: Vec::new(),
            agent_resources: None,
            agent_flags: Vec::new(),
        }
    }
}

/// A running `proffer dev`; ended and checked when dropped.
pub struct Cluster {
    dir: TempDir,
    options: ClusterOptions,
    slot: Slot,
    dev: Option<Child>,
    pub(crate) flags: BTreeMap<String, AgentFlags>,
}

impl Cluster {
    /// Starts a cluster with one agent and nothing on it.
    pub fn start() -> Self {
        Self::start_with(ClusterOptions::default())
    }

    /// Starts a cluster and waits until it is ready.
    pub fn start_with(options: ClusterOptions) -> Self {
        require("containerd", "containerd");
        require("ctr", "containerd");
        require("runc", "runc");
        require("busybox", "busybox-static");
        require("iptables", "iptables");
        require("setpriv", "util-linux");
        let dir = tempfile::Builder::new().prefix("proffer-e2e-").tempdir().expect("a temporary directory");
        let mut cluster = Self { dir, options, slot: Slot::take(), dev: None, flags: BTreeMap::new() };
        cluster.run_dev();
        cluster
    }

    /// Starts `proffer dev` on the cluster's directory and waits until it says that it is ready.
    pub fn run_dev(&mut self) {
        assert!(self.dev.is_none(), "this cluster runs already");
        let out = File::create(self.dev_out()).expect("the directory is writable");
        let err = out.try_clone().expect("a file can be shared");
        // A test that is killed takes its cluster along: dev cleans up on SIGINT.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT", "--"]).arg(binary("proffer", "proffer")).args(self.dev_words());
        // A group of its own, so that SIGINT reaches all of it as Ctrl-C in a terminal does.
        command.process_group(0).stdin(Stdio::null()).stdout(out).stderr(err);
        self.dev = Some(command.spawn().expect("proffer dev starts"));
        wait_for("proffer dev to be ready", START, || {
            if let Some(status) = self.dev.as_mut().and_then(|dev| dev.try_wait().ok().flatten()) {
                panic!("proffer dev ended with {status}");
            }
            let said = self.dev_output();
            if said.contains("Ctrl-C") { Ok(()) } else { Err(said) }
        });
        // They never change, and an agent that is gone cannot be asked later.
        for agent in self.agents() {
            if !self.flags.contains_key(&agent) {
                self.flags.insert(agent.clone(), self.read_flags(&agent));
            }
        }
    }

    /// Further words of the master's command line from the next start on.
    pub fn set_master_flags(&mut self, flags: Vec<&'static str>) {
        self.options.master_flags = flags;
    }

    /// Everything `proffer dev` printed.
    pub fn dev_output(&self) -> String {
        std::fs::read_to_string(self.dev_out()).unwrap_or_default()
    }

    /// Ends the cluster as Ctrl-C does; panics when it takes too long, ends badly or leaves anything behind.
    pub fn stop(&mut self) {
        let Some(dev) = self.dev.take() else { return };
        let mut leaks = Leaks::watch(self);
        leaks.note_links();
        let status = self.end(dev).unwrap_or_else(|why| panic!("{why}:\n{}", self.dev_output()));
        assert!(status.success(), "proffer dev ended with {status}:\n{}", self.dev_output());
        let left = leaks.left();
        assert!(left.is_empty(), "the cluster left behind:\n{}\n{}", left.join("\n"), self.dev_output());
    }

    /// kill -9 of `proffer dev` itself; start it again with [`Self::run_dev`].
    pub fn kill_dev(&mut self) {
        let mut dev = self.dev.take().expect("the cluster runs");
        dev.kill().expect("dev is ours");
        dev.wait().expect("dev is ours");
    }

    /// What a second `proffer dev` says that is started with the same command line.
    pub fn second_dev(&self) -> crate::Output {
        let words = self.dev_words();
        self.proffer(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn dev_words(&self) -> Vec<String> {
        let text = |word: &str| word.to_owned();
        let mut words = vec![text("dev"), text("--agents"), self.options.agents.to_string()];
        words.extend(self.options.etcd.iter().flat_map(|etcd| [text("--etcd"), etcd.clone()]));
        if self.options.masters > 1 {
            words.extend([text("--masters"), self.options.masters.to_string()]);
        }
        words.extend([text("--data-dir"), self.data_dir().to_string_lossy().into_owned()]);
        words.extend([text("--port"), self.slot.port().to_string()]);
        words.extend([text("--host-ports"), self.slot.host_ports().to_string()]);
        words.extend([text("--subnet"), self.slot.subnet()]);
        words.extend(self.options.roles.iter().flat_map(|role| [text("--role"), text(role)]));
        words.extend(self.options.master_flags.iter().flat_map(|flag| [text("--master-flag"), text(flag)]));
        words.extend(self.options.agent_resources.iter().flat_map(|all| [text("--agent-resources"), text(all)]));
        words.extend(self.options.agent_flags.iter().flat_map(|flag| [text("--agent-flag"), flag.clone()]));
        if !self.options.with_stack {
            words.push(text("--no-stack"));
        }
        words
    }

    /// SIGINT to the whole group, then waits.
    fn end(&self, mut dev: Child) -> Result<std::process::ExitStatus, String> {
        let group = Pid::from_raw(dev.id() as i32);
        // A test may have failed while the supervisor was paused.
        let _ = kill(group, Signal::SIGCONT);
        let _ = killpg(group, Signal::SIGINT);
        let started = std::time::Instant::now();
        loop {
            match dev.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if started.elapsed() < STOP => std::thread::sleep(Duration::from_millis(50)),
                _ => {
                    let _ = dev.kill();
                    let _ = dev.wait();
                    return Err(format!("proffer dev did not end within {STOP:?} of Ctrl-C"));
                }
            }
        }
    }

    /// Process id of `proffer dev`.
    pub(crate) fn dev_pid(&self) -> u32 {
        self.dev.as_ref().map(Child::id).expect("the cluster runs")
    }

    /// `127.0.0.1:port` of the master; of several, joined by commas.
    pub fn master(&self) -> String {
        let all: Vec<String> = self.masters().into_values().collect();
        all.join(",")
    }

    /// Names and addresses of the masters' processes.
    pub fn masters(&self) -> BTreeMap<String, String> {
        let port = self.slot.port();
        let one = |number: u32| match number {
            1 => ("master".to_owned(), format!("127.0.0.1:{port}")),
            // As `proffer dev` plans them.
            number => (format!("master-{number}"), format!("127.0.0.1:{}", u32::from(port) + 2 + number)),
        };
        (1..=self.options.masters).map(one).collect()
    }

    /// First host port of the agents' ranges.
    pub fn host_ports(&self) -> u16 {
        self.slot.host_ports()
    }

    /// Names of the agents' processes.
    pub fn agents(&self) -> Vec<String> {
        (1..=self.options.agents).map(|number| format!("agent-{number}")).collect()
    }

    /// Where the cluster keeps its state.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A directory for the test's own files.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// The log of one part: `master`, `agent-1`, `service`, `batch`.
    pub fn log(&self, part: &str) -> String {
        std::fs::read_to_string(self.data_dir().join("logs").join(format!("{part}.log"))).unwrap_or_default()
    }

    /// Writes a file into the scratch directory and returns its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.scratch().join(name);
        std::fs::write(&path, content).expect("the directory is writable");
        path.to_string_lossy().into_owned()
    }

    fn dev_out(&self) -> PathBuf {
        self.dir.path().join("dev.out")
    }

    fn print_logs(&self) {
        eprintln!("--- proffer dev said:\n{}", self.dev_output());
        let parts = self.masters().into_keys().chain(self.agents()).chain(["service", "batch"].map(str::to_owned));
        for part in parts {
            let log = self.log(&part);
            let lines: Vec<_> = log.lines().rev().take(LOG_LINES).collect();
            eprintln!("--- last lines of {part}:");
            lines.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return self.stop();
        }
        self.print_logs();
        if let Some(dev) = self.dev.take()
            && let Err(why) = self.end(dev)
        {
            eprintln!("{why}");
        }
    }
}
