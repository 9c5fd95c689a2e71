//! The bounded queue of one stream. A reader that is too slow is cut off; it never costs memory or others' time.

use proffer_master_engine::{FrameworkErrorKind, ToAgent, ToFramework};
use proffer_proto_model::Epoch;
use proffer_proto_model::TaskKey;
use proffer_proto_model::convert::{ErrorKind, LaunchTask, MasterEnvelope, MasterMessage, SchedulerEvent};
use proffer_proto_wire::{agent, scheduler};
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;
use tonic::Status;

/// Messages that may wait for a slow reader.
pub(crate) const OUTBOX: usize = 1_024;

/// Places kept free for the last word.
const RESERVE: usize = 1;

/// What waits to be sent on one stream. Dropping it ends the stream after that.
#[derive(Debug)]
pub(crate) struct Outbox {
    to: To,
    /// Ends the stream's reader together with the writer.
    _reader: DropGuard,
}

#[derive(Debug)]
enum To {
    Framework(mpsc::Sender<Result<scheduler::Event, Status>>),
    Agent(mpsc::Sender<Result<agent::MasterMessage, Status>>),
}

/// The reader is too slow or gone: the stream is of no use any more.
#[derive(Debug)]
pub(crate) struct CutOff;

impl Outbox {
    pub(crate) fn framework(to: mpsc::Sender<Result<scheduler::Event, Status>>, reader: DropGuard) -> Self {
        Self { to: To::Framework(to), _reader: reader }
    }

    pub(crate) fn agent(to: mpsc::Sender<Result<agent::MasterMessage, Status>>, reader: DropGuard) -> Self {
        Self { to: To::Agent(to), _reader: reader }
    }

    pub(crate) fn to_framework(&self, message: ToFramework) -> Result<(), CutOff> {
        let To::Framework(to) = &self.to else { return Err(CutOff) };
        let Some(event) = event(message).into_wire() else { return Ok(()) };
        if to.capacity() <= RESERVE {
            let message = "the scheduler reads too slowly and was cut off; read events as they come".to_owned();
            let last = SchedulerEvent::Error { kind: ErrorKind::TooSlow, message, is_fatal: true };
            if let Some(last) = last.into_wire() {
                // The stream ends either way; a reader that is gone does not hear why.
                let _ = to.try_send(Ok(last));
            }
            return Err(CutOff);
        }
        to.try_send(Ok(event)).map_err(|_| CutOff)
    }

    pub(crate) fn to_agent(&self, epoch: Epoch, message: ToAgent) -> Result<(), CutOff> {
        let To::Agent(to) = &self.to else { return Err(CutOff) };
        let envelope = MasterEnvelope { epoch, message: master_message(message) };
        if to.capacity() <= RESERVE {
            let _ = to.try_send(Err(Status::resource_exhausted("the agent reads too slowly and was cut off")));
            return Err(CutOff);
        }
        to.try_send(Ok(envelope.into())).map_err(|_| CutOff)
    }
}

fn event(message: ToFramework) -> SchedulerEvent {
    match message {
        ToFramework::Subscribed { framework, epoch, cluster, heartbeat_interval_ms } => {
            SchedulerEvent::Subscribed { framework, epoch, heartbeat_interval_ms, cluster }
        }
        ToFramework::Offers(offers) => SchedulerEvent::Offers(offers),
        ToFramework::Rescind { offers, reason } => SchedulerEvent::Rescind { offers, reason },
        ToFramework::Status(statuses) => SchedulerEvent::Status(statuses),
        ToFramework::OperationStatus { operation_id, outcome, message } => {
            SchedulerEvent::OperationStatus { operation_id, outcome, message }
        }
        ToFramework::AgentLost { agent, hostname } => SchedulerEvent::AgentLost { agent, hostname },
        ToFramework::Error { kind, message, is_fatal } => {
            SchedulerEvent::Error { kind: error_kind(kind), message, is_fatal }
        }
        ToFramework::Heartbeat => SchedulerEvent::Heartbeat,
    }
}

fn error_kind(kind: FrameworkErrorKind) -> ErrorKind {
    match kind {
        FrameworkErrorKind::Invalid => ErrorKind::Invalid,
        FrameworkErrorKind::UnknownFramework => ErrorKind::UnknownFramework,
        FrameworkErrorKind::Superseded => ErrorKind::Superseded,
        FrameworkErrorKind::Removed => ErrorKind::Removed,
        FrameworkErrorKind::NotSubscribed => ErrorKind::NotSubscribed,
        FrameworkErrorKind::NotImplemented => ErrorKind::NotImplemented,
        FrameworkErrorKind::Forbidden => ErrorKind::Forbidden,
    }
}

fn master_message(message: ToAgent) -> MasterMessage {
    match message {
        ToAgent::Attached { agent, cluster, ping_interval_ms } => {
            MasterMessage::Attached { agent, ping_interval_ms, cluster }
        }
        ToAgent::Launch { framework, task, role } => {
            MasterMessage::Launch(vec![LaunchTask { framework, spec: *task, role }])
        }
        ToAgent::Kill { framework, task, policy, reason } => MasterMessage::Kill { framework, task, policy, reason },
        ToAgent::Acknowledge { framework, task, seq } => {
            MasterMessage::Acknowledge(vec![(TaskKey { framework, task }, seq)])
        }
        ToAgent::Expect(keys) => MasterMessage::Expect(keys),
        ToAgent::Ping => MasterMessage::Ping { nonce: 0 },
        ToAgent::Refused { message, is_final } => MasterMessage::Refused { message, is_final },
    }
}
