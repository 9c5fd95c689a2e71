//! A framework's process: a small scheduler inside the SDK's real session, and its store.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_engine::{FrameworkErrorKind, ToFramework};
use proffer_proto_model::{Moment, TaskId, TaskState, TaskStatus};
use proffer_sdk::session::{Call as SdkCall, ErrorKind, MasterEvent, Session, SessionFrame, SessionInput, Stored};
use proffer_sdk::store::StoreOp;
use proffer_sdk::{
    Context, Demand, Event as SdkEvent, FrameworkConfig, Gang, Handled, Offer, Scheduler, SchedulerError, Task,
};

use super::keeper::Keeper;
use crate::cast::{Behaviour, Part};
use crate::faults::CommitFault;
use crate::net::{ConnId, End};
use crate::removal::Character;
use crate::rng::Rng;
use crate::world::{Event, Message, Node, World};

/// What a framework says on the wire.
pub type Call = SdkCall;

/// A framework: what is durable, and the process while it lives.
pub struct FrameworkNode {
    /// Its number.
    pub number: usize,
    /// What it does.
    pub part: Part,
    /// What is durable.
    disk: BTreeMap<String, Vec<u8>>,
    session: Option<Session<KeepRunning>>,
    /// How many were removed for good in its place before it.
    generation: u64,
    character: Character,
    seed: u64,
    /// Counts the lives of the process.
    pub life: u64,
    conn: Option<ConnId>,
}

impl FrameworkNode {
    /// A framework with an empty disk, not started.
    pub fn new(seed: u64, number: usize, part: Part) -> Self {
        let (disk, character) = (BTreeMap::new(), Character::of(seed, number, 0));
        Self { number, part, disk, session: None, generation: 0, character, seed, life: 0, conn: None }
    }

    /// The name it subscribes under: never that of one that was removed for good in its place.
    pub fn name(&self) -> String {
        format!("fw-{}-{}", self.number, self.generation)
    }

    fn config(&self) -> FrameworkConfig {
        let mut config = FrameworkConfig::new(self.name()).role(&self.part.role);
        if self.part.keeps {
            if let Some(ms) = self.character.failover_ms {
                config = config.failover_timeout_ms(ms);
            }
            if self.character.leaves_reservations {
                config = config.leaves_reservations();
            }
        }
        config
    }

    fn keeper(&self, until: Moment) -> Option<Keeper> {
        let rng = || Rng::child(self.seed, &format!("keeper-{}-{}", self.number, self.life));
        self.part.keeps.then(|| Keeper::new(rng(), self.part.below.as_deref(), until))
    }

    /// The tasks it believes to be running; none while its process is dead.
    pub fn running(&self) -> BTreeSet<TaskId> {
        let Some(session) = &self.session else { return BTreeSet::new() };
        let running = session.facts().tasks.iter().filter(|(_, known)| known.state == TaskState::Running);
        running.map(|(id, _)| id.clone()).collect()
    }

    /// Tasks it knows in any state.
    pub fn known(&self) -> usize {
        self.session.as_ref().map_or(0, |s| s.facts().tasks.len())
    }
}

impl World {
    /// Whose task it is: its id begins with the framework's number.
    pub fn framework_of(&self, task: &TaskId) -> Option<usize> {
        let number = task.as_str().strip_prefix("fw")?.split('-').next()?.parse().ok()?;
        (number < self.frameworks.len()).then_some(number)
    }

    pub(crate) fn framework_start(&mut self, n: usize) {
        let until = Moment(self.scenario.faults_until_ms);
        let framework = &mut self.frameworks[n];
        if framework.session.is_some() {
            return;
        }
        framework.life += 1;
        let life = framework.life;
        let info = framework.config().framework_info().expect("a valid configuration");
        let prefix = format!("fw{n}-{}", framework.generation);
        let scheduler = KeepRunning::new(prefix, framework.part.clone(), framework.keeper(until));
        let session = Session::new(info, scheduler, framework.disk.clone()).expect("what was stored can be read");
        framework.session = Some(session);
        self.framework_handle(n, SessionInput::Start);
        self.queue.after(1, Event::Dial { node: Node::Framework(n), life });
    }

    /// The process dies; its connection breaks.
    pub(crate) fn framework_crash(&mut self, n: usize) {
        let ms = self.faults.downtime_ms();
        self.framework_dies_for(n, ms);
    }

    /// The process removes its framework for good, if it is there.
    pub(crate) fn framework_tears_down(&mut self, n: usize) {
        let now = self.now();
        let Some(session) = &mut self.frameworks[n].session else { return };
        let ((), frame) = session.with(now, |_, cx| cx.teardown());
        self.framework_commit(n, frame, &[]);
    }

    /// The framework was removed for good: its process and its disk are gone, and its connection ends after what was said.
    pub(crate) fn framework_replaced(&mut self, n: usize) {
        let framework = &mut self.frameworks[n];
        framework.generation += 1;
        framework.character = Character::of(framework.seed, n, framework.generation);
        framework.disk.clear();
        framework.session = None;
        framework.life += 1;
        let (life, conn) = (framework.life, framework.conn.take());
        self.wake(Node::Framework(n), life, None);
        if let Some(conn) = conn {
            self.send(conn, End::Server, Message::Close);
        }
    }

    /// The process dies and is started again after so many milliseconds.
    pub(crate) fn framework_dies_for(&mut self, n: usize, ms: u64) {
        if self.frameworks[n].session.take().is_some() {
            self.frameworks[n].life += 1;
            if let Some(conn) = self.frameworks[n].conn.take() {
                self.cut(conn, 200);
            }
            self.queue.after(ms, Event::Start(Node::Framework(n)));
        }
    }

    pub(crate) fn framework_dial(&mut self, n: usize, life: u64) {
        let framework = &self.frameworks[n];
        if framework.life != life || framework.session.is_none() || framework.conn.is_some() {
            return;
        }
        if self.master.engine.is_none() {
            let ms = self.net.delay_ms(100, 1_000);
            self.queue.after(ms, Event::Dial { node: Node::Framework(n), life });
            return;
        }
        let conn = self.net.open(self.queue.now());
        self.dialled.insert(conn, Node::Framework(n));
        self.frameworks[n].conn = Some(conn);
        self.framework_handle(n, SessionInput::Opened);
    }

    pub(crate) fn framework_lost_master(&mut self, n: usize, conn: ConnId) {
        if self.frameworks[n].conn != Some(conn) {
            return;
        }
        self.frameworks[n].conn = None;
        self.framework_handle(n, SessionInput::Closed);
        let (life, ms) = (self.frameworks[n].life, self.net.delay_ms(0, 1_000));
        self.queue.after(ms, Event::Dial { node: Node::Framework(n), life });
    }

    pub(crate) fn framework_tick(&mut self, n: usize, life: u64) {
        if self.frameworks[n].life == life {
            self.framework_handle(n, SessionInput::Tick);
        }
    }

    pub(crate) fn framework_hears(&mut self, n: usize, conn: ConnId, message: ToFramework) {
        let framework = &self.frameworks[n];
        let is_heard = match framework.part.behaviour {
            Behaviour::Honest | Behaviour::Declining => true,
            Behaviour::Hoarding => !matches!(message, ToFramework::Offers(_)),
            Behaviour::Hung => matches!(message, ToFramework::Subscribed { .. }),
        };
        if framework.conn == Some(conn) && is_heard {
            self.framework_handle(n, SessionInput::Master(heard(message)));
        }
    }

    fn framework_handle(&mut self, n: usize, input: SessionInput) {
        let now = self.now();
        let Some(session) = &mut self.frameworks[n].session else { return };
        let frame = session.handle(now, input);
        let next = session.next_deadline();
        // Looking into the scheduler is a turn of its own; one without effects.
        let (told, nothing) = session.with(now, |scheduler, _| std::mem::take(&mut scheduler.told));
        assert!(nothing.changes().is_empty(), "looking must not change anything");
        let life = self.frameworks[n].life;
        self.wake(Node::Framework(n), life, next);
        self.framework_commit(n, frame, &told);
    }

    fn framework_commit(&mut self, n: usize, frame: SessionFrame, told: &[TaskStatus]) {
        let fault = if frame.changes().is_empty() { None } else { self.faults.on_commit(self.queue.now()) };
        if fault == Some(CommitFault::Before) {
            // What the dying process had in mind was told to nobody.
            return self.framework_crash(n);
        }
        for change in frame.changes() {
            match change.clone() {
                StoreOp::Put { key, value } => self.frameworks[n].disk.insert(key, value),
                StoreOp::Remove { key } => self.frameworks[n].disk.remove(&key),
            };
        }
        for status in told {
            self.oracle.told(n, status);
        }
        if fault == Some(CommitFault::After) {
            return self.framework_crash(n);
        }
        let after = frame.into_after(Stored::after_commit());
        let conn = self.frameworks[n].conn;
        if let Some(conn) = conn {
            for call in after.send {
                self.send(conn, End::Server, Message::FromFramework(call));
            }
            if after.reconnect.is_some() {
                self.cut(conn, 0);
            }
        }
        if let Some(end) = after.end {
            self.framework_is_over(n, &end);
        }
    }
}

/// Keeps a number of equal tasks running: the smallest scheduler that replaces what is lost.
struct KeepRunning {
    /// What the ids of its tasks begin with.
    prefix: String,
    part: Part,
    keeper: Option<Keeper>,
    launched: u64,
    told: Vec<TaskStatus>,
}

impl KeepRunning {
    fn new(prefix: String, part: Part, keeper: Option<Keeper>) -> Self {
        Self { prefix, part, keeper, launched: 0, told: Vec::new() }
    }

    /// Wanted and not there. An unreachable task counts as lost: a replacement is made.
    fn missing(&self, cx: &Context<'_>) -> u32 {
        let alive = cx.tasks().filter(|(_, t)| t.kill.is_none() && t.state != TaskState::Unreachable).count();
        self.part.wanted.saturating_sub(u32::try_from(alive).unwrap_or(u32::MAX))
    }

    fn adjust(&self, cx: &mut Context<'_>) {
        let alive: Vec<TaskId> = cx
            .tasks()
            .filter(|(_, t)| t.kill.is_none() && t.state != TaskState::Unreachable)
            .map(|(id, _)| id.clone())
            .collect();
        for surplus in alive.into_iter().skip(self.part.wanted as usize) {
            cx.kill(surplus, None);
        }
        let missing = self.missing(cx);
        cx.set_demand(match self.part.behaviour {
            Behaviour::Honest if missing == 0 => Demand::none(),
            Behaviour::Honest => Demand::of_resources(self.part.shape.clone(), missing),
            Behaviour::Hoarding | Behaviour::Declining | Behaviour::Hung => Demand::anything(),
        });
    }

    /// Every other time, and with room on several agents, some are launched together. The rest of the offers comes back.
    fn launch_gang(&mut self, mut offers: Vec<Offer>, missing: &mut u32) -> Result<Vec<Offer>, SchedulerError> {
        let size = 2 + (self.launched % 3) as u32;
        if !self.part.is_in_gangs || self.launched % 2 == 1 || *missing < size || offers.len() < size as usize {
            return Ok(offers);
        }
        let rest = offers.split_off(size as usize);
        let mut gang = Gang::new();
        for offer in offers {
            let id = format!("{}-{}", self.prefix, self.launched + 1);
            let task = Task::new(id).image("sim").resources(self.part.shape.clone()).build()?;
            if gang.add(offer, vec![task]).is_ok() {
                self.launched += 1;
                *missing -= 1;
            }
        }
        gang.launch();
        Ok(rest)
    }

    fn use_offers(&mut self, offers: Vec<Offer>, cx: &mut Context<'_>) -> Handled {
        let mut missing = self.missing(cx);
        let offers = self.launch_gang(offers, &mut missing)?;
        for mut offer in offers {
            if let (Some(keeper), Some(me)) = (&mut self.keeper, cx.framework_id()) {
                keeper.work_on(&mut offer, cx.now(), me);
            }
            while missing > 0 && offer.left().contains(&self.part.shape) {
                let id = format!("{}-{}", self.prefix, self.launched + 1);
                let task = Task::new(id).image("sim").resources(self.part.shape.clone());
                // Whatever volume is free is used.
                let mounts = |volume: &proffer_sdk::VolumeInfo| {
                    let task = task.clone().volume(volume.id.as_str(), "/data").build().ok()?;
                    offer.volume_problem(&task.container).is_none().then_some(task)
                };
                let task = match offer.volumes().iter().find_map(mounts) {
                    Some(task) => task,
                    None => task.build()?,
                };
                if offer.launch(task).is_err() {
                    break;
                }
                self.launched += 1;
                missing -= 1;
            }
        }
        cx.store("launched", self.launched.to_le_bytes());
        Ok(())
    }
}

impl Scheduler for KeepRunning {
    fn on_event(&mut self, event: SdkEvent, cx: &mut Context<'_>) -> Handled {
        match event {
            SdkEvent::Started { stored } => {
                if let Some(bytes) = stored.get("launched") {
                    self.launched = u64::from_le_bytes(bytes.as_slice().try_into()?);
                }
            }
            SdkEvent::Offers(offers) => self.use_offers(offers, cx)?,
            SdkEvent::Status(status) => {
                self.told.push(status);
                self.adjust(cx);
            }
            SdkEvent::InverseOffers(offers) => {
                for (at, offer) in offers.into_iter().enumerate() {
                    match at % 2 {
                        0 => offer.accept("leaving"),
                        _ => offer.ask_again_after(2_000).decline("staying"),
                    }
                }
            }
            SdkEvent::Reconciled { .. } => self.adjust(cx),
            _ => {}
        }
        Ok(())
    }
}

/// What the wire carries, in the SDK's words.
fn heard(message: ToFramework) -> MasterEvent {
    match message {
        ToFramework::Subscribed { framework, epoch, cluster, heartbeat_interval_ms } => {
            MasterEvent::Subscribed { framework, epoch, heartbeat_interval_ms, cluster }
        }
        ToFramework::Offers(offers) => MasterEvent::Offers(offers),
        ToFramework::Rescind { offers, reason } => MasterEvent::Rescind { offers, reason },
        ToFramework::Status(statuses) => MasterEvent::Status(statuses),
        ToFramework::OperationStatus { operation_id, outcome, message } => {
            MasterEvent::OperationStatus { operation_id, outcome, message }
        }
        ToFramework::InverseOffers(offers) => MasterEvent::InverseOffers(offers),
        ToFramework::RescindInverse { offers, end } => MasterEvent::RescindInverse { offers, end },
        ToFramework::AgentLost { agent, hostname } => MasterEvent::AgentLost { agent, hostname },
        ToFramework::Error { kind, message, is_fatal } => {
            let kind = match kind {
                FrameworkErrorKind::Invalid => ErrorKind::Invalid,
                FrameworkErrorKind::UnknownFramework => ErrorKind::UnknownFramework,
                FrameworkErrorKind::Superseded => ErrorKind::Superseded,
                FrameworkErrorKind::Removed => ErrorKind::Removed,
                FrameworkErrorKind::NotSubscribed => ErrorKind::NotSubscribed,
                FrameworkErrorKind::Forbidden => ErrorKind::Forbidden,
                FrameworkErrorKind::UnknownInverseOffer => ErrorKind::UnknownInverseOffer,
                FrameworkErrorKind::StaleInverseOffer => ErrorKind::StaleInverseOffer,
                FrameworkErrorKind::Full => ErrorKind::Full,
            };
            MasterEvent::Error { kind, message, is_fatal }
        }
        ToFramework::Heartbeat => MasterEvent::Heartbeat,
    }
}
