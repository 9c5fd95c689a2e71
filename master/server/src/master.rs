//! The way in: listens, and leads at once or whenever it is elected.

use std::net::SocketAddr;

use proffer_master_engine::RecoverError;
use proffer_proto_transport::{ServeError, Shutdown, bind};
use tokio::sync::oneshot;

use crate::Config;
use crate::clock::Clock;
use crate::election::Election;
use crate::leader::Leader;
use crate::store::{DiskStore, Store, StoreError};
use crate::terms::Terms;

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
    /// Starts a master on its data directory; or on etcd, where it follows until it is elected.
    ///
    /// # Errors
    /// What keeps it from starting; nothing is left running then. That etcd does not answer is waited for instead.
    pub async fn start(config: Config) -> Result<Handle, MasterError> {
        let Some(etcd) = config.etcd.clone() else {
            let store = DiskStore::open(&config.data_dir)?;
            return Self::start_on(config, Box::new(store)).await;
        };
        let (listener, address) = bind(&config.listen).await?;
        tracing::info!(%address, place = %etcd, "the master listens and waits to be elected");
        let clock = Clock::start();
        let listener = listener.into_std().map_err(|e| MasterError::Internal(format!("the port was lost: {e}")))?;
        let election = Election::start(&etcd, config.election(address), clock)?;
        let shutdown = Shutdown::new(config.drain);
        let terms = Terms { config, etcd, election, listener, clock, shutdown: shutdown.clone() };
        Ok(Handle::of(address, shutdown, terms.run()))
    }

    /// Starts a master on a store of one's own.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub async fn start_on(config: Config, store: Box<dyn Store>) -> Result<Handle, MasterError> {
        // The port first: a second master on the same address must not begin an epoch.
        let (listener, address) = bind(&config.listen).await?;
        tracing::info!(%address, "the master listens");
        let shutdown = Shutdown::new(config.drain);
        let leader = Leader::prepare(&config, store, Clock::start(), None, shutdown.clone()).await?;
        Ok(Handle::of(address, shutdown, leader.serve(listener)))
    }
}

impl Handle {
    fn of(
        address: SocketAddr,
        shutdown: Shutdown,
        work: impl Future<Output = Result<(), MasterError>> + Send + 'static,
    ) -> Self {
        let (done, ended) = oneshot::channel();
        tokio::spawn(async move {
            let result = work.await;
            // Nobody may wait for the end any more.
            let _ = done.send(result);
        });
        Self { address, shutdown, ended }
    }

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
