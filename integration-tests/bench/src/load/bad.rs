//! Frameworks nobody would write on purpose, straight on the wire: the SDK would not let them.

use std::net::SocketAddr;

use proffer_proto_transport::MAX_MESSAGE_BYTES;
use proffer_proto_wire::scheduler::scheduler_client::SchedulerClient;
use proffer_proto_wire::scheduler::{self, call, event};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

/// How a framework misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Wants everything, keeps every offer, answers none.
    Hoards,
    /// Wants everything and never reads what it is told.
    Hangs,
    /// Gives every offer back at once, to be asked again at once.
    Declines,
    /// Calls as fast as the connection takes it.
    Floods,
}

impl Manner {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hoards, Self::Hangs, Self::Declines, Self::Floods];

    /// For the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hoards => "keeps every offer",
            Self::Hangs => "never reads",
            Self::Declines => "declines everything at once",
            Self::Floods => "calls without end",
        }
    }
}

/// Subscribes and misbehaves until the future is dropped or the master ends the stream; then it comes again.
pub async fn run(master: SocketAddr, manner: Manner) {
    loop {
        let _ = session(master, manner).await;
        tokio::task::yield_now().await;
    }
}

type Calls = mpsc::Sender<scheduler::Call>;

async fn session(master: SocketAddr, manner: Manner) -> Option<()> {
    let endpoint = Endpoint::from_shared(format!("http://{master}")).expect("an address and a port make a URI");
    let mut client = SchedulerClient::new(endpoint.connect_lazy()).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (calls, queue) = mpsc::channel(16);
    say(&calls, subscribe()).await?;
    let mut events = client.session(ReceiverStream::new(queue)).await.ok()?.into_inner();
    match manner {
        Manner::Hoards => while events.message().await.ok()?.is_some() {},
        Manner::Hangs => std::future::pending().await,
        Manner::Declines => loop {
            let event = events.message().await.ok()??;
            if let Some(event::Event::Offers(offers)) = event.event {
                decline(&calls, offers).await?;
            }
        },
        Manner::Floods => {
            tokio::spawn(read(events));
            loop {
                say(&calls, reconcile()).await?;
            }
        }
    }
    None
}

/// So that it is not cut off for not reading.
async fn read(mut events: Streaming<scheduler::Event>) {
    while events.message().await.is_ok_and(|event| event.is_some()) {}
}

async fn say(calls: &Calls, call: call::Call) -> Option<()> {
    calls.send(scheduler::Call { call: Some(call) }).await.ok()
}

async fn decline(calls: &Calls, offers: scheduler::Offers) -> Option<()> {
    let declined = offers.offers.into_iter().map(|offer| offer.offer_id);
    let filter = Some(scheduler::Filter { refuse_ms: Some(0) });
    say(calls, call::Call::Decline(scheduler::Decline { offer_ids: declined.collect(), filter, ..Default::default() }))
        .await
}

fn subscribe() -> call::Call {
    let framework = scheduler::FrameworkInfo {
        name: "bad".to_owned(),
        principal: "bad".to_owned(),
        roles: vec!["default".to_owned()],
        ..Default::default()
    };
    let item = scheduler::DemandItem { role: "default".to_owned(), ..Default::default() };
    let demand = Some(scheduler::Demand { items: vec![item] });
    call::Call::Subscribe(scheduler::Subscribe { framework: Some(framework), demand })
}

fn reconcile() -> call::Call {
    let tasks = vec![scheduler::ReconcileTask { task_id: "none".to_owned(), agent_id: String::new() }];
    call::Call::Reconcile(scheduler::Reconcile { tasks })
}
