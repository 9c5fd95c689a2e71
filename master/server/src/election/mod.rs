//! Which of several masters leads: the one that holds a key in etcd, for as long as its lease is kept alive.
//!
//! It never makes anything safe by itself: that no two masters write is the store's doing, which compares this key and its own
//! with every write. It sees to it that one leads, that another takes over soon, and that who has lost the lease knows.

mod candidate;
mod keeper;
mod lease;
#[cfg(test)]
mod tests;

use std::time::Duration;

use proffer_proto_transport::Address;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::lease::Lease;
use crate::clock::Clock;
use crate::store::{EtcdOptions, Fence, StoreError};
use candidate::Candidate;

/// How a master takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionOptions {
    /// Where clients, agents and other masters reach this one.
    pub advertise: Address,
    /// Nobody takes over before this has passed since the leader was heard of; whole seconds.
    pub lease: Duration,
}

impl ElectionOptions {
    /// The lease when nobody said.
    pub const DEFAULT_LEASE: Duration = Duration::from_secs(5);
}

/// Where this master stands.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// Somebody else leads, or nobody yet.
    Follows(Option<Address>),
    /// This one.
    Leads(Term),
}

/// One time of leading, from the election to its end.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    /// For how long it is certain.
    pub(crate) lease: Lease,
    /// What every write compares.
    pub(crate) fence: Fence,
    /// Cancelled when it is over: by the election when the lease is lost, by the master when it cannot go on.
    pub(crate) over: CancellationToken,
}

/// Takes part in the election until it is dropped or ended; then the lease is given back, so that another one leads at once.
#[derive(Debug)]
pub(crate) struct Election {
    standing: watch::Receiver<Standing>,
    end: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Election {
    /// Begins to take part, on a thread of its own: whatever keeps the others busy, the lease is kept.
    ///
    /// # Errors
    /// [`StoreError`] when no connection can be begun; whether anybody answers is not waited for.
    pub(crate) fn start(etcd: &EtcdOptions, options: ElectionOptions, clock: Clock) -> Result<Self, StoreError> {
        let (told, standing) = watch::channel(Standing::Follows(None));
        let end = CancellationToken::new();
        let failed =
            |error: std::io::Error| StoreError::Unreachable { place: etcd.to_string(), cause: error.to_string() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (etcd_options, ends) = (etcd.clone(), end.clone());
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = Candidate::new(etcd_options, options, clock, told).run(ends.clone()) => {}
                    // Giving back is tried, not waited for.
                    () = async { ends.cancelled().await; tokio::time::sleep(candidate::FAREWELL).await } => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("election".to_owned()).spawn(work).map_err(failed)?;
        Ok(Self { standing, end, thread: Some(thread) })
    }

    /// Where this master stands, now and whenever it changes.
    pub(crate) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Gives the lease back and waits for that, a moment at most.
    pub(crate) async fn end(mut self) {
        self.end.cancel();
        if let Some(thread) = self.thread.take() {
            // It has a bound of its own; how it ended does not matter any more.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.end.cancel();
    }
}
