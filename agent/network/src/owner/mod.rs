//! The one task that owns an agent's network: what is wired, which addresses are free, which rules are in place.
//!
//! Never answers before the kernel has what it answers for. Queued attaches and detaches share one rule transaction,
//! because a transaction costs tens of milliseconds whatever its size.

mod attach;
mod batch;
mod recover;
mod requests;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use tokio::sync::{mpsc, oneshot};

use crate::config::BridgeConfig;
use crate::contract::{AttachRequest, Attachment, NetworkError, PublishedPort};
use crate::host_ports::HeldPort;
use crate::ipam::AddressPool;
use crate::iptables::Iptables;
use crate::links::Links;
use crate::names::Names;
use crate::rules::Rules;
use batch::Pending;

/// Most verbs in one rule transaction.
const BATCH: usize = 32;

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, NetworkError>>;

/// A verb and where its answer goes.
#[derive(Debug)]
pub(crate) enum Command {
    Start(Reply<()>),
    Attach(AttachRequest, Reply<Attachment>),
    Detach(String, Reply<()>),
    Recover(Vec<AttachRequest>, Reply<()>),
    RemoveAll(Reply<()>),
    List(Reply<Vec<(String, Attachment)>>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Owner {
    config: BridgeConfig,
    names: Names,
    rules: Rules,
    links: Links,
    /// Found at first need.
    iptables: Option<Iptables>,
    /// Index of the bridge once started.
    bridge: Option<u32>,
    pool: AddressPool,
    containers: BTreeMap<String, Wired>,
    /// Wired namespaces of a former life that nobody has asked for yet, by file name.
    found: BTreeMap<String, Ipv4Addr>,
    /// Rules of containers in the kernel, by container id.
    live_rules: BTreeMap<String, Vec<String>>,
}

/// A wired container.
#[derive(Debug)]
struct Wired {
    attachment: Attachment,
    /// Sorted.
    ports: Vec<PublishedPort>,
    held: Vec<HeldPort>,
}

impl Owner {
    /// An owner that knows nothing yet; needs a runtime.
    pub(crate) fn new(config: BridgeConfig) -> Result<Self, NetworkError> {
        let names = Names::new(&config);
        let links = Links::open().map_err(|error| NetworkError::new("open a netlink socket", error))?;
        Ok(Self {
            rules: Rules::new(names.clone(), config.subnet),
            pool: AddressPool::new(config.subnet),
            config,
            names,
            links,
            iptables: None,
            bridge: None,
            containers: BTreeMap::new(),
            found: BTreeMap::new(),
            live_rules: BTreeMap::new(),
        })
    }

    /// Serves until all senders are gone.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut commands = Vec::with_capacity(BATCH);
        while inbox.recv_many(&mut commands, BATCH).await > 0 {
            let mut batch = Vec::new();
            for command in commands.drain(..) {
                self.serve(command, &mut batch).await;
            }
            self.flush(&mut batch).await;
        }
    }

    async fn serve(&mut self, command: Command, batch: &mut Vec<Pending>) {
        let joins = match &command {
            Command::Attach(AttachRequest { container_id, .. }, _) | Command::Detach(container_id, _) => {
                !batch.iter().any(|pending| pending.id() == container_id)
            }
            _ => false,
        };
        if !joins {
            self.flush(batch).await;
        }
        // A caller that went away needs no answer; the work is done all the same.
        match command {
            Command::Attach(request, reply) => self.begin_attach(request, reply, batch).await,
            Command::Detach(container_id, reply) => self.begin_detach(container_id, reply, batch).await,
            Command::Start(reply) => drop(reply.send(self.start().await)),
            Command::Recover(keep, reply) => drop(reply.send(self.recover(keep).await)),
            Command::RemoveAll(reply) => drop(reply.send(self.remove_all().await)),
            Command::List(reply) => drop(reply.send(Ok(self.list()))),
        }
    }

    fn list(&self) -> Vec<(String, Attachment)> {
        let wired = self.containers.iter();
        wired.map(|(id, wired)| (id.clone(), wired.attachment.clone())).collect()
    }

    /// The packet filter tools, with the rules of containers learned from the kernel the first time.
    async fn iptables(&mut self) -> Result<Iptables, NetworkError> {
        if let Some(iptables) = &self.iptables {
            return Ok(iptables.clone());
        }
        let iptables = Iptables::find()?;
        self.live_rules = iptables.save().await?.containers(&self.names);
        self.iptables = Some(iptables.clone());
        Ok(iptables)
    }
}
