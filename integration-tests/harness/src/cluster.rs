//! A whole cluster of real processes, started by `proffer dev` in a directory of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::{binary, free_port, require, wait_for, wait_until};

/// How long a cluster may take to come up, on a loaded machine.
const START: Duration = Duration::from_secs(120);

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Number of agents.
    pub agents: u32,
    /// Apply the example stack at the start.
    pub with_stack: bool,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { agents: 1, with_stack: false }
    }
}

/// A running `proffer dev`; ended and checked when dropped.
pub struct Cluster {
    dir: TempDir,
    options: ClusterOptions,
    ports: Ports,
    dev: Option<Child>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    base: u16,
    host: u16,
    subnet: u8,
}

/// What a command said.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Cluster {
    /// Starts a cluster with one agent and nothing on it.
    pub fn start() -> Self {
        Self::start_with(ClusterOptions::default())
    }

    /// Starts a cluster and waits until it is ready.
    pub fn start_with(options: ClusterOptions) -> Self {
        require("containerd", "containerd");
        require("runc", "runc");
        require("busybox", "busybox-static");
        require("iptables", "iptables");
        let dir = tempfile::Builder::new().prefix("proffer-e2e-").tempdir().expect("a temporary directory");
        // Far from the defaults, so that a developer's own `make dev` can go on beside the tests.
        let offset = free_port() % 200;
        let ports =
            Ports { base: 15_000 + offset * 50, host: 36_000 + offset * 100, subnet: 100 + (offset % 100) as u8 };
        let mut cluster = Self { dir, options, ports, dev: None };
        cluster.run_dev();
        cluster
    }

    /// Starts `proffer dev` on the cluster's directory and waits until it says that it is ready.
    pub fn run_dev(&mut self) {
        assert!(self.dev.is_none(), "this cluster runs already");
        let out = File::create(self.dir.path().join("dev.out")).expect("the directory is writable");
        let err = out.try_clone().expect("a file can be shared");
        let mut command = Command::new(binary("proffer"));
        command
            .arg("dev")
            .args(["--agents", &self.options.agents.to_string()])
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(["--port", &self.ports.base.to_string()])
            .args(["--host-ports", &self.ports.host.to_string()])
            .args(["--subnet", &format!("10.{}.0.0/16", self.ports.subnet)]);
        if !self.options.with_stack {
            command.arg("--no-stack");
        }
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().expect("proffer dev starts");
        self.dev = Some(child);
        wait_for("proffer dev to be ready", START, || {
            if let Some(status) = self.dev.as_mut().and_then(|dev| dev.try_wait().ok().flatten()) {
                panic!("proffer dev ended with {status}:\n{}", self.dev_output());
            }
            let said = self.dev_output();
            if said.contains("Ctrl-C") { Ok(()) } else { Err(said) }
        });
    }

    /// Everything `proffer dev` printed.
    pub fn dev_output(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("dev.out")).unwrap_or_default()
    }

    /// Ends the cluster as Ctrl-C does, and waits until it is gone.
    pub fn stop(&mut self) {
        let Some(mut dev) = self.dev.take() else { return };
        let pid = Pid::from_raw(dev.id() as i32);
        let _ = kill(pid, Signal::SIGINT);
        let ended = std::time::Instant::now();
        loop {
            match dev.try_wait() {
                Ok(Some(_)) => return,
                Ok(None) if ended.elapsed() < Duration::from_secs(60) => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                _ => {
                    let _ = dev.kill();
                    let _ = dev.wait();
                    panic!("proffer dev did not end within 60 s of Ctrl-C:\n{}", self.dev_output());
                }
            }
        }
    }

    /// The master's address.
    pub fn master(&self) -> String {
        format!("127.0.0.1:{}", self.ports.base)
    }

    /// First host port of the agents' range.
    pub fn host_ports(&self) -> u16 {
        self.ports.host
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

    /// The process id of one part.
    pub fn pid(&self, part: &str) -> u32 {
        let path = self.data_dir().join("run").join(format!("{part}.pid"));
        wait_for(&format!("{}", path.display()), Duration::from_secs(20), || {
            let text = std::fs::read_to_string(&path).map_err(|e| e.to_string())?;
            text.trim().parse::<u32>().map_err(|e| format!("{text:?}: {e}"))
        })
    }

    /// kill -9 of one part; `proffer dev` starts it again.
    pub fn kill_9(&self, part: &str) {
        let pid = self.pid(part);
        kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap_or_else(|e| panic!("kill -9 of {part} ({pid}): {e}"));
        wait_until(&format!("{part} to be started again"), Duration::from_secs(20), || self.pid(part) != pid);
    }

    /// Runs `proffer` with these arguments against this cluster.
    pub fn proffer(&self, args: &[&str]) -> Output {
        let output = Command::new(binary("proffer"))
            .args(args)
            .env("PROFFER_MASTER", self.master())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .expect("proffer starts");
        Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same; panics when it fails.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.proffer(args);
        assert!(output.status.success(), "proffer {args:?}: {}\n{}{}", output.status, output.stdout, output.stderr);
        output.stdout
    }

    /// The answer of a list as JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = vec!["-o", "json"];
        all.extend(args);
        let text = self.ok(&all);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("proffer {all:?} printed no JSON ({e}): {text}"))
    }

    /// Writes a file into the scratch directory and returns its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.scratch().join(name);
        std::fs::write(&path, content).expect("the directory is writable");
        path.to_string_lossy().into_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- proffer dev said:\n{}", self.dev_output());
            for part in ["master", "agent-1", "service", "batch"] {
                let log = self.log(part);
                let lines: Vec<_> = log.lines().rev().take(25).collect();
                eprintln!("--- last lines of {part}:");
                lines.iter().rev().for_each(|line| eprintln!("{line}"));
            }
            if let Some(mut dev) = self.dev.take() {
                let _ = kill(Pid::from_raw(dev.id() as i32), Signal::SIGINT);
                let _ = dev.wait();
            }
        } else {
            self.stop();
        }
    }
}
