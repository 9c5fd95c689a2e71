//! The driver for containerd 1.6, 1.7 and 2.x over its unix socket.
//!
//! It keeps nothing a restart would lose: containers, snapshots and images live in containerd, logs in files,
//! kill counts in the kernel. Events are never the truth here; `Wait` and `Get` are.

mod archive;
mod client;
mod containers;
mod content;
mod images;
mod manifest;
pub mod private;
mod pull;
mod registries;
mod snapshots;
mod stats;
mod store;
mod sweep;
mod tar_index;
mod tasks;
mod unpack;
mod users;
mod wait;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use containerd_client::services::v1::version_client::VersionClient;
use tokio::sync::Semaphore;
use tonic::async_trait;

use crate::cgroup::Cgroups;
use crate::{
    ContainerInfo, ContainerRequest, ContainerRuntime, Created, Exit, Image, ProgressSink, PullPolicy, RuntimeError,
    RuntimeInfo, Stats,
};
use client::Client;
use images::Images;

/// Launches the driver lets containerd work on at once; more only adds latency.
const CONCURRENT_LAUNCHES: usize = 4;

/// How to reach containerd and where to keep the few files containers need.
#[derive(Debug, Clone)]
pub struct ContainerdConfig {
    /// containerd's gRPC socket.
    pub socket: PathBuf,
    /// containerd namespace; unique per agent on one machine. `[a-zA-Z0-9._-]`.
    pub namespace: String,
    /// Program to start as log writer: one whose main asks `is_logger_invocation` first. Absolute.
    pub logger: PathBuf,
    /// Directory for runc's state and generated files; lost at reboot like the containers. Absolute.
    pub state_dir: PathBuf,
    /// Registries (`host[:port]`) to speak plain HTTP to, besides those on loopback addresses.
    pub insecure_registries: BTreeSet<String>,
    /// Credentials of registries, as `docker login` writes them (`auths` of its `config.json`); read at each pull.
    pub registry_auth_file: Option<PathBuf>,
    /// Directory with `HOST:PORT/*.crt`: authorities to trust for one registry, which is then spoken to with TLS
    /// wherever it is; read at each pull.
    pub registry_certs_dir: Option<PathBuf>,
    /// containerd snapshotter.
    pub snapshotter: String,
}

impl ContainerdConfig {
    /// Defaults for this socket and namespace: overlayfs, state in `/run/proffer/<namespace>`.
    pub fn new(socket: impl Into<PathBuf>, namespace: impl Into<String>, logger: impl Into<PathBuf>) -> Self {
        let namespace = namespace.into();
        Self {
            socket: socket.into(),
            state_dir: PathBuf::from("/run/proffer").join(&namespace),
            namespace,
            logger: logger.into(),
            insecure_registries: BTreeSet::new(),
            registry_auth_file: None,
            registry_certs_dir: None,
            snapshotter: "overlayfs".into(),
        }
    }
}

/// A [`ContainerRuntime`] on containerd. Cheap to clone.
#[derive(Clone)]
pub struct ContainerdRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    config: ContainerdConfig,
    client: Client,
    images: Images,
    cgroups: Cgroups,
    launches: Semaphore,
}

impl ContainerdRuntime {
    /// A driver for `config`. Connects when first used, and again whenever the connection was lost.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `Invalid` when a path is not absolute or the namespace has letters containerd refuses.
    pub fn new(config: ContainerdConfig) -> Result<Self, RuntimeError> {
        check(&config)?;
        let client = Client::new(&config.socket, &config.namespace)?;
        let images = Images::new(client.clone(), &config)?;
        let inner =
            Inner { client, images, cgroups: Cgroups::detect(), launches: Semaphore::new(CONCURRENT_LAUNCHES), config };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &ContainerdConfig {
        &self.inner.config
    }

    /// Removes every container of the namespace, their cgroup and the state directory. Images stay.
    ///
    /// # Errors
    /// The first container that could not be removed; the others were tried all the same.
    pub async fn purge(&self) -> Result<(), RuntimeError> {
        let mut first_error = self.inner.sweep().await.err();
        for container in self.inner.list().await? {
            if let Err(error) = self.inner.delete(&container.id).await {
                first_error.get_or_insert(error);
            }
        }
        self.inner.cgroups.remove(&self.inner.cgroup_parent());
        self.inner.cgroups.remove_if_empty("/proffer");
        let _ = std::fs::remove_dir_all(&self.inner.config.state_dir);
        first_error.map_or(Ok(()), Err)
    }
}

fn check(config: &ContainerdConfig) -> Result<(), RuntimeError> {
    let what = || format!("configure containerd namespace {:?}", config.namespace);
    for (name, path) in [("socket", &config.socket), ("logger", &config.logger), ("state directory", &config.state_dir)]
    {
        if !path.is_absolute() {
            return Err(RuntimeError::invalid(what(), format!("the {name} path {} must start with /", path.display())));
        }
    }
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    match !config.namespace.is_empty() && config.namespace.chars().all(legal) {
        true => Ok(()),
        false => Err(RuntimeError::invalid(what(), "use letters, digits, dots and dashes only")),
    }
}

#[async_trait]
impl ContainerRuntime for ContainerdRuntime {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        let client = &self.inner.client;
        let answer = VersionClient::new(client.channel())
            .version(client.request(()))
            .await
            .map_err(|status| client.error("ask containerd for its version", status))?;
        Ok(RuntimeInfo {
            name: "containerd".into(),
            version: answer.into_inner().version,
            cgroup: self.inner.cgroups.version(),
        })
    }

    async fn import_image(&self, tar: PathBuf, progress: ProgressSink) -> Result<Vec<Image>, RuntimeError> {
        self.inner.images.import(&tar, &progress).await
    }

    async fn ensure_image(
        &self,
        reference: &str,
        policy: PullPolicy,
        progress: ProgressSink,
    ) -> Result<Image, RuntimeError> {
        self.inner.images.ensure(reference, policy, &progress).await
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        self.inner.images.list().await
    }

    async fn create(&self, request: &ContainerRequest) -> Result<Created, RuntimeError> {
        self.inner.create(request).await
    }

    async fn start(&self, id: &str) -> Result<(), RuntimeError> {
        self.inner.start(id).await
    }

    async fn wait(&self, id: &str) -> Result<Exit, RuntimeError> {
        self.inner.wait(id).await
    }

    async fn signal(&self, id: &str, signal: i32) -> Result<(), RuntimeError> {
        self.inner.signal(id, signal).await
    }

    async fn delete(&self, id: &str) -> Result<(), RuntimeError> {
        self.inner.delete(id).await
    }

    async fn list(&self) -> Result<Vec<ContainerInfo>, RuntimeError> {
        self.inner.list().await
    }

    async fn stats(&self, id: &str) -> Result<Stats, RuntimeError> {
        self.inner.stats(id).await
    }

    async fn sweep(&self) -> Result<usize, RuntimeError> {
        self.inner.sweep().await
    }
}

/// Full names of the images in an archive.
pub(crate) async fn archive_names(tar: &std::path::Path) -> Result<Vec<String>, RuntimeError> {
    let archive = archive::Archive::open(tar).await?;
    let images = archive.images().await?;
    images.iter().map(|(name, _)| crate::normalize_reference(name)).collect()
}
