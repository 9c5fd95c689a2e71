//! Runs a scheduler against real masters: the only part of this crate that does I/O and reads clocks.

mod error;
mod handle;

use tokio::sync::mpsc;

pub use error::DriverError;
use handle::Request;
pub use handle::{Handle, Stopped};

use crate::store::{MemoryStore, Store};
use crate::{FrameworkConfig, Scheduler};

/// Requests that may wait for the owner task.
const INBOX: usize = 256;

/// Runs a scheduler against the masters of a cluster. Never ends because a master is lost.
pub struct Driver<S> {
    config: FrameworkConfig,
    store: Box<dyn Store>,
    sender: mpsc::Sender<Request<S>>,
    inbox: mpsc::Receiver<Request<S>>,
}

impl<S: Scheduler> Driver<S> {
    /// A driver that keeps its state in memory until [`Driver::store`] says otherwise.
    pub fn new(config: FrameworkConfig) -> Self {
        let (sender, inbox) = mpsc::channel(INBOX);
        Self { config, store: Box::new(MemoryStore::new()), sender, inbox }
    }

    /// Keeps state here: identity, known tasks and what the scheduler stores.
    #[must_use]
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Box::new(store);
        self
    }

    /// A way to reach the scheduler from other tasks, such as the framework's own API server.
    pub fn handle(&self) -> Handle<S> {
        Handle::new(self.sender.clone())
    }

    /// Runs until the scheduler asks for the end, [`Handle::stop`] is called, or coming back cannot help.
    pub async fn run(self, scheduler: S) -> Result<(), DriverError> {
        let Self { config, store, sender, inbox } = self;
        let _ = (config.framework_info()?, store, sender, inbox, scheduler);
        Err(DriverError::NotImplemented)
    }
}
