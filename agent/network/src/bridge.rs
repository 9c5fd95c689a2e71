//! The agent's handle on its network.
//!
//! Never touches the system itself: every verb goes through a bounded queue to one owner thread, which does the blocking
//! work, so the caller's runtime is never blocked and no two verbs race. A verb whose caller went away is still finished.

use std::sync::mpsc::SyncSender;

use tokio::sync::{mpsc, oneshot};
use tonic::async_trait;

use crate::config::BridgeConfig;
use crate::contract::{AttachRequest, Attachment, Network, NetworkError};
use crate::owner::{Command, Owner, Reply};

/// Verbs that may wait; callers beyond that wait to be queued.
const QUEUE: usize = 256;

/// Containers on a bridge of the agent's own, each with an address, published ports through packet filter rules.
///
/// Works in the network namespace of the thread that calls [`BridgeNetwork::open`]. Dropping it changes nothing on the
/// host, so a new one takes over after [`Network::recover`]; only [`Network::remove_all`] cleans up.
#[derive(Debug)]
pub struct BridgeNetwork {
    commands: mpsc::Sender<Command>,
    ended: oneshot::Receiver<()>,
}

impl BridgeNetwork {
    /// Checks the configuration and starts the owner thread. Makes nothing on the host yet.
    ///
    /// # Errors
    /// A wrong configuration, or no thread or netlink socket to be had.
    pub fn open(config: BridgeConfig) -> Result<Self, NetworkError> {
        let what = format!("open network {}", config.tag);
        let failed = |cause: &dyn std::fmt::Display| NetworkError::new(what.as_str(), cause);
        config.validate().map_err(|error| failed(&error))?;
        let (commands, inbox) = mpsc::channel(QUEUE);
        let (opened, is_open) = std::sync::mpsc::sync_channel(1);
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name(format!("net-{}", config.tag));
        let spawned = thread.spawn(move || {
            serve(config, inbox, &opened);
            let _ = end.send(());
        });
        spawned.map_err(|error| failed(&error))?;
        let opened = is_open.recv().map_err(|_| failed(&"its thread died"))?;
        opened?;
        Ok(Self { commands, ended })
    }

    /// All wired containers with their ids, by id.
    ///
    /// # Errors
    /// When the owner thread died.
    pub async fn attachments(&self) -> Result<Vec<(String, Attachment)>, NetworkError> {
        self.ask(Command::List).await
    }

    /// Ends the owner thread and waits for it. Nothing on the host changes but that held ports are free again.
    pub async fn close(self) {
        drop(self.commands);
        // An error means the thread died: it ended, too.
        let _ = self.ended.await;
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, NetworkError> {
        let dead = || NetworkError::new("ask the network's owner thread", "it died; restart the agent");
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| dead())?;
        answer.await.map_err(|_| dead())?
    }
}

/// The owner thread: says whether it could start, then serves until the handle is gone.
///
/// The runtime is made and dropped here, because dropping one inside another runtime's task is not allowed.
fn serve(config: BridgeConfig, inbox: mpsc::Receiver<Command>, opened: &SyncSender<Result<(), NetworkError>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return drop(opened.send(Err(NetworkError::new("start the network's owner thread", error))));
        }
    };
    runtime.block_on(async {
        match Owner::new(config) {
            Ok(owner) => {
                let _ = opened.send(Ok(()));
                owner.run(inbox).await;
            }
            Err(error) => drop(opened.send(Err(error))),
        }
    });
}

#[async_trait]
impl Network for BridgeNetwork {
    async fn start(&self) -> Result<(), NetworkError> {
        self.ask(Command::Start).await
    }

    async fn attach(&self, request: &AttachRequest) -> Result<Attachment, NetworkError> {
        let request = request.clone();
        self.ask(|reply| Command::Attach(request, reply)).await
    }

    async fn detach(&self, container_id: &str) -> Result<(), NetworkError> {
        let container_id = container_id.to_owned();
        self.ask(|reply| Command::Detach(container_id, reply)).await
    }

    async fn recover(&self, keep: &[AttachRequest]) -> Result<(), NetworkError> {
        let keep = keep.to_vec();
        self.ask(|reply| Command::Recover(keep, reply)).await
    }

    async fn remove_all(&self) -> Result<(), NetworkError> {
        self.ask(Command::RemoveAll).await
    }
}
