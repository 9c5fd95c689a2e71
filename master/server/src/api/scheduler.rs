//! The scheduler API: one stream for each framework. Subscribe comes first, and once.

use std::sync::Arc;
use std::time::Duration;

use proffer_master_engine::{FrameworkCall, Input, SessionId};
use proffer_proto_model::convert::{Defect, ErrorKind, SchedulerCall, SchedulerEvent, WireError, check_call_size};
use proffer_proto_model::{DeclineKind, DeclineReason, Demand, Filter, FrameworkInfo};
use proffer_proto_wire::scheduler as wire;
use proffer_proto_wire::scheduler::scheduler_server::Scheduler;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use super::accept::{Judged, Rest, judge};
use super::incoming::{Heard, hear};
use super::price::Said;
use super::rate::{Bucket, Buckets};
use super::{OwnerGone, OwnerLink, stopping};
use crate::clock::unix_now;
use crate::metrics::Metrics;
use crate::outbox::{CutOff, Events, OUTBOX, Outbox, end_status, tell};
use crate::owner::ToOwner;
use crate::queue::{Messages, queue};
use crate::read_models::ReadModels;

/// How long a stream may stay open without a Subscribe.
const FIRST_CALL: Duration = Duration::from_secs(10);
/// A framework that calls too fast is told so at most this often.
const TELL_AGAIN: Duration = Duration::from_secs(1);
/// The shortest time it is told to wait: some room is there then.
const LEAST_RETRY: Duration = Duration::from_millis(100);

/// Serves frameworks.
#[derive(Debug, Clone)]
pub(crate) struct SchedulerApi {
    pub(crate) owner: OwnerLink,
    pub(crate) buckets: Arc<Buckets>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) readers: Arc<ReadModels>,
}

#[tonic::async_trait]
impl Scheduler for SchedulerApi {
    type SessionStream = Messages<wire::Event>;

    async fn session(&self, request: Request<Streaming<wire::Call>>) -> Result<Response<Self::SessionStream>, Status> {
        let (to, events) = queue(OUTBOX);
        let SchedulerApi { owner, buckets, metrics, readers } = self.clone();
        let session = Session { id: owner.next_session(), owner, to, buckets, metrics, readers };
        let calls = request.into_inner();
        tokio::spawn(async move {
            if let Err(OwnerGone) = session.read(calls).await {
                session.to.end(None, Some(stopping()));
            }
        });
        Ok(Response::new(events))
    }
}

/// The reading side of one session.
struct Session {
    owner: OwnerLink,
    id: SessionId,
    to: Events,
    buckets: Arc<Buckets>,
    metrics: Arc<Metrics>,
    readers: Arc<ReadModels>,
}

/// How fast the framework of a session calls.
struct Pace {
    name: String,
    principal: String,
    bucket: Arc<Bucket>,
    /// When it was told last that it is too fast.
    told: Option<Instant>,
    said: Said,
}

impl Pace {
    /// `None` for a second Subscribe.
    fn read(&mut self, call: wire::Call) -> Result<Option<FrameworkCall>, WireError> {
        match call.call {
            Some(wire::call::Call::Subscribe(_)) => Ok(None),
            Some(wire::call::Call::Demand(demand)) => Ok(Some(FrameworkCall::Demand(self.demand(demand, "demand")?))),
            call => SchedulerCall::try_from(wire::Call { call }).map(framework_call),
        }
    }

    fn demand(&mut self, demand: wire::Demand, place: &str) -> Result<Demand, WireError> {
        let read = self.said.patterns.read(demand.clone()).map_err(|error| error.within(place))?;
        self.said.demand = demand;
        Ok(read)
    }
}

impl Session {
    /// Reads calls until the stream ends or is closed.
    async fn read(&self, mut calls: Streaming<wire::Call>) -> Result<(), OwnerGone> {
        let Ok(first) = tokio::time::timeout(FIRST_CALL, self.hear(&mut calls)).await else {
            self.end(ErrorKind::NotSubscribed, "no Subscribe came within 10 s".to_owned());
            return Ok(());
        };
        let Some(first) = first else { return Ok(()) };
        let Some((framework, mut pace)) = self.first(&first) else { return Ok(()) };
        let size = check_call_size(&first);
        if self.pay(&mut pace, &first).await.is_err() {
            return Ok(());
        }
        let demand = match (size, first.call) {
            (Ok(()), Some(wire::call::Call::Subscribe(first))) => {
                pace.demand(first.demand.unwrap_or_default(), "subscribe.demand")
            }
            (size, _) => size.map(|()| Demand::default()),
        };
        let demand = match demand {
            Ok(demand) => demand,
            Err(defect) => {
                self.end(ErrorKind::Invalid, defect.to_string());
                return Ok(());
            }
        };
        pace.said.has_subscribed = true;
        let session = self.id;
        self.owner.send(ToOwner::Open(session, Outbox::framework(self.to.clone()))).await?;
        self.owner.input(Input::Subscribe { session, framework, demand }).await?;
        let ended = self.serve(&mut calls, &mut pace).await;
        self.owner.input(Input::FrameworkDisconnected { session }).await?;
        ended
    }

    /// Who subscribes. `None` when the session is over; the framework was told why.
    fn first(&self, first: &wire::Call) -> Option<(FrameworkInfo, Pace)> {
        let told = match &first.call {
            Some(wire::call::Call::Subscribe(wire::Subscribe { framework: Some(info), .. })) => {
                match FrameworkInfo::try_from(info.clone()) {
                    Ok(framework) => {
                        let (name, principal) = (framework.name.clone(), framework.principal.clone());
                        let bucket = self.buckets.of(&name);
                        return Some((framework, Pace { name, principal, bucket, told: None, said: Said::default() }));
                    }
                    Err(defect) => (ErrorKind::Invalid, defect.within("subscribe.framework").to_string()),
                }
            }
            Some(wire::call::Call::Subscribe(wire::Subscribe { framework: None, .. })) => {
                (ErrorKind::Invalid, WireError::new("subscribe.framework", Defect::Missing).to_string())
            }
            None => (ErrorKind::Invalid, WireError::new("", Defect::EmptyMessage).to_string()),
            Some(_) => (ErrorKind::NotSubscribed, "the first call of a session must be Subscribe".to_owned()),
        };
        self.end(told.0, told.1);
        None
    }

    async fn serve(&self, calls: &mut Streaming<wire::Call>, pace: &mut Pace) -> Result<(), OwnerGone> {
        while let Some(call) = self.hear(calls).await {
            let told = self.call(call, pace).await?;
            if told.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The next call; `None` when the session is over. Whoever can still hear it was told why.
    async fn hear(&self, calls: &mut Streaming<wire::Call>) -> Option<wire::Call> {
        match hear(calls, self.to.over(), &self.owner.shutdown).await {
            Heard::Message(call) => return Some(call),
            Heard::Ended | Heard::Closed => {}
            Heard::Stopping => self.to.end(None, Some(stopping())),
            Heard::Unreadable(status) => {
                tracing::debug!(session = self.id.0, %status, "a framework sent what cannot be read");
                let (kind, message) = (ErrorKind::Invalid, status.message().to_owned());
                self.to.end(Some(SchedulerEvent::Error { kind, message, is_fatal: true }.into_wire()), Some(status));
            }
        }
        None
    }

    async fn call(&self, call: wire::Call, pace: &mut Pace) -> Result<Result<(), CutOff>, OwnerGone> {
        if let wire::Call { call: Some(wire::call::Call::Accept(_)) } = &call {
            return self.accept(call, pace).await;
        }
        let size = check_call_size(&call);
        let tokens = self.price(pace, &call);
        // What is too large is not kept while it waits.
        let call = size.map(|()| call);
        if let Err(cut) = self.pace(pace, tokens).await {
            return Ok(Err(cut));
        }
        let (kind, message) = match call.and_then(|call| pace.read(call)) {
            Ok(Some(call)) => {
                self.owner.input(Input::Framework { session: self.id, call }).await?;
                return Ok(Ok(()));
            }
            Ok(None) => {
                let message = "this session has subscribed already; open another stream to subscribe again";
                (ErrorKind::NotSubscribed, message.to_owned())
            }
            Err(defect) => (ErrorKind::Invalid, defect.to_string()),
        };
        Ok(tell(&self.to, SchedulerEvent::Error { kind, message, is_fatal: false }))
    }

    async fn accept(&self, call: wire::Call, pace: &mut Pace) -> Result<Result<(), CutOff>, OwnerGone> {
        if let Err(cut) = self.pay(pace, &call).await {
            return Ok(Err(cut));
        }
        let Some(wire::call::Call::Accept(accept)) = call.call else { return Ok(Ok(())) };
        let Judged { told, rest } = judge(accept, unix_now());
        let call = match rest {
            Rest::Accept(accept) => FrameworkCall::Accept(accept),
            Rest::GiveBack(offers, message) => {
                let reason = DeclineReason { kind: DeclineKind::Other, message: format!("void accept: {message}") };
                // With a filter: whoever errs once would be offered the same at once and err again.
                FrameworkCall::Decline { offers, reason, filter: Filter::default() }
            }
        };
        self.owner.input(Input::Framework { session: self.id, call }).await?;
        Ok(told.into_iter().try_for_each(|event| tell(&self.to, event)))
    }

    fn price(&self, pace: &Pace, call: &wire::Call) -> u32 {
        pace.said.price(call, || self.readers.tasks_active_of(&pace.name, &pace.principal))
    }

    /// Takes the price of a call before anything of it is read.
    async fn pay(&self, pace: &mut Pace, call: &wire::Call) -> Result<(), CutOff> {
        let tokens = self.price(pace, call);
        self.pace(pace, tokens).await
    }

    /// Lets a call wait when its framework calls too fast, and tells it so now and then. The stream itself is not
    /// read meanwhile: what else the framework says waits at its side.
    async fn pace(&self, pace: &mut Pace, tokens: u32) -> Result<(), CutOff> {
        let wait = pace.bucket.take(tokens);
        if wait.is_zero() {
            return Ok(());
        }
        self.metrics.paced(&pace.name);
        if pace.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
            pace.told = Some(Instant::now());
            let least = wait.max(LEAST_RETRY);
            let retry_after_ms = u64::try_from(least.as_millis()).unwrap_or(u64::MAX);
            let message = format!(
                "calls come faster than this master takes them from one framework; they wait in their order: \
                 send the next ones after {retry_after_ms} ms, and fewer"
            );
            tell(&self.to, SchedulerEvent::TooFast { retry_after_ms, message })?;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.to.over().cancelled() => Err(CutOff::Ended),
            () = self.owner.shutdown.draining() => Ok(()),
        }
    }

    /// Ends the session with an error.
    fn end(&self, kind: ErrorKind, message: String) {
        let status = end_status(kind, &message);
        self.to.end(Some(SchedulerEvent::Error { kind, message, is_fatal: true }.into_wire()), Some(status));
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
        SchedulerCall::InverseReply(reply) => FrameworkCall::InverseReply(reply),
        SchedulerCall::Teardown => FrameworkCall::Teardown,
    })
}
