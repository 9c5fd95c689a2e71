//! What the agent's tests share: the fake runtime, a network in memory, a scripted master, and waiting with a deadline.
#![allow(dead_code)]

pub mod master;
pub mod network;
pub mod pulls;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use proffer_agent_runtime::fake::FakeRuntime;
use proffer_agent_runtime::{ContainerRequest, ContainerRuntime, PullPolicy};
use proffer_agent_server::{Agent, Config, Handle, RawConfig};
use proffer_proto_model::task::{ContainerSpec, KillPolicy, ResourceLimits};
use proffer_proto_model::{Bytes, MilliCpus, Resources, TaskId, TaskSpec};

use master::Master;
use network::MemoryNetwork;

const DEADLINE: Duration = Duration::from_secs(20);

/// The value, or a failed test when it takes too long.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// Waits until the condition holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub fn spec(task: &str) -> TaskSpec {
    TaskSpec {
        id: TaskId::new(task).unwrap(),
        name: "test".to_owned(),
        container: ContainerSpec { image: "busybox:1".to_owned(), ..ContainerSpec::default() },
        resources: Resources::new(MilliCpus(100), Bytes::mib(32)),
        limits: ResourceLimits::default(),
        kill_policy: KillPolicy { grace_ms: 50 },
        max_run_time_ms: None,
        labels: Default::default(),
        discovery_name: String::new(),
        data: Vec::new(),
        priority: 0,
        is_revocable: false,
    }
}

/// One agent's surroundings, which outlive the agent itself.
pub struct Place {
    pub directory: tempfile::TempDir,
    pub runtime: Arc<FakeRuntime>,
    pub network: Arc<MemoryNetwork>,
    pub master: Master,
}

impl Place {
    pub async fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            runtime: Arc::new(FakeRuntime::new()),
            network: Arc::new(MemoryNetwork::default()),
            master: Master::start().await,
        }
    }

    pub fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    pub fn config(&self) -> Config {
        let raw = RawConfig {
            data_dir: self.data_dir().to_string_lossy().into_owned(),
            listen: Some("127.0.0.1:0".to_owned()),
            masters: vec![self.master.address.to_string()],
            cpus: Some("4".to_owned()),
            memory: Some("1GiB".to_owned()),
            ..RawConfig::default()
        };
        let mut config = raw.validate().unwrap();
        config.reconnect_max_ms = 50;
        config
    }

    pub async fn start(&self) -> Handle {
        Agent::start(self.config(), self.runtime.clone(), self.network.clone()).await.unwrap()
    }

    /// The containers there are.
    pub fn containers(&self) -> Vec<String> {
        // The fake answers at once.
        let listed = self.runtime.list().now_or_never().unwrap().unwrap();
        listed.into_iter().map(|container| container.id).collect()
    }

    /// What the agent asked for when it made this container.
    pub fn request(&self, id: &str) -> ContainerRequest {
        self.runtime.created().into_iter().find(|request| request.id == id).unwrap()
    }

    /// Runs a container that no agent asked for.
    pub async fn intrude(&self, id: &str, label: &str) {
        let labels = [(label.to_owned(), "x".to_owned())].into();
        let request =
            ContainerRequest { id: id.to_owned(), image: "busybox:1".to_owned(), labels, ..Default::default() };
        self.runtime.ensure_image(&request.image, PullPolicy::Missing, Arc::new(|_| {})).await.unwrap();
        self.runtime.create(&request).await.unwrap();
        self.runtime.start(id).await.unwrap();
    }
}
