//! Runs the scheduler with its API: opens the store, listens, connects. Never decides anything.

use std::net::SocketAddr;
use std::path::PathBuf;

use proffer_proto_transport::{Address, AddressError, MAX_MESSAGE_BYTES, ServeError, Shutdown, bind, serve};
use proffer_proto_wire::service::services_server::ServicesServer;
use proffer_sdk::store::{FileStore, StoreError};
use proffer_sdk::{Driver, DriverError, FrameworkConfig, Handle};
use tokio::task::JoinHandle;
use tonic::service::Routes;

use crate::ServiceScheduler;
use crate::api::Api;

/// Where the API listens when nobody said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:5052";

/// What a service framework needs to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The masters, `host:port`; the one on this machine when empty.
    pub masters: Vec<String>,
    /// Where the API listens, `host:port`; port 0 takes a free one.
    pub listen: String,
    /// Its roles, e.g. `eng/web`: the first pays where none is named; `default` alone when empty.
    pub roles: Vec<String>,
    /// Where the state is kept, in `service.redb`.
    pub data_dir: PathBuf,
}

impl Config {
    /// The defaults, with the state in this directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { masters: Vec::new(), listen: DEFAULT_LISTEN.to_owned(), roles: Vec::new(), data_dir: data_dir.into() }
    }
}

/// Why the framework could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address to listen on makes no sense.
    #[error("listen {0}")]
    Listen(#[from] AddressError),
    /// The state cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The API cannot be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The run ended with an error.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A part of it panicked.
    #[error("the service framework broke: {0}; please report this")]
    Broken(#[from] tokio::task::JoinError),
}

/// The service framework as a process runs it.
#[derive(Debug)]
pub struct ServiceServer;

/// A running service framework.
#[derive(Debug)]
pub struct ServiceHandle {
    /// Where its API answers.
    pub api_address: SocketAddr,
    handle: Handle<ServiceScheduler>,
    shutdown: Shutdown,
    run: JoinHandle<Result<(), DriverError>>,
    api: JoinHandle<Result<(), ServeError>>,
}

impl ServiceServer {
    /// Opens the state, listens, and begins to run. Masters that are not there are waited for.
    ///
    /// # Errors
    /// [`StartError`] when the state cannot be opened or the address cannot be listened on.
    pub async fn start(config: Config) -> Result<ServiceHandle, StartError> {
        let Config { masters, listen, roles, data_dir } = config;
        let listen: Address = listen.parse()?;
        let store = FileStore::open(data_dir.join("service.redb"))?;
        let (listener, api_address) = bind(&listen).await?;
        let framework = FrameworkConfig::new("service").api_address(format!("http://{api_address}"));
        let framework = masters.into_iter().fold(framework, FrameworkConfig::master);
        let framework = roles.into_iter().fold(framework, FrameworkConfig::role);
        let driver = Driver::new(framework).store(store);
        let (handle, shutdown) = (driver.handle(), Shutdown::default());
        let api = Api { handle: handle.clone(), shutdown: shutdown.clone() };
        let routes = Routes::new(ServicesServer::new(api).max_decoding_message_size(MAX_MESSAGE_BYTES));
        let api = tokio::spawn(serve(listener, routes, axum::Router::new(), shutdown.clone()));
        let run = tokio::spawn(driver.run(ServiceScheduler::new()));
        tracing::info!(%api_address, "service framework started");
        Ok(ServiceHandle { api_address, handle, shutdown, run, api })
    }
}

impl ServiceHandle {
    /// Asks it to end: calls get time to end, instances keep running. See [`ServiceHandle::wait`].
    pub async fn shutdown(&self) {
        self.shutdown.begin();
        self.handle.stop().await;
    }

    /// Waits for its end, by [`ServiceHandle::shutdown`] or because going on makes no sense.
    ///
    /// # Errors
    /// [`StartError`] with what ended it.
    pub async fn wait(&mut self) -> Result<(), StartError> {
        let (ran, served) = tokio::select! {
            ran = &mut self.run => {
                self.shutdown.begin();
                (ran, (&mut self.api).await)
            }
            served = &mut self.api => {
                self.handle.stop().await;
                ((&mut self.run).await, served)
            }
        };
        ran??;
        served??;
        Ok(())
    }
}
