//! A master for tests of whole frameworks: a real gRPC server on the loopback interface that says only what the test says.
//!
//! It decides nothing. What a framework sends that makes no sense fails the test, as does waiting for too long.
// A test must end when what it waits for does not come: panics are how it says so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::time::Duration;

use proffer_proto_transport::{Address, ServeError, Shutdown, bind, serve};
use proffer_proto_wire::scheduler as wire;
use proffer_sdk::session::{Acknowledgement, Call, MasterEvent};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use wire::scheduler_server::{Scheduler, SchedulerServer};

/// Nothing a test waits for may take longer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A master that says only what the test says.
pub struct FakeMaster {
    /// Where it listens.
    pub address: SocketAddr,
    sessions: mpsc::Receiver<FakeSession>,
    shutdown: Shutdown,
    server: tokio::task::JoinHandle<Result<(), ServeError>>,
}

/// One stream of a framework.
pub struct FakeSession {
    calls: mpsc::Receiver<Call>,
    events: Option<mpsc::Sender<Result<wire::Event, Status>>>,
}

struct Service(mpsc::Sender<FakeSession>);

#[tonic::async_trait]
impl Scheduler for Service {
    type SessionStream = ReceiverStream<Result<wire::Event, Status>>;

    async fn session(&self, request: Request<Streaming<wire::Call>>) -> Result<Response<Self::SessionStream>, Status> {
        let (events, outgoing) = mpsc::channel(64);
        let (sender, calls) = mpsc::channel(64);
        let mut incoming = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(call)) = incoming.message().await {
                let call = Call::try_from(call).unwrap_or_else(|error| panic!("the framework sent nonsense: {error}"));
                if sender.send(call).await.is_err() {
                    return;
                }
            }
        });
        let session = FakeSession { calls, events: Some(events) };
        self.0.send(session).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

impl FakeMaster {
    /// Listens on a free port of the loopback interface.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens on this port, as after a restart.
    pub async fn start_at(address: SocketAddr) -> Self {
        let (listener, address) = bind(&Address::from(address)).await.unwrap();
        let (sender, sessions) = mpsc::channel(8);
        let shutdown = Shutdown::default();
        let routes = Routes::new(SchedulerServer::new(Service(sender)));
        let server = tokio::spawn(serve(listener, routes, axum::Router::new(), shutdown.clone()));
        Self { address, sessions, shutdown, server }
    }

    /// The next stream a framework opens.
    pub async fn session(&mut self) -> FakeSession {
        tokio::time::timeout(PATIENCE, self.sessions.recv()).await.expect("no framework came").unwrap()
    }

    /// Ends as if killed; its port is free afterwards.
    pub async fn kill(self) {
        self.shutdown.cut();
        self.server.await.unwrap().unwrap();
    }
}

impl FakeSession {
    /// Sends an event.
    pub async fn say(&self, event: MasterEvent) {
        let events = self.events.as_ref().unwrap();
        events.send(Ok(event.into_wire())).await.expect("the framework has closed the stream");
    }

    /// The next call.
    pub async fn hear(&mut self) -> Call {
        tokio::time::timeout(PATIENCE, self.calls.recv()).await.expect("nothing was called").expect("closed")
    }

    /// The stream ends from the framework's side, and from here as well.
    pub async fn hear_end(mut self) {
        let heard = tokio::time::timeout(PATIENCE, self.calls.recv()).await.expect("the stream stayed open");
        assert_eq!(heard, None);
        self.events = None;
    }

    /// The next call has this line of text.
    pub async fn expect(&mut self, line: &str) {
        let call = self.hear().await;
        assert_eq!(crate::line(&call), [line]);
    }

    /// The next call confirms this and nothing else.
    pub async fn expect_acknowledgement(&mut self, task: &str, seq: u64) {
        match self.hear().await {
            Call::Acknowledge(list) => match list.as_slice() {
                [Acknowledgement { task: t, seq: s, .. }] => assert_eq!((t.as_str(), *s), (task, seq)),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}
