//! The one thread that owns the engine: drains its inbox in batches, commits once for each batch, then sends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proffer_master_engine::explain::Why;
use proffer_master_engine::{Consequences, Effect, Engine, FatalError, Frame, Input, OperatorCall, SessionId};
use proffer_proto_model::{Epoch, FrameworkId, Role};
use tokio::sync::{mpsc, oneshot};

use crate::clock::{Clock, Stopwatch};
use crate::election::Lease;
use crate::metrics::{Load, Metrics};
use crate::outbox::{CutOff, Outbox};
use crate::read_models::ReadModels;
use crate::store::{Store, StoreError};

/// Inputs that may wait; who brings more waits.
pub(crate) const INBOX: usize = 4_096;
/// Inputs that share one commit.
const BATCH: usize = 512;
/// Longest sleep without a timer: only a bound, everything else wakes the owner.
const IDLE: Duration = Duration::from_secs(3_600);

/// What reaches the owner.
#[derive(Debug)]
pub(crate) enum ToOwner {
    /// A stream begins; what is said to its session goes there.
    Open(SessionId, Outbox),
    /// Something happened.
    Input(Box<Input>),
    /// An operator asks for a change, or what would come of it. The owner numbers the call.
    Operator { call: Box<OperatorCall>, is_dry_run: bool, reply: oneshot::Sender<OperatorAnswer> },
    /// An operator asks why a framework is not offered what it wants, in one role or in all.
    Why(FrameworkId, Option<Role>, oneshot::Sender<WhyAnswer>),
}

/// What came of a change, or what is wrong with it.
pub(crate) type OperatorAnswer = Result<Consequences, FatalError>;

/// Why, or what is wrong with the question.
pub(crate) type WhyAnswer = Result<Why, FatalError>;

/// The engine with everything only its owner touches.
pub(crate) struct Owner {
    pub(crate) engine: Engine,
    pub(crate) epoch: Epoch,
    pub(crate) store: Box<dyn Store>,
    /// Nothing is sent without it; a master that is alone needs none.
    pub(crate) lease: Option<Lease>,
    pub(crate) clock: Clock,
    pub(crate) inbox: mpsc::Receiver<ToOwner>,
    pub(crate) readers: Arc<ReadModels>,
    pub(crate) streams: Streams,
    pub(crate) metrics: Arc<Metrics>,
}

/// The open streams and the requests that wait for an answer.
#[derive(Default)]
pub(crate) struct Streams {
    outboxes: BTreeMap<SessionId, Outbox>,
    requests: BTreeMap<u64, oneshot::Sender<OperatorAnswer>>,
    whys: BTreeMap<u64, oneshot::Sender<WhyAnswer>>,
    asked: u64,
}

impl Owner {
    /// Runs until every sender of the inbox is gone, or a commit fails: then nothing more is sent.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        loop {
            let wait = self.engine.next_deadline().map(|at| self.clock.instant(at));
            let deadline = wait.map_or_else(|| tokio::time::Instant::now() + IDLE, tokio::time::Instant::from_std);
            let (mut frame, mut batch) = (Frame::default(), 1);
            match tokio::time::timeout_at(deadline, self.inbox.recv()).await {
                Ok(None) => return Ok(()),
                Err(_) => self.handle(Input::Tick, &mut frame),
                Ok(Some(first)) => {
                    self.take(first, &mut frame);
                    for _ in 1..BATCH {
                        let Ok(next) = self.inbox.try_recv() else { break };
                        self.take(next, &mut frame);
                        batch += 1;
                    }
                    self.tick_if_due(&mut frame);
                }
            }
            self.finish(frame, batch)?;
        }
    }

    /// Timers fire in time also while the inbox is never empty.
    fn tick_if_due(&mut self, frame: &mut Frame) {
        let now = self.clock.now();
        if self.engine.next_deadline().is_some_and(|at| at <= now.mono) {
            self.handle(Input::Tick, frame);
        }
    }

    fn take(&mut self, message: ToOwner, frame: &mut Frame) {
        match message {
            ToOwner::Open(session, outbox) => {
                self.metrics.queues.add(outbox.reader());
                self.streams.outboxes.insert(session, outbox);
            }
            ToOwner::Input(input) => self.handle(*input, frame),
            ToOwner::Operator { call, is_dry_run, reply } => {
                self.streams.asked += 1;
                let request = self.streams.asked;
                self.streams.requests.insert(request, reply);
                let call = call.numbered(request);
                self.handle(if is_dry_run { Input::DryRun(call) } else { Input::Operator(call) }, frame);
            }
            ToOwner::Why(framework, role, reply) => {
                self.streams.asked += 1;
                let request = self.streams.asked;
                self.streams.whys.insert(request, reply);
                self.handle(Input::Operator(OperatorCall::Why { request, framework, role }), frame);
            }
        }
    }

    fn handle(&mut self, input: Input, frame: &mut Frame) {
        if let Input::AgentDisconnected { session } | Input::FrameworkDisconnected { session } = &input {
            self.streams.outboxes.remove(session);
        }
        let now = self.clock.now();
        self.metrics.received(&input);
        let mut watch = Stopwatch::start();
        self.engine.decide(now, input);
        let decision = watch.lap();
        frame.append(self.engine.offer(now));
        self.metrics.handled(decision, watch.lap());
    }

    /// Store, then send, then show; then answer operators, who look at once at what they did.
    fn finish(&mut self, frame: Frame, batch: usize) -> Result<(), StoreError> {
        let mut watch = Stopwatch::start();
        let stored = self.store.commit(frame.operations())?;
        let load = Load {
            batch,
            waiting: self.inbox.len(),
            sessions: self.streams.outboxes.len(),
            filters: self.engine.filters(),
        };
        self.metrics.stored(watch.lap(), load);
        if self.lease.as_ref().is_some_and(|lease| !lease.is_held(self.clock.now().mono)) {
            return Err(StoreError::LeaseEnded);
        }
        let mut answers = Vec::new();
        for effect in frame.into_effects(stored) {
            self.metrics.sends(&effect);
            if let Effect::OperatorReply { .. } | Effect::WhyReply { .. } = effect {
                answers.push(effect);
            } else if let Some(peer) = self.streams.send(self.epoch, effect) {
                self.metrics.cut_off(peer);
            }
        }
        self.publish();
        for answer in answers {
            self.streams.send(self.epoch, answer);
        }
        Ok(())
    }

    /// Shows readers what has changed since the last time; before the first reader what was recovered.
    pub(crate) fn publish(&mut self) {
        for change in self.engine.take_changes() {
            self.metrics.changed(&change, &self.readers);
            self.readers.apply(change);
        }
    }
}

impl Streams {
    /// Gives the kind of a peer that was cut off because it reads too slowly.
    fn send(&mut self, epoch: Epoch, effect: Effect) -> Option<&'static str> {
        let (peer, session, sent) = match effect {
            Effect::ToFramework { session, message } => {
                ("framework", session, self.outboxes.get_mut(&session).map(|o| o.tell_framework(message)))
            }
            Effect::ToAgent { session, message } => {
                ("agent", session, self.outboxes.get_mut(&session).map(|o| o.tell_agent(epoch, message)))
            }
            Effect::Close { session } => {
                if let Some(outbox) = self.outboxes.remove(&session) {
                    outbox.close();
                }
                return None;
            }
            Effect::OperatorReply { request, result } => {
                if let Some(reply) = self.requests.remove(&request) {
                    // One that went away does not want the answer any more.
                    let _ = reply.send(result);
                }
                return None;
            }
            Effect::WhyReply { request, answer } => {
                if let Some(reply) = self.whys.remove(&request) {
                    let _ = reply.send(*answer);
                }
                return None;
            }
        };
        let Some(Err(cut)) = sent else { return None };
        match cut {
            CutOff::TooSlow => tracing::warn!(session = session.0, "cut off a stream whose reader is too slow"),
            CutOff::Ended => tracing::debug!(session = session.0, "a stream has ended before its peer was told"),
        }
        // Its reader ends with it and reports the disconnect.
        self.outboxes.remove(&session);
        (cut == CutOff::TooSlow).then_some(peer)
    }
}

#[cfg(test)]
mod tests;
