//! The session engine under messages that are lost, doubled and late, restarts and an erratic scheduler.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::common::{hello, subscribed};
use proffer_sdk::model::{Offer as WireOffer, Operation};
use proffer_sdk::session::{Call, MasterEvent, Session, SessionFrame, SessionInput, Stored};
use proffer_sdk::store::{MemoryStore, Store, StoreOp};
use proffer_sdk::{
    AgentId, Bytes, Context, Event, FrameworkConfig, Handled, MilliCpus, Moment, Now, Offer, OfferId, RescindReason,
    Resources, Role, Scheduler, TaskId, TaskSource, TaskState, TaskStatus, UnixMillis,
};
use proptest::prelude::*;

/// What the world does next.
#[derive(Debug, Clone)]
enum Act {
    Open,
    Subscribed,
    Close,
    Offer(u8),
    Rescind(u8),
    Status(u8, u8),
    Tick(u16),
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        2 => Just(Act::Open),
        3 => Just(Act::Subscribed),
        1 => Just(Act::Close),
        6 => (0u8..12).prop_map(Act::Offer),
        1 => (0u8..12).prop_map(Act::Rescind),
        12 => (0u8..6, 0u8..5).prop_map(|(task, seq)| Act::Status(task, seq)),
        2 => (0u16..8_000).prop_map(Act::Tick),
        1 => Just(Act::Restart),
    ];
    let start = [Act::Open, Act::Subscribed];
    proptest::collection::vec(act, 0..120).prop_map(move |acts| start.iter().cloned().chain(acts).collect())
}

/// Launches, keeps, kills and drops by a fixed rule; writes down what it was told.
struct Erratic {
    told: Arc<Mutex<Vec<TaskStatus>>>,
    kept: Vec<Offer>,
    turns: u64,
}

impl Scheduler for Erratic {
    fn on_event(&mut self, event: Event, cx: &mut Context<'_>) -> Handled {
        self.turns += 1;
        match event {
            Event::Offers(offers) => {
                for (at, mut offer) in offers.into_iter().enumerate() {
                    match (self.turns + at as u64) % 3 {
                        0 => self.kept.push(offer),
                        1 => drop(offer.launch(hello(&format!("t{}", self.turns % 6)))),
                        _ => {}
                    }
                }
            }
            Event::Status(status) => {
                if self.turns.is_multiple_of(4) {
                    cx.kill(status.task.clone(), None);
                }
                self.told.lock().unwrap().push(status);
            }
            Event::Reconciled { .. } | Event::Rescinded { .. } => {
                for mut offer in self.kept.drain(..) {
                    drop(offer.launch(hello(&format!("t{}", self.turns % 6))));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

struct World {
    session: Session<Erratic>,
    told: Arc<Mutex<Vec<TaskStatus>>>,
    store: MemoryStore,
    now: u64,
    is_open: bool,
    is_subscribed: bool,
    open_offers: BTreeSet<OfferId>,
    trace: Vec<String>,
}

fn start(store: &MemoryStore) -> (Session<Erratic>, Arc<Mutex<Vec<TaskStatus>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let scheduler = Erratic { told: told.clone(), kept: Vec::new(), turns: 0 };
    let info = FrameworkConfig::new("test").framework_info().unwrap();
    (Session::new(info, scheduler, store.clone().load().unwrap()).unwrap(), told)
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::new();
        let (session, told) = start(&store);
        let (open_offers, trace) = (BTreeSet::new(), Vec::new());
        let mut world = Self { session, told, store, now: 1, is_open: false, is_subscribed: false, open_offers, trace };
        world.input(SessionInput::Start);
        world
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Open => {
                (self.is_open, self.is_subscribed) = (true, false);
                self.open_offers.clear();
                self.input(SessionInput::Opened);
            }
            Act::Subscribed => {
                if self.is_open && !self.is_subscribed {
                    self.is_subscribed = true;
                    self.input(SessionInput::Master(subscribed("F1-1", 10_000)));
                }
            }
            Act::Close => {
                (self.is_open, self.is_subscribed) = (false, false);
                self.open_offers.clear();
                self.input(SessionInput::Closed);
            }
            Act::Offer(number) => self.offer(*number),
            Act::Rescind(number) => {
                let offers: Vec<OfferId> =
                    self.open_offers.iter().nth(usize::from(*number)).cloned().into_iter().collect();
                offers.iter().for_each(|offer| {
                    self.open_offers.remove(offer);
                });
                self.input(SessionInput::Master(MasterEvent::Rescind { offers, reason: RescindReason::Expired }));
            }
            Act::Status(task, seq) => self.status(*task, *seq),
            Act::Tick(ms) => {
                self.now += u64::from(*ms);
                self.input(SessionInput::Tick);
            }
            Act::Restart => {
                (self.session, self.told) = start(&self.store);
                (self.is_open, self.is_subscribed) = (false, false);
                self.open_offers.clear();
                self.input(SessionInput::Start);
            }
        }
    }

    fn offer(&mut self, number: u8) {
        let id = OfferId::numbered(self.now, u64::from(number));
        if self.is_subscribed {
            self.open_offers.insert(id.clone());
        }
        self.now += 1;
        self.input(SessionInput::Master(MasterEvent::Offers(vec![WireOffer {
            id,
            agent: AgentId::new("a1").unwrap(),
            hostname: "a1".into(),
            role: Role::default_role(),
            resources: Resources::new(MilliCpus(500), Bytes::mib(512)),
            attributes: Vec::new(),
            expires_in_ms: 30_000,
            region: String::new(),
            zone: String::new(),
            agent_address: String::new(),
            unavailability: None,
            is_optimistic: false,
            reserved: Vec::new(),
            volumes: Vec::new(),
        }])));
    }

    /// Number 4 ends the task; 0 is an answer to reconciliation.
    fn status(&mut self, task: u8, seq: u8) {
        let state = match seq {
            4 => TaskState::Finished,
            1 => TaskState::Starting,
            _ => TaskState::Running,
        };
        let id = TaskId::new(format!("t{task}")).unwrap();
        let agent = AgentId::new("a1").ok();
        let status = TaskStatus {
            seq: u64::from(seq),
            ..TaskStatus::new(id.clone(), agent, state, TaskSource::Agent, UnixMillis(0))
        };
        let calls = self.input(SessionInput::Master(MasterEvent::Status(vec![status])));
        let is_confirmed = calls.iter().any(
            |call| matches!(call, Call::Acknowledge(list) if list.iter().any(|a| a.task == id && a.seq == u64::from(seq))),
        );
        assert_eq!(is_confirmed, seq > 0 && self.is_subscribed, "every numbered update is acknowledged, each time");
    }

    fn input(&mut self, input: SessionInput) -> Vec<Call> {
        let now = Now { mono: Moment(self.now), unix: UnixMillis(self.now) };
        let frame = self.session.handle(now, input);
        self.check_frame(&frame);
        self.trace.push(format!("{frame:?}"));
        self.store.commit(frame.changes()).unwrap();
        let after = frame.into_after(Stored::after_commit());
        assert!(after.end.is_none());
        assert!(after.send.is_empty() || self.is_open, "nothing is said without a link");
        for call in &after.send {
            self.check_call(call);
        }
        self.check_told();
        after.send
    }

    /// Every launch is in the changes of the frame that sends it.
    fn check_frame(&self, frame: &SessionFrame) {
        let kept: BTreeSet<&str> = frame
            .changes()
            .iter()
            .filter_map(|op| if let StoreOp::Put { key, .. } = op { key.strip_prefix("sdk/task/") } else { None })
            .collect();
        let text = format!("{frame:?}");
        for task in 0..6 {
            let id = format!("t{task}");
            if text.contains(&format!("task: TaskSpec {{ id: {id},")) {
                assert!(kept.contains(id.as_str()), "{id} is launched and not stored: {text}");
            }
        }
    }

    fn check_call(&mut self, call: &Call) {
        let mut answered = |offer: &OfferId| assert!(self.open_offers.remove(offer), "{offer} is void or answered");
        match call {
            Call::Accept(accept) => {
                accept.offers.iter().for_each(&mut answered);
                assert!(accept.operations.iter().all(|op| matches!(op, Operation::Launch { .. })));
            }
            Call::Decline { offers, .. } => offers.iter().for_each(&mut answered),
            Call::Subscribe { .. } => assert!(!self.is_subscribed),
            _ => assert!(self.is_subscribed),
        }
    }

    /// In one run: each numbered update at most once, in order, and nothing after the end.
    fn check_told(&self) {
        let mut last: BTreeMap<&TaskId, (u64, bool)> = BTreeMap::new();
        for status in self.told.lock().unwrap().iter() {
            let (seq, has_ended) = last.get(&status.task).copied().unwrap_or((0, false));
            assert!(!has_ended, "{} was told of after its end", status.task);
            assert!(status.seq == 0 || status.seq > seq, "{} #{} came after #{seq}", status.task, status.seq);
            last.insert(&status.task, (seq.max(status.seq), status.state.is_terminal()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_rules_hold_whatever_happens(acts in acts()) {
        let mut world = World::new();
        acts.iter().for_each(|act| world.act(act));
        let mut again = World::new();
        acts.iter().for_each(|act| again.act(act));
        prop_assert_eq!(world.trace, again.trace, "the same inputs give the same frames");
    }
}
