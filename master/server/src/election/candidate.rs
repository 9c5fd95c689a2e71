//! One master's part in the election: it follows until the key is free, takes it, keeps it, gives it back.
//!
//! Nothing that etcd does ends it: it tries again until it is told to stop.

use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp, WatchOptions};
use proffer_proto_transport::{Address, Backoff};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{ElectionOptions, Lease, Standing, Term, keeper};
use crate::clock::Clock;
use crate::store::{EtcdOptions, Fence};

/// How long giving the lease back may take.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);
/// First and longest wait while etcd does not do what it is asked.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What the key says of the master that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    /// Where it is reached.
    address: String,
    /// New with each try, so that a try whose answer was lost is known again.
    attempt: String,
}

/// The key as it was found.
struct Found {
    holder: Option<Holder>,
    created: i64,
    /// The revision of the whole store that was read.
    revision: i64,
}

/// One master that takes part.
pub(super) struct Candidate {
    etcd: EtcdOptions,
    options: ElectionOptions,
    clock: Clock,
    told: watch::Sender<Standing>,
}

type Failure = etcd_client::Error;

impl Candidate {
    pub(super) fn new(
        etcd: EtcdOptions,
        options: ElectionOptions,
        clock: Clock,
        told: watch::Sender<Standing>,
    ) -> Self {
        Self { etcd, options, clock, told }
    }

    /// Takes part until `end`; a lease that is held then is given back.
    pub(super) async fn run(self, end: CancellationToken) {
        let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
        while !end.is_cancelled() {
            let round = async {
                let client = self.etcd.client(self.call_timeout()).await?;
                self.round(client, &end, &mut backoff).await
            };
            if let Err(error) = round.await {
                tracing::warn!(place = %self.etcd, %error, "no election while etcd does not answer, will be tried again");
                tokio::select! {
                    () = sleep(backoff.next_delay()) => {}
                    () = end.cancelled() => {}
                }
            }
        }
    }

    /// Follows and leads over one connection, until something fails.
    async fn round(&self, client: Client, end: &CancellationToken, backoff: &mut Backoff) -> Result<(), Failure> {
        loop {
            let found = tokio::select! {
                found = self.find(&client) => found?,
                () = end.cancelled() => return Ok(()),
            };
            backoff.reset();
            if let Some(holder) = &found.holder {
                // An earlier run of this very master is dead: its lease has only not ended yet.
                self.follows(holder.address.parse().ok().filter(|leader| *leader != self.options.advertise));
                tokio::select! {
                    changed = self.changed(&client, found.revision) => changed?,
                    () = end.cancelled() => return Ok(()),
                }
                continue;
            }
            // Not ended in the middle: a lease that was given must be given back.
            self.stand(&client, end).await?;
        }
    }

    /// Takes the key if it is free, and leads for as long as that lasts.
    async fn stand(&self, client: &Client, end: &CancellationToken) -> Result<(), Failure> {
        let lease = Lease::default();
        let asked = self.clock.now().mono;
        let length_secs = i64::try_from(self.options.lease.as_secs()).unwrap_or(i64::MAX);
        let given = within(self.call_timeout(), client.lease_client().grant(length_secs, None)).await?;
        lease.renewed(asked, length_ms(given.ttl()));
        let mut gave_up = false;
        let outcome = match self.take(client, given.id()).await {
            Ok(Some(created)) => {
                let fence = Fence { key: self.key(), created };
                let term = Term { lease: lease.clone(), fence, over: CancellationToken::new() };
                gave_up = self.lead(client, given.id(), term, end).await;
                Ok(())
            }
            // Somebody was faster.
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        lease.end();
        // One that is not given back ends by itself.
        let given_back = within(FAREWELL, client.lease_client().revoke(given.id())).await;
        if let Err(error) = given_back {
            tracing::debug!(%error, "a lease is not given back and ends by itself");
        }
        if gave_up {
            // What it could not do another one may be able to.
            tokio::select! {
                () = sleep(self.options.lease / 2) => {}
                () = end.cancelled() => {}
            }
        }
        outcome
    }

    /// Puts the key if it is not there; gives the revision at which it was made when it is ours.
    async fn take(&self, client: &Client, lease: i64) -> Result<Option<i64>, Failure> {
        let holder = Holder { address: self.options.advertise.to_string(), attempt: Uuid::new_v4().to_string() };
        // Two strings can always be written as JSON.
        let value = serde_json::to_vec(&holder).unwrap_or_default();
        let is_free = Compare::create_revision(self.key(), CompareOp::Equal, 0);
        let put = TxnOp::put(self.key(), value, Some(PutOptions::new().with_lease(lease)));
        let txn = Txn::new().when([is_free]).and_then([put]);
        if let Err(error) = within(self.call_timeout(), client.kv_client().txn(txn)).await {
            tracing::debug!(%error, "the answer to taking the lead is lost");
        }
        // Whether it was done is seen by looking, also when the answer was lost.
        let found = self.find(client).await?;
        Ok((found.holder == Some(holder)).then_some(found.created))
    }

    /// Leads until the lease is lost, the master says that it cannot, which is `true`, or all ends.
    async fn lead(&self, client: &Client, lease: i64, term: Term, end: &CancellationToken) -> bool {
        tracing::info!(created = term.fence.created, "this master leads");
        let over = term.over.clone();
        self.told.send_replace(Standing::Leads(term.clone()));
        let keep = keeper::keep(client.lease_client(), lease, &term.lease, self.clock, self.options.lease);
        let gave_up = tokio::select! {
            () = keep => {
                tracing::warn!("this master has lost its lease and does not lead any more");
                false
            }
            () = over.cancelled() => {
                tracing::info!("this master gives the lead back");
                true
            }
            () = end.cancelled() => false,
        };
        term.lease.end();
        over.cancel();
        self.follows(None);
        gave_up
    }

    async fn find(&self, client: &Client) -> Result<Found, Failure> {
        let answer = within(self.call_timeout(), client.kv_client().get(self.key(), Some(GetOptions::new()))).await?;
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        let Some(found) = answer.kvs().first() else { return Ok(Found { holder: None, created: 0, revision }) };
        // What another program wrote there is somebody's all the same.
        let unknown = || Holder { address: String::new(), attempt: String::new() };
        let holder = serde_json::from_slice(found.value()).unwrap_or_else(|_| unknown());
        Ok(Found { holder: Some(holder), created: found.create_revision(), revision })
    }

    /// Waits until the key may have changed since that revision: a watch, and a look now and then should it be lost.
    async fn changed(&self, client: &Client, revision: i64) -> Result<(), Failure> {
        let options = WatchOptions::new().with_start_revision(revision.saturating_add(1));
        let mut stream = within(self.call_timeout(), client.watch_client().watch(self.key(), Some(options))).await?;
        let first_event = async {
            while let Some(answer) = stream.message().await? {
                // Cancelled, too: the revision was compacted away, and a look tells.
                if answer.canceled() || !answer.events().is_empty() {
                    break;
                }
            }
            Ok::<(), Failure>(())
        };
        timeout(self.options.lease, first_event).await.unwrap_or(Ok(()))
    }

    fn follows(&self, leader: Option<Address>) {
        self.told.send_if_modified(|standing| {
            let is_same = matches!(standing, Standing::Follows(now) if *now == leader);
            if !is_same {
                *standing = Standing::Follows(leader);
            }
            !is_same
        });
    }

    fn key(&self) -> String {
        format!("{}/leader", self.etcd.prefix)
    }

    /// A call that takes longer than a part of the lease is of no use.
    fn call_timeout(&self) -> Duration {
        self.options.lease / 3
    }
}

/// The length of a lease as etcd tells it.
pub(super) fn length_ms(ttl_secs: i64) -> u64 {
    u64::try_from(ttl_secs).unwrap_or(0).saturating_mul(1_000)
}

/// The call, or an error when it takes longer.
pub(super) async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = |_| Failure::IoError(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time"));
    timeout(limit, call).await.map_err(late)?
}
