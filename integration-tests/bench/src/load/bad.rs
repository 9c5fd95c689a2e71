//! Frameworks nobody would write on purpose, straight on the wire: the SDK would not let them.

use std::net::SocketAddr;

use proffer_proto_model::convert::{MAX_CONSTRAINTS, MAX_DEMAND_ITEMS, MAX_ENTRIES, MAX_PATTERNS};
use proffer_proto_transport::MAX_MESSAGE_BYTES;
use proffer_proto_wire::common;
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
    /// Wants other things all the time, as many and as hard to read as the master takes, and confirms what never was.
    Overwhelms,
}

impl Manner {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Hoards, Self::Hangs, Self::Declines, Self::Floods, Self::Overwhelms];

    /// For the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hoards => "keeps every offer",
            Self::Hangs => "never reads",
            Self::Declines => "declines everything at once",
            Self::Floods => "calls without end",
            Self::Overwhelms => "states huge demands without end",
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
        Manner::Overwhelms => {
            tokio::spawn(read(events));
            for round in 0.. {
                say(&calls, huge_demand(round)).await?;
                say(&calls, acknowledgements()).await?;
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

/// As large as the master takes it; each round has regular expressions of its own, which are slow to compile.
fn huge_demand(round: usize) -> call::Call {
    let rule = |number: usize| common::Constraint {
        subject: "rack".to_owned(),
        operator: common::constraint::Operator::NotMatches.into(),
        value: format!(r"(?i)\w[a-z]{{9}}{round}-{}", number % MAX_PATTERNS),
    };
    let item = |number: usize| scheduler::DemandItem {
        role: "default".to_owned(),
        // All alike up to the last name.
        shape: Some(common::Resources {
            cpus_milli: 64_000,
            scalars_milli: (0..20).map(|at| (format!("a{at}"), 1)).chain([(format!("z{round}-{number}"), 1)]).collect(),
            ..Default::default()
        }),
        count: 1,
        constraints: (0..MAX_CONSTRAINTS).map(|at| rule(number + at)).collect(),
        ..Default::default()
    };
    call::Call::Demand(scheduler::Demand { items: (0..MAX_DEMAND_ITEMS).map(item).collect() })
}

fn acknowledgements() -> call::Call {
    let one = |number: usize| scheduler::Acknowledgement {
        task_id: format!("none-{number}"),
        seq: 1,
        source: common::TaskSource::Agent.into(),
        ..Default::default()
    };
    call::Call::Acknowledge(scheduler::Acknowledge { acknowledgements: (0..MAX_ENTRIES).map(one).collect() })
}

fn reconcile() -> call::Call {
    let tasks = vec![scheduler::ReconcileTask { task_id: "none".to_owned(), agent_id: String::new() }];
    call::Call::Reconcile(scheduler::Reconcile { tasks })
}
