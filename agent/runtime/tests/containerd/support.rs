//! A private containerd with one image, and how to ask it for the behaviours of the conformance suite.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proffer_agent_runtime::conformance::{Behaviour, Fixture};
use proffer_agent_runtime::containerd::ContainerdRuntime;
use proffer_agent_runtime::containerd::private::PrivateContainerd;
use proffer_agent_runtime::image_builder::ImageBuilder;
use proffer_agent_runtime::{ContainerRequest, ContainerRuntime, ContainerStatus, ProgressSink};

pub const IMAGE: &str = "proffer.test/box:1";

/// Everything one test needs; each has its own directory, daemon and namespace.
pub struct Stage {
    pub daemon: PrivateContainerd,
    pub namespace: String,
    pub directory: tempfile::TempDir,
}

impl Stage {
    /// A daemon with [`IMAGE`] imported.
    pub async fn start(name: &str) -> Self {
        let stage = Self::bare(name).await;
        let tar = stage.directory.path().join("box.tar");
        ImageBuilder::busybox(IMAGE).unwrap().write(&tar).unwrap();
        stage.runtime().import_image(tar, silent()).await.unwrap();
        stage
    }

    /// A daemon without images.
    pub async fn bare(name: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("proffer-").tempdir().unwrap();
        let daemon = PrivateContainerd::start(directory.path().join("containerd")).await.unwrap();
        // Shim sockets and cgroups are shared by the whole machine: the name must be too.
        let namespace = format!("test-{name}-{}", std::process::id());
        Self { daemon, namespace, directory }
    }

    pub fn runtime(&self) -> ContainerdRuntime {
        ContainerdRuntime::new(self.daemon.config(&self.namespace, logger())).unwrap()
    }

    pub fn shell(&self, id: &str, text: &str) -> ContainerRequest {
        ContainerRequest {
            id: id.into(),
            image: IMAGE.into(),
            command: vec!["sh".into(), "-c".into(), text.into()],
            log_dir: self.directory.path().join("logs").join(id),
            ..ContainerRequest::default()
        }
    }

    /// Stops everything and checks that nothing is left on the machine.
    pub async fn stop(self) {
        let containerd = self.daemon.directory().to_owned();
        self.daemon.stop().await.unwrap();
        assert_nothing_left(&containerd, &self.namespace);
    }
}

impl Fixture for Stage {
    fn request(&self, id: &str, behaviour: Behaviour) -> ContainerRequest {
        let text = match behaviour {
            Behaviour::Exit(code) => format!("exit {code}"),
            Behaviour::ExitSoon(code) => format!("sleep 0.5; exit {code}"),
            Behaviour::PrintAndRun => "echo out 1; echo err 1 >&2; exec sleep 1000".into(),
            Behaviour::HonourTerminate => "trap 'exit 9' TERM; echo ready; while true; do sleep 0.1; done".into(),
            Behaviour::IgnoreTerminate => "trap '' TERM; echo ready; while true; do sleep 0.1; done".into(),
            // tail keeps the last line of its input in memory, and this input has only one line.
            Behaviour::EatMemory => "exec tail -n 1 /dev/zero".into(),
            Behaviour::MissingCommand => {
                return ContainerRequest { command: vec!["no-such-program".into()], ..self.shell(id, "") };
            }
            Behaviour::Shell(text) => text,
        };
        self.shell(id, &text)
    }

    fn reconnect(&self) -> Arc<dyn ContainerRuntime> {
        Arc::new(self.runtime())
    }

    fn missing_image(&self) -> String {
        "proffer.test/missing:1".into()
    }
}

pub fn logger() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_proffer-container-log"))
}

pub fn silent() -> ProgressSink {
    Arc::new(|_| {})
}

/// Host process id of a running container.
pub async fn pid_of(runtime: &ContainerdRuntime, id: &str) -> i32 {
    let listed = runtime.list().await.unwrap();
    match listed.iter().find(|container| container.id == id).map(|container| container.status) {
        Some(ContainerStatus::Running { pid }) => i32::try_from(pid).unwrap(),
        other => panic!("{id} does not run: {other:?}"),
    }
}

/// Waits until a condition holds.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition().await {
        assert!(Instant::now() < deadline, "{what}: not within 30 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// No mount, process, cgroup or state of this containerd may remain.
pub fn assert_nothing_left(directory: &Path, namespace: &str) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&directory.display().to_string()), "mounts are left");
    assert!(!directory.join("state").exists(), "state is left");
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let ours = command.contains(&directory.display().to_string()) || command.contains(namespace);
        assert!(!ours, "a process is left: {command}");
    }
    for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpu"] {
        let group = Path::new(root).join("proffer").join(namespace);
        assert!(!group.exists(), "cgroup {} is left", group.display());
    }
}
