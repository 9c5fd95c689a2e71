//! A host for one test: a network namespace of its own, with an outside machine beside it.
//!
//! Never touches the real host's network: everything happens in namespaces that end with the test.

use std::collections::BTreeSet;
use std::fs::File;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use proffer_agent_network::{AttachRequest, BridgeConfig, BridgeNetwork, Protocol, PublishedPort, Subnet};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long anything may take; everything is local.
pub const DEADLINE: Duration = Duration::from_secs(3);
/// The host's address towards the outside machine.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// The outside machine.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

/// Runs a test on a host of its own.
pub fn on_host<F, T>(test: F)
where
    F: FnOnce(Host) -> T + Send + 'static,
    T: Future<Output = ()>,
{
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root: run it as root");
        sh("ip link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(test(Host::new()));
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// The test's host. Namespaces left by a failed test are unmounted at the end.
pub struct Host {
    dir: tempfile::TempDir,
    pub outside: Inside,
}

impl Host {
    fn new() -> Self {
        let (send, path) = mpsc::channel();
        let outside = Inside::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let link = std::fs::read_link("/proc/thread-self").unwrap();
            send.send(format!("/proc/{}/ns/net", link.display())).unwrap();
        });
        let path = path.recv().unwrap();
        sh(&format!("ip link add up0 type veth peer name up0 netns {path}"));
        sh(&format!("ip address add {HOST}/24 dev up0 && ip link set up0 up"));
        let host = Self { dir: tempfile::tempdir().unwrap(), outside };
        host.outside.run(|| {
            sh(&format!("ip link set lo up && ip address add {OUTSIDE}/24 dev up0 && ip link set up0 up"));
        });
        host
    }

    pub fn netns_dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    pub fn config(&self, tag: &str, third: u8) -> BridgeConfig {
        BridgeConfig { netns_dir: self.netns_dir(), ..BridgeConfig::new(tag, Subnet::new(10, 88, third).unwrap()) }
    }

    pub fn open(&self, tag: &str, third: u8) -> BridgeNetwork {
        BridgeNetwork::open(self.config(tag, third)).unwrap()
    }

    /// Everything a network can leave behind.
    pub fn traces(&self) -> BTreeSet<String> {
        let mut traces = BTreeSet::new();
        let links = sh("ip -o link");
        traces.extend(links.lines().map(|line| format!("link {}", line.split(':').nth(1).unwrap_or(""))));
        for line in sh("iptables-save").lines() {
            // Built-in chains appear when a table is first used and cannot be removed.
            if line.starts_with("-A") || (line.starts_with(':') && line.contains(" - ")) {
                traces.insert(format!("rule {}", line.split(" [").next().unwrap_or(line)));
            }
        }
        for entry in std::fs::read_dir(self.dir.path()).unwrap() {
            traces.insert(format!("file {}", entry.unwrap().path().display()));
        }
        traces.insert(format!("forwarding {}", sh("cat /proc/sys/net/ipv4/ip_forward").trim()));
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let dir = self.dir.path().display().to_string();
        traces.extend(mounts.lines().filter(|line| line.contains(&dir)).map(str::to_owned));
        traces
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.dir.path()).into_iter().flatten().flatten() {
            let _ = umount2(&entry.path(), MntFlags::MNT_DETACH);
        }
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// A thread inside a namespace.
pub struct Inside {
    work: Option<mpsc::Sender<Work>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Inside {
    fn spawn(enter: impl FnOnce() + Send + 'static) -> Self {
        let (work, inbox) = mpsc::channel::<Work>();
        let thread = std::thread::spawn(move || {
            enter();
            while let Ok(work) = inbox.recv() {
                work();
            }
        });
        Self { work: Some(work), thread: Some(thread) }
    }

    pub fn enter(netns: &Path) -> Self {
        let namespace = File::open(netns).unwrap();
        Self::spawn(move || setns(namespace, CloneFlags::CLONE_NEWNET).unwrap())
    }

    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (send, result) = mpsc::channel();
        let work = Box::new(move || drop(send.send(work())));
        self.work.as_ref().unwrap().send(work).unwrap();
        result.recv().expect("the work inside the namespace panicked")
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers every TCP connection and UDP datagram on a port with its name and who asked; ends when dropped.
pub struct Greeter {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Greeter {
    pub fn listen(netns: &Path, port: u16, name: &'static str) -> Self {
        let namespace = File::open(netns).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.unwrap();
                let udp = tokio::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await.unwrap();
                ready.send(()).unwrap();
                tokio::select! {
                    _ = stopped => {}
                    () = greet(tcp, udp, name) => {}
                }
            });
        });
        is_ready.recv().unwrap();
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

async fn greet(tcp: TcpListener, udp: tokio::net::UdpSocket, name: &str) {
    let mut datagram = [0; 64];
    loop {
        tokio::select! {
            Ok((stream, peer)) = tcp.accept() => {
                let mut stream = stream.into_std().unwrap();
                stream.set_nonblocking(false).unwrap();
                let _ = stream.write_all(format!("{name} {}", peer.ip()).as_bytes());
            }
            Ok((_, peer)) = udp.recv_from(&mut datagram) => {
                let _ = udp.send_to(format!("{name} {}", peer.ip()).as_bytes(), peer).await;
            }
        }
    }
}

impl Drop for Greeter {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What answers there: name and the address it saw, or the error.
pub fn ask_tcp(address: Ipv4Addr, port: u16) -> Result<String, std::io::Error> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, port)), DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The same by a datagram.
pub fn ask_udp(address: Ipv4Addr, port: u16) -> Result<String, std::io::Error> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.connect((IpAddr::V4(address), port))?;
    socket.send(b"hello")?;
    let mut answer = [0; 64];
    let len = socket.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..len]).into_owned())
}

pub fn request(id: &str, ports: &[(u16, u16, Protocol)]) -> AttachRequest {
    let port = |&(host_port, container_port, protocol): &(u16, u16, Protocol)| PublishedPort {
        host_port,
        container_port,
        protocol,
    };
    AttachRequest { container_id: id.to_owned(), ports: ports.iter().map(port).collect() }
}

/// Waits until it holds.
pub fn eventually(holds: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "not within {DEADLINE:?}");
        std::thread::yield_now();
    }
}

/// Runs a command line and gives what it printed.
pub fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{line}` failed: {said}\nmissing tools: apt-get install iproute2 iptables");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
