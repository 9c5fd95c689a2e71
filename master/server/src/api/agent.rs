//! The agent API: one stream for each agent. Attach comes first, with everything the agent has.

use std::time::Duration;

use proffer_master_engine::{AttachedTask, Input, SessionId};
use proffer_proto_model::Epoch;
use proffer_proto_model::convert::{AgentMessage, AttachRequest, MasterEnvelope, MasterMessage};
use proffer_proto_transport::{ErrorKind, to_status};
use proffer_proto_wire::agent as wire;
use proffer_proto_wire::agent::agent_registry_server::AgentRegistry;
use tonic::{Request, Response, Status, Streaming};

use super::incoming::{Heard, hear};
use super::{OwnerGone, OwnerLink, stopping};
use crate::outbox::{Messages, OUTBOX, Outbox};
use crate::owner::ToOwner;
use crate::queue::{self, queue};

/// How long a stream may stay open without an Attach.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// Serves agents.
#[derive(Debug, Clone)]
pub(crate) struct AgentApi {
    pub(crate) owner: OwnerLink,
    pub(crate) epoch: Epoch,
}

#[tonic::async_trait]
impl AgentRegistry for AgentApi {
    type AttachStream = queue::Messages<wire::MasterMessage>;

    async fn attach(
        &self,
        request: Request<Streaming<wire::AgentMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (to, messages) = queue(OUTBOX);
        let link = AgentLink { owner: self.owner.clone(), id: self.owner.next_session(), epoch: self.epoch, to };
        let inbound = request.into_inner();
        tokio::spawn(async move {
            if let Err(OwnerGone) = link.read(inbound).await {
                link.to.end(None, Some(stopping()));
            }
        });
        Ok(Response::new(messages))
    }
}

/// The reading side of one agent's stream.
struct AgentLink {
    owner: OwnerLink,
    id: SessionId,
    epoch: Epoch,
    to: Messages,
}

impl AgentLink {
    async fn read(&self, mut inbound: Streaming<wire::AgentMessage>) -> Result<(), OwnerGone> {
        let Ok(first) = tokio::time::timeout(FIRST_MESSAGE, self.hear(&mut inbound)).await else {
            self.refuse(ErrorKind::Conflict, "no Attach came within 10 s".to_owned());
            return Ok(());
        };
        let Some(first) = first else { return Ok(()) };
        let attach = match AgentMessage::try_from(first) {
            Ok(AgentMessage::Attach(attach)) => *attach,
            Ok(_) => {
                self.refuse(ErrorKind::Conflict, "the first message must be Attach".to_owned());
                return Ok(());
            }
            Err(defect) => {
                self.refuse(ErrorKind::Invalid, defect.to_string());
                return Ok(());
            }
        };
        let session = self.id;
        self.owner.send(ToOwner::Open(session, Outbox::agent(self.to.clone()))).await?;
        self.owner.input(attach_input(session, attach)).await?;
        let ended = self.serve(&mut inbound).await;
        self.owner.input(Input::AgentDisconnected { session }).await?;
        ended
    }

    async fn serve(&self, inbound: &mut Streaming<wire::AgentMessage>) -> Result<(), OwnerGone> {
        let session = self.id;
        while let Some(message) = self.hear(inbound).await {
            match AgentMessage::try_from(message) {
                Ok(AgentMessage::Updates(updates)) => {
                    let updates = updates.into_iter().map(|u| (u.framework, u.status, u.latest_state)).collect();
                    self.owner.input(Input::AgentUpdates { session, updates }).await?;
                }
                Ok(AgentMessage::Volumes(reports)) => {
                    self.owner.input(Input::AgentVolumes { session, reports }).await?;
                }
                Ok(AgentMessage::Pong { .. }) => self.owner.input(Input::AgentPong { session }).await?,
                Ok(AgentMessage::Detach) => break,
                Ok(AgentMessage::Attach(_)) => {
                    let message = "this stream is attached already; open another one".to_owned();
                    self.refuse(ErrorKind::Conflict, message);
                    break;
                }
                Err(defect) => {
                    self.refuse(ErrorKind::Invalid, defect.to_string());
                    break;
                }
            }
        }
        Ok(())
    }

    /// The next message; `None` when the stream is over. Whoever can still hear it was told why.
    async fn hear(&self, inbound: &mut Streaming<wire::AgentMessage>) -> Option<wire::AgentMessage> {
        match hear(inbound, self.to.over(), &self.owner.shutdown).await {
            Heard::Message(message) => return Some(message),
            Heard::Ended | Heard::Closed => {}
            Heard::Stopping => self.to.end(None, Some(stopping())),
            Heard::Unreadable(status) => {
                tracing::debug!(session = self.id.0, %status, "an agent sent what cannot be read");
                self.refuse_with(status.message().to_owned(), status);
            }
        }
        None
    }

    /// Says what is wrong; the stream ends.
    fn refuse(&self, kind: ErrorKind, message: String) {
        let status = to_status(kind, message.clone());
        self.refuse_with(message, status);
    }

    fn refuse_with(&self, message: String, status: Status) {
        let message = MasterMessage::Refused { message, is_final: false };
        self.to.end(Some(MasterEnvelope { epoch: self.epoch, message }.into()), Some(status));
    }
}

fn attach_input(session: SessionId, attach: AttachRequest) -> Input {
    let AttachRequest { agent, incarnation, tasks, seen_epoch, cluster, volumes } = attach;
    let tasks = tasks.into_iter().map(|t| AttachedTask {
        framework: t.framework,
        spec: t.spec,
        latest: t.latest,
        role: t.role,
    });
    Input::AgentAttach { session, agent, incarnation, tasks: tasks.collect(), seen_epoch, cluster, volumes }
}
