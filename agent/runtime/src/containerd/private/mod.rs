//! A containerd of one's own: for `proffer dev`, tests and the harness. Own root, state and socket in one directory.
//! Touches no other containerd on the machine, and leaves nothing behind when stopped.

mod daemon;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use containerd_client::services::v1::ListNamespacesRequest;
use containerd_client::services::v1::namespaces_client::NamespacesClient;
use nix::sys::signal::Signal;

use super::client::Client;
use super::{ContainerdConfig, ContainerdRuntime};
use crate::{ContainerRuntime, RuntimeError, RuntimeErrorKind};
use daemon::{Daemon, unmount_below};

/// Time a daemon may take to come up or to go.
const DAEMON_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two looks at a daemon.
const POLL: Duration = Duration::from_millis(10);

/// A unix socket's path must be shorter than this.
const MAX_SOCKET_PATH: usize = 104;

/// One containerd in one directory. Dropping it stops it, unless it was detached.
#[derive(Debug)]
pub struct PrivateContainerd {
    directory: PathBuf,
    daemon: Option<Daemon>,
    on_drop: OnDrop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    Stop,
    Leave,
}

impl PrivateContainerd {
    /// Starts containerd in `directory` (absolute; created when missing), or takes over the one that runs there.
    /// Images and containers of an earlier run are found again.
    ///
    /// # Errors
    /// When containerd or runc is missing (with the command that installs them) or does not come up.
    pub async fn start(directory: impl Into<PathBuf>) -> Result<Self, RuntimeError> {
        let directory = directory.into();
        check(&directory)?;
        let mut this = Self { directory, daemon: None, on_drop: OnDrop::Stop };
        this.write_config().map_err(|error| this.error(error))?;
        this.ensure_daemon().await?;
        Ok(this)
    }

    /// containerd's socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("containerd.sock")
    }

    /// The directory it lives in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Process id of the daemon, `None` while it is down.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().and_then(Daemon::pid)
    }

    /// A configuration for one agent on this daemon; its files are kept in the same directory.
    /// `namespace` must be unique on the machine, not only here: shim sockets and cgroups are shared.
    pub fn config(&self, namespace: &str, logger: impl Into<PathBuf>) -> ContainerdConfig {
        let mut config = ContainerdConfig::new(self.socket(), namespace, logger);
        config.state_dir = self.agent_state(namespace);
        config
    }

    /// Kills the daemon as a crash would. Containers go on.
    ///
    /// # Errors
    /// When it does not end.
    pub fn crash(&mut self) -> Result<(), RuntimeError> {
        self.end_daemon(Signal::SIGKILL)
    }

    /// True when the daemon has ended without being told to: see [`Self::restart`]. Cheap.
    pub fn is_down(&mut self) -> bool {
        self.daemon.as_mut().is_none_or(Daemon::has_ended)
    }

    /// Starts the daemon again after it ended; a running one is left alone. Containers go on meanwhile.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self) -> Result<(), RuntimeError> {
        self.ensure_daemon().await
    }

    /// Leaves daemon and containers running; a later `start` in the same directory takes them over.
    pub fn detach(mut self) {
        self.on_drop = OnDrop::Leave;
    }

    /// Ends every container and the daemon, and removes mounts, cgroups and state. Images stay for the next start.
    ///
    /// # Errors
    /// The first thing that could not be removed; the rest was tried all the same.
    pub async fn stop(mut self) -> Result<(), RuntimeError> {
        self.on_drop = OnDrop::Leave;
        self.shut_down().await
    }

    async fn shut_down(&mut self) -> Result<(), RuntimeError> {
        let purged = self.purge().await;
        let ended = self.end_daemon(Signal::SIGTERM).or_else(|_| self.end_daemon(Signal::SIGKILL));
        let unmounted = unmount_below(&self.directory);
        let _ = fs::remove_dir_all(self.directory.join("state"));
        let _ = fs::remove_file(self.socket());
        purged.and(ended).and(unmounted.map_err(|error| self.error(error)))
    }

    async fn purge(&mut self) -> Result<(), RuntimeError> {
        // Containers of a crashed daemon are ended through a new one.
        self.ensure_daemon().await?;
        let client = Client::new(&self.socket(), "default")?;
        let request = client.request(ListNamespacesRequest::default());
        let answer = NamespacesClient::new(client.channel()).list(request).await;
        let namespaces = answer.map_err(|status| client.error("list namespaces", status))?.into_inner().namespaces;
        let mut outcome = Ok(());
        for namespace in namespaces {
            // Only removing: the logger in this configuration is never started.
            let runtime = ContainerdRuntime::new(self.config(&namespace.name, "/nonexistent"))?;
            outcome = outcome.and(runtime.purge().await);
        }
        outcome
    }

    async fn ensure_daemon(&mut self) -> Result<(), RuntimeError> {
        if self.daemon.as_mut().is_some_and(Daemon::has_ended) {
            self.daemon = None;
        }
        if self.daemon.is_none() {
            let daemon = match Daemon::find(&self.config_file(), &self.pid_file()) {
                Some(running) => running,
                None => Daemon::spawn(&self.config_file(), &self.pid_file(), &self.log_file())
                    .map_err(|error| self.error(error))?,
            };
            self.daemon = Some(daemon);
        }
        self.wait_until_up().await
    }

    async fn wait_until_up(&mut self) -> Result<(), RuntimeError> {
        let deadline = Instant::now() + DAEMON_TIMEOUT;
        let runtime = ContainerdRuntime::new(self.config("default", "/nonexistent"))?;
        loop {
            let Err(error) = runtime.info().await else { return Ok(()) };
            if self.daemon.as_mut().is_none_or(Daemon::has_ended) {
                self.daemon = None;
                return Err(self.error(format!("containerd ended at once: {}", self.log_tail())));
            }
            if Instant::now() > deadline {
                return Err(self.error(format!("containerd does not answer: {error}; {}", self.log_tail())));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn end_daemon(&mut self, signal: Signal) -> Result<(), RuntimeError> {
        let Some(daemon) = &mut self.daemon else { return Ok(()) };
        daemon.signal(signal);
        let deadline = Instant::now() + DAEMON_TIMEOUT;
        while !daemon.has_ended() {
            if Instant::now() > deadline {
                return Err(self.error(format!("containerd does not end on {signal}")));
            }
            std::thread::sleep(POLL);
        }
        self.daemon = None;
        let _ = fs::remove_file(self.pid_file());
        Ok(())
    }

    fn write_config(&self) -> io::Result<()> {
        let path = |name: &str| self.directory.join(name).display().to_string();
        for name in ["root", "state", "opt"] {
            fs::create_dir_all(self.directory.join(name))?;
        }
        let disabled = [
            "io.containerd.grpc.v1.cri",
            "io.containerd.internal.v1.restart",
            "io.containerd.nri.v1.nri",
            "io.containerd.snapshotter.v1.aufs",
            "io.containerd.snapshotter.v1.btrfs",
            "io.containerd.snapshotter.v1.devmapper",
            "io.containerd.snapshotter.v1.zfs",
            "io.containerd.tracing.processor.v1.otlp",
        ];
        let text = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = {disabled:?}\n\n[grpc]\naddress = {:?}\n\n\
             [plugins.\"io.containerd.internal.v1.opt\"]\npath = {:?}\n",
            path("root"),
            path("state"),
            self.socket().display().to_string(),
            path("opt"),
        );
        fs::write(self.config_file(), text)
    }

    fn config_file(&self) -> PathBuf {
        self.directory.join("containerd.toml")
    }

    fn pid_file(&self) -> PathBuf {
        self.directory.join("containerd.pid")
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("containerd.log")
    }

    fn agent_state(&self, namespace: &str) -> PathBuf {
        self.directory.join("agents").join(namespace)
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(5).collect();
        format!("last lines of its log: {}", lines.into_iter().rev().collect::<Vec<_>>().join(" | "))
    }

    fn error(&self, cause: impl ToString) -> RuntimeError {
        RuntimeError::new(
            RuntimeErrorKind::Internal,
            format!("private containerd in {}", self.directory.display()),
            cause,
        )
    }
}

impl Drop for PrivateContainerd {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::Leave {
            return;
        }
        // Drop cannot await and may run inside a runtime: a thread with a runtime of its own does the work.
        let outcome = std::thread::scope(|scope| {
            let stopping = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map_err(|error| self.error(error)).and_then(|runtime| runtime.block_on(self.shut_down()))
            });
            stopping.join()
        });
        if let Ok(Err(error)) = outcome {
            tracing::warn!(%error, "private containerd left something behind");
        }
    }
}

fn check(directory: &Path) -> Result<(), RuntimeError> {
    let what = || format!("private containerd in {}", directory.display());
    for program in ["containerd", "runc"] {
        if !is_on_path(program) {
            let cause = format!("{program} is missing: install it with `apt-get install containerd runc`");
            return Err(RuntimeError::not_found(what(), cause));
        }
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(RuntimeError::invalid(what(), "containerd needs root: run this as root"));
    }
    if !directory.is_absolute() {
        return Err(RuntimeError::invalid(what(), "the directory must start with /"));
    }
    match directory.as_os_str().len() + "/containerd.sock.ttrpc".len() < MAX_SOCKET_PATH {
        true => Ok(()),
        false => Err(RuntimeError::invalid(what(), "the path is too long for a socket in it: choose a shorter one")),
    }
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
