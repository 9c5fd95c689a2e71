//! The pure engine behind the driver: a scheduler together with everything it need not care about.
//!
//! Input and time in, frame out; no I/O, no clock, no chance. The driver, the test kit and the cluster simulation all run
//! schedulers through this one type. It holds the offers of the present connection, the tasks that are known,
//! kills until they worked, and what was acknowledged; it reconciles after every subscription before offers are
//! handed out.

mod connection;
mod facts;
mod frame;
mod inverse;
mod kills;
mod offers;
mod pace;
mod records;
mod status;
mod turn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use facts::Facts;
pub use frame::{After, End, SessionFrame, Stored};
pub use proffer_proto_model::convert::{
    Acknowledgement, ErrorKind, SchedulerCall as Call, SchedulerEvent as MasterEvent,
};
use proffer_proto_model::{ClusterId, Epoch, FrameworkInfo, InverseOfferId, Moment, Now, OfferId, TaskId, UnixMillis};

use crate::offer::Outbox;
use crate::store::StoreError;
use crate::{Context, Demand, Event, Scheduler, StoredState};
use connection::Phase;
use kills::KillTimer;
use pace::Pace;
use status::Seen;

/// Entries of one list in one call. The wire allows far more; this keeps messages small.
const CALL_ENTRIES: usize = 1_000;

/// Everything that can happen to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionInput {
    /// The run begins. Once and first.
    Start,
    /// A stream to a master is open.
    Opened,
    /// The stream has ended, for whatever reason, or could not be opened.
    Closed,
    /// The master says something.
    Master(MasterEvent),
    /// Time has passed: due at [`Session::next_deadline`].
    Tick,
}

/// What to do when a master does not know this framework's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownFramework {
    /// Start anew under the same name with a new id; all known tasks are reported as [`crate::TaskState::Gone`].
    #[default]
    StartAnew,
    /// End the run with an error.
    Stop,
}

/// A scheduler and its dealings with the master, as a value.
#[derive(Debug)]
pub struct Session<S> {
    scheduler: S,
    info: FrameworkInfo,
    unknown_framework: UnknownFramework,
    cluster: Option<ClusterId>,
    epoch: Epoch,
    stored: Option<StoredState>,
    facts: Facts,
    phase: Phase,
    last_heard: Moment,
    unix_now: UnixMillis,
    heartbeat_interval_ms: u64,
    next_reconcile: Option<Moment>,
    outbox: Outbox,
    open_offers: BTreeSet<OfferId>,
    open_inverse: BTreeSet<InverseOfferId>,
    wanted: Option<Demand>,
    sent_demand: proffer_proto_model::Demand,
    seen: Seen,
    kill_timers: BTreeMap<TaskId, KillTimer>,
    wakes: BTreeSet<Moment>,
    local: VecDeque<Event>,
    pace: Pace,
    is_teardown_pending: bool,
    has_ended: bool,
}

impl<S: Scheduler> Session<S> {
    /// A session of this framework on what its store holds. `info` needs no id: the stored one is used.
    pub fn new(info: FrameworkInfo, scheduler: S, loaded: BTreeMap<String, Vec<u8>>) -> Result<Self, StoreError> {
        let records::Loaded { identity, tasks, app } = records::decode(loaded)?;
        let (framework, cluster) = identity.map(|i| (Some(i.framework), Some(i.cluster))).unwrap_or_default();
        let kill_timers = tasks
            .iter()
            .filter(|(_, known)| known.kill.is_some())
            .map(|(task, _)| (task.clone(), KillTimer::default()))
            .collect();
        let roles = info.roles.clone();
        Ok(Self {
            scheduler,
            info: FrameworkInfo { id: framework.clone(), ..info },
            unknown_framework: UnknownFramework::default(),
            cluster,
            epoch: Epoch::default(),
            stored: Some(app),
            facts: Facts { framework, is_connected: false, roles, tasks },
            phase: Phase::Down,
            last_heard: Moment(0),
            unix_now: UnixMillis(0),
            heartbeat_interval_ms: connection::ASSUMED_HEARTBEAT_MS,
            next_reconcile: None,
            outbox: Outbox::default(),
            open_offers: BTreeSet::new(),
            open_inverse: BTreeSet::new(),
            wanted: None,
            sent_demand: proffer_proto_model::Demand::default(),
            seen: Seen::default(),
            kill_timers,
            wakes: BTreeSet::new(),
            local: VecDeque::new(),
            pace: Pace::default(),
            is_teardown_pending: false,
            has_ended: false,
        })
    }

    /// Sets what to do when a master does not know the framework.
    #[must_use]
    pub fn on_unknown_framework(mut self, choice: UnknownFramework) -> Self {
        self.unknown_framework = choice;
        self
    }

    /// Handles one input. What the frame stores must be durable before what it sends leaves.
    ///
    /// After a frame that ends the run nothing has an effect any more.
    pub fn handle(&mut self, now: Now, input: SessionInput) -> SessionFrame {
        let mut frame = SessionFrame::default();
        self.unix_now = now.unix;
        if self.has_ended {
            return frame;
        }
        let outcome = match input {
            SessionInput::Start => self.on_start(now, &mut frame),
            SessionInput::Opened => self.on_opened(now, &mut frame),
            SessionInput::Closed => self.on_closed(now, &mut frame),
            SessionInput::Master(event) => self.on_master(now, event, &mut frame),
            SessionInput::Tick => self.on_tick(now, &mut frame),
        };
        self.finish(now, outcome, &mut frame);
        frame
    }

    /// Runs a closure with the scheduler as a frame of its own.
    pub fn with<R>(&mut self, now: Now, work: impl FnOnce(&mut S, &mut Context<'_>) -> R) -> (R, SessionFrame) {
        let mut frame = SessionFrame::default();
        self.unix_now = now.unix;
        let (result, outcome) = self.turn(now, &mut frame, work);
        self.finish(now, outcome, &mut frame);
        (result, frame)
    }

    /// When the next [`SessionInput::Tick`] is due at the latest; `None` while nothing waits.
    pub fn next_deadline(&self) -> Option<Moment> {
        if self.has_ended {
            return None;
        }
        let mut due = self.wakes.first().copied();
        let mut at = |moment: Option<Moment>| due = [due, moment].into_iter().flatten().min();
        if self.phase != Phase::Down {
            at(Some(self.silent_at()));
        }
        at(self.pace.until);
        if self.phase.is_subscribed() {
            at(self.phase.deadline());
            at(self.next_reconcile);
            at(self.kill_timers.values().map(|timer| timer.next).min());
        }
        due
    }

    /// The scheduler, for tests and simulations.
    pub fn scheduler(&self) -> &S {
        &self.scheduler
    }

    /// What the scheduler sees through its context.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    fn on_start(&mut self, now: Now, frame: &mut SessionFrame) -> Result<(), End> {
        match self.stored.take() {
            Some(stored) => self.deliver(now, Event::Started { stored }, frame),
            None => Ok(()),
        }
    }

    fn on_tick(&mut self, now: Now, frame: &mut SessionFrame) -> Result<(), End> {
        self.watch_link(now, frame);
        self.retry_reconcile(now, frame)?;
        self.retry_kills(now, frame);
        let later = self.wakes.split_off(&(now.mono + 1));
        let due = std::mem::replace(&mut self.wakes, later);
        for _ in due {
            self.deliver(now, Event::Wake, frame)?;
        }
        Ok(())
    }
}
