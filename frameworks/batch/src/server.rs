//! The framework as a process: store, driver and API together. Decides nothing.

use std::path::PathBuf;

use axum::Router;
use proffer_proto_transport::{Address, AddressError, MAX_MESSAGE_BYTES, ServeError, Shutdown, bind, serve};
use proffer_proto_wire::batch::batch_server::BatchServer as BatchService;
use proffer_sdk::store::{FileStore, StoreError};
use proffer_sdk::{ConfigError, Driver, DriverError, FrameworkConfig};
use tokio::task::JoinHandle;
use tonic::service::Routes;

use crate::api::Api;
use crate::scheduler::Batch;

/// The framework's name at the master.
pub const FRAMEWORK_NAME: &str = "batch";

/// Where the API listens when nobody said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:5053";

/// How to run the batch framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The masters, `host:port`; the SDK's default when empty.
    pub masters: Vec<String>,
    /// Where the API listens, `host:port`; port 0 takes a free one.
    pub listen: String,
    /// Its roles, e.g. `eng/web`: the first pays where none is named; `default` alone when empty.
    pub roles: Vec<String>,
    /// Where state is kept.
    pub data_dir: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        let data_dir = PathBuf::from("/var/lib/proffer/batch");
        Self { masters: Vec::new(), listen: DEFAULT_LISTEN.to_owned(), roles: Vec::new(), data_dir }
    }
}

/// Why the framework could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address makes no sense.
    #[error("batch framework: {0}")]
    Address(#[from] AddressError),
    /// The API cannot listen.
    #[error("batch framework: {0}")]
    Listen(#[from] ServeError),
    /// Its state cannot be opened.
    #[error("batch framework: {0}")]
    Store(#[from] StoreError),
    /// What it says of itself is wrong.
    #[error("batch framework: {0}")]
    Config(#[from] ConfigError),
    /// Opening its state broke off.
    #[error("batch framework: opening its state broke off: {0}")]
    BrokeOff(tokio::task::JoinError),
}

/// Why the framework ended other than by wish. Its tasks keep running.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The driver gave up.
    #[error("batch framework: {0}")]
    Driver(#[from] DriverError),
    /// The API broke.
    #[error("batch framework: {0}")]
    Serve(#[from] ServeError),
    /// Something inside broke.
    #[error("batch framework: it broke: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

/// Starts the batch framework.
#[derive(Debug)]
pub struct BatchServer;

/// A running batch framework. Dropping it does not end it.
#[derive(Debug)]
pub struct BatchHandle {
    /// Where its API answers: `http://host:port`.
    pub api_address: String,
    shutdown: Shutdown,
    run: JoinHandle<Result<(), RunError>>,
}

impl BatchServer {
    /// Opens the state, listens, and begins to look for a master. Returns before one is found: the API answers at once.
    ///
    /// # Errors
    /// The state cannot be opened, the address cannot be listened on, or a setting is wrong.
    pub async fn start(config: Config) -> Result<BatchHandle, StartError> {
        let Config { masters, listen, roles, data_dir } = config;
        for master in &masters {
            master.parse::<Address>()?;
        }
        let listen: Address = listen.parse()?;
        let path = data_dir.join("batch.redb");
        let store =
            tokio::task::spawn_blocking(move || FileStore::open(path)).await.map_err(StartError::BrokeOff)??;
        let (listener, bound) = bind(&listen).await?;
        let api_address = Address::from(bound).uri();
        let framework = FrameworkConfig::new(FRAMEWORK_NAME).api_address(&api_address);
        let framework = masters.into_iter().fold(framework, FrameworkConfig::master);
        let framework = roles.into_iter().fold(framework, FrameworkConfig::role);
        framework.framework_info()?;

        let shutdown = Shutdown::default();
        let batch = Batch::new();
        let driver = Driver::new(framework).store(store);
        let handle = driver.handle();
        let api = Api::new(handle.clone(), batch.changes(), shutdown.clone());
        let service = BatchService::new(api).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let server = tokio::spawn(serve(listener, Routes::new(service), Router::new(), shutdown.clone()));
        let mut driver = tokio::spawn(driver.run(batch));
        let drain = shutdown.clone();
        let run = tokio::spawn(async move {
            let driven = tokio::select! {
                driven = &mut driver => driven,
                () = drain.draining() => {
                    handle.stop().await;
                    driver.await
                }
            };
            // Also when the driver gave up: an API without a scheduler can answer nothing.
            drain.begin();
            let served = server.await;
            driven??;
            served??;
            Ok(())
        });
        tracing::info!(api = %api_address, "batch framework started");
        Ok(BatchHandle { api_address, shutdown, run })
    }
}

impl BatchHandle {
    /// Begins to end: open calls end, tasks keep running. [`BatchHandle::wait`] tells when it is done.
    pub fn shutdown(&self) {
        self.shutdown.begin();
    }

    /// Waits until it has ended, by [`BatchHandle::shutdown`] or because going on makes no sense.
    ///
    /// # Errors
    /// It ended other than by wish.
    pub async fn wait(&mut self) -> Result<(), RunError> {
        (&mut self.run).await?
    }
}
