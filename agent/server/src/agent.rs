//! The way in: finds out who the agent is, recovers its tasks, and starts all its parts.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use proffer_agent_engine::{Engine, Frame};
use proffer_agent_network::Network;
use proffer_agent_runtime::ContainerRuntime;
use proffer_proto_model::AgentInfo;
use proffer_proto_transport::{Address, MAX_MESSAGE_BYTES, Shutdown, bind, serve};
use proffer_proto_wire::agent as wire;
use proffer_proto_wire::agent::agent_host_server::AgentHostServer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::service::Routes;

use crate::clock::Clock;
use crate::executor::{Executor, remove_directory};
use crate::host::Host;
use crate::link::Link;
use crate::owner::Owner;
use crate::request::Directories;
use crate::store::Store;
use crate::view::View;
use crate::volumes::warn_of_strangers;
use crate::{AgentError, Config, Handle, detect, words};

/// Inputs that may wait for the owner; who brings more waits.
const INBOX: usize = 4_096;
/// How long open calls may take when the agent stops.
const DRAIN: Duration = Duration::from_secs(2);

/// An agent.
#[derive(Debug)]
pub struct Agent;

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
        let store = open_store(&config, &directories).await?;
        let (listener, api_address) = bind(&config.listen).await?;
        let info = describe(&config, api_address, runtime.as_ref()).await?;
        let host_address = info.address.clone();
        let clock = Clock::new();
        let (engine, first) = recover(&config, info, &store, runtime.as_ref(), network.as_ref(), clock).await?;
        sweep_logs(&directories, &engine.known_containers()).await;
        warn_of_strangers(&directories, &engine.known_volumes());

        let parts = Parts { listener, api_address, directories, host_address, store, clock, engine, first };
        Ok(launch(config, parts, runtime, network))
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

/// What is known and open before anything runs.
struct Parts {
    listener: TcpListener,
    api_address: SocketAddr,
    directories: Directories,
    host_address: String,
    store: Arc<Store>,
    clock: Clock,
    engine: Engine,
    first: Frame,
}

/// Starts the owner, the link and the API. Nothing can fail any more.
fn launch(config: Config, parts: Parts, runtime: Arc<dyn ContainerRuntime>, network: Arc<dyn Network>) -> Handle {
    let Parts { listener, api_address, directories, host_address, store, clock, engine, first } = parts;
    let shutdown = Shutdown::new(DRAIN);
    let view = Arc::new(View::new());
    let (inputs, inbox) = mpsc::channel(INBOX);
    let executor =
        Executor::new(Arc::clone(&runtime), Arc::clone(&network), directories.clone(), host_address, inputs.clone());
    let store_closed = store.closed();
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
    let host = Host { view: Arc::clone(&view), runtime: Arc::clone(&runtime), directories, shutdown: shutdown.clone() };
    tracing::info!(%api_address, "agent started");
    Handle {
        api_address,
        view,
        runtime,
        network,
        store_closed,
        owner: Some(tokio::spawn(owner.run(first))),
        link: Some(tokio::spawn(link.run())),
        server: Some(tokio::spawn(serve_api(listener, host, shutdown.clone()))),
        shutdown,
    }
}

/// Takes the data directory; from here on no other agent can.
async fn open_store(config: &Config, directories: &Directories) -> Result<Arc<Store>, AgentError> {
    let failed = |source| AgentError::DataDir { path: config.data_dir.clone(), source };
    tokio::fs::create_dir_all(&config.data_dir).await.map_err(failed)?;
    let store = Store::open(&directories.checkpoint())?;
    // What an interrupted import left.
    match tokio::fs::remove_dir_all(directories.temporary()).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(Arc::new(store)),
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
        reservations: config.reservations.clone(),
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
    // What could not be swept does no harm but take room: no reason not to start.
    if let Err(error) = runtime.sweep().await {
        tracing::warn!(%error, "what an earlier run left could not be swept");
    }
    let seen: Vec<_> = runtime.list().await?.into_iter().map(words::seen).collect();
    let engine = proffer_agent_engine::Config { agent, timing: config.timing, ended_kept: config.ended_kept };
    let containers = seen.len();
    let (engine, first) = Engine::recover(engine, stored, seen, clock.now());
    network.start().await?;
    let keep: Vec<_> =
        engine.wired_containers().into_iter().map(|(id, ports)| words::attach_request(id, &ports)).collect();
    network.recover(&keep).await?;
    tracing::info!(containers, networks = keep.len(), "recovered");
    Ok((engine, first))
}

async fn serve_api(listener: TcpListener, host: Host, shutdown: Shutdown) -> Result<(), AgentError> {
    let service = AgentHostServer::new(host).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let http = axum::Router::new();
    Ok(serve(listener, Routes::new(service), http, shutdown).await?)
}
