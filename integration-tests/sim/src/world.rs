//! The world: virtual time, the network, one master, agents and frameworks, and what is durable of each.
//!
//! The nodes live in `nodes/`, each as an `impl World` of its own file. A node's process can die at any step;
//! its disk, and the containers of an agent, stay.

use std::collections::{BTreeMap, BTreeSet};

use proffer_agent_engine::{StepResult, ToMaster, VolumeResult};
use proffer_master_engine::{ToAgent, ToFramework};
use proffer_proto_model::{Epoch, Moment, Now, Resources, TaskKey, UnixMillis};

use crate::cast::Part;
use crate::faults::Faults;
use crate::invariants;
use crate::net::{ConnId, End, Net};
use crate::nodes::{AgentNode, Call, FrameworkNode, MasterNode};
use crate::oracle::Oracle;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::trace::Trace;

/// Wall-clock time at virtual time 0.
const UNIX_START_MS: u64 = 1_700_000_000_000;

/// Steps at one moment after which time is said to stand still: an engine that is busy with nothing.
const MAX_STEPS_AT_ONCE: u64 = 50_000;

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Everything random follows from it.
    pub seed: u64,
    /// Number of agents.
    pub agents: usize,
    /// When the first agent starts, in milliseconds.
    pub agents_from_ms: u64,
    /// The frameworks.
    pub cast: Vec<Part>,
    /// Faults happen from the start until this virtual time, in milliseconds.
    pub faults_until_ms: u64,
    /// After the faults, everything must be well within this time, in milliseconds.
    pub heal_within_ms: u64,
    /// What the agents have, in turn; all have [`AgentNode::standard`] when it is empty.
    pub sizes: Vec<Resources>,
    /// Operators work on agents, roles and frameworks while faults go on.
    pub is_operated: bool,
    /// The longest time for which a process stays dead, in milliseconds.
    pub longest_down_ms: u64,
    /// The engines recompute their own invariants after every so many steps.
    pub audit_every: u64,
    /// Who is offered what is judged from this virtual time on, in milliseconds, if at all.
    pub shares_judged_from_ms: Option<u64>,
}

impl Scenario {
    /// 20 agents, 3 frameworks of which two reserve and share volumes, one minute of faults.
    pub fn standard(seed: u64) -> Self {
        Self {
            seed,
            agents: 20,
            agents_from_ms: 0,
            cast: vec![
                Part::honest("team-0", 12).in_gangs(),
                Part::honest("team-1", 10).in_gangs().keeping(Some("team-1/low")),
                Part::honest("team-1/low", 10).in_gangs().keeping(None),
            ],
            faults_until_ms: 60_000,
            heal_within_ms: 240_000,
            sizes: Vec::new(),
            is_operated: true,
            longest_down_ms: 45_000,
            audit_every: 1,
            shares_judged_from_ms: None,
        }
    }

    fn size_of(&self, agent: usize) -> Resources {
        let at = agent.checked_rem(self.sizes.len());
        at.and_then(|at| self.sizes.get(at)).cloned().unwrap_or_else(AgentNode::standard)
    }
}

/// A process that can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// The master.
    Master,
    /// The agent of this number.
    Agent(usize),
    /// The framework of this number.
    Framework(usize),
}

/// What travels on a connection.
#[derive(Debug, Clone)]
pub enum Message {
    /// An agent to the master.
    FromAgent(ToMaster),
    /// The master to an agent.
    ToAgent(Epoch, ToAgent),
    /// A framework to the master.
    FromFramework(Call),
    /// The master to a framework.
    ToFramework(ToFramework),
    /// The sender ended the stream after all it had sent.
    Close,
}

/// Something that will happen. `life` is that of the process it is meant for: another one ignores it.
#[derive(Debug)]
pub enum Event {
    /// A message arrives at an end of a connection.
    Arrive {
        /// On which connection.
        conn: ConnId,
        /// At which end.
        to: End,
        /// What.
        message: Box<Message>,
    },
    /// An end learns that its connection is gone.
    Notice {
        /// Which connection.
        conn: ConnId,
        /// Which end.
        to: End,
    },
    /// A timer of a process is due.
    Tick {
        /// Whose.
        node: Node,
        /// Its life.
        life: u64,
    },
    /// A process that has no connection dials the master.
    Dial {
        /// Who.
        node: Node,
        /// Its life.
        life: u64,
    },
    /// A step of a task has an outcome.
    Step {
        /// At which agent.
        agent: usize,
        /// Its life.
        life: u64,
        /// Which task.
        key: TaskKey,
        /// The outcome.
        result: StepResult,
    },
    /// What was done about a volume has an outcome.
    Volume {
        /// At which agent.
        agent: usize,
        /// Its life.
        life: u64,
        /// Its number.
        number: u64,
        /// The outcome.
        result: VolumeResult,
    },
    /// A container ends by itself.
    ContainerEnds {
        /// At which agent.
        agent: usize,
        /// Which container.
        container: String,
    },
    /// A dead process is started again.
    Start(Node),
    /// The next fault is due.
    Fault,
}

/// How many steps happened at one moment.
#[derive(Default)]
struct Standing {
    at: Moment,
    steps: u64,
}

/// Everything.
pub struct World {
    /// What this run is made of.
    pub scenario: Scenario,
    /// Virtual time.
    pub queue: Queue<Event>,
    /// When the timer of each process rings: of which life, and at what time. Every other tick is ignored.
    alarms: BTreeMap<Node, (u64, Moment)>,
    /// Processes and disks that this step may have changed.
    touched: BTreeSet<Node>,
    /// Every container whose process was ever started.
    pub(crate) started: BTreeSet<String>,
    /// Connections.
    pub net: Net,
    /// Who dialled each connection.
    pub dialled: BTreeMap<ConnId, Node>,
    /// The record of the run.
    pub trace: Trace,
    /// The master.
    pub master: MasterNode,
    /// The agents.
    pub agents: Vec<AgentNode>,
    /// The frameworks.
    pub frameworks: Vec<FrameworkNode>,
    /// What may go wrong.
    pub faults: Faults,
    /// Randomness of what tasks do.
    pub workload: Rng,
    /// What the frameworks were told, task by task.
    pub oracle: Oracle,
    /// What the removals of frameworks did.
    pub owned: invariants::owned::Judge,
    /// What limits of roles did.
    pub limits: invariants::limits::Judge,
    /// What offers were judged for fairness.
    pub shares: invariants::shares::Seen,
}

impl World {
    /// A world in which every process is about to start.
    pub fn new(scenario: Scenario) -> Self {
        let seed = scenario.seed;
        let mut world = Self {
            queue: Queue::default(),
            alarms: BTreeMap::new(),
            touched: BTreeSet::new(),
            started: BTreeSet::new(),
            net: Net::new(seed),
            dialled: BTreeMap::new(),
            trace: Trace::default(),
            master: MasterNode::new(),
            agents: (0..scenario.agents).map(|n| AgentNode::new(n, scenario.size_of(n))).collect(),
            frameworks: scenario
                .cast
                .iter()
                .cloned()
                .enumerate()
                .map(|(n, part)| FrameworkNode::new(seed, n, part))
                .collect(),
            faults: Faults::new(&scenario),
            workload: Rng::child(seed, "workload"),
            oracle: Oracle::default(),
            owned: invariants::owned::Judge::default(),
            limits: invariants::limits::Judge::default(),
            shares: invariants::shares::Seen::default(),
            scenario,
        };
        world.queue.after(0, Event::Start(Node::Master));
        for n in 0..world.agents.len() {
            world.queue.after(world.scenario.agents_from_ms + n as u64, Event::Start(Node::Agent(n)));
        }
        for n in 0..world.frameworks.len() {
            world.queue.after(n as u64, Event::Start(Node::Framework(n)));
        }
        world.queue.after(1_000, Event::Fault);
        world
    }

    /// Runs faults and healing to the end; the first broken invariant stops it.
    pub fn run(&mut self) -> Result<(), String> {
        let end = Moment(self.scenario.faults_until_ms + self.scenario.heal_within_ms);
        let mut standing = Standing::default();
        while self.step(end, &mut standing)? {
            let is_safe_time = self.queue.now().0 > self.scenario.faults_until_ms;
            if is_safe_time && invariants::is_healed(self).is_ok() {
                return Ok(());
            }
        }
        invariants::is_healed(self).map_err(|missing| self.report(&format!("not healed in time: {missing}")))
    }

    /// Runs until this virtual time, healed or not; the first broken invariant stops it.
    pub fn run_until(&mut self, end_ms: u64) -> Result<(), String> {
        let mut standing = Standing::default();
        while self.step(Moment(end_ms), &mut standing)? {}
        Ok(())
    }

    /// Lets the next event happen; false when none is left until `end`.
    fn step(&mut self, end: Moment, standing: &mut Standing) -> Result<bool, String> {
        if self.queue.next_at().is_none_or(|at| at > end) {
            return Ok(false);
        }
        let Some(event) = self.queue.pop() else { return Ok(false) };
        if self.is_stray(&event) {
            return Ok(true);
        }
        let now = self.queue.now();
        standing.steps = if standing.at == now { standing.steps + 1 } else { 0 };
        standing.at = now;
        if standing.steps > MAX_STEPS_AT_ONCE {
            return Err(self.report("time stands still"));
        }
        self.happen(event);
        invariants::check_step(self).map_err(|broken| self.report(&broken))?;
        Ok(true)
    }

    /// Now, as engines get it.
    pub fn now(&self) -> Now {
        let mono = self.queue.now();
        // Starts at a second's age, so that no engine can take 0 for "never".
        Now { mono: Moment(mono.0 + 1_000), unix: UnixMillis(UNIX_START_MS + mono.0) }
    }

    /// A message leaves from the other end towards `to`.
    pub fn send(&mut self, conn: ConnId, to: End, message: Message) {
        let now = self.queue.now();
        if let Some(at) = self.net.send(now, conn, to) {
            self.queue.at(at, Event::Arrive { conn, to, message: Box::new(message) });
        }
    }

    /// Cuts a connection; each end that lives learns of it some time later.
    pub fn cut(&mut self, conn: ConnId, most_ms: u64) {
        if self.net.cut(conn) {
            for to in [End::Client, End::Server] {
                let ms = self.net.delay_ms(0, most_ms);
                self.queue.after(ms, Event::Notice { conn, to });
            }
        }
    }

    /// Sets the one timer of a process; the time set before no longer counts.
    pub fn wake(&mut self, node: Node, life: u64, at: Option<Moment>) {
        let Some(at) = at else {
            self.alarms.remove(&node);
            return;
        };
        // Engines see time one second ahead, see `now`.
        let at = Moment(at.0.saturating_sub(1_000)).max(self.queue.now());
        if self.alarms.insert(node, (life, at)) != Some((life, at)) {
            self.queue.at(at, Event::Tick { node, life });
        }
    }

    /// A tick of a timer that was set to another time since.
    fn is_stray(&mut self, event: &Event) -> bool {
        let Event::Tick { node, life } = event else { return false };
        if self.alarms.get(node) != Some(&(*life, self.queue.now())) {
            return true;
        }
        self.alarms.remove(node);
        false
    }

    /// Notes that a step may have changed a process or a disk.
    pub(crate) fn touch(&mut self, node: Node) {
        self.touched.insert(node);
    }

    /// What the steps since the last call may have changed.
    pub(crate) fn take_touched(&mut self) -> BTreeSet<Node> {
        std::mem::take(&mut self.touched)
    }

    fn happen(&mut self, event: Event) {
        let at = self.queue.now();
        self.trace.step(at, &event);
        match event {
            Event::Arrive { conn, to, message } => self.arrive(conn, to, *message),
            Event::Notice { conn, to: End::Server } => self.master_lost(conn),
            Event::Notice { conn, to: End::Client } => match self.dialled.get(&conn) {
                Some(Node::Agent(n)) => self.agent_lost_master(*n, conn),
                Some(Node::Framework(n)) => self.framework_lost_master(*n, conn),
                Some(Node::Master) | None => {}
            },
            Event::Tick { node: Node::Master, life } => self.master_tick(life),
            Event::Tick { node: Node::Agent(n), life } => self.agent_tick(n, life),
            Event::Tick { node: Node::Framework(n), life } => self.framework_tick(n, life),
            Event::Dial { node: Node::Agent(n), life } => self.agent_dial(n, life),
            Event::Dial { node: Node::Framework(n), life } => self.framework_dial(n, life),
            Event::Dial { node: Node::Master, .. } => {}
            Event::Step { agent, life, key, result } => self.agent_step(agent, life, key, result),
            Event::Volume { agent, life, number, result } => self.agent_volume(agent, life, number, result),
            Event::ContainerEnds { agent, container } => self.container_ends(agent, &container),
            Event::Start(Node::Master) => self.master_start(),
            Event::Start(Node::Agent(n)) => self.agent_start(n),
            Event::Start(Node::Framework(n)) => self.framework_start(n),
            Event::Fault => self.fault(),
        }
    }

    fn arrive(&mut self, conn: ConnId, to: End, message: Message) {
        if !self.net.is_alive(conn) {
            return;
        }
        match (to, message, self.dialled.get(&conn).copied()) {
            (_, Message::Close, _) => self.cut(conn, 0),
            (End::Server, message, _) => self.master_hears(conn, message),
            (End::Client, Message::ToAgent(epoch, message), Some(Node::Agent(n))) => {
                self.agent_hears(n, conn, epoch, message);
            }
            (End::Client, Message::ToFramework(message), Some(Node::Framework(n))) => {
                self.framework_hears(n, conn, message);
            }
            (End::Client, message, node) => panic!("the world is wrong: {message:?} for {node:?}"),
        }
    }

    fn report(&self, broken: &str) -> String {
        format!(
            "seed {seed}: {broken}\nat {at} ms, after {steps} steps; the last of them:\n{tail}\n\
             reproduce: PROFFER_SIM_SEED={seed} cargo test -p proffer-integration-sim --test seeds one_seed -- --nocapture",
            seed = self.scenario.seed,
            at = self.queue.now().0,
            steps = self.trace.steps(),
            tail = self.trace.tail(),
        )
    }
}
