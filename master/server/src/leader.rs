//! One time of leading: from a store to an engine that serves, until that ends.

use std::sync::Arc;

use proffer_master_engine::Engine;
use proffer_proto_transport::{MAX_MESSAGE_BYTES, Shutdown, serve};
use proffer_proto_wire::DESCRIPTORS;
use proffer_proto_wire::agent::agent_registry_server::AgentRegistryServer;
use proffer_proto_wire::operator::operator_server::OperatorServer;
use proffer_proto_wire::scheduler::scheduler_server::SchedulerServer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tonic::service::Routes;

use crate::api::{OwnerLink, agent::AgentApi, operator::OperatorApi, rate::Buckets, scheduler::SchedulerApi};
use crate::clock::Clock;
use crate::dashboard::Dashboard;
use crate::election::Lease;
use crate::master::MasterError;
use crate::metrics::Metrics;
use crate::owner::{INBOX, Owner, Streams};
use crate::read_models::ReadModels;
use crate::store::{Loaded, Store};
use crate::{Config, json};

/// An agent's full state can be large: 64 MiB hold some 50,000 tasks.
const MAX_ATTACH_BYTES: usize = 64 << 20;

type Ended = oneshot::Receiver<Result<(), MasterError>>;

/// Everything of a master that leads but the port.
pub(crate) struct Leader {
    grpc: Routes,
    http: axum::Router,
    link: OwnerLink,
    owner_ended: Ended,
    shutdown: Shutdown,
}

impl Leader {
    /// Takes the store over, recovers, and starts the owner. Nothing is served yet.
    ///
    /// With a lease nothing is sent once it has run out, also when nothing had to be stored for it.
    ///
    /// # Errors
    /// What keeps it from leading; nothing is left running then.
    pub(crate) async fn prepare(
        config: &Config,
        mut store: Box<dyn Store>,
        clock: Clock,
        lease: Option<Lease>,
        shutdown: Shutdown,
    ) -> Result<Self, MasterError> {
        let loaded = tokio::task::spawn_blocking(move || (store.load(), store)).await;
        let (loaded, store) = loaded.map_err(|e| MasterError::Internal(format!("loading broke: {e}")))?;
        let Loaded { cluster, epoch, registry } = loaded?;
        let now = clock.now();
        tracing::info!(%cluster, epoch = epoch.0, agents = registry.agents.len(),
            frameworks = registry.frameworks.len(), tasks = registry.tasks.len(), "the master starts");
        let engine = Engine::recover(config.engine.clone(), cluster.clone(), epoch, registry, now)?;
        let readers = Arc::new(ReadModels::new(cluster, epoch, now.unix));
        let (inbox, from_all) = mpsc::channel(INBOX);

        let metrics = Arc::new(Metrics::new(Arc::clone(&readers)));
        let mut owner = Owner {
            engine,
            epoch,
            store,
            lease,
            clock,
            inbox: from_all,
            readers: Arc::clone(&readers),
            streams: Streams::default(),
            metrics: Arc::clone(&metrics),
        };
        // Nobody is shown an empty cluster while the owner's thread starts.
        owner.publish();
        let link = OwnerLink::new(inbox, shutdown.clone());
        let operator = OperatorServer::new(OperatorApi { owner: link.clone(), readers: Arc::clone(&readers) })
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let json = json::router(operator.clone()).map_err(MasterError::Internal)?;
        let buckets = Arc::new(Buckets::new(config.call_rate));
        let scheduler =
            SchedulerApi { owner: link.clone(), buckets, metrics: Arc::clone(&metrics), readers: Arc::clone(&readers) };
        let grpc = routes(&link, epoch, operator, scheduler).await?;
        let http = Dashboard::router(readers, shutdown.clone()).merge(Metrics::router(metrics)).merge(json);
        let owner_ended = start_owner(owner, shutdown.clone())?;
        Ok(Self { grpc, http, link, owner_ended, shutdown })
    }

    /// Serves until it is told to stop or cannot go on.
    ///
    /// # Errors
    /// Why it could not.
    pub(crate) async fn serve(self, listener: TcpListener) -> Result<(), MasterError> {
        let Self { grpc, http, link, owner_ended, shutdown } = self;
        let result = serve(listener, grpc, http, shutdown.clone()).await.map_err(MasterError::from);
        // Nobody is connected any more: the owner has nothing left to do.
        shutdown.cut();
        drop(link);
        let stored = owner_ended.await.unwrap_or_else(|_| Err(MasterError::Internal("the owner died".to_owned())));
        stored.and(result)
    }
}

/// The owner has a thread of its own: a slow disk never stops the streams.
fn start_owner(owner: Owner, shutdown: Shutdown) -> Result<Ended, MasterError> {
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
