//! The store of several masters: an etcd cluster. Every write compares one key that only its holder moves on, so a master
//! that another has taken over from can do nothing.
//!
//! The work is done by a runtime of its own: whoever owns the store waits for it, on whatever thread it runs.

mod batch;
mod calls;
mod core;
mod meta;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use etcd_client::{Client, Compare, CompareOp, ConnectOptions};
use proffer_master_engine::Stored;
use proffer_master_engine::registry::Operation;
use proffer_proto_transport::Address;
use tokio::runtime::Runtime;

use self::core::Core;
use super::{Backup, Loaded, Store, StoreError};

/// Where an etcd cluster is, and how long to wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdOptions {
    /// Its members; one is enough, and any of several serves.
    pub endpoints: Vec<Address>,
    /// Begins all keys, e.g. `/proffer`; without a slash at its end.
    pub prefix: String,
    /// How long a call is tried again before the store gives up.
    pub patience: Duration,
}

impl EtcdOptions {
    /// Where keys are when nobody said.
    pub const DEFAULT_PREFIX: &str = "/proffer";
    /// How long is tried when nobody said.
    pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);

    /// A connection to all members; nothing is sent yet. A dead one is noticed within `limit`.
    pub(crate) async fn client(&self, limit: Duration) -> Result<Client, etcd_client::Error> {
        // A member that cannot reach the others answers at once instead of keeping us waiting.
        let options = ConnectOptions::new()
            .with_connect_timeout(limit)
            .with_keep_alive(limit, limit)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        let endpoints: Vec<String> = self.endpoints.iter().map(|address| format!("http://{address}")).collect();
        Client::connect(endpoints, Some(options)).await
    }
}

impl fmt::Display for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<String> = self.endpoints.iter().map(ToString::to_string).collect();
        write!(f, "etcd {}, prefix {}", endpoints.join(","), self.prefix)
    }
}

/// A key that exists, as it was made at one revision, for as long as one master leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fence {
    /// The key.
    pub key: String,
    /// The revision at which it was made.
    pub created: i64,
}

impl Fence {
    fn compare(&self) -> Compare {
        Compare::create_revision(self.key.clone(), CompareOp::Equal, self.created)
    }
}

/// A store in etcd.
pub struct EtcdStore {
    /// Here but while a call is under way.
    core: Option<Core>,
    /// Here until it is dropped.
    runtime: Option<Runtime>,
    place: String,
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdStore").field("place", &self.place).finish_non_exhaustive()
    }
}

impl EtcdStore {
    /// Connects. Whether anybody answers is known with the first call.
    ///
    /// # Errors
    /// [`StoreError`] when no connection can be begun.
    pub fn open(options: &EtcdOptions) -> Result<Self, StoreError> {
        Self::open_with(options, None)
    }

    /// The same for a master that leads: nothing is written once it does not any more.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_fenced(options: &EtcdOptions, fence: Fence) -> Result<Self, StoreError> {
        Self::open_with(options, Some(fence))
    }

    fn open_with(options: &EtcdOptions, fence: Option<Fence>) -> Result<Self, StoreError> {
        let place = options.to_string();
        let failed = |cause: String| StoreError::Unreachable { place: place.clone(), cause };
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("etcd").enable_all().build();
        let runtime = runtime.map_err(|error| failed(error.to_string()))?;
        let options = options.clone();
        let core = wait(&runtime, async move { Core::connect(&options, fence).await });
        let core = core.ok_or_else(|| failed("the connection's thread died".to_owned()))??;
        Ok(Self { core: Some(core), runtime: Some(runtime), place })
    }

    /// Does one thing with the connection.
    fn run<T: Send + 'static>(&mut self, work: impl AsyncWork<T>) -> Result<T, StoreError> {
        let dead =
            || StoreError::Unknown { place: self.place.clone(), cause: "the connection's thread died".to_owned() };
        let (Some(mut core), Some(runtime)) = (self.core.take(), &self.runtime) else { return Err(dead()) };
        let done = wait(runtime, async move {
            let result = work.on(&mut core).await;
            (core, result)
        });
        let (core, result) = done.ok_or_else(dead)?;
        self.core = Some(core);
        result
    }
}

impl Drop for EtcdStore {
    fn drop(&mut self) {
        // Waiting for its threads is not allowed everywhere.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Store for EtcdStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        self.run(Load)
    }

    fn commit(&mut self, operations: &[Operation]) -> Result<Stored, StoreError> {
        if operations.is_empty() {
            return Ok(Stored::after_commit());
        }
        self.run(Commit(operations.to_vec()))?;
        Ok(Stored::after_commit())
    }
}

impl Backup for EtcdStore {
    fn look(&mut self) -> Result<Option<Loaded>, StoreError> {
        self.run(Look)
    }

    fn replace(&mut self, contents: &Loaded) -> Result<(), StoreError> {
        self.run(Replace(contents.clone()))
    }
}

/// Something to do with the connection.
trait AsyncWork<T>: Send + 'static {
    /// Does it.
    fn on(self, core: &mut Core) -> impl Future<Output = Result<T, StoreError>> + Send;
}

struct Load;
struct Look;
struct Commit(Vec<Operation>);
struct Replace(Loaded);

impl AsyncWork<Loaded> for Load {
    async fn on(self, core: &mut Core) -> Result<Loaded, StoreError> {
        core.load().await
    }
}

impl AsyncWork<Option<Loaded>> for Look {
    async fn on(self, core: &mut Core) -> Result<Option<Loaded>, StoreError> {
        core.look().await
    }
}

impl AsyncWork<()> for Commit {
    async fn on(self, core: &mut Core) -> Result<(), StoreError> {
        core.commit(&self.0).await
    }
}

impl AsyncWork<()> for Replace {
    async fn on(self, core: &mut Core) -> Result<(), StoreError> {
        core.replace(&self.0).await
    }
}

/// Waits for it, also where no runtime may be waited for; `None` when it died.
fn wait<T: Send + 'static>(runtime: &Runtime, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let (done, ended) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // Nobody may wait any more.
        let _ = done.send(work.await);
    });
    ended.recv().ok()
}
