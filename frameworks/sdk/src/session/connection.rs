//! The link's life: open, subscribe, reconcile, ready; silence and refusals.

use std::collections::BTreeSet;

use proffer_proto_model as model;
use proffer_proto_model::{ClusterId, Demand, Epoch, FrameworkId, Moment, Now, TaskId};

use super::pace::Pace;
use super::{CALL_ENTRIES, Call, End, ErrorKind, MasterEvent, Session, SessionFrame, UnknownFramework, records};
use crate::{Event, Scheduler};

/// Until a master says its own interval.
pub(super) const ASSUMED_HEARTBEAT_MS: u64 = 5_000;

/// So many heartbeats may be missed.
const MISSED_HEARTBEATS: u64 = 3;

/// A heartbeat interval below this is not believed: it would end every link.
const LEAST_HEARTBEAT_MS: u64 = 200;

/// Offers are handed out after this long even when the master did not answer for every task.
const RECONCILE_DEADLINE_MS: u64 = 30_000;

const FIRST_RECONCILE_RETRY_MS: u64 = 2_000;

/// All known tasks are asked for this often, as a belt beside the braces.
const RECONCILE_PERIOD_MS: u64 = 600_000;

/// Where the link is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No stream.
    Down,
    /// Subscribe was sent.
    Subscribing,
    /// Known tasks are asked for; offers wait.
    Reconciling(Reconciling),
    /// Everything runs.
    Ready,
}

/// What reconciliation waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reconciling {
    pub(super) unanswered: BTreeSet<TaskId>,
    pub(super) held: Vec<model::Offer>,
    pub(super) held_inverse: Vec<model::InverseOffer>,
    deadline: Moment,
    retry: Moment,
    retry_ms: u64,
}

impl Phase {
    /// Calls other than Subscribe may be sent.
    pub(super) fn is_subscribed(&self) -> bool {
        matches!(self, Phase::Reconciling(_) | Phase::Ready)
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        match self {
            Phase::Reconciling(r) => Some(r.deadline.min(r.retry)),
            Phase::Down | Phase::Subscribing | Phase::Ready => None,
        }
    }
}

impl<S: Scheduler> Session<S> {
    pub(super) fn on_opened(&mut self, now: Now, frame: &mut SessionFrame) -> Result<(), End> {
        self.on_closed(now, frame)?;
        self.phase = Phase::Subscribing;
        self.last_heard = now.mono;
        self.heartbeat_interval_ms = ASSUMED_HEARTBEAT_MS;
        // Without a demand: offers may only come after the answers to reconciliation.
        frame.send.push(Call::Subscribe { framework: self.info.clone(), demand: Demand::default() });
        Ok(())
    }

    pub(super) fn on_closed(&mut self, now: Now, frame: &mut SessionFrame) -> Result<(), End> {
        let was_subscribed = self.phase.is_subscribed();
        self.phase = Phase::Down;
        // Calls for the stream that is gone mean nothing on the next one.
        self.pace = Pace::default();
        self.facts.is_connected = false;
        self.open_offers.clear();
        self.open_inverse.clear();
        self.sent_demand = Demand::default();
        self.next_reconcile = None;
        if was_subscribed { self.deliver(now, Event::Disconnected, frame) } else { Ok(()) }
    }

    pub(super) fn on_master(&mut self, now: Now, event: MasterEvent, frame: &mut SessionFrame) -> Result<(), End> {
        if self.phase == Phase::Down {
            return Ok(());
        }
        self.last_heard = now.mono;
        match event {
            MasterEvent::Subscribed { framework, epoch, heartbeat_interval_ms, cluster } => {
                self.note_epoch(epoch);
                self.on_subscribed(now, framework, heartbeat_interval_ms, cluster, frame)
            }
            MasterEvent::Error { kind, message, is_fatal } => self.on_error(now, kind, message, is_fatal, frame),
            MasterEvent::TooFast { retry_after_ms, .. } => {
                self.pace.wait(now, retry_after_ms);
                Ok(())
            }
            MasterEvent::Heartbeat => Ok(()),
            _ if !self.phase.is_subscribed() => Ok(()),
            MasterEvent::Offers(offers) => self.on_offers(now, offers, frame),
            MasterEvent::Rescind { offers, reason } => self.on_rescind(now, offers, reason, frame),
            MasterEvent::Status(statuses) => self.on_statuses(now, statuses, frame),
            MasterEvent::OperationStatus { operation_id, outcome, message } => {
                self.deliver(now, Event::OperationStatus { operation_id, outcome, message }, frame)
            }
            MasterEvent::InverseOffers(offers) => self.on_inverse_offers(now, offers, frame),
            MasterEvent::RescindInverse { offers, end } => self.on_rescind_inverse(now, offers, end, frame),
            MasterEvent::AgentLost { agent, hostname } => {
                self.deliver(now, Event::AgentLost { agent, hostname }, frame)
            }
        }
    }

    fn on_subscribed(
        &mut self,
        now: Now,
        framework: FrameworkId,
        heartbeat_interval_ms: u64,
        cluster: ClusterId,
        frame: &mut SessionFrame,
    ) -> Result<(), End> {
        if self.phase != Phase::Subscribing {
            return Ok(());
        }
        self.heartbeat_interval_ms = heartbeat_interval_ms.max(LEAST_HEARTBEAT_MS);
        let is_new = self.facts.framework.as_ref() != Some(&framework);
        if is_new || self.cluster.as_ref() != Some(&cluster) {
            frame.store.push(records::keep_identity(&records::Identity {
                framework: framework.clone(),
                cluster: cluster.clone(),
            }));
        }
        let had_identity = self.facts.framework.is_some();
        self.info.id = Some(framework.clone());
        self.facts.framework = Some(framework.clone());
        self.cluster = Some(cluster);
        self.facts.is_connected = true;
        if is_new && had_identity {
            self.lose_all_tasks(now, "the master gave this framework a new identity", frame);
        }
        self.start_reconciling(now, frame);
        self.tear_down(frame)?;
        self.deliver(now, Event::Connected { framework, is_new }, frame)?;
        self.deliver_local(now, frame)?;
        self.check_reconciled(now, frame)
    }

    /// Another master generation may number its own updates anew: better a duplicate than a loss.
    fn note_epoch(&mut self, epoch: Epoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.seen.forget_master_numbers();
        }
    }

    fn start_reconciling(&mut self, now: Now, frame: &mut SessionFrame) {
        let unanswered: BTreeSet<TaskId> = self.facts.tasks.keys().cloned().collect();
        // All the master knows comes first: it is answered before what follows, whatever that is.
        frame.send.push(Call::Reconcile(Vec::new()));
        self.ask_for(&unanswered, frame);
        self.next_reconcile = Some(now.mono + RECONCILE_PERIOD_MS);
        self.phase = Phase::Reconciling(Reconciling {
            unanswered,
            held: Vec::new(),
            held_inverse: Vec::new(),
            deadline: now.mono + RECONCILE_DEADLINE_MS,
            retry: now.mono + FIRST_RECONCILE_RETRY_MS,
            retry_ms: FIRST_RECONCILE_RETRY_MS,
        });
        self.resend_kills(now, frame);
    }

    fn ask_for(&self, tasks: &BTreeSet<TaskId>, frame: &mut SessionFrame) {
        let agent = |task: &TaskId| self.facts.tasks.get(task).and_then(|known| known.agent.clone());
        let list: Vec<_> = tasks.iter().map(|task| (task.clone(), agent(task))).collect();
        frame.send.extend(list.chunks(CALL_ENTRIES).map(|part| Call::Reconcile(part.to_vec())));
    }

    /// The master spoke of a task. Says whether that was waited for.
    pub(super) fn note_answer(&mut self, task: &TaskId) -> bool {
        match &mut self.phase {
            Phase::Reconciling(reconciling) => reconciling.unanswered.remove(task),
            Phase::Down | Phase::Subscribing | Phase::Ready => false,
        }
    }

    /// Lets offers through once everything is answered, or when that takes too long.
    pub(super) fn check_reconciled(&mut self, now: Now, frame: &mut SessionFrame) -> Result<(), End> {
        let Phase::Reconciling(reconciling) = &mut self.phase else { return Ok(()) };
        if !reconciling.unanswered.is_empty() && now.mono < reconciling.deadline {
            return Ok(());
        }
        let held = std::mem::take(&mut reconciling.held);
        let held_inverse = std::mem::take(&mut reconciling.held_inverse);
        let unanswered = std::mem::take(&mut reconciling.unanswered).into_iter().collect();
        self.phase = Phase::Ready;
        self.deliver(now, Event::Reconciled { unanswered }, frame)?;
        self.send_demand(frame);
        self.on_inverse_offers(now, held_inverse, frame)?;
        if held.is_empty() { Ok(()) } else { self.on_offers(now, held, frame) }
    }

    /// Asks again for what was not answered, and now and then for everything.
    pub(super) fn retry_reconcile(&mut self, now: Now, frame: &mut SessionFrame) -> Result<(), End> {
        if let Phase::Reconciling(reconciling) = &mut self.phase
            && reconciling.retry <= now.mono
        {
            reconciling.retry_ms *= 2;
            reconciling.retry = now.mono + reconciling.retry_ms;
            let unanswered = reconciling.unanswered.clone();
            self.ask_for(&unanswered, frame);
        }
        if self.phase == Phase::Ready && self.next_reconcile.is_some_and(|at| at <= now.mono) {
            self.next_reconcile = Some(now.mono + RECONCILE_PERIOD_MS);
            let all = self.facts.tasks.keys().cloned().collect();
            self.ask_for(&all, frame);
        }
        self.check_reconciled(now, frame)
    }

    /// When the link counts as dead if nothing is heard.
    pub(super) fn silent_at(&self) -> Moment {
        self.last_heard + MISSED_HEARTBEATS.saturating_mul(self.heartbeat_interval_ms)
    }

    pub(super) fn watch_link(&mut self, now: Now, frame: &mut SessionFrame) {
        if self.phase != Phase::Down && self.silent_at() <= now.mono {
            frame.reconnect = Some(format!("the master was silent for {} ms", now.mono.since_ms(self.last_heard)));
            // Counts again from here, so that a driver that is slow to close is not asked in a loop.
            self.last_heard = now.mono;
        }
    }

    fn on_error(
        &mut self,
        now: Now,
        kind: ErrorKind,
        message: String,
        is_fatal: bool,
        frame: &mut SessionFrame,
    ) -> Result<(), End> {
        if kind == ErrorKind::UnknownFramework && self.unknown_framework == UnknownFramework::StartAnew {
            return self.start_anew(now, message, frame);
        }
        match kind {
            _ if !is_fatal => self.deliver(now, Event::Error { message }, frame),
            // An operator may make room.
            ErrorKind::Full => {
                frame.reconnect = Some(message);
                Ok(())
            }
            ErrorKind::TooSlow | ErrorKind::TooFast | ErrorKind::Internal | ErrorKind::NotSubscribed => {
                frame.reconnect = Some(message);
                Ok(())
            }
            ErrorKind::UnknownFramework
            | ErrorKind::Superseded
            | ErrorKind::Removed
            | ErrorKind::Forbidden
            | ErrorKind::Invalid
            | ErrorKind::UnknownInverseOffer
            | ErrorKind::StaleInverseOffer => Err(End::Refused { kind, message }),
        }
    }

    /// The master lost its state, or is another one. The name stays, the identity and its tasks are gone.
    fn start_anew(&mut self, now: Now, message: String, frame: &mut SessionFrame) -> Result<(), End> {
        self.info.id = None;
        self.facts.framework = None;
        self.cluster = None;
        frame.store.push(records::forget_identity());
        frame.reconnect = Some(message);
        self.lose_all_tasks(now, "the master does not know this framework any more", frame);
        self.deliver_local(now, frame)
    }

    /// Removes the framework, as soon as somebody listens.
    pub(super) fn tear_down(&mut self, frame: &mut SessionFrame) -> Result<(), End> {
        if !self.is_teardown_pending || !self.phase.is_subscribed() {
            return Ok(());
        }
        frame.store.push(records::forget_identity());
        frame.store.extend(self.facts.tasks.keys().map(records::forget_task));
        frame.send.push(Call::Teardown);
        Err(End::TornDown)
    }
}
