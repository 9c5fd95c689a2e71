//! The way in: opens the store, recovers the engine, and starts all parts of a master.

use std::net::SocketAddr;
use std::sync::Arc;

use proffer_master_engine::{Engine, RecoverError};
use proffer_proto_transport::{MAX_MESSAGE_BYTES, ServeError, Shutdown, bind, serve};
use proffer_proto_wire::DESCRIPTORS;
use proffer_proto_wire::agent::agent_registry_server::AgentRegistryServer;
use proffer_proto_wire::operator::operator_server::OperatorServer;
use proffer_proto_wire::scheduler::scheduler_server::SchedulerServer;
use tokio::sync::{mpsc, oneshot};
use tonic::service::Routes;

use crate::Config;
use crate::api::{OwnerLink, agent::AgentApi, operator::OperatorApi, rate::Buckets, scheduler::SchedulerApi};
use crate::clock::Clock;
use crate::dashboard::Dashboard;
use crate::json;
use crate::metrics::Metrics;
use crate::owner::{INBOX, Owner, Streams};
use crate::read_models::ReadModels;
use crate::store::{DiskStore, EtcdStore, Loaded, Store, StoreError};

/// An agent's full state can be large: 64 MiB hold some 50,000 tasks.
const MAX_ATTACH_BYTES: usize = 64 << 20;

/// A master.
#[derive(Debug)]
pub struct Master;

/// Why a master could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// The state cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state contradicts itself.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The address cannot be used, or serving failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Something broke that must not.
    #[error("{0}; this is a defect of the master, please report it with its log")]
    Internal(String),
}

/// A running master. Dropping it ends the master without a drain.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    shutdown: Shutdown,
    ended: oneshot::Receiver<Result<(), MasterError>>,
}

impl Master {
    /// Starts a master on its data directory, or on etcd.
    ///
    /// # Errors
    /// What keeps it from starting; nothing is left running then.
    pub async fn start(config: Config) -> Result<Handle, MasterError> {
        let store: Box<dyn Store> = match &config.etcd {
            Some(options) => Box::new(EtcdStore::open(options)?),
            None => Box::new(DiskStore::open(&config.data_dir)?),
        };
        Self::start_on(config, store).await
    }

    /// Starts a master on a store of one's own.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub async fn start_on(config: Config, mut store: Box<dyn Store>) -> Result<Handle, MasterError> {
        // The port first: a second master on the same address must not begin an epoch.
        let (listener, address) = bind(&config.listen).await?;
        let Loaded { cluster, epoch, registry } = store.load()?;
        let clock = Clock::start();
        let now = clock.now();
        tracing::info!(%address, %cluster, epoch = epoch.0, agents = registry.agents.len(),
            frameworks = registry.frameworks.len(), tasks = registry.tasks.len(), "the master starts");
        let engine = Engine::recover(config.engine, cluster.clone(), epoch, registry, now)?;
        let readers = Arc::new(ReadModels::new(cluster, epoch, now.unix));
        let (inbox, from_all) = mpsc::channel(INBOX);
        let shutdown = Shutdown::new(config.drain);

        let metrics = Arc::new(Metrics::new(Arc::clone(&readers)));
        let owner = Owner {
            engine,
            epoch,
            store,
            clock,
            inbox: from_all,
            readers: Arc::clone(&readers),
            streams: Streams::default(),
            metrics: Arc::clone(&metrics),
        };
        let owner_ended = start_owner(owner, shutdown.clone())?;
        let link = OwnerLink::new(inbox, shutdown.clone());
        let operator = OperatorServer::new(OperatorApi { owner: link.clone(), readers: Arc::clone(&readers) })
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let json = json::router(operator.clone()).map_err(MasterError::Internal)?;
        let buckets = Arc::new(Buckets::new(config.call_rate));
        let scheduler = SchedulerApi { owner: link.clone(), buckets, metrics: Arc::clone(&metrics) };
        let grpc = routes(&link, epoch, operator, scheduler).await?;
        let http = Dashboard::router(readers, shutdown.clone()).merge(Metrics::router(metrics)).merge(json);
        let (done, ended) = oneshot::channel();
        let served = shutdown.clone();
        tokio::spawn(async move {
            let result = serve(listener, grpc, http, served.clone()).await.map_err(MasterError::from);
            // Nobody is connected any more: the owner has nothing left to do.
            served.cut();
            drop(link);
            let stored = owner_ended.await.unwrap_or_else(|_| Err(MasterError::Internal("the owner died".to_owned())));
            // Nobody may wait for the end any more.
            let _ = done.send(stored.and(result));
        });
        Ok(Handle { address, shutdown, ended })
    }
}

/// The owner has a thread of its own: a slow disk never stops the streams.
fn start_owner(owner: Owner, shutdown: Shutdown) -> Result<oneshot::Receiver<Result<(), MasterError>>, MasterError> {
    let (done, ended) = oneshot::channel();
    let internal = |e: std::io::Error| MasterError::Internal(format!("cannot start the owner: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(internal)?;
    let work = move || {
        let result = runtime.block_on(async {
            tokio::select! {
                result = owner.run() => result,
                () = shutdown.ended() => Ok(()),
            }
        });
        if let Err(error) = &result {
            tracing::error!(%error, "the master cannot store any more and stops");
        }
        // Without its owner a master must not serve.
        shutdown.begin();
        let _ = done.send(result.map_err(MasterError::from));
    };
    std::thread::Builder::new().name("owner".to_owned()).spawn(work).map_err(internal)?;
    Ok(ended)
}

async fn routes(
    link: &OwnerLink,
    epoch: proffer_proto_model::Epoch,
    operator: OperatorServer<OperatorApi>,
    scheduler: SchedulerApi,
) -> Result<Routes, MasterError> {
    let scheduler = SchedulerServer::new(scheduler).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let agent =
        AgentRegistryServer::new(AgentApi { owner: link.clone(), epoch }).max_decoding_message_size(MAX_ATTACH_BYTES);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<OperatorServer<OperatorApi>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()
        .map_err(|e| MasterError::Internal(format!("the API's description is wrong: {e}")))?;
    let mut routes = Routes::builder();
    routes.add_service(scheduler).add_service(agent).add_service(operator);
    routes.add_service(health_service).add_service(reflection);
    Ok(routes.routes())
}

impl Handle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// Why it could not go on.
    pub async fn ended(&mut self) -> Result<(), MasterError> {
        (&mut self.ended)
            .await
            .unwrap_or_else(|_| Err(MasterError::Internal("the master's end was not told".to_owned())))
    }

    /// Stops it: open calls get a moment, agents and frameworks look for another master.
    ///
    /// # Errors
    /// What went wrong at the end.
    pub async fn shutdown(mut self) -> Result<(), MasterError> {
        self.shutdown.begin();
        self.ended().await
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shutdown.begin();
        self.shutdown.cut();
    }
}
