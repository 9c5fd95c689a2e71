//! The scheduler API: one stream for each framework. Subscribe comes first, and once.

use std::time::Duration;

use proffer_master_engine::{FrameworkCall, Input, SessionId};
use proffer_proto_model::convert::{ErrorKind, SchedulerCall, SchedulerEvent};
use proffer_proto_wire::scheduler as wire;
use proffer_proto_wire::scheduler::scheduler_server::Scheduler;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{OwnerGone, OwnerLink};
use crate::outbox::{OUTBOX, Outbox};
use crate::owner::ToOwner;

/// How long a stream may stay open without a Subscribe.
const FIRST_CALL: Duration = Duration::from_secs(10);

/// Serves frameworks.
#[derive(Debug, Clone)]
pub(crate) struct SchedulerApi {
    pub(crate) owner: OwnerLink,
}

type Events = mpsc::Sender<Result<wire::Event, Status>>;

#[tonic::async_trait]
impl Scheduler for SchedulerApi {
    type SessionStream = ReceiverStream<Result<wire::Event, Status>>;

    async fn session(&self, request: Request<Streaming<wire::Call>>) -> Result<Response<Self::SessionStream>, Status> {
        let (to, events) = mpsc::channel(OUTBOX);
        let (owner, calls) = (self.owner.clone(), request.into_inner());
        tokio::spawn(async move {
            if let Err(OwnerGone) = read(owner, calls, to).await {
                tracing::debug!("a framework's stream ends with this master");
            }
        });
        Ok(Response::new(ReceiverStream::new(events)))
    }
}

/// Reads calls until the stream ends or is closed.
async fn read(owner: OwnerLink, mut calls: Streaming<wire::Call>, to: Events) -> Result<(), OwnerGone> {
    let session = owner.next_session();
    let closed = CancellationToken::new();
    let first = match tokio::time::timeout(FIRST_CALL, calls.message()).await {
        Ok(Ok(Some(first))) => first,
        Ok(Ok(None) | Err(_)) => return Ok(()),
        Err(_) => return tell(&to, ErrorKind::NotSubscribed, "no Subscribe came within 10 s".to_owned(), true).await,
    };
    let (framework, demand) = match SchedulerCall::try_from(first) {
        Ok(SchedulerCall::Subscribe { framework, demand }) => (framework, demand),
        Ok(_) => {
            let message = "the first call of a session must be Subscribe".to_owned();
            return tell(&to, ErrorKind::NotSubscribed, message, true).await;
        }
        Err(defect) => return tell(&to, ErrorKind::Invalid, defect.to_string(), true).await,
    };
    owner.send(ToOwner::Open(session, Outbox::framework(to.clone(), closed.clone().drop_guard()))).await?;
    owner.input(Input::Subscribe { session, framework, demand }).await?;
    let ended = serve(&owner, session, &mut calls, &to, &closed).await;
    owner.input(Input::FrameworkDisconnected { session }).await?;
    ended
}

async fn serve(
    owner: &OwnerLink,
    session: SessionId,
    calls: &mut Streaming<wire::Call>,
    to: &Events,
    closed: &CancellationToken,
) -> Result<(), OwnerGone> {
    loop {
        let call = tokio::select! {
            call = calls.message() => call,
            () = closed.cancelled() => return Ok(()),
        };
        let call = match call {
            Ok(Some(call)) => call,
            Ok(None) => return Ok(()),
            Err(status) => {
                tracing::debug!(session = session.0, %status, "a framework's stream broke");
                return Ok(());
            }
        };
        match SchedulerCall::try_from(call).map(framework_call) {
            Ok(Some(call)) => owner.input(Input::Framework { session, call }).await?,
            Ok(None) => {
                let message = "this session has subscribed already; open another stream to subscribe again".to_owned();
                tell(to, ErrorKind::NotSubscribed, message, false).await?;
            }
            Err(defect) => tell(to, ErrorKind::Invalid, defect.to_string(), false).await?,
        }
    }
}

/// `None` for a second Subscribe.
fn framework_call(call: SchedulerCall) -> Option<FrameworkCall> {
    Some(match call {
        SchedulerCall::Subscribe { .. } => return None,
        SchedulerCall::Update(info) => FrameworkCall::Update(info),
        SchedulerCall::Demand(demand) => FrameworkCall::Demand(demand),
        SchedulerCall::Accept(accept) => FrameworkCall::Accept(accept),
        SchedulerCall::Decline { offers, reason, filter } => FrameworkCall::Decline { offers, reason, filter },
        SchedulerCall::Kill { task, agent, policy } => FrameworkCall::Kill { task, agent, policy },
        SchedulerCall::Acknowledge(acks) => {
            FrameworkCall::Acknowledge(acks.into_iter().map(|a| (a.task, a.seq, a.source)).collect())
        }
        SchedulerCall::Reconcile(tasks) => FrameworkCall::Reconcile(tasks),
        SchedulerCall::Teardown => FrameworkCall::Teardown,
        SchedulerCall::NotImplemented { call } => FrameworkCall::NotImplemented { call },
    })
}

/// Tells a framework what is wrong with what it said. A reader that is gone does not hear it.
async fn tell(to: &Events, kind: ErrorKind, message: String, is_fatal: bool) -> Result<(), OwnerGone> {
    if let Some(event) = (SchedulerEvent::Error { kind, message, is_fatal }).into_wire() {
        // Waits for room: a framework that sends nonsense and does not read only stops itself.
        let _ = to.send(Ok(event)).await;
    }
    Ok(())
}
