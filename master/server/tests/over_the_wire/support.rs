//! A master in this process and peers that speak its wire API. Every wait has a deadline; nothing sleeps.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use proffer_master_server::{Config, Handle, Master, RawConfig};
use proffer_proto_transport::MAX_MESSAGE_BYTES;
use proffer_proto_wire::agent::agent_registry_client::AgentRegistryClient;
use proffer_proto_wire::agent::{self, agent_message, master_message};
use proffer_proto_wire::common;
use proffer_proto_wire::operator::operator_client::OperatorClient;
use proffer_proto_wire::operator::{self, cluster_event};
use proffer_proto_wire::scheduler::scheduler_client::SchedulerClient;
use proffer_proto_wire::scheduler::{self, call, event};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use crate::words::{accept, attach, info, subscribe, task};

/// No wait takes longer; only a broken master comes near it.
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits, but not for ever.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// A master that was started here.
pub struct Cluster {
    pub handle: Handle,
}

impl Cluster {
    pub async fn start(data_dir: &Path) -> Self {
        Self::start_with(RawConfig { data_dir: data_dir.to_owned(), ..RawConfig::default() }).await
    }

    pub async fn start_with(raw: RawConfig) -> Self {
        let raw = RawConfig { listen: Some("127.0.0.1:0".to_owned()), ..raw };
        let handle = Master::start(Config::try_from(raw).unwrap()).await.unwrap();
        Self { handle }
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.handle.address())).unwrap()
    }

    pub fn operator(&self) -> OperatorClient<Channel> {
        OperatorClient::new(self.endpoint().connect_lazy())
    }

    pub async fn tasks(&self) -> Vec<operator::Task> {
        let request = operator::ListTasksRequest { ended: true, ..Default::default() };
        soon("tasks", self.operator().list_tasks(request)).await.unwrap().into_inner().tasks
    }

    /// Proves that it still serves: a new framework is offered a new agent's resources and launches a task.
    pub async fn assert_serves(&self) {
        let mut witness = Agent::attach(self, "witness").await;
        let mut framework = Framework::subscribe(self, "witness").await;
        framework.demand_anything().await;
        let witness_id = witness.id.clone();
        let offer = framework
            .wait_for("an offer of the witness", |event| match event {
                event::Event::Offers(offers) => offers.offers.into_iter().find(|o| o.agent_id == witness_id),
                _ => None,
            })
            .await;
        framework.launch(&offer, vec![task("witness")]).await;
        witness.launched().await;
        framework.say(call::Call::Teardown(scheduler::Teardown {})).await;
    }

    pub async fn stop(self) {
        soon("the end of the master", self.handle.shutdown()).await.unwrap();
    }

    /// Watches until an event satisfies the condition; the snapshot counts.
    pub async fn watch_until(&self, what: &str, mut holds: impl FnMut(&cluster_event::Event) -> bool) {
        let mut events = self.operator().watch(operator::WatchRequest::default()).await.unwrap().into_inner();
        loop {
            let event = soon(what, events.message()).await.unwrap().expect(what);
            if event.event.as_ref().is_some_and(&mut holds) {
                return;
            }
        }
    }
}

/// A scheduler's stream.
pub struct Framework {
    pub id: String,
    calls: mpsc::Sender<scheduler::Call>,
    events: Streaming<scheduler::Event>,
}

impl Framework {
    /// Opens a stream and says nothing.
    pub async fn open(cluster: &Cluster) -> Self {
        Self::open_on(cluster.endpoint().connect_lazy()).await
    }

    pub async fn open_on(channel: Channel) -> Self {
        let (calls, outgoing) = mpsc::channel(16);
        let mut client = SchedulerClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let events = soon("a session", client.session(ReceiverStream::new(outgoing))).await.unwrap().into_inner();
        Self { id: String::new(), calls, events }
    }

    /// Opens a stream and subscribes under a name, without a demand.
    pub async fn subscribe(cluster: &Cluster, name: &str) -> Self {
        let mut framework = Self::open(cluster).await;
        framework.join(info("", name)).await;
        framework
    }

    /// Subscribes and waits for the answer.
    pub async fn join(&mut self, info: scheduler::FrameworkInfo) {
        self.say(subscribe(info)).await;
        let subscribed = self.wait_for("subscribed", |event| match event {
            event::Event::Subscribed(subscribed) => Some(subscribed),
            _ => None,
        });
        self.id = subscribed.await.framework_id;
    }

    pub async fn say(&self, call: call::Call) {
        assert!(self.try_say(call).await, "the stream has ended");
    }

    /// False when the stream has ended.
    pub async fn try_say(&self, call: call::Call) -> bool {
        soon("room for a call", self.calls.send(scheduler::Call { call: Some(call) })).await.is_ok()
    }

    pub async fn demand_anything(&self) {
        let item = scheduler::DemandItem { role: "default".to_owned(), ..Default::default() };
        self.say(call::Call::Demand(scheduler::Demand { items: vec![item] })).await;
    }

    pub async fn launch(&self, offer: &scheduler::Offer, tasks: Vec<common::TaskSpec>) {
        self.say(accept(offer, tasks)).await;
    }

    /// The next event; `None` when the stream has ended well.
    pub async fn next(&mut self) -> Result<Option<event::Event>, Status> {
        Ok(soon("an event", self.events.message()).await?.map(|event| event.event.expect("an event")))
    }

    /// Reads until an event is the one that is wanted.
    pub async fn wait_for<T>(&mut self, what: &str, wanted: impl FnMut(event::Event) -> Option<T>) -> T {
        // Heartbeats go on for ever: the deadline is for all of it.
        soon(what, self.read_until(what, wanted)).await
    }

    async fn read_until<T>(&mut self, what: &str, mut wanted: impl FnMut(event::Event) -> Option<T>) -> T {
        loop {
            let event = match self.next().await {
                Ok(Some(event)) => event,
                other => panic!("waited for {what}, the stream ended: {other:?}"),
            };
            let told = format!("{event:?}");
            if let Some(found) = wanted(event) {
                return found;
            }
            assert!(!told.starts_with("Error"), "waited for {what}, got {told}");
        }
    }

    pub async fn offer(&mut self) -> scheduler::Offer {
        self.wait_for("an offer", |event| match event {
            event::Event::Offers(offers) => offers.offers.into_iter().next(),
            _ => None,
        })
        .await
    }

    pub async fn status(&mut self) -> common::TaskStatus {
        self.wait_for("a status", |event| match event {
            event::Event::Status(status) => status.statuses.into_iter().next(),
            _ => None,
        })
        .await
    }

    pub async fn error(&mut self) -> scheduler::Error {
        self.wait_for("an error", |event| match event {
            event::Event::Error(error) => Some(error),
            _ => None,
        })
        .await
    }

    /// Reads to the end: everything that came, and the status.
    pub async fn end(mut self) -> (Vec<event::Event>, Result<(), Status>) {
        let mut told = Vec::new();
        loop {
            match self.next().await {
                Ok(Some(event)) => told.push(event),
                Ok(None) => return (told, Ok(())),
                Err(status) => return (told, Err(status)),
            }
        }
    }
}

/// An agent's stream.
pub struct Agent {
    pub id: String,
    pub cluster: String,
    messages: mpsc::Sender<agent::AgentMessage>,
    orders: Streaming<agent::MasterMessage>,
}

impl Agent {
    /// Opens a stream and says nothing.
    pub async fn open(cluster: &Cluster) -> Self {
        let (messages, outgoing) = mpsc::channel(16);
        let mut client = AgentRegistryClient::new(cluster.endpoint().connect_lazy());
        let orders = soon("a stream", client.attach(ReceiverStream::new(outgoing))).await.unwrap().into_inner();
        Self { id: String::new(), cluster: String::new(), messages, orders }
    }

    /// Attaches as a new agent.
    pub async fn attach(cluster: &Cluster, hostname: &str) -> Self {
        Self::attach_with(cluster, attach(hostname)).await
    }

    pub async fn attach_with(cluster: &Cluster, request: agent::AttachRequest) -> Self {
        let mut this = Self::open(cluster).await;
        this.say(agent_message::Message::Attach(request)).await;
        let attached = this.wait_for("attached", |order| match order {
            master_message::Message::Attached(attached) => Some(attached),
            _ => None,
        });
        let attached = attached.await;
        (this.id, this.cluster) = (attached.agent_id, attached.cluster_id);
        this
    }

    pub async fn say(&self, message: agent_message::Message) {
        let message = agent::AgentMessage { message: Some(message) };
        assert!(soon("room for a message", self.messages.send(message)).await.is_ok(), "the stream has ended");
    }

    pub async fn next(&mut self) -> Result<Option<master_message::Message>, Status> {
        Ok(soon("an order", self.orders.message()).await?.map(|order| order.message.expect("a message")))
    }

    pub async fn wait_for<T>(&mut self, what: &str, wanted: impl FnMut(master_message::Message) -> Option<T>) -> T {
        soon(what, self.read_until(what, wanted)).await
    }

    async fn read_until<T>(&mut self, what: &str, mut wanted: impl FnMut(master_message::Message) -> Option<T>) -> T {
        loop {
            match self.next().await {
                Ok(Some(order)) => {
                    if let Some(found) = wanted(order) {
                        return found;
                    }
                }
                other => panic!("waited for {what}, the stream ended: {other:?}"),
            }
        }
    }

    pub async fn launched(&mut self) -> agent::LaunchTask {
        self.wait_for("a launch", |order| match order {
            master_message::Message::Launch(launch) => launch.tasks.into_iter().next(),
            _ => None,
        })
        .await
    }

    pub async fn refused(&mut self) -> agent::Refused {
        self.wait_for("a refusal", |order| match order {
            master_message::Message::Refused(refused) => Some(refused),
            _ => None,
        })
        .await
    }

    /// Reads to the end and gives its status.
    pub async fn end(mut self) -> Result<(), Status> {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(status) => return Err(status),
            }
        }
    }
}
