//! Runs a scheduler against real masters: the only part of this crate that does I/O and reads clocks.

mod clock;
mod error;
mod handle;
mod link;
mod owner;
mod run;

use tokio::sync::mpsc;

pub use error::DriverError;
use handle::Request;
pub use handle::{Handle, Stopped};
use owner::Owner;
pub use run::run;

use crate::session::{Session, UnknownFramework};
use crate::store::{MemoryStore, Store};
use crate::{FrameworkConfig, Scheduler};

/// Requests that may wait for the owner task.
const INBOX: usize = 256;

/// Runs a scheduler against the masters of a cluster. Never ends because a master is lost.
pub struct Driver<S> {
    config: FrameworkConfig,
    unknown_framework: UnknownFramework,
    store: Box<dyn Store>,
    sender: mpsc::Sender<Request<S>>,
    inbox: mpsc::Receiver<Request<S>>,
}

impl<S: Scheduler> Driver<S> {
    /// A driver that keeps its state in memory until [`Driver::store`] says otherwise.
    pub fn new(config: FrameworkConfig) -> Self {
        let (sender, inbox) = mpsc::channel(INBOX);
        let unknown_framework = UnknownFramework::default();
        Self { config, unknown_framework, store: Box::new(MemoryStore::new()), sender, inbox }
    }

    /// Keeps state here: identity, known tasks and what the scheduler stores.
    #[must_use]
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Box::new(store);
        self
    }

    /// What to do when a master does not know this framework, because it lost its state or is another cluster's: start
    /// anew under the same name, which is the default, or end the run.
    #[must_use]
    pub fn on_unknown_framework(mut self, choice: UnknownFramework) -> Self {
        self.unknown_framework = choice;
        self
    }

    /// A way to reach the scheduler from other tasks, such as the framework's own API server.
    pub fn handle(&self) -> Handle<S> {
        Handle::new(self.sender.clone())
    }

    /// Runs until the scheduler asks for the end, [`Handle::stop`] is called, or coming back cannot help. The framework's tasks
    /// keep running in each case but [`crate::Context::teardown`]. Dropping the future is like a crash: nothing is lost.
    pub async fn run(self, scheduler: S) -> Result<(), DriverError> {
        let Self { config, unknown_framework, mut store, sender, inbox } = self;
        // Only handles keep the inbox open from here on.
        drop(sender);
        let masters = config.master_addresses()?;
        let mut info = config.framework_info()?;
        if info.hostname.is_empty() {
            // Only for people: a host without a readable name stays unnamed.
            let name = tokio::fs::read_to_string("/proc/sys/kernel/hostname").await.unwrap_or_default();
            info.hostname = name.trim().to_owned();
        }
        let session = Session::new(info, scheduler, store.load()?)?.on_unknown_framework(unknown_framework);
        Owner::new(session, store, masters, inbox).run().await
    }
}
