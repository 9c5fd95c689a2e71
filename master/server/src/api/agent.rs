//! The agent API: one stream for each agent. Attach comes first, with everything the agent has.

use std::time::Duration;

use proffer_master_engine::{AttachedTask, Input, SessionId};
use proffer_proto_model::Epoch;
use proffer_proto_model::convert::{AgentMessage, AttachRequest, MasterEnvelope, MasterMessage};
use proffer_proto_wire::agent as wire;
use proffer_proto_wire::agent::agent_registry_server::AgentRegistry;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{OwnerGone, OwnerLink};
use crate::outbox::{OUTBOX, Outbox};
use crate::owner::ToOwner;

/// How long a stream may stay open without an Attach.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// Serves agents.
#[derive(Debug, Clone)]
pub(crate) struct AgentApi {
    pub(crate) owner: OwnerLink,
    pub(crate) epoch: Epoch,
}

type Messages = mpsc::Sender<Result<wire::MasterMessage, Status>>;

#[tonic::async_trait]
impl AgentRegistry for AgentApi {
    type AttachStream = ReceiverStream<Result<wire::MasterMessage, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<wire::AgentMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (to, messages) = mpsc::channel(OUTBOX);
        let (api, inbound) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            if let Err(OwnerGone) = api.read(inbound, to).await {
                tracing::debug!("an agent's stream ends with this master");
            }
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

impl AgentApi {
    async fn read(&self, mut inbound: Streaming<wire::AgentMessage>, to: Messages) -> Result<(), OwnerGone> {
        let session = self.owner.next_session();
        let closed = CancellationToken::new();
        let first = match tokio::time::timeout(FIRST_MESSAGE, inbound.message()).await {
            Ok(Ok(Some(first))) => first,
            Ok(Ok(None) | Err(_)) => return Ok(()),
            Err(_) => return self.refuse(&to, "no Attach came within 10 s".to_owned()).await,
        };
        let attach = match AgentMessage::try_from(first) {
            Ok(AgentMessage::Attach(attach)) => *attach,
            Ok(_) => return self.refuse(&to, "the first message must be Attach".to_owned()).await,
            Err(defect) => return self.refuse(&to, defect.to_string()).await,
        };
        let outbox = Outbox::agent(to.clone(), closed.clone().drop_guard());
        self.owner.send(ToOwner::Open(session, outbox)).await?;
        self.owner.input(attach_input(session, attach)).await?;
        let ended = self.serve(session, &mut inbound, &to, &closed).await;
        self.owner.input(Input::AgentDisconnected { session }).await?;
        ended
    }

    async fn serve(
        &self,
        session: SessionId,
        inbound: &mut Streaming<wire::AgentMessage>,
        to: &Messages,
        closed: &CancellationToken,
    ) -> Result<(), OwnerGone> {
        loop {
            let message = tokio::select! {
                message = inbound.message() => message,
                () = closed.cancelled() => return Ok(()),
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(()),
                Err(status) => {
                    tracing::debug!(session = session.0, %status, "an agent's stream broke");
                    return Ok(());
                }
            };
            match AgentMessage::try_from(message) {
                Ok(AgentMessage::Updates(updates)) => {
                    let updates = updates.into_iter().map(|u| (u.framework, u.status, u.latest_state)).collect();
                    self.owner.input(Input::AgentUpdates { session, updates }).await?;
                }
                Ok(AgentMessage::Pong { .. }) => self.owner.input(Input::AgentPong { session }).await?,
                Ok(AgentMessage::Detach) => return Ok(()),
                Ok(AgentMessage::Attach(_)) => {
                    return self.refuse(to, "this stream is attached already; open another one".to_owned()).await;
                }
                Err(defect) => return self.refuse(to, defect.to_string()).await,
            }
        }
    }

    /// Says what is wrong; the stream ends. An agent that is gone does not hear it.
    async fn refuse(&self, to: &Messages, message: String) -> Result<(), OwnerGone> {
        let message = MasterMessage::Refused { message, is_final: false };
        let _ = to.send(Ok(MasterEnvelope { epoch: self.epoch, message }.into())).await;
        Ok(())
    }
}

fn attach_input(session: SessionId, attach: AttachRequest) -> Input {
    let AttachRequest { agent, incarnation, tasks, seen_epoch, cluster } = attach;
    let tasks = tasks.into_iter().map(|t| AttachedTask {
        framework: t.framework,
        spec: t.spec,
        latest: t.latest,
        role: t.role,
    });
    Input::AgentAttach { session, agent, incarnation, tasks: tasks.collect(), seen_epoch, cluster }
}
