//! The stream to a master: finds one, says and hears, and finds another when it is lost.
//!
//! Knows nothing of what is said. Ends only when the agent does.

use std::time::Duration;

use proffer_agent_engine::{Input, MasterMessage, SessionId, ToMaster};
use proffer_proto_transport::{
    Address, Again, Backoff, MAX_MESSAGE_BYTES, Masters, RemoteError, Shutdown, connect, leader_of,
};
use proffer_proto_wire::agent::agent_registry_client::AgentRegistryClient;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::owner::{LinkSender, ToOwner};
use crate::words;

/// Messages that may wait for a stream; more means that it is stuck.
const QUEUE: usize = 256;
/// First wait after a failed or lost stream; it doubles, with jitter.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Keeps a stream to one of the masters.
pub(crate) struct Link {
    pub masters: Vec<Address>,
    pub longest_wait: Duration,
    pub owner: mpsc::Sender<ToOwner>,
    pub shutdown: Shutdown,
}

/// How a stream ended.
enum End {
    /// The owner is gone.
    OwnerGone,
    /// The master had admitted the agent.
    Lost(String),
    /// It never came to that; the master may have said which one leads.
    Failed(String, Option<Address>),
}

impl Link {
    /// Goes from master to master until the agent shuts down.
    pub async fn run(self) {
        let mut backoff = Backoff::new(FIRST_WAIT, self.longest_wait);
        let mut masters = Masters::new(self.masters.clone());
        for number in 1.. {
            let Some(master) = masters.now().cloned() else { return };
            let ended = tokio::select! {
                ended = self.stream(&master, SessionId(number)) => ended,
                () = self.shutdown.ended() => return,
            };
            let leader = match ended {
                End::OwnerGone => return,
                End::Lost(cause) => {
                    tracing::warn!(%master, %cause, "lost the master");
                    backoff.reset();
                    None
                }
                End::Failed(cause, leader) => {
                    tracing::warn!(%master, %cause, "cannot attach to the master");
                    leader
                }
            };
            if self.shutdown.is_draining() {
                return;
            }
            if masters.failed(leader) == Again::AfterAWait {
                tokio::select! {
                    () = tokio::time::sleep(backoff.next_delay()) => {}
                    () = self.shutdown.draining() => return,
                }
            }
        }
    }

    /// One stream from its beginning to its end.
    async fn stream(&self, master: &Address, session: SessionId) -> End {
        let channel = match connect(master) {
            Ok(channel) => channel,
            Err(error) => return End::Failed(error.to_string(), None),
        };
        let mut client = AgentRegistryClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let (messages, queue) = mpsc::channel::<ToMaster>(QUEUE);
        let close = CancellationToken::new();
        let sender = LinkSender { session, messages, close: close.clone() };
        if self.owner.send(ToOwner::Connected(sender)).await.is_err() {
            return End::OwnerGone;
        }
        let outgoing = ReceiverStream::new(queue).map(words::to_wire);
        let end = tokio::select! {
            attached = client.attach(outgoing) => match attached {
                Ok(response) => self.hear(session, response.into_inner(), &close).await,
                Err(status) => failed(false, status),
            },
            () = close.cancelled() => End::Failed("closed by this side".to_owned(), None),
        };
        match self.owner.send(ToOwner::Input(Input::MasterDisconnected { session })).await {
            Ok(()) => end,
            Err(_) => End::OwnerGone,
        }
    }

    async fn hear(
        &self,
        session: SessionId,
        mut messages: tonic::Streaming<proffer_proto_wire::agent::MasterMessage>,
        close: &CancellationToken,
    ) -> End {
        let mut admitted = false;
        loop {
            let message = tokio::select! {
                message = messages.message() => message,
                () = close.cancelled() => Ok(None),
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return ended(admitted, "the stream has ended".to_owned()),
                Err(status) => return failed(admitted, status),
            };
            match words::from_wire(message) {
                Ok((epoch, message)) => {
                    admitted |= matches!(message, MasterMessage::Attached { .. });
                    let input = Input::Master { session, epoch, message };
                    if self.owner.send(ToOwner::Input(input)).await.is_err() {
                        return End::OwnerGone;
                    }
                }
                // A launch that cannot be read must not be passed over: the next attach brings it to light.
                Err(error) => return ended(admitted, format!("the master sent what cannot be read: {error}")),
            }
        }
    }
}

fn failed(admitted: bool, status: Status) -> End {
    let leader = leader_of(&status);
    match ended(admitted, RemoteError::from(status).to_string()) {
        End::Failed(cause, _) => End::Failed(cause, leader),
        lost => lost,
    }
}

fn ended(admitted: bool, cause: String) -> End {
    if admitted { End::Lost(cause) } else { End::Failed(cause, None) }
}
