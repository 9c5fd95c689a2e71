//! The owner of the engine: takes inputs in batches, commits once per batch, and only then lets effects go.
//!
//! Nothing else touches the engine. The owner never waits for the master, the runtime or a reader.

use std::sync::Arc;

use proffer_agent_engine::{Effect, Engine, Frame, Input, SessionId, ToMaster, Update};
use proffer_proto_transport::Shutdown;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::executor::Executor;
use crate::store::Store;
use crate::view::View;
use crate::{AgentError, StoreError};

/// Most inputs that are decided on in one commit.
const BATCH: usize = 512;

/// Most updates in one message; each has a few kilobytes at most.
const UPDATES_PER_MESSAGE: usize = 256;

/// What the owner can be told.
#[derive(Debug)]
pub(crate) enum ToOwner {
    /// Something happened.
    Input(Input),
    /// A stream to a master is open.
    Connected(LinkSender),
}

/// The owner's end of a stream to a master.
#[derive(Debug)]
pub(crate) struct LinkSender {
    pub session: SessionId,
    /// Bounded; a full one means that the stream is stuck.
    pub messages: mpsc::Sender<ToMaster>,
    /// Ends the stream.
    pub close: CancellationToken,
}

/// Owns the engine.
pub(crate) struct Owner {
    pub engine: Engine,
    pub store: Arc<Store>,
    pub clock: Clock,
    pub inbox: mpsc::Receiver<ToOwner>,
    pub executor: Executor,
    pub view: Arc<View>,
    pub link: Option<LinkSender>,
    pub shutdown: Shutdown,
}

impl Owner {
    /// Decides until the agent shuts down. `first` is the frame of the engine's recovery.
    ///
    /// # Errors
    /// The checkpoint failed, or a master refused the agent for good.
    pub async fn run(mut self, first: Frame) -> Result<(), AgentError> {
        let result = self.decide(first).await;
        // A stream that stays open would keep this agent from coming back.
        if let (Some(link), Err(_)) = (&self.link, &result) {
            link.close.cancel();
        }
        self.executor.stop().await;
        result
    }

    async fn decide(&mut self, first: Frame) -> Result<(), AgentError> {
        self.carry_out(first).await?;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let deadline = self.engine.next_deadline().map(|moment| self.clock.instant(moment));
            let timer = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.shutdown.draining() => {
                    batch.push(ToOwner::Input(Input::Stopping));
                    return self.take(&mut batch).await;
                }
                count = self.inbox.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return Err(AgentError::Died("inbox"));
                    }
                }
                () = timer => batch.push(ToOwner::Input(Input::Tick)),
            }
            self.take(&mut batch).await?;
        }
    }

    async fn take(&mut self, batch: &mut Vec<ToOwner>) -> Result<(), AgentError> {
        let now = self.clock.now();
        let mut frame = Frame::default();
        for one in batch.drain(..) {
            let input = match one {
                ToOwner::Input(input) => input,
                ToOwner::Connected(link) => {
                    let session = link.session;
                    if let Some(old) = self.link.replace(link) {
                        old.close.cancel();
                    }
                    Input::MasterConnected { session }
                }
            };
            frame.append(self.engine.handle(now, input));
        }
        self.carry_out(frame).await
    }

    /// Stores, publishes, and then lets the effects go.
    async fn carry_out(&mut self, mut frame: Frame) -> Result<(), AgentError> {
        let operations = frame.take_operations();
        let stored = if operations.is_empty() {
            proffer_agent_engine::Stored::after_commit()
        } else {
            let store = Arc::clone(&self.store);
            let commit = tokio::task::spawn_blocking(move || store.commit(&operations));
            commit.await.map_err(|_| AgentError::Died("checkpoint thread"))?.inspect_err(|error: &StoreError| {
                tracing::error!(%error, "checkpoint failed, the agent stops; containers go on");
            })?
        };
        self.publish();
        let mut updates = Vec::new();
        for effect in frame.into_effects(stored) {
            match effect {
                // The updates of a whole batch travel together: the stream's queue is counted in messages.
                Effect::ToMaster { session, message: ToMaster::Updates(more) } => updates.push((session, more)),
                other => self.release(other)?,
            }
        }
        self.tell_updates(updates);
        Ok(())
    }

    fn tell_updates(&mut self, updates: Vec<(SessionId, Vec<Update>)>) {
        let Some(session) = self.link.as_ref().map(|link| link.session) else { return };
        let current = updates.into_iter().filter(|(to, _)| *to == session).flat_map(|(_, updates)| updates);
        let current: Vec<Update> = current.collect();
        for part in current.chunks(UPDATES_PER_MESSAGE) {
            self.tell(session, ToMaster::Updates(part.to_vec()));
        }
    }

    fn publish(&mut self) {
        let changed = self.engine.take_changed();
        self.view.publish(changed, self.engine.is_attached(), self.engine.identity().agent.as_ref());
    }

    fn release(&mut self, effect: Effect) -> Result<(), AgentError> {
        match effect {
            Effect::ToMaster { session, message } => self.tell(session, message),
            Effect::CloseMaster { session, reason } => {
                tracing::warn!(session = session.0, %reason, "leaving the master");
                self.close(session);
            }
            Effect::Refused { message, last: true } => return Err(AgentError::Refused(message)),
            Effect::Refused { message, last: false } => {
                tracing::warn!(%message, "the master refused this agent for now");
                if let Some(link) = self.link.take() {
                    link.close.cancel();
                }
            }
            other => self.executor.execute(other),
        }
        Ok(())
    }

    fn tell(&mut self, to: SessionId, message: ToMaster) {
        let Some(link) = self.link.as_ref().filter(|link| link.session == to) else { return };
        if link.messages.try_send(message).is_err() {
            // Nothing is lost: the next stream begins with everything there is to say.
            tracing::warn!(session = to.0, "the stream to the master is stuck or gone, leaving it");
            self.close(to);
        }
    }

    fn close(&mut self, session: SessionId) {
        if self.link.as_ref().is_some_and(|link| link.session == session)
            && let Some(link) = self.link.take()
        {
            link.close.cancel();
        }
    }
}
