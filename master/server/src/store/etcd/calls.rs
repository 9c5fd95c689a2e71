//! Calls to etcd: each has a time limit and is tried again while nothing is known to be wrong with it.
//!
//! A write whose answer is lost may have been done or not, or be done later still. It compares a value that no two writes
//! share, so trying again is safe, and the next answer says which it was.

use std::time::Duration;

use etcd_client::{Compare, CompareOp, Error, GetOptions, KeyValue, KvClient, Txn, TxnOp};
use etcd_client::{TxnOpResponse, TxnResponse};
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

use super::{EtcdOptions, Fence};
use crate::store::StoreError;

/// One try of a call.
const CALL: Duration = Duration::from_secs(5);
/// Between tries, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Records in one page.
const PAGE: i64 = 500;

/// The connection to a cluster.
pub(super) struct Calls {
    kv: KvClient,
    place: String,
    patience: Duration,
    /// What every write compares besides: that this master still leads.
    fence: Option<Fence>,
}

/// How a conditional write ended.
pub(super) enum Written {
    /// It is done.
    Done,
    /// The key has another value, or none: nothing was done.
    Refused(Option<Vec<u8>>),
}

/// What was found below a prefix.
pub(super) type Records = Vec<(String, Vec<u8>)>;

/// Why a try did not succeed.
enum Failure {
    /// It may have been done, or may still be.
    Unknown(String),
    /// It was not and will not be done.
    Final(StoreError),
}

impl Calls {
    /// Connects to all endpoints; nothing is sent yet.
    pub async fn connect(options: &EtcdOptions, fence: Option<Fence>) -> Result<Self, StoreError> {
        let place = options.to_string();
        let unreachable = |error: Error| StoreError::Unreachable { place: place.clone(), cause: error.to_string() };
        let client = options.client(CALL).await.map_err(unreachable)?;
        let kv = client.kv_client().max_decoding_message_size(usize::MAX);
        Ok(Self { kv, place, patience: options.patience, fence })
    }

    /// The value of a key now, and the revision of the store.
    pub async fn get(&self, key: &str) -> Result<(Option<Vec<u8>>, i64), StoreError> {
        let answer = self.again(|mut kv| async move { kv.get(key, None).await }, read_failed).await?;
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok((answer.kvs().first().map(|found| found.value().to_vec()), revision))
    }

    /// All below a prefix as it was at one revision; `None` when etcd has forgotten that revision.
    pub async fn list(&self, prefix: &str, revision: i64) -> Result<Option<Records>, StoreError> {
        let (mut found, end) = (Records::new(), end_of(prefix));
        let mut from = prefix.as_bytes().to_vec();
        loop {
            let options = GetOptions::new().with_range(end.clone()).with_limit(PAGE).with_revision(revision);
            let page = |mut kv: KvClient| {
                let (from, options) = (from.clone(), options.clone());
                async move { kv.get(from, Some(options)).await }
            };
            let mut answer = match self.again(page, read_failed).await {
                Err(StoreError::Forgotten { .. }) => return Ok(None),
                other => other?,
            };
            let is_last = !answer.more();
            for record in answer.take_kvs() {
                let (key, value) = KeyValue::into_key_value(record);
                from = [&key[..], &[0]].concat();
                found.push((String::from_utf8_lossy(&key).into_owned(), value));
            }
            if is_last {
                return Ok(Some(found));
            }
        }
    }

    /// Does all of `then` when the key has this value, or does not exist. Part of `then` must set the key to `next`.
    pub async fn write(
        &self,
        key: &str,
        known: Option<&[u8]>,
        next: &[u8],
        then: Vec<TxnOp>,
    ) -> Result<Written, StoreError> {
        let is_known = match known {
            Some(value) => Compare::value(key, CompareOp::Equal, value),
            None => Compare::version(key, CompareOp::Equal, 0),
        };
        let leads = self.fence.iter().map(Fence::compare);
        let then = [vec![TxnOp::put(key, next, None)], then].concat();
        let txn = Txn::new()
            .when([is_known].into_iter().chain(leads).collect::<Vec<_>>())
            .and_then(then)
            .or_else(vec![TxnOp::get(key, None)]);
        let answer = self.again(|kv| transact(kv, txn.clone()), write_failed).await?;
        if answer.succeeded() {
            return Ok(Written::Done);
        }
        let found = found_by(&answer);
        // An earlier try whose answer was lost.
        if found.as_deref() == Some(next) {
            return Ok(Written::Done);
        }
        // Nobody else has written: it is the other comparison that failed.
        if found.as_deref() == known && self.fence.is_some() {
            return Err(StoreError::LeaseEnded);
        }
        Ok(Written::Refused(found))
    }

    /// Forgets how things were before a revision. That it fails matters to nobody.
    pub async fn compact(&self, revision: i64) {
        let mut kv = self.kv.clone();
        match timeout(CALL, kv.compact(revision, None)).await {
            Ok(Ok(_)) => {}
            // Somebody else has done it.
            Ok(Err(Error::GRpcStatus(status))) if status.code() == Code::OutOfRange => {}
            Ok(Err(error)) => tracing::warn!(%error, "etcd does not forget old revisions, will be tried again"),
            Err(_) => tracing::warn!("etcd takes long to forget old revisions, will be tried again"),
        }
    }

    async fn again<T, F: Future<Output = Result<T, Error>>>(
        &self,
        call: impl Fn(KvClient) -> F,
        failed: fn(&str, String) -> StoreError,
    ) -> Result<T, StoreError> {
        let end = Instant::now() + self.patience;
        let (mut pause, longest) = PAUSE;
        loop {
            let cause = match timeout(CALL.min(self.patience), call(self.kv.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => match self.judge(error) {
                    Failure::Final(error) => return Err(error),
                    Failure::Unknown(cause) => cause,
                },
                Err(_) => "no answer in time".to_owned(),
            };
            if Instant::now() + pause >= end {
                return Err(failed(&self.place, cause));
            }
            tracing::warn!(place = %self.place, %cause, "etcd does not answer as it should, will be tried again");
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    fn judge(&self, error: Error) -> Failure {
        let place = self.place.clone();
        let Error::GRpcStatus(status) = &error else { return Failure::Unknown(error.to_string()) };
        let cause = status.message().to_owned();
        match status.code() {
            Code::ResourceExhausted if cause.contains("space exceeded") => Failure::Final(StoreError::Full { place }),
            Code::OutOfRange if cause.contains("compacted") => Failure::Final(StoreError::Forgotten { place }),
            Code::InvalidArgument | Code::PermissionDenied | Code::Unauthenticated | Code::FailedPrecondition => {
                Failure::Final(StoreError::Refused { place, cause })
            }
            code => Failure::Unknown(format!("{code:?}: {cause}")),
        }
    }
}

async fn transact(mut kv: KvClient, txn: Txn) -> Result<TxnResponse, Error> {
    kv.txn(txn).await
}

fn read_failed(place: &str, cause: String) -> StoreError {
    StoreError::Unreachable { place: place.to_owned(), cause }
}

fn write_failed(place: &str, cause: String) -> StoreError {
    StoreError::Unknown { place: place.to_owned(), cause }
}

fn found_by(answer: &TxnResponse) -> Option<Vec<u8>> {
    answer.op_responses().into_iter().find_map(|response| match response {
        TxnOpResponse::Get(get) => get.kvs().first().map(|found| found.value().to_vec()),
        _ => None,
    })
}

/// The first key behind all that begin so. Prefixes end with a slash, which is not the last byte there is.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
