//! A master among several: follows, leads when it is elected, follows again when that is over, on one port all the time.
//!
//! Only what no other master could do better ends it: a registry that cannot be understood, a port that is lost.

use std::time::Duration;

use proffer_proto_transport::{Shutdown, serve};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Clock;
use crate::election::{Election, Standing, Term};
use crate::leader::Leader;
use crate::master::MasterError;
use crate::store::{EtcdOptions, EtcdStore, StoreError};
use crate::{Config, follower};

/// A master that takes part in an election.
pub(crate) struct Terms {
    pub(crate) config: Config,
    pub(crate) etcd: EtcdOptions,
    pub(crate) election: Election,
    pub(crate) listener: std::net::TcpListener,
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
}

/// The server of a follower.
struct Following {
    shutdown: Shutdown,
    server: JoinHandle<Result<(), MasterError>>,
}

impl Terms {
    /// Runs until it is told to stop; then the lead is given to another one at once.
    pub(crate) async fn run(self) -> Result<(), MasterError> {
        let result = self.go_on().await;
        self.election.end().await;
        result
    }

    async fn go_on(&self) -> Result<(), MasterError> {
        let mut standing = self.election.standing();
        loop {
            let following = self.follow().await?;
            let term = tokio::select! {
                term = elected(&mut standing) => term?,
                () = self.shutdown.draining() => return following.end().await,
            };
            let ended = self.lead(&term, following).await;
            // Whatever it was: another one leads from here on.
            term.over.cancel();
            match ended {
                Err(MasterError::Store(error)) if is_of_the_moment(&error) => {
                    tracing::warn!(%error, "this master does not lead any more and stands for election again");
                }
                Err(error) => return Err(error),
                Ok(()) if self.shutdown.is_draining() => return Ok(()),
                Ok(()) => {}
            }
        }
    }

    /// Serves the way to the leader, at once.
    async fn follow(&self) -> Result<Following, MasterError> {
        let (listener, shutdown) = (self.listen()?, Shutdown::new(Duration::ZERO));
        let standing = self.election.standing();
        let (grpc, http) = (follower::grpc(standing.clone()).await, follower::http(standing));
        let until = shutdown.clone();
        let server = tokio::spawn(async move { Ok(serve(listener, grpc, http, until).await?) });
        Ok(Following { shutdown, server })
    }

    /// One term. Who asks meanwhile is told to wait until the registry is loaded.
    async fn lead(&self, term: &Term, following: Following) -> Result<(), MasterError> {
        let shutdown = Shutdown::new(self.config.drain);
        let _ties = AbortOnDropHandle::new(tokio::spawn(tie(self.shutdown.clone(), term.clone(), shutdown.clone())));
        // Longer than the lease nothing may take.
        let etcd = EtcdOptions { patience: self.config.lease.min(self.etcd.patience), ..self.etcd.clone() };
        let store = Box::new(EtcdStore::open_fenced(&etcd, term.fence.clone())?);
        let lease = Some(term.lease.clone());
        let prepared = Leader::prepare(&self.config, store, self.clock, lease, shutdown).await;
        following.end().await?;
        prepared?.serve(self.listen()?).await
    }

    /// The one port; connections that come between two servers wait for the second.
    fn listen(&self) -> Result<TcpListener, MasterError> {
        let listener = self.listener.try_clone().and_then(TcpListener::from_std);
        listener.map_err(|e| MasterError::Internal(format!("the port was lost: {e}")))
    }
}

impl Following {
    async fn end(self) -> Result<(), MasterError> {
        self.shutdown.cut();
        self.server.await.map_err(|e| MasterError::Internal(format!("the follower's server broke: {e}")))?
    }
}

/// Waits for the next term.
async fn elected(standing: &mut watch::Receiver<Standing>) -> Result<Term, MasterError> {
    let died = |_| MasterError::Internal("the election has died".to_owned());
    let is_new = |standing: &Standing| matches!(standing, Standing::Leads(term) if !term.over.is_cancelled());
    let standing = standing.wait_for(is_new).await.map_err(died)?;
    match &*standing {
        Standing::Leads(term) => Ok(term.clone()),
        Standing::Follows(_) => Err(MasterError::Internal("a term was lost".to_owned())),
    }
}

/// A term ends with the process: in peace; and with its lease: at once.
async fn tie(process: Shutdown, term: Term, shutdown: Shutdown) {
    tokio::select! {
        () = term.over.cancelled() => {}
        () = async {
            process.draining().await;
            shutdown.begin();
            process.ended().await;
        } => {}
    }
    shutdown.cut();
}

/// Another master, or this one later, can go on from it.
fn is_of_the_moment(error: &StoreError) -> bool {
    match error {
        StoreError::Unreachable { .. }
        | StoreError::Unknown { .. }
        | StoreError::Superseded { .. }
        | StoreError::LeaseEnded
        | StoreError::Full { .. }
        | StoreError::Forgotten { .. } => true,
        StoreError::InUse { .. }
        | StoreError::Missing { .. }
        | StoreError::Inaccessible { .. }
        | StoreError::Corrupt { .. }
        | StoreError::Newer { .. }
        | StoreError::Write { .. }
        | StoreError::Moved { .. }
        | StoreError::TooLarge { .. }
        | StoreError::Refused { .. } => false,
    }
}
