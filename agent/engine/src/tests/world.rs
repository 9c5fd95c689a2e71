//! A model of everything around the engine: a store, a runtime, a network and a master that checks what it is told.

mod perform;

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::task::{ContainerSpec, KillPolicy, NetworkMode, PortMapping, ResourceLimits};
use proffer_proto_model::*;

use crate::*;

pub const PING_MS: u64 = 5_000;

/// A container of the model runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    Created,
    Running,
    Ended(ExitCause),
}

/// When the agent's process dies while it handles the next input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    BeforeCommit,
    AfterCommit,
}

pub struct World {
    pub engine: Engine,
    pub store: Checkpoint,
    pub now: Now,
    /// Effects that were let go and are not done.
    pub pending: Vec<Effect>,
    pub boxes: BTreeMap<String, Container>,
    pub networks: BTreeSet<String>,
    /// Directories of volumes, and how many containers were made that mount each.
    pub directories: BTreeMap<String, u32>,
    /// The highest number a volume was given.
    pub volumes: u64,
    pub starts: BTreeMap<String, u32>,
    pub signals: Vec<(String, Signal)>,
    pub session: u64,
    pub connected: bool,
    pub epoch: u64,
    /// What the master was told, each update once.
    pub told: BTreeMap<TaskKey, Vec<TaskStatus>>,
    pub sent: Vec<ToMaster>,
    pub closed: u32,
    pub refused: Vec<(String, bool)>,
    pub launched: BTreeSet<TaskKey>,
    pub dies: Option<Death>,
}

pub fn key(task: &str) -> TaskKey {
    TaskKey { framework: FrameworkId::numbered(1, 1), task: TaskId::new(task).unwrap() }
}

pub fn spec(task: &str) -> TaskSpec {
    TaskSpec {
        id: TaskId::new(task).unwrap(),
        name: task.to_owned(),
        container: ContainerSpec { image: "busybox".to_owned(), ..ContainerSpec::default() },
        resources: Resources::new(MilliCpus(100), Bytes::mib(64)),
        limits: ResourceLimits::default(),
        kill_policy: KillPolicy { grace_ms: 1_000 },
        max_run_time_ms: None,
        labels: BTreeMap::new(),
        discovery_name: String::new(),
        data: Vec::new(),
        priority: 0,
        is_revocable: false,
    }
}

pub fn bridged(task: &str, host_port: u16) -> TaskSpec {
    let mut spec = spec(task);
    spec.container.network = NetworkMode::Bridge;
    spec.container.ports =
        vec![PortMapping { name: "http".to_owned(), container_port: 80, host_port, protocol: Default::default() }];
    spec
}

pub fn config() -> Config {
    Config::new(AgentInfo {
        id: None,
        hostname: "host".to_owned(),
        api_address: "127.0.0.1:5051".to_owned(),
        address: "127.0.0.1".to_owned(),
        resources: Resources::new(MilliCpus(4_000), Bytes::mib(4_096)),
        attributes: Vec::new(),
        region: String::new(),
        zone: String::new(),
        version: "1".to_owned(),
        boot_id: "b".to_owned(),
        reservations: Vec::new(),
    })
}

impl World {
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: Config) -> Self {
        let now = Now { mono: Moment(1), unix: UnixMillis(1_000_000) };
        let (engine, frame) = Engine::recover(config, Checkpoint::default(), Vec::new(), now);
        let mut world = Self {
            engine,
            store: Checkpoint::default(),
            now,
            pending: Vec::new(),
            boxes: BTreeMap::new(),
            networks: BTreeSet::new(),
            directories: BTreeMap::new(),
            volumes: 0,
            starts: BTreeMap::new(),
            signals: Vec::new(),
            session: 0,
            connected: false,
            epoch: 1,
            told: BTreeMap::new(),
            sent: Vec::new(),
            closed: 0,
            refused: Vec::new(),
            launched: BTreeSet::new(),
            dies: None,
        };
        world.carry_out(frame);
        world
    }

    /// A world with a master.
    pub fn attached() -> Self {
        let mut world = Self::new();
        world.connect();
        world
    }

    pub fn input(&mut self, input: Input) {
        let frame = self.engine.handle(self.now, input);
        self.engine.audit().unwrap();
        match self.dies.take() {
            None => self.carry_out(frame),
            Some(death) => {
                if death == Death::AfterCommit {
                    frame.operations().iter().for_each(|op| self.store.apply(op));
                }
                self.crash();
            }
        }
    }

    fn carry_out(&mut self, frame: Frame) {
        for operation in frame.operations() {
            let text = serde_json::to_string(operation).unwrap();
            assert_eq!(&serde_json::from_str::<crate::Operation>(&text).unwrap(), operation, "must survive the store");
            self.store.apply(operation);
        }
        for effect in frame.into_effects(Stored::after_commit()) {
            match effect {
                Effect::ToMaster { session, message } => self.tell_master(session, message),
                Effect::CloseMaster { .. } => {
                    self.closed += 1;
                    self.connected = false;
                }
                Effect::Refused { message, last } => {
                    self.refused.push((message, last));
                    self.connected = false;
                }
                Effect::CancelImage { key: gone } => {
                    self.pending.retain(|e| !matches!(e, Effect::PrepareImage { key, .. } if *key == gone));
                }
                Effect::RemoveOrphan { container } => {
                    self.boxes.remove(&container);
                }
                other => self.pending.push(other),
            }
        }
    }

    fn tell_master(&mut self, session: SessionId, message: ToMaster) {
        if !self.connected || session.0 != self.session {
            return;
        }
        if let ToMaster::Updates(updates) = &message {
            for update in updates {
                let key = TaskKey { framework: update.framework.clone(), task: update.status.task.clone() };
                let told = self.told.entry(key.clone()).or_default();
                let next = told.last().map_or(1, |last| last.seq + 1);
                assert!(update.status.seq <= next, "{key}: update {} was skipped", next);
                if update.status.seq < next {
                    assert_eq!(told[update.status.seq as usize - 1], update.status, "a repeated update is the same");
                    continue;
                }
                if let Some(last) = told.last() {
                    assert!(
                        last.state.may_become(update.status.state),
                        "{key}: {} {}",
                        last.state,
                        update.status.state
                    );
                }
                told.push(update.status.clone());
            }
        }
        self.sent.push(message);
    }

    /// The process dies and starts again.
    pub fn crash(&mut self) {
        self.pending.clear();
        self.connected = false;
        let seen: Vec<SeenContainer> = self
            .boxes
            .iter()
            .map(|(id, state)| SeenContainer {
                id: id.clone(),
                is_ours: true,
                status: match state {
                    Container::Created => SeenStatus::Created { pid: 7 },
                    Container::Running => SeenStatus::Running { pid: 7 },
                    Container::Ended(_) => SeenStatus::Ended,
                },
            })
            .collect();
        let (engine, frame) = Engine::recover(self.engine.config.clone(), self.store.clone(), seen, self.now);
        self.engine = engine;
        self.engine.audit().unwrap();
        let keep: BTreeSet<String> = self.engine.wired_containers().into_iter().map(|(id, _)| id).collect();
        self.networks.retain(|id| keep.contains(id));
        self.carry_out(frame);
    }

    pub fn connect(&mut self) {
        self.session += 1;
        self.connected = true;
        self.input(Input::MasterConnected { session: SessionId(self.session) });
        self.master(MasterMessage::Attached {
            agent: AgentId::numbered(1, 1),
            ping_interval_ms: PING_MS,
            cluster: ClusterId::new("c").unwrap(),
        });
    }

    pub fn disconnect(&mut self) {
        self.connected = false;
        self.input(Input::MasterDisconnected { session: SessionId(self.session) });
    }

    pub fn master(&mut self, message: MasterMessage) {
        self.input(Input::Master { session: SessionId(self.session), epoch: Epoch(self.epoch), message });
    }

    pub fn launch(&mut self, spec: TaskSpec) {
        let framework = FrameworkId::numbered(1, 1);
        self.launched.insert(TaskKey { framework: framework.clone(), task: spec.id.clone() });
        self.master(MasterMessage::Launch(vec![LaunchTask { framework, spec, role: Role::default_role() }]));
    }

    pub fn kill(&mut self, task: &str, grace_ms: u64) {
        let policy = Some(KillPolicy { grace_ms });
        self.master(MasterMessage::Kill { key: key(task), policy, reason: TaskReason::None });
    }

    /// Confirms the oldest update that is not confirmed, if the master has it.
    pub fn ack(&mut self, task: &str) {
        let key = key(task);
        let Some(progress) = self.store.progress.get(&key) else { return };
        let Some(seq) = progress.unconfirmed.front().map(|oldest| oldest.seq) else { return };
        if self.told.get(&key).is_some_and(|told| told.len() as u64 >= seq) {
            self.master(MasterMessage::Acknowledge(vec![(key, seq)]));
        }
    }

    pub fn pass(&mut self, ms: u64) {
        self.now.mono = self.now.mono + ms;
        self.now.unix.0 += ms;
        self.input(Input::Tick);
    }

    pub fn exit(&mut self, task: &str, cause: ExitCause) {
        if let Some(state @ Container::Running) = self.boxes.get_mut(&container_id(&key(task))) {
            *state = Container::Ended(cause);
        }
    }

    /// Does everything that can be done now.
    pub fn run(&mut self) {
        while let Some(done) = (0..self.pending.len()).find(|index| self.can_perform(*index)) {
            self.perform(done, None, false);
        }
    }

    fn can_perform(&self, index: usize) -> bool {
        match &self.pending[index] {
            Effect::WaitContainer { container, .. } => {
                !matches!(self.boxes.get(container), Some(Container::Running | Container::Created))
            }
            _ => true,
        }
    }

    pub fn fail_next(&mut self, kind: FailureKind) {
        self.perform(0, Some(kind), false);
    }

    /// The states the master was told, in order.
    pub fn states(&self, task: &str) -> Vec<TaskState> {
        self.told.get(&key(task)).map(|told| told.iter().map(|status| status.state).collect()).unwrap_or_default()
    }

    pub fn last(&self, task: &str) -> &TaskStatus {
        self.told[&key(task)].last().unwrap()
    }

    /// Confirms everything there is to confirm.
    pub fn ack_all(&mut self, task: &str) {
        for _ in 0..10 {
            self.ack(task);
        }
    }
}
