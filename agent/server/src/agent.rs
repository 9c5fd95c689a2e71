//! The way in: starts all parts of an agent, and ends them again.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Weak};
use std::time::Duration;

use proffer_agent_engine::{Engine, Frame, LABEL_TASK};
use proffer_agent_network::Network;
use proffer_agent_runtime::ContainerRuntime;
use proffer_proto_model::{AgentId, AgentInfo};
use proffer_proto_transport::{Address, MAX_MESSAGE_BYTES, Shutdown, bind, serve};
use proffer_proto_wire::agent as wire;
use proffer_proto_wire::agent::agent_host_server::AgentHostServer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tonic::service::Routes;

use crate::clock::Clock;
use crate::executor::{Executor, remove_directory};
use crate::host::Host;
use crate::link::Link;
use crate::owner::Owner;
use crate::request::Directories;
use crate::store::Store;
use crate::view::View;
use crate::{AgentError, Config, detect, words};

/// Inputs that may wait for the owner; who brings more waits.
const INBOX: usize = 4_096;
/// How long open calls may take when the agent stops.
const DRAIN: Duration = Duration::from_secs(2);

/// An agent.
#[derive(Debug)]
pub struct Agent;

/// A running agent. Dropping it ends the agent as a kill would: containers go on.
pub struct Handle {
    api_address: SocketAddr,
    shutdown: Shutdown,
    view: Arc<View>,
    runtime: Arc<dyn ContainerRuntime>,
    network: Arc<dyn Network>,
    store: Weak<Store>,
    /// `None` once its end was seen.
    owner: Option<JoinHandle<Result<(), AgentError>>>,
    link: Option<JoinHandle<()>>,
    server: Option<JoinHandle<Result<(), AgentError>>>,
}

impl Agent {
    /// Starts an agent: recovers its tasks, serves its API, and looks for a master.
    ///
    /// # Errors
    /// What keeps it from starting; nothing is left running then.
    pub async fn start(
        config: Config,
        runtime: Arc<dyn ContainerRuntime>,
        network: Arc<dyn Network>,
    ) -> Result<Handle, AgentError> {
        let directories = Directories::new(&config.data_dir);
        prepare(&config, &directories).await?;
        let (listener, api_address) = bind(&config.listen).await?;
        let info = describe(&config, api_address, runtime.as_ref()).await?;
        let host_address = info.address.clone();
        let store = Arc::new(Store::open(&directories.checkpoint())?);
        let clock = Clock::new();
        let (engine, first) = recover(&config, info, &store, runtime.as_ref(), network.as_ref(), clock).await?;

        sweep_logs(&directories, &engine.known_containers()).await;

        let shutdown = Shutdown::new(DRAIN);
        let view = Arc::new(View::new());
        let (inputs, inbox) = mpsc::channel(INBOX);
        let executor = Executor::new(
            Arc::clone(&runtime),
            Arc::clone(&network),
            directories.clone(),
            host_address,
            inputs.clone(),
        );
        let kept = Arc::downgrade(&store);
        let owner = Owner {
            engine,
            store,
            clock,
            inbox,
            executor,
            view: Arc::clone(&view),
            link: None,
            shutdown: shutdown.clone(),
        };
        let link = Link {
            masters: config.masters,
            longest_wait: Duration::from_millis(config.reconnect_max_ms),
            owner: inputs,
            shutdown: shutdown.clone(),
        };
        let host =
            Host { view: Arc::clone(&view), runtime: Arc::clone(&runtime), directories, shutdown: shutdown.clone() };
        tracing::info!(%api_address, "agent started");
        Ok(Handle {
            api_address,
            view,
            runtime,
            network,
            store: kept,
            owner: Some(tokio::spawn(owner.run(first))),
            link: Some(tokio::spawn(link.run())),
            server: Some(tokio::spawn(serve_api(listener, host, shutdown.clone()))),
            shutdown,
        })
    }

    /// Runs an agent until `stop` ends, or until it cannot go on. Its containers go on either way.
    ///
    /// # Errors
    /// Why it could not start or go on.
    pub async fn run(
        config: Config,
        runtime: Arc<dyn ContainerRuntime>,
        network: Arc<dyn Network>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), AgentError> {
        let mut handle = Self::start(config, runtime, network).await?;
        tokio::select! {
            ended = handle.ended() => ended,
            () = stop => handle.shutdown().await,
        }
    }
}

impl Handle {
    /// Where the agent's own API answers.
    pub fn api_address(&self) -> SocketAddr {
        self.api_address
    }

    /// The agent's id while a master has admitted it, and its changes.
    pub fn attached(&self) -> watch::Receiver<Option<AgentId>> {
        self.view.attached()
    }

    /// Waits until the agent ends by itself, which it does only when it cannot go on.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub async fn ended(&mut self) -> Result<(), AgentError> {
        let ended = tokio::select! {
            ended = end_of(&mut self.owner, "owner") => ended,
            ended = end_of(&mut self.server, "API") => ended,
        };
        self.shutdown.begin();
        ended
    }

    /// Ends the agent; its containers go on, and the next start adopts them.
    ///
    /// # Errors
    /// The last commit failed.
    pub async fn shutdown(mut self) -> Result<(), AgentError> {
        self.stop().await
    }

    /// Ends the agent and removes its containers and everything of its network from the host. Their tasks are not
    /// reported as lost; the next start finds that they have ended.
    ///
    /// # Errors
    /// What could not be removed.
    pub async fn purge(mut self) -> Result<(), AgentError> {
        let stopped = self.stop().await;
        let ours = |container: &proffer_agent_runtime::ContainerInfo| container.labels.contains_key(LABEL_TASK);
        let mut removals = tokio::task::JoinSet::new();
        for container in self.runtime.list().await?.into_iter().filter(ours) {
            let runtime = Arc::clone(&self.runtime);
            removals.spawn(async move { runtime.delete(&container.id).await });
        }
        let mut removed = Ok(());
        while let Some(one) = removals.join_next().await {
            removed = removed.and(one.map_err(|_| AgentError::Died("removal"))?.map_err(AgentError::from));
        }
        self.network.remove_all().await?;
        stopped.and(removed)
    }

    /// Ends the agent at once and without a word, as a kill of its process would; containers go on.
    pub async fn kill(mut self) {
        self.shutdown.cut();
        self.abort();
        let _ = end_of(&mut self.owner, "owner").await;
        let _ = end_of(&mut self.server, "API").await;
        // A commit that is under way on another thread ends as it will; only then can the file be opened again.
        while self.store.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn stop(&mut self) -> Result<(), AgentError> {
        self.shutdown.begin();
        let stopped = match self.owner.is_some() {
            true => end_of(&mut self.owner, "owner").await,
            false => Ok(()),
        };
        // The owner's last words are on their way; the stream ends when nobody can add to them.
        if let Some(link) = self.link.take() {
            let _ = link.await;
        }
        if self.server.is_some() {
            end_of(&mut self.server, "API").await?;
        }
        stopped
    }

    fn abort(&mut self) {
        self.owner.iter().for_each(JoinHandle::abort);
        self.link.iter().for_each(JoinHandle::abort);
        self.server.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shutdown.cut();
        self.abort();
    }
}

/// Waits for the end of a part; one whose end was seen already never ends again.
async fn end_of(part: &mut Option<JoinHandle<Result<(), AgentError>>>, name: &'static str) -> Result<(), AgentError> {
    let Some(handle) = part else { return std::future::pending().await };
    let ended = handle.await.unwrap_or(Err(AgentError::Died(name)));
    *part = None;
    ended
}

async fn prepare(config: &Config, directories: &Directories) -> Result<(), AgentError> {
    let failed = |source| AgentError::DataDir { path: config.data_dir.clone(), source };
    tokio::fs::create_dir_all(&config.data_dir).await.map_err(failed)?;
    // What an interrupted import left.
    match tokio::fs::remove_dir_all(directories.temporary()).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Removes logs whose task was forgotten just before the agent died.
async fn sweep_logs(directories: &Directories, known: &BTreeSet<String>) {
    let Ok(mut entries) = tokio::fs::read_dir(directories.tasks()).await else { return };
    while let Ok(Some(entry)) = entries.next_entry().await {
        if entry.file_name().to_str().is_none_or(|name| !known.contains(name)) {
            remove_directory(entry.path()).await;
        }
    }
}

/// Who this agent is: what was given, and what is found where nothing was.
async fn describe(
    config: &Config,
    api_address: SocketAddr,
    runtime: &dyn ContainerRuntime,
) -> Result<AgentInfo, AgentError> {
    let runtime = runtime.info().await?;
    let hostname = match &config.hostname {
        Some(name) => name.clone(),
        None => detect::hostname()?,
    };
    let address = match &config.address {
        Some(address) => address.clone(),
        None if !api_address.ip().is_unspecified() => api_address.ip().to_string(),
        None => route_to(&config.masters).to_string(),
    };
    let answers_at = if address.contains(':') {
        format!("[{address}]:{}", api_address.port())
    } else {
        format!("{address}:{}", api_address.port())
    };
    let info = AgentInfo {
        id: None,
        hostname,
        api_address: answers_at,
        address,
        resources: detect::resources(&config.resources, &config.data_dir)?,
        attributes: detect::attributes(&config.attributes, &runtime),
        region: config.region.clone(),
        zone: config.zone.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: detect::boot_id(),
    };
    // The checks a master will make: better refused here, with the field, than there.
    Ok(AgentInfo::try_from(wire::AgentInfo::from(info))?)
}

/// The address of this host from which it reaches a master; nothing is sent to find out.
fn route_to(masters: &[Address]) -> IpAddr {
    let from = |master: &Address| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((master.host(), master.port())).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    masters.iter().find_map(from).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

async fn recover(
    config: &Config,
    agent: AgentInfo,
    store: &Store,
    runtime: &dyn ContainerRuntime,
    network: &dyn Network,
    clock: Clock,
) -> Result<(Engine, Frame), AgentError> {
    let stored = store.load()?;
    let seen: Vec<_> = runtime.list().await?.into_iter().map(words::seen).collect();
    let engine = proffer_agent_engine::Config { agent, timing: config.timing, ended_kept: config.ended_kept };
    let (engine, first) = Engine::recover(engine, stored, &seen, clock.now());
    network.start().await?;
    let keep: Vec<_> =
        engine.wired_containers().into_iter().map(|(id, ports)| words::attach_request(id, &ports)).collect();
    network.recover(&keep).await?;
    tracing::info!(containers = seen.len(), networks = keep.len(), "recovered");
    Ok((engine, first))
}

async fn serve_api(listener: TcpListener, host: Host, shutdown: Shutdown) -> Result<(), AgentError> {
    let service = AgentHostServer::new(host).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let http = axum::Router::new();
    Ok(serve(listener, Routes::new(service), http, shutdown).await?)
}
