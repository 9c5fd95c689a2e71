//! A real etcd on loopback, of one member or of several, each with a data directory of its own.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::{free_port, http_get, require, wait_for, wait_until};

/// How long it may take to answer, on a loaded machine.
const START: Duration = Duration::from_secs(30);

/// A running member of etcd, mostly the only one; ended and removed when dropped.
pub struct Etcd {
    dir: TempDir,
    name: String,
    /// All members, as etcd wants them told.
    cluster: String,
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
        let mut etcd = Self::plan(1, flags).remove(0);
        etcd.run();
        etcd
    }

    /// Starts three members of one cluster and waits until all of them answer.
    pub fn start_three() -> [Self; 3] {
        let mut members = Self::plan(3, &["--heartbeat-interval", "50", "--election-timeout", "500"]);
        members.iter_mut().for_each(Self::spawn);
        members.iter().for_each(Self::wait);
        members.try_into().unwrap_or_else(|_| panic!("three were planned"))
    }

    /// Addresses of all of them, joined by commas.
    pub fn addresses(members: &[Self]) -> String {
        let all: Vec<&str> = members.iter().map(Self::address).collect();
        all.join(",")
    }

    /// The member that leads the others, by its place among them.
    pub fn leader(members: &[Self]) -> usize {
        let leads = |member: &Self| {
            http_get(&member.address, "/metrics")
                .is_ok_and(|text| text.lines().any(|line| line.trim() == "etcd_server_is_leader 1"))
        };
        wait_for("a member of etcd to lead", START, || members.iter().position(leads).ok_or("nobody"))
    }

    fn plan(count: usize, flags: &[&str]) -> Vec<Self> {
        require("etcd", "etcd-server");
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let one = |number: usize| {
            let dir = tempfile::Builder::new().prefix("proffer-etcd-").tempdir().expect("a temporary directory");
            let (address, peer) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
            let (name, flags) = (format!("member-{number}"), flags.clone());
            Self { dir, name, cluster: String::new(), address, peer, flags, process: None }
        };
        let mut all: Vec<Self> = (1..=count).map(one).collect();
        let peers: Vec<String> = all.iter().map(|member| format!("{}=http://{}", member.name, member.peer)).collect();
        all.iter_mut().for_each(|member| member.cluster = peers.join(","));
        all
    }

    /// Starts it again on the same data after [`Self::kill`].
    pub fn run(&mut self) {
        self.spawn();
        self.wait();
    }

    fn spawn(&mut self) {
        assert!(self.process.is_none(), "this etcd runs already");
        let (client, peer) = (format!("http://{}", self.address), format!("http://{}", self.peer));
        // A test that is killed takes it along.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "etcd", "--name", &self.name, "--data-dir"]).arg(self.dir.path());
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &self.cluster, "--log-level", "error"]).args(&self.flags);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().expect("etcd starts"));
    }

    fn wait(&self) {
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
