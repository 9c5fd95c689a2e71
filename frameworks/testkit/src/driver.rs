//! Runs a scheduler through the real session engine against a master that remembers only what a test said.

use std::collections::BTreeMap;

use proffer_sdk::model::{self, Accept, ClusterId, Epoch, FrameworkInfo, OfferId, Operation};
use proffer_sdk::session::{Call, End, MasterEvent, Session, SessionFrame, SessionInput, Stored};
use proffer_sdk::store::{MemoryStore, Store};
use proffer_sdk::{
    AgentId, Context, FrameworkConfig, FrameworkId, InverseCause, InverseEnd, InverseOfferId, Moment, Now,
    RescindReason, Scheduler, TaskId, TaskReason, TaskSource, TaskState, TaskStatus, UnixMillis,
};

use crate::offer::agent_id;
use crate::{Calls, TestOffer};

/// A scheduler in a test. Starts at once; every step returns what the framework said in it.
pub struct TestDriver<S> {
    session: Session<S>,
    store: MemoryStore,
    now: Now,
    is_connected: bool,
    offers_made: u64,
    tasks: BTreeMap<TaskId, Told>,
    said: Vec<Call>,
    end: Option<End>,
}

/// What the master of the test knows of a task.
#[derive(Debug, Clone)]
struct Told {
    agent: Option<AgentId>,
    state: TaskState,
    seq: u64,
}

impl<S: Scheduler> TestDriver<S> {
    /// Starts a scheduler that has stored nothing yet, as framework `test` of role `default`.
    #[track_caller]
    pub fn new(scheduler: S) -> Self {
        Self::with_store(scheduler, MemoryStore::new())
    }

    /// Starts a scheduler on a store, as after a restart.
    #[track_caller]
    pub fn with_store(scheduler: S, store: MemoryStore) -> Self {
        match FrameworkConfig::new("test").framework_info() {
            Ok(info) => Self::with_info(scheduler, info, store),
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts a scheduler as this framework.
    #[track_caller]
    pub fn with_info(scheduler: S, info: FrameworkInfo, mut store: MemoryStore) -> Self {
        let session = match store.load().and_then(|loaded| Session::new(info, scheduler, loaded)) {
            Ok(session) => session,
            Err(error) => panic!("{error}"),
        };
        let now = Now { mono: Moment(1_000), unix: UnixMillis(1_700_000_000_000) };
        let (tasks, said) = (BTreeMap::new(), Vec::new());
        let mut driver = Self { session, store, now, is_connected: false, offers_made: 0, tasks, said, end: None };
        driver.input(SessionInput::Start);
        driver
    }

    /// Ends this run as a crash would, and starts the next one on the same store and the same cluster.
    #[track_caller]
    pub fn restart(self, scheduler: S) -> Self {
        let mut next = Self::with_store(scheduler, self.store);
        (next.tasks, next.offers_made, next.now) = (self.tasks, self.offers_made, self.now);
        next
    }

    /// A master accepts the framework and answers its reconciliation with what it knows.
    pub fn connect(&mut self) -> Calls {
        self.is_connected = true;
        self.input(SessionInput::Opened);
        let framework = FrameworkId::numbered(1, 1);
        let Ok(cluster) = ClusterId::new("test") else { return self.take() };
        self.input(SessionInput::Master(MasterEvent::Subscribed {
            framework,
            epoch: Epoch(1),
            heartbeat_interval_ms: 5_000,
            cluster,
        }));
        self.take()
    }

    /// The master is lost.
    pub fn disconnect(&mut self) -> Calls {
        self.is_connected = false;
        self.input(SessionInput::Closed);
        self.take()
    }

    /// Offers come, named `O1-1`, `O1-2` and so on.
    pub fn offers(&mut self, offers: impl IntoIterator<Item = TestOffer>) -> Calls {
        let mut numbered = Vec::new();
        for offer in offers {
            self.offers_made += 1;
            numbered.push(offer.numbered(self.offers_made));
        }
        self.master(MasterEvent::Offers(numbered))
    }

    /// The offer with this number is withdrawn.
    pub fn rescind(&mut self, number: u64) -> Calls {
        let offers = vec![OfferId::numbered(1, number)];
        self.master(MasterEvent::Rescind { offers, reason: RescindReason::Expired })
    }

    /// A request to leave an agent comes, named `V1-NUMBER`: its window begins in so many milliseconds.
    #[track_caller]
    pub fn ask_to_leave(&mut self, number: u64, agent: &str, tasks: &[&str], begins_in_ms: u64) -> Calls {
        self.ask_because(InverseCause::Maintenance, number, agent, tasks, begins_in_ms)
    }

    /// As [`TestDriver::ask_to_leave`], for another cause.
    #[track_caller]
    pub fn ask_because(
        &mut self,
        cause: InverseCause,
        number: u64,
        agent: &str,
        tasks: &[&str],
        begins_in_ms: u64,
    ) -> Calls {
        let id = |task: &&str| match TaskId::new(*task) {
            Ok(task) => task,
            Err(error) => panic!("task id {task:?} {error}"),
        };
        let start = UnixMillis(self.now.unix.0 + begins_in_ms);
        self.master(MasterEvent::InverseOffers(vec![model::InverseOffer {
            id: InverseOfferId::numbered(1, number),
            agent: agent_id(agent),
            hostname: agent.to_owned(),
            cause,
            unavailability: model::Unavailability { start, duration_ms: 3_600_000 },
            tasks: tasks.iter().map(id).collect(),
            resources: model::Resources::default(),
            message: "a window begins".to_owned(),
        }]))
    }

    /// The request to leave with this number is over.
    pub fn stop_asking(&mut self, number: u64, end: InverseEnd) -> Calls {
        let offers = vec![InverseOfferId::numbered(1, number)];
        self.master(MasterEvent::RescindInverse { offers, end })
    }

    /// The agent reports a state of a task, with the next number.
    #[track_caller]
    pub fn status(&mut self, task: &str, state: TaskState) -> Calls {
        let status = self.next_status(task, state);
        self.master(MasterEvent::Status(vec![status]))
    }

    /// As [`TestDriver::status`], with a reason.
    #[track_caller]
    pub fn status_because(&mut self, task: &str, state: TaskState, reason: TaskReason) -> Calls {
        let status = self.next_status(task, state).because(reason, "");
        self.master(MasterEvent::Status(vec![status]))
    }

    /// A status of the right task, agent and number, to be changed and sent with [`TestDriver::master`].
    #[track_caller]
    pub fn next_status(&mut self, task: &str, state: TaskState) -> TaskStatus {
        let task = match TaskId::new(task) {
            Ok(task) => task,
            Err(error) => panic!("task id {task:?} {error}"),
        };
        let told = self.tasks.entry(task.clone()).or_insert(Told { agent: None, state, seq: 0 });
        (told.state, told.seq) = (state, told.seq + 1);
        let mut status = TaskStatus::new(task, told.agent.clone(), state, TaskSource::Agent, self.now.unix);
        status.seq = told.seq;
        status
    }

    /// Anything the master may say.
    pub fn master(&mut self, event: MasterEvent) -> Calls {
        self.input(SessionInput::Master(event));
        self.take()
    }

    /// Time passes, in milliseconds, with heartbeats and with everything that falls due on the way.
    pub fn advance(&mut self, ms: u64) -> Calls {
        let end = self.now.mono + ms;
        while self.now.mono < end {
            let due = self.session.next_deadline().unwrap_or(end).clamp(self.now.mono + 1, end);
            self.now.unix.0 += due.since_ms(self.now.mono);
            self.now.mono = due;
            if self.is_connected {
                self.input(SessionInput::Master(MasterEvent::Heartbeat));
            }
            self.input(SessionInput::Tick);
        }
        self.take()
    }

    /// Runs a closure with the scheduler, as the driver's handle does.
    pub fn with<R>(&mut self, work: impl FnOnce(&mut S, &mut Context<'_>) -> R) -> (R, Calls) {
        let (result, frame) = self.session.with(self.now, work);
        self.perform(frame);
        (result, self.take())
    }

    /// The scheduler.
    pub fn scheduler(&self) -> &S {
        self.session.scheduler()
    }

    /// What was stored so far; a clone shares its content.
    pub fn store(&self) -> MemoryStore {
        self.store.clone()
    }

    /// The time of the test.
    pub fn now(&self) -> Now {
        self.now
    }

    /// The run has ended, for this reason.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    fn take(&mut self) -> Calls {
        Calls(std::mem::take(&mut self.said))
    }

    fn input(&mut self, input: SessionInput) {
        let frame = self.session.handle(self.now, input);
        self.perform(frame);
    }

    fn perform(&mut self, frame: SessionFrame) {
        if let Err(error) = self.store.commit(frame.changes()) {
            panic!("{error}");
        }
        let after = frame.into_after(Stored::after_commit());
        if after.end.is_some() {
            self.end = after.end;
        }
        if !self.is_connected {
            return;
        }
        let mut answers = Vec::new();
        for call in &after.send {
            self.listen(call, &mut answers);
        }
        self.said.extend(after.send);
        if !answers.is_empty() {
            self.input(SessionInput::Master(MasterEvent::Status(answers)));
        }
    }

    /// The master of the test: remembers launches and answers reconciliation.
    fn listen(&mut self, call: &Call, answers: &mut Vec<TaskStatus>) {
        match call {
            Call::Accept(Accept { operations, .. }) => {
                for operation in operations {
                    let (Operation::Launch { tasks } | Operation::LaunchGroup { tasks, .. }) = operation else {
                        continue;
                    };
                    for launch in tasks {
                        let told = Told { agent: launch.agent.clone(), state: TaskState::Staging, seq: 0 };
                        self.tasks.insert(launch.task.id.clone(), told);
                    }
                }
            }
            Call::Acknowledge(list) => {
                for ack in list {
                    let is_over = |told: &Told| told.state.is_terminal() && told.seq == ack.seq;
                    if self.tasks.get(&ack.task).is_some_and(is_over) {
                        self.tasks.remove(&ack.task);
                    }
                }
            }
            Call::Reconcile(tasks) if tasks.is_empty() => {
                answers.extend(self.tasks.iter().map(|(task, told)| self.answer(task, Some(told))));
            }
            Call::Reconcile(tasks) => {
                answers.extend(tasks.iter().map(|(task, _)| self.answer(task, self.tasks.get(task))));
            }
            _ => {}
        }
    }

    fn answer(&self, task: &TaskId, told: Option<&Told>) -> TaskStatus {
        let state = told.map_or(TaskState::Unknown, |told| told.state);
        let agent = told.and_then(|told| told.agent.clone());
        TaskStatus::new(task.clone(), agent, state, TaskSource::Master, self.now.unix)
            .because(TaskReason::Reconciliation, "")
    }
}
