//! What the owner says to one session. A reader that is too slow is cut off; it never costs memory or others' time.

use std::sync::{Arc, OnceLock};

use proffer_master_engine::{FrameworkErrorKind, ToAgent, ToFramework};
use proffer_proto_model::convert::{ErrorKind, LaunchTask, MasterEnvelope, MasterMessage, SchedulerEvent};
use proffer_proto_model::{Epoch, FrameworkId, TaskKey};
use proffer_proto_transport::{self as transport, to_status};
use proffer_proto_wire::{agent, scheduler};
use tonic::Status;

use crate::metrics::Reader;
use crate::queue::{PushError, Sender};

/// Messages that may wait for a slow reader.
pub(crate) const OUTBOX: usize = 1_024;

/// The way to the events of a framework's session.
pub(crate) type Events = Sender<scheduler::Event>;
/// The way to the messages of an agent's session.
pub(crate) type Messages = Sender<agent::MasterMessage>;

/// What waits to be sent on one stream. Dropping it ends the stream, and its reader, after that.
#[derive(Debug)]
pub(crate) struct Outbox {
    to: To,
    /// The status of the end that was announced.
    end: Option<Status>,
    /// Who reads it; of a framework once it was told so.
    framework: Option<Arc<OnceLock<FrameworkId>>>,
}

#[derive(Debug)]
enum To {
    Framework(Events),
    Agent(Messages),
}

/// The stream is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutOff {
    /// Its reader is too slow; it was told so.
    TooSlow,
    /// It has ended, or its reader is gone.
    Ended,
}

impl Outbox {
    pub(crate) fn framework(to: Events) -> Self {
        Self { to: To::Framework(to), end: None, framework: Some(Arc::default()) }
    }

    pub(crate) fn agent(to: Messages) -> Self {
        Self { to: To::Agent(to), end: None, framework: None }
    }

    /// To look at how much waits.
    pub(crate) fn reader(&self) -> Reader {
        let depth = match &self.to {
            To::Framework(to) => to.depth(),
            To::Agent(to) => to.depth(),
        };
        Reader { framework: self.framework.clone(), depth }
    }

    pub(crate) fn tell_framework(&mut self, message: ToFramework) -> Result<(), CutOff> {
        let To::Framework(to) = &self.to else { return Err(CutOff::Ended) };
        if let (ToFramework::Subscribed { framework, .. }, Some(reader)) = (&message, &self.framework) {
            // Once at most on one stream.
            let _ = reader.set(framework.clone());
        }
        let event = event(message);
        if let SchedulerEvent::Error { kind, message, is_fatal: true } = &event {
            self.end = Some(end_status(*kind, message));
        }
        tell(to, event)
    }

    pub(crate) fn tell_agent(&mut self, epoch: Epoch, message: ToAgent) -> Result<(), CutOff> {
        let To::Agent(to) = &self.to else { return Err(CutOff::Ended) };
        if let ToAgent::Refused { message, .. } = &message {
            self.end = Some(to_status(transport::ErrorKind::Conflict, message.clone()));
        }
        let envelope = MasterEnvelope { epoch, message: master_message(message) };
        match to.push(envelope.into()) {
            Ok(()) => Ok(()),
            Err(PushError::Ended) => Err(CutOff::Ended),
            Err(PushError::Full) => {
                let message = "the agent reads too slowly and was cut off; attach again";
                to.cut(None, to_status(transport::ErrorKind::Exhausted, message));
                Err(CutOff::TooSlow)
            }
        }
    }

    /// Ends the stream as the engine decided.
    pub(crate) fn close(mut self) {
        let to = match &self.to {
            // Without an error it was the framework that asked for the end.
            To::Framework(to) => return to.end(None, self.end.take()),
            To::Agent(to) => to,
        };
        let default = || {
            let message = "this stream was replaced by a newer one of the same agent, or was silent for too long";
            to_status(transport::ErrorKind::Unavailable, message)
        };
        to.end(None, Some(self.end.take().unwrap_or_else(default)));
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        match &self.to {
            To::Framework(to) => to.end(None, None),
            To::Agent(to) => to.end(None, None),
        }
    }
}

/// Queues an event. A scheduler that leaves no room is cut off and told why.
pub(crate) fn tell(to: &Events, event: SchedulerEvent) -> Result<(), CutOff> {
    match to.push(event.into_wire()) {
        Ok(()) => Ok(()),
        Err(PushError::Ended) => Err(CutOff::Ended),
        Err(PushError::Full) => {
            let message = "the scheduler reads too slowly and was cut off; read events as they come".to_owned();
            let status = end_status(ErrorKind::TooSlow, &message);
            let last = SchedulerEvent::Error { kind: ErrorKind::TooSlow, message, is_fatal: true }.into_wire();
            to.cut(Some(last), status);
            Err(CutOff::TooSlow)
        }
    }
}

/// The status with which a stream ends after a fatal error.
pub(crate) fn end_status(kind: ErrorKind, message: &str) -> Status {
    let kind = match kind {
        ErrorKind::Invalid => transport::ErrorKind::Invalid,
        ErrorKind::UnknownFramework
        | ErrorKind::Removed
        | ErrorKind::UnknownInverseOffer
        | ErrorKind::StaleInverseOffer => transport::ErrorKind::NotFound,
        ErrorKind::Superseded | ErrorKind::NotSubscribed => transport::ErrorKind::Conflict,
        ErrorKind::TooSlow | ErrorKind::TooFast | ErrorKind::Full => transport::ErrorKind::Exhausted,
        ErrorKind::Internal => transport::ErrorKind::Internal,
        ErrorKind::Forbidden => transport::ErrorKind::Forbidden,
    };
    to_status(kind, message)
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
        ToFramework::InverseOffers(offers) => SchedulerEvent::InverseOffers(offers),
        ToFramework::RescindInverse { offers, end } => SchedulerEvent::RescindInverse { offers, end },
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
        FrameworkErrorKind::Forbidden => ErrorKind::Forbidden,
        FrameworkErrorKind::UnknownInverseOffer => ErrorKind::UnknownInverseOffer,
        FrameworkErrorKind::StaleInverseOffer => ErrorKind::StaleInverseOffer,
        FrameworkErrorKind::Full => ErrorKind::Full,
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
        ToAgent::CreateVolume(volume) => MasterMessage::CreateVolume(volume),
        ToAgent::DestroyVolume { number } => MasterMessage::DestroyVolume { number },
        ToAgent::Ping => MasterMessage::Ping { nonce: 0 },
        ToAgent::Refused { message, is_final } => MasterMessage::Refused { message, is_final },
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use tonic::Code;

    use super::*;
    use crate::queue::queue;

    #[tokio::test]
    async fn an_agent_that_does_not_read_is_cut_off_and_told_why() {
        let (to, messages) = queue(1);
        let mut outbox = Outbox::agent(to);
        assert_eq!(outbox.tell_agent(Epoch(1), ToAgent::Ping), Ok(()));
        assert_eq!(outbox.tell_agent(Epoch(1), ToAgent::Ping), Err(CutOff::TooSlow));
        assert_eq!(outbox.tell_agent(Epoch(1), ToAgent::Ping), Err(CutOff::Ended));
        let left: Vec<_> = messages.collect().await;
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].as_ref().unwrap_err().code(), Code::ResourceExhausted);
    }

    #[tokio::test]
    async fn an_agent_whose_stream_was_replaced_is_told_so() {
        let (to, messages) = queue(1);
        Outbox::agent(to).close();
        let left: Vec<_> = messages.collect().await;
        assert_eq!(left[0].as_ref().unwrap_err().code(), Code::Unavailable);
    }
}
