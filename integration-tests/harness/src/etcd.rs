//! A real etcd of one member on loopback, with a data directory of its own.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::{free_port, http_get, require, wait_until};

/// How long it may take to answer, on a loaded machine.
const START: Duration = Duration::from_secs(30);

/// A running etcd; ended and removed when dropped.
pub struct Etcd {
    dir: TempDir,
    address: String,
    peer: String,
    flags: Vec<String>,
    process: Option<Child>,
}

impl Etcd {
    /// Starts Debian's etcd on free ports and waits until it answers.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with further flags.
    pub fn start_with(flags: &[&str]) -> Self {
        require("etcd", "etcd-server");
        let dir = tempfile::Builder::new().prefix("proffer-etcd-").tempdir().expect("a temporary directory");
        let (address, peer) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut etcd = Self { dir, address, peer, flags, process: None };
        etcd.run();
        etcd
    }

    /// Starts it again on the same data after [`Self::kill`].
    pub fn run(&mut self) {
        assert!(self.process.is_none(), "this etcd runs already");
        let (client, peer) = (format!("http://{}", self.address), format!("http://{}", self.peer));
        // A test that is killed takes it along.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "etcd", "--name", "one", "--data-dir"]).arg(self.dir.path());
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("one={peer}"), "--log-level", "error"]).args(&self.flags);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().expect("etcd starts"));
        let is_up = || http_get(&self.address, "/health").is_ok_and(|body| body.contains("true"));
        wait_until("etcd to answer", START, is_up);
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// It neither answers nor ends until [`Self::resume`].
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Goes on after [`Self::pause`].
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// `127.0.0.1:port` of its clients.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("etcd runs");
        kill(Pid::from_raw(process.id() as i32), signal).expect("etcd is ours");
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}
