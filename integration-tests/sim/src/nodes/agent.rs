//! An agent's process around its real engine, its disk, and its containers, which outlive it.

use std::collections::BTreeSet;
use std::sync::Arc;

use proffer_agent_engine::{
    Checkpoint, Config, Effect, Engine, ExitCause, Failure, FailureKind, Frame, Input, LaunchTask, MasterMessage,
    SessionId, Signal, StepResult, Stored, VolumeResult,
};
use proffer_master_engine::ToAgent;
use proffer_proto_model::{
    AgentInfo, Bytes, Epoch, MilliCpus, PortRange, PortSet, Resources, TaskKey, TaskSpec, Volume,
};

use crate::faults::CommitFault;
use crate::net::{ConnId, End};
use crate::runtime::SimRuntime;
use crate::world::{Event, Message, Node, World};

/// An agent: what is durable, its containers, and the process while it lives.
pub struct AgentNode {
    /// Its number.
    pub number: usize,
    /// What it has.
    pub resources: Resources,
    /// What is durable.
    pub disk: Checkpoint,
    /// Its containers.
    pub runtime: SimRuntime,
    /// Directories of volumes, as role/name; as durable as its containers.
    pub directories: BTreeSet<String>,
    /// The engine of the living process.
    pub engine: Option<Engine>,
    /// Counts the lives of the process.
    pub life: u64,
    /// Its connection.
    pub conn: Option<ConnId>,
    /// Who waits for the end of which container, in this life.
    waits: Vec<(TaskKey, String)>,
}

impl AgentNode {
    /// An agent with an empty disk, not started.
    pub fn new(number: usize, resources: Resources) -> Self {
        Self {
            number,
            resources,
            disk: Checkpoint::default(),
            runtime: SimRuntime::default(),
            directories: BTreeSet::new(),
            engine: None,
            life: 0,
            conn: None,
            waits: Vec::new(),
        }
    }

    /// What one of the common sort has: 4 CPUs, 4 GiB, 1 GiB of disk, 20 ports.
    pub fn standard() -> Resources {
        Resources {
            ports: PortSet::from(vec![PortRange { begin: 31_000, end: 31_019 }]),
            disk: Bytes::mib(1_024),
            ..Resources::new(MilliCpus(4_000), Bytes::mib(4_096))
        }
    }

    fn info(&self) -> AgentInfo {
        AgentInfo {
            id: None,
            hostname: format!("host-{}", self.number),
            api_address: format!("host-{}:5051", self.number),
            address: format!("host-{}", self.number),
            resources: self.resources.clone(),
            attributes: Vec::new(),
            region: String::new(),
            zone: String::new(),
            version: "sim".to_owned(),
            boot_id: "boot-1".to_owned(),
            reservations: Vec::new(),
        }
    }
}

impl World {
    pub(crate) fn agent_start(&mut self, n: usize) {
        let now = self.now();
        let agent = &mut self.agents[n];
        if agent.engine.is_some() {
            return;
        }
        agent.life += 1;
        agent.waits.clear();
        let config = Config::new(agent.info());
        let (engine, frame) = Engine::recover(config, agent.disk.clone(), agent.runtime.seen(), now);
        agent.engine = Some(engine);
        let life = agent.life;
        self.agent_commit(n, frame);
        self.queue.after(1, Event::Dial { node: Node::Agent(n), life });
    }

    /// The process dies; its connection breaks, its containers run on.
    pub(crate) fn agent_crash(&mut self, n: usize) {
        if self.agents[n].engine.take().is_some() {
            self.agents[n].life += 1;
            if let Some(conn) = self.agents[n].conn.take() {
                self.cut(conn, 200);
            }
            let ms = self.faults.downtime_ms();
            self.queue.after(ms, Event::Start(Node::Agent(n)));
        }
    }

    pub(crate) fn agent_dial(&mut self, n: usize, life: u64) {
        if self.agents[n].life != life || self.agents[n].engine.is_none() || self.agents[n].conn.is_some() {
            return;
        }
        if self.master.engine.is_none() || self.faults.is_cut_off(Node::Agent(n)) {
            let ms = self.net.delay_ms(100, 1_000);
            self.queue.after(ms, Event::Dial { node: Node::Agent(n), life });
            return;
        }
        let conn = self.net.open(self.queue.now());
        self.dialled.insert(conn, Node::Agent(n));
        self.agents[n].conn = Some(conn);
        self.agent_handle(n, Input::MasterConnected { session: SessionId(conn.0) });
    }

    pub(crate) fn agent_lost_master(&mut self, n: usize, conn: ConnId) {
        if self.agents[n].conn != Some(conn) {
            return;
        }
        self.agents[n].conn = None;
        self.agent_handle(n, Input::MasterDisconnected { session: SessionId(conn.0) });
        let (life, ms) = (self.agents[n].life, self.net.delay_ms(0, 1_000));
        self.queue.after(ms, Event::Dial { node: Node::Agent(n), life });
    }

    pub(crate) fn agent_tick(&mut self, n: usize, life: u64) {
        if self.agents[n].life == life {
            self.agent_handle(n, Input::Tick);
        }
    }

    pub(crate) fn agent_step(&mut self, n: usize, life: u64, key: TaskKey, result: StepResult) {
        if self.agents[n].life == life {
            self.agent_handle(n, Input::Step { key, result });
        }
    }

    pub(crate) fn agent_volume(&mut self, n: usize, life: u64, number: u64, result: VolumeResult) {
        if self.agents[n].life == life {
            self.agent_handle(n, Input::Volume { number, result });
        }
    }

    pub(crate) fn agent_hears(&mut self, n: usize, conn: ConnId, epoch: Epoch, message: ToAgent) {
        if self.agents[n].conn != Some(conn) {
            return;
        }
        let message = match message {
            ToAgent::Attached { agent, cluster, ping_interval_ms } => {
                MasterMessage::Attached { agent, ping_interval_ms, cluster }
            }
            ToAgent::Launch { framework, task, role } => {
                MasterMessage::Launch(vec![LaunchTask { framework, spec: *task, role }])
            }
            ToAgent::Kill { framework, task, policy, reason } => {
                MasterMessage::Kill { key: TaskKey { framework, task }, policy, reason }
            }
            ToAgent::Acknowledge { framework, task, seq } => {
                MasterMessage::Acknowledge(vec![(TaskKey { framework, task }, seq)])
            }
            ToAgent::Expect(keys) => MasterMessage::Expect(keys),
            ToAgent::CreateVolume(volume) => MasterMessage::CreateVolume(volume),
            ToAgent::DestroyVolume { number } => MasterMessage::DestroyVolume { number },
            ToAgent::Ping => MasterMessage::Ping { nonce: 1 },
            ToAgent::Refused { message, is_final } => MasterMessage::Refused { message, last: is_final },
        };
        self.agent_handle(n, Input::Master { session: SessionId(conn.0), epoch, message });
    }

    /// A container ends by itself; whoever waits for it is told.
    pub(crate) fn container_ends(&mut self, n: usize, container: &str) {
        let cause = match self.workload.range(0, 3) {
            0 => ExitCause::Code(0),
            1 => ExitCause::Code(7),
            2 => ExitCause::OutOfMemory,
            _ => ExitCause::Signal(11),
        };
        if self.agents[n].runtime.end(container, cause) {
            self.tell_waiters(n, container);
        }
    }

    fn tell_waiters(&mut self, n: usize, container: &str) {
        let agent = &mut self.agents[n];
        let Some(Some(exit)) = agent.runtime.exit(container) else { return };
        let (told, kept) = std::mem::take(&mut agent.waits).into_iter().partition(|(_, c)| c == container);
        agent.waits = kept;
        let life = agent.life;
        let told: Vec<(TaskKey, String)> = told;
        for (key, _) in told {
            let ms = self.workload.range(0, 30);
            self.queue.after(ms, Event::Step { agent: n, life, key, result: StepResult::Exited(exit) });
        }
    }

    fn agent_handle(&mut self, n: usize, input: Input) {
        let now = self.now();
        let Some(engine) = &mut self.agents[n].engine else { return };
        let frame = engine.handle(now, input);
        self.agent_commit(n, frame);
    }

    fn agent_commit(&mut self, n: usize, frame: Frame) {
        self.touch(Node::Agent(n));
        let fault = if frame.operations().is_empty() { None } else { self.faults.on_commit(self.queue.now()) };
        if fault == Some(CommitFault::Before) {
            return self.agent_crash(n);
        }
        for operation in frame.operations() {
            self.agents[n].disk.apply(operation);
        }
        if fault == Some(CommitFault::After) {
            return self.agent_crash(n);
        }
        let life = self.agents[n].life;
        let next = self.agents[n].engine.as_ref().and_then(Engine::next_deadline);
        self.wake(Node::Agent(n), life, next);
        for effect in frame.into_effects(Stored::after_commit()) {
            self.agent_effect(n, effect);
        }
    }

    fn agent_effect(&mut self, n: usize, effect: Effect) {
        match effect {
            Effect::ToMaster { session, message } => {
                self.send(ConnId(session.0), End::Server, Message::FromAgent(message));
            }
            Effect::CloseMaster { session, .. } => {
                let conn = ConnId(session.0);
                self.cut(conn, 0);
            }
            Effect::Refused { .. } | Effect::CancelImage { .. } | Effect::RemoveLogs { .. } => {}
            Effect::PrepareImage { key, .. } => {
                let result = if self.faults.does_step_fail(self.queue.now()) {
                    StepResult::ImageFailed(failed(FailureKind::Temporary))
                } else {
                    StepResult::ImageReady
                };
                self.step_after(n, key, 0, 300, result);
            }
            Effect::AttachNetwork { key, .. } => {
                let result = StepResult::NetworkReady { netns: "ns".to_owned(), address: "10.0.0.2".to_owned() };
                self.step_after(n, key, 0, 20, result);
            }
            Effect::CreateContainer { key, container, spec, .. } => self.create(n, key, &container, &spec),
            Effect::StartContainer { key, container } => self.start(n, key, container),
            Effect::WaitContainer { key, container } => self.wait(n, key, container),
            Effect::SignalContainer { container, signal, .. } => self.signal(n, &container, signal),
            Effect::DeleteContainer { key, container } => {
                self.agents[n].runtime.delete(&container);
                self.step_after(n, key, 0, 50, StepResult::Deleted);
            }
            Effect::DetachNetwork { key, .. } => self.step_after(n, key, 0, 20, StepResult::Detached),
            Effect::MakeVolume { volume } => self.work_on_volume(n, volume, VolumeResult::Made),
            Effect::RemoveVolume { volume } => self.work_on_volume(n, volume, VolumeResult::Removed),
            Effect::RemoveOrphan { container } => self.agents[n].runtime.delete(&container),
        }
    }

    /// The disk turns at once or not at all; that it has is told later, if the process still lives.
    fn work_on_volume(&mut self, n: usize, volume: Volume, good: VolumeResult) {
        let name = format!("{}/{}", volume.role, volume.id);
        let result = match (self.faults.does_step_fail(self.queue.now()), &good) {
            (true, _) => VolumeResult::Failed("simulated".to_owned()),
            (false, VolumeResult::Removed) => {
                self.agents[n].directories.remove(&name);
                good
            }
            (false, _) => {
                self.agents[n].directories.insert(name);
                good
            }
        };
        let (life, ms) = (self.agents[n].life, self.workload.range(0, 200));
        self.queue.after(ms, Event::Volume { agent: n, life, number: volume.number, result });
    }

    fn create(&mut self, n: usize, key: TaskKey, container: &str, spec: &Arc<TaskSpec>) {
        let result = match self.agents[n].runtime.create(container, spec) {
            Some(pid) => StepResult::Created { pid },
            None => StepResult::CreateFailed(failed(FailureKind::AlreadyExists)),
        };
        self.step_after(n, key, 1, 80, result);
    }

    fn start(&mut self, n: usize, key: TaskKey, container: String) {
        let result = if self.agents[n].runtime.start(&container) {
            // Some tasks end by themselves while faults go on; afterwards they run for ever, so that all can heal.
            let now = self.queue.now().0;
            if now < self.scenario.faults_until_ms && self.workload.chance(300) {
                let ms = self.workload.range(10, 20_000);
                self.queue.after(ms, Event::ContainerEnds { agent: n, container });
            } else if let Some(ms) = self.framework_of(&key.task).and_then(|n| self.frameworks[n].part.task_ms) {
                // Not all at once, and as long on average.
                let ms = self.workload.range(ms / 2, ms + ms / 2);
                self.queue.after(ms, Event::ContainerEnds { agent: n, container });
            }
            StepResult::Started
        } else {
            StepResult::StartFailed(failed(FailureKind::NotFound))
        };
        self.step_after(n, key, 1, 20, result);
    }

    fn wait(&mut self, n: usize, key: TaskKey, container: String) {
        match self.agents[n].runtime.exit(&container) {
            Some(None) => self.agents[n].waits.push((key, container)),
            Some(Some(exit)) => self.step_after(n, key, 0, 20, StepResult::Exited(exit)),
            None => self.step_after(n, key, 0, 20, StepResult::WaitFailed(failed(FailureKind::NotFound))),
        }
    }

    fn signal(&mut self, n: usize, container: &str, signal: Signal) {
        // Every third container ignores SIGTERM.
        let number = match signal {
            Signal::Term if self.workload.chance(333) => return,
            Signal::Term => 15,
            Signal::Kill => 9,
        };
        if self.agents[n].runtime.end(container, ExitCause::Signal(number)) {
            self.tell_waiters(n, container);
        }
    }

    fn step_after(&mut self, n: usize, key: TaskKey, low_ms: u64, high_ms: u64, result: StepResult) {
        let (life, ms) = (self.agents[n].life, self.workload.range(low_ms, high_ms));
        self.queue.after(ms, Event::Step { agent: n, life, key, result });
    }
}

fn failed(kind: FailureKind) -> Failure {
    Failure { kind, message: "simulated".to_owned() }
}
