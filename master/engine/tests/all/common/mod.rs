//! A world around the engine for tests: every frame is stored, audited, and its effects written down as text.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)] // test helpers; each test binary uses its part

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proffer_master_engine::explain::Why;
use proffer_master_engine::registry::{Registry, TaskRecord};
use proffer_master_engine::view::{Change, RoleView};
use proffer_master_engine::*;
use proffer_proto_model::task::{ContainerSpec, KillPolicy, ResourceLimits};
use proffer_proto_model::*;

/// An engine, the registry its operations made, and the trace of what it said.
pub struct World {
    pub engine: Engine,
    config: Config,
    pub registry: Registry,
    pub tasks: BTreeMap<TaskKey, TaskRecord>,
    pub roles: BTreeMap<Role, RoleView>,
    pub now: Now,
    pub trace: String,
    pub offers: Vec<(SessionId, Offer)>,
    pub streams: BTreeMap<SessionId, FrameworkId>,
    pub is_traced: bool,
}

impl World {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        let engine = Engine::recover(config.clone(), cluster(), Epoch(1), Registry::default(), Now::default()).unwrap();
        Self {
            engine,
            config,
            registry: Registry::default(),
            tasks: BTreeMap::new(),
            roles: BTreeMap::new(),
            now: Now::default(),
            trace: String::new(),
            offers: Vec::new(),
            streams: BTreeMap::new(),
            is_traced: true,
        }
    }

    /// Handles one input; audits, stores, and collects what was sent.
    pub fn handle(&mut self, what: &str, input: Input) -> Vec<Effect> {
        let asked = match &input {
            Input::Operator(OperatorCall::Why { .. }) => None,
            Input::Operator(call) => Some((call.clone(), self.dry_run(what, call.clone()))),
            _ => None,
        };
        let effects = self.handle_only(what, input);
        if let Some((call, told)) = asked {
            check_dry_run(what, &call, &told, &effects);
        }
        effects
    }

    /// What would come of a call. Nothing is stored, sent or shown.
    fn dry_run(&mut self, what: &str, call: OperatorCall) -> Result<Consequences, FatalError> {
        let (before, frame) = (self.trace.len(), self.engine.handle(self.now, Input::DryRun(call)));
        assert!(frame.operations().is_empty(), "a dry run of {what} stores {:?}", frame.operations());
        let effects = self.finish(&format!("dry run of {what}"), frame);
        // Time has passed: what is possible by now is offered, as with any input.
        let is_due = |e: &Effect| matches!(e, Effect::ToFramework { message: ToFramework::Offers(_), .. });
        let mut others = effects.iter().filter(|effect| !is_due(effect));
        match (others.next(), others.next()) {
            (Some(Effect::OperatorReply { result, .. }), None) => {
                if effects.len() == 1 {
                    self.trace.truncate(before);
                }
                result.clone()
            }
            _ => panic!("a dry run of {what} sends {effects:?}"),
        }
    }

    fn handle_only(&mut self, what: &str, input: Input) -> Vec<Effect> {
        let frame = self.engine.handle(self.now, input);
        self.finish(what, frame)
    }

    fn finish(&mut self, what: &str, frame: Frame) -> Vec<Effect> {
        if self.is_traced {
            writeln!(self.trace, "> {what}").unwrap();
        }
        for operation in frame.operations() {
            self.check_terminal_is_final(operation);
            self.registry.apply(operation);
            if self.is_traced {
                writeln!(self.trace, "  store {}", stored(operation)).unwrap();
            }
        }
        let effects = frame.into_effects(Stored::after_commit());
        for effect in &effects {
            if let Effect::ToFramework { session, message: ToFramework::Offers(offers) } = effect {
                self.offers.extend(offers.iter().map(|offer| (*session, offer.clone())));
            }
            if self.is_traced {
                writeln!(self.trace, "  {}", told(effect)).unwrap();
            }
        }
        self.show_changes();
        assert_eq!(self.engine.audit(), Vec::<String>::new(), "after {what}\n{}", self.trace);
        effects.iter().for_each(|effect| self.check_told(what, effect));
        let seen: Vec<_> = self.tasks.values().cloned().collect();
        assert_eq!(seen, self.registry.tasks, "readers see what is stored, after {what}");
        effects
    }

    /// What readers see from now on.
    fn show_changes(&mut self) {
        for change in self.engine.take_changes() {
            match change {
                Change::Task(record) => drop(self.tasks.insert(record.key.clone(), *record)),
                Change::TaskForgotten(key) => drop(self.tasks.remove(&key)),
                Change::Role(role) => drop(self.roles.insert(role.role.clone(), *role)),
                Change::RoleRemoved(role) => drop(self.roles.remove(&role)),
                _ => {}
            }
        }
    }

    fn check_terminal_is_final(&self, operation: &registry::Operation) {
        let registry::Operation::PutTask(new) = operation else { return };
        let Some(old) = self.registry.tasks.iter().find(|old| old.key == new.key) else { return };
        let same = old.status.state == new.status.state;
        assert!(same || !old.status.state.is_terminal(), "I7: {} left {}", new.key, old.status.state);
    }

    /// No end is told of a task that lives on: not even when a launch under its id was refused.
    fn check_told(&mut self, what: &str, effect: &Effect) {
        let Effect::ToFramework { session, message } = effect else { return };
        match message {
            ToFramework::Subscribed { framework, .. } => drop(self.streams.insert(*session, framework.clone())),
            ToFramework::Status(statuses) => {
                for status in statuses.iter().filter(|status| status.state.is_terminal() && status.seq == 0) {
                    let key = TaskKey { framework: self.streams[session].clone(), task: status.task.clone() };
                    let lives = self.tasks.get(&key).is_some_and(|task| !task.status.state.is_terminal());
                    assert!(!lives, "{key} lives on and is told to be {}, after {what}", status.state);
                }
            }
            _ => {}
        }
    }

    /// Moves time and fires every timer that becomes due on the way.
    pub fn wait(&mut self, ms: u64) {
        let end = self.now.mono + ms;
        while let Some(due) = self.engine.next_deadline().filter(|due| *due <= end) {
            self.set_time(due.max(self.now.mono));
            self.handle(&format!("tick at {}", self.now.mono.0), Input::Tick);
            let next = self.engine.next_deadline();
            assert!(next.is_none_or(|next| next > self.now.mono), "a tick must do all that is due");
        }
        self.set_time(end);
    }

    fn set_time(&mut self, at: Moment) {
        self.now = Now { mono: at, unix: UnixMillis(at.0) };
    }

    /// A new master from what is stored.
    pub fn fail_over(&mut self, epoch: u64) {
        self.engine =
            Engine::recover(self.config.clone(), cluster(), Epoch(epoch), self.registry.clone(), self.now).unwrap();
        self.offers.clear();
        self.tasks.clear();
        let mut agents = Vec::new();
        let mut frameworks = Vec::new();
        for change in self.engine.take_changes() {
            match change {
                Change::Task(record) => drop(self.tasks.insert(record.key.clone(), *record)),
                Change::Agent(agent) => agents.push((agent.id, agent.info)),
                Change::Framework(framework) => frameworks.push((framework.id, framework.info)),
                _ => {}
            }
        }
        let tasks: Vec<_> = self.tasks.values().cloned().collect();
        assert_eq!(tasks, self.registry.tasks);
        let known: Vec<_> = self.registry.agents.iter().map(|r| (r.id.clone(), r.info.clone())).collect();
        assert_eq!(agents, known);
        let known: Vec<_> = self.registry.frameworks.iter().map(|r| (r.id.clone(), r.info.clone())).collect();
        assert_eq!(frameworks, known);
        assert_eq!(self.engine.audit(), Vec::<String>::new());
        if self.is_traced {
            writeln!(self.trace, "= a new master, epoch {epoch}").unwrap();
        }
    }

    pub fn attach(&mut self, session: u64, id: Option<&str>, cpus: u64, tasks: Vec<AttachedTask>) -> Vec<Effect> {
        self.attach_from("node", session, id, cpus, tasks)
    }

    /// Attaches an agent of a host: two agents never share an address.
    pub fn attach_from(
        &mut self,
        host: &str,
        session: u64,
        id: Option<&str>,
        cpus: u64,
        tasks: Vec<AttachedTask>,
    ) -> Vec<Effect> {
        let input = Input::AgentAttach {
            session: SessionId(session),
            agent: AgentInfo { hostname: host.into(), ..agent_info(id, cpus) },
            incarnation: 1,
            tasks,
            seen_epoch: Epoch(0),
            cluster: id.map(|_| cluster()),
            volumes: Vec::new(),
        };
        self.handle(&format!("attach {id:?} on {session}"), input)
    }

    pub fn subscribe(&mut self, session: u64, name: &str, demand: Demand) -> Vec<Effect> {
        let input = Input::Subscribe { session: SessionId(session), framework: framework_info(name), demand };
        self.handle(&format!("subscribe {name} on {session}"), input)
    }

    pub fn call(&mut self, session: u64, what: &str, call: FrameworkCall) -> Vec<Effect> {
        self.handle(&format!("{session}: {what}"), Input::Framework { session: SessionId(session), call })
    }

    /// Launches tasks with the last offer the session got.
    pub fn launch(&mut self, session: u64, tasks: Vec<TaskSpec>) -> Vec<Effect> {
        let at = self.offers.iter().rposition(|(to, _)| to.0 == session).expect("an offer");
        let (_, offer) = self.offers.remove(at);
        let launches =
            tasks.into_iter().map(|task| TaskLaunch { agent: None, task, reserved_use: Default::default() }).collect();
        self.call(session, "accept", accept(vec![offer.id], vec![Operation::Launch { tasks: launches }]))
    }

    pub fn update(&mut self, session: u64, framework: &str, task: &str, seq: u64, state: TaskState) -> Vec<Effect> {
        let status = agent_status(task, seq, state);
        let updates = vec![(FrameworkId::new(framework).unwrap(), status, state)];
        let what = format!("agent on {session}: {task} #{seq} {state}");
        self.handle(&what, Input::AgentUpdates { session: SessionId(session), updates })
    }

    pub fn operator_effects(&mut self, agent: &str, command: AgentCommand) -> Vec<Effect> {
        let call = OperatorCall::Agent { request: 1, agent: AgentId::new(agent).unwrap(), command };
        self.handle(&format!("operator: {agent} {command:?}"), Input::Operator(call))
    }

    pub fn operator(&mut self, agent: &str, command: AgentCommand) -> Result<(), FatalError> {
        Self::answer(self.operator_effects(agent, command))
    }

    pub fn maintenance(&mut self, command: MaintenanceCommand) -> Result<(), FatalError> {
        let call = OperatorCall::Maintenance { request: 1, command };
        Self::answer(self.handle("operator: maintenance", Input::Operator(call)))
    }

    fn answer(effects: Vec<Effect>) -> Result<(), FatalError> {
        let reply = effects.into_iter().find_map(|effect| match effect {
            Effect::OperatorReply { result, .. } => Some(result.map(drop)),
            _ => None,
        });
        reply.expect("every call is answered")
    }

    pub fn acknowledge(&mut self, session: u64, task: &str, seq: u64) -> Vec<Effect> {
        let acks = vec![(TaskId::new(task).unwrap(), seq, TaskSource::Agent)];
        self.call(session, &format!("acknowledge {task} #{seq}"), FrameworkCall::Acknowledge(acks))
    }
}

pub fn cluster() -> ClusterId {
    ClusterId::new("test").unwrap()
}

pub fn agent_info(id: Option<&str>, cpus: u64) -> AgentInfo {
    let ports = PortRange::new(31_000, 31_009).unwrap();
    AgentInfo {
        id: id.map(|id| AgentId::new(id).unwrap()),
        hostname: "node".into(),
        api_address: "127.0.0.1:5051".into(),
        address: "127.0.0.1".into(),
        resources: Resources { ports: vec![ports].into(), ..Resources::new(MilliCpus(cpus), Bytes::mib(cpus)) },
        attributes: vec![],
        region: String::new(),
        zone: String::new(),
        version: "0.1.0".into(),
        boot_id: "boot".into(),
        reservations: Vec::new(),
    }
}

pub fn framework_info(name: &str) -> FrameworkInfo {
    FrameworkInfo {
        id: None,
        name: name.into(),
        principal: "somebody".into(),
        roles: vec![Role::default_role()],
        failover_timeout_ms: 60_000,
        api_address: String::new(),
        labels: BTreeMap::new(),
        hostname: String::new(),
        placement: None,
        leaves_reservations: false,
    }
}

pub fn anything() -> Demand {
    Demand::anything(Role::default_role())
}

pub fn want(cpus: u64, count: u32) -> Demand {
    let item = DemandItem {
        role: Role::default_role(),
        shape: Some(Resources::new(MilliCpus(cpus), Bytes::mib(cpus))),
        count: Some(count),
        constraints: vec![],
        priority: 0,
        ports: 0,
    };
    Demand { items: vec![item] }
}

pub fn task(id: &str, cpus: u64) -> TaskSpec {
    TaskSpec {
        id: TaskId::new(id).unwrap(),
        name: id.into(),
        container: ContainerSpec { image: "busybox".into(), ..ContainerSpec::default() },
        resources: Resources::new(MilliCpus(cpus), Bytes::mib(cpus)),
        limits: ResourceLimits::default(),
        kill_policy: KillPolicy::default(),
        max_run_time_ms: None,
        labels: BTreeMap::new(),
        discovery_name: String::new(),
        data: vec![],
        priority: 0,
        is_revocable: false,
    }
}

pub fn accept(offers: Vec<OfferId>, operations: Vec<Operation>) -> FrameworkCall {
    let leftover = DeclineReason::new(DeclineKind::Leftover);
    FrameworkCall::Accept(Accept { offers, operations, filter: Filter::default(), leftover })
}

pub fn agent_status(task: &str, seq: u64, state: TaskState) -> TaskStatus {
    let mut status = TaskStatus::new(TaskId::new(task).unwrap(), None, state, TaskSource::Agent, UnixMillis(0));
    status.seq = seq;
    status
}

pub fn attached(framework: &str, spec: TaskSpec, seq: u64, state: TaskState) -> AttachedTask {
    let latest = agent_status(spec.id.as_str(), seq, state);
    AttachedTask { framework: FrameworkId::new(framework).unwrap(), spec, latest, role: Role::default_role() }
}

fn stored(operation: &registry::Operation) -> String {
    use registry::Operation::*;
    match operation {
        PutAgent(r) => {
            let mode = if r.mode.is_offered() { String::new() } else { format!(" {}", r.mode) };
            format!("agent {}{}{mode}", r.id, if r.is_unreachable { " unreachable" } else { "" })
        }
        DeleteAgent(id) => format!("no agent {id}"),
        PutFramework(r) => format!("framework {}{}", r.id, if r.is_removing { " removing" } else { "" }),
        DeleteFramework(id) => format!("no framework {id}"),
        PutTask(r) => {
            let kill = if r.is_kill_requested { " to be killed" } else { "" };
            format!("task {} {} #{}{kill}", r.key, r.status.state, r.status.seq)
        }
        DeleteTask(key) => format!("no task {key}"),
        PutWindow(r) => format!("window {} of {:?}{}", r.id, r.agents, if r.is_open() { " open" } else { "" }),
        DeleteWindow(id) => format!("no window {id}"),
        PutRole(r) => format!("role {} weight {} quota {}", r.role, r.weight, quota(&r.quota)),
        DeleteRole(role) => format!("no role {role}"),
        PutRemoved(record) => format!("removed {} {} as #{}", record.id, record.name, record.number),
        DeleteRemoved(id) => format!("forget that {id} was removed"),
    }
}

fn told(effect: &Effect) -> String {
    match effect {
        Effect::ToFramework { session, message } => format!("framework {}: {}", session.0, to_framework(message)),
        Effect::ToAgent { session, message } => format!("agent {}: {}", session.0, to_agent(message)),
        Effect::Close { session } => format!("close {}", session.0),
        Effect::OperatorReply { request, result } => format!("operator {request}: {}", came(result)),
        Effect::WhyReply { request, answer } => format!("operator {request}: {}", why(answer)),
    }
}

/// What was told beforehand is what came of it.
fn check_dry_run(what: &str, call: &OperatorCall, told: &Result<Consequences, FatalError>, effects: &[Effect]) {
    let reply = effects.iter().find_map(|effect| match effect {
        Effect::OperatorReply { result, .. } => Some(result),
        _ => None,
    });
    assert_eq!(Some(told), reply, "a dry run of {what} tells something else than what comes");
    if let (Ok(came), OperatorCall::Agent { .. } | OperatorCall::Reservation { .. }) = (told, call) {
        let withdrawn = effects.iter().map(|effect| match effect {
            Effect::ToFramework { message: ToFramework::Rescind { offers, .. }, .. } => offers.len(),
            _ => 0,
        });
        assert_eq!(came.offers, withdrawn.sum::<usize>(), "offers withdrawn by {what}: {effects:?}");
    }
}

fn came(result: &Result<Consequences, FatalError>) -> String {
    let came = match result {
        Ok(came) => came,
        Err(error) => return format!("{error:?}"),
    };
    let Consequences { is_so_already, tasks, offers, volumes, framework } = came;
    let mut words = vec!["done".to_owned()];
    words.extend(framework.as_ref().map(|(id, name)| format!("about {id} {name}")));
    words.extend(is_so_already.then(|| "so already".to_owned()));
    words.extend((*tasks > 0).then(|| format!("{tasks} tasks")));
    words.extend((*offers > 0).then(|| format!("{offers} offers")));
    words.extend(volumes.iter().map(|volume| format!("volume {}/{}", volume.role, volume.id)));
    words.join(", ")
}

fn to_framework(message: &ToFramework) -> String {
    match message {
        ToFramework::Subscribed { framework, epoch, .. } => format!("subscribed as {framework}, epoch {}", epoch.0),
        ToFramework::Offers(offers) => {
            let each = offers.iter().map(|o| format!("{} of {}: {}", o.id, o.agent, o.resources));
            format!("offers {}", each.collect::<Vec<_>>().join("; "))
        }
        ToFramework::InverseOffers(offers) => {
            let each = offers.iter().map(|o| {
                let start = o.unavailability.start.0;
                format!("{} leave {} by {start} ({:?}): {:?}", o.id, o.agent, o.cause, o.tasks)
            });
            each.collect::<Vec<_>>().join("; ")
        }
        ToFramework::RescindInverse { offers, end } => format!("rescind inverse {offers:?} {end:?}"),
        ToFramework::Rescind { offers, reason } => format!("rescind {offers:?} {reason:?}"),
        ToFramework::Status(statuses) => {
            let each =
                statuses.iter().map(|s| format!("{} #{} {} {} {:?}", s.task, s.seq, s.state, s.reason, s.message));
            format!("status {}", each.collect::<Vec<_>>().join("; "))
        }
        ToFramework::Error { kind, message, is_fatal } => format!("error {kind:?} fatal={is_fatal} {message}"),
        other => format!("{other:?}"),
    }
}

fn to_agent(message: &ToAgent) -> String {
    match message {
        ToAgent::Launch { framework, task, role } => format!("launch {framework}/{} in {role}", task.id),
        ToAgent::Kill { framework, task, reason: TaskReason::AgentDraining, policy } => {
            format!("kill {framework}/{task} AGENT_DRAINING within {:?}", policy.map(|policy| policy.grace_ms))
        }
        ToAgent::Kill { framework, task, reason, .. } => format!("kill {framework}/{task} {reason}"),
        ToAgent::Acknowledge { framework, task, seq } => format!("acknowledge {framework}/{task} #{seq}"),
        ToAgent::Expect(keys) => {
            format!("expect {}", keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}

fn quota(quota: &Quota) -> String {
    if quota.is_empty() { "none".to_owned() } else { format!("{quota:?}") }
}

fn why(answer: &Result<Why, FatalError>) -> String {
    let why = match answer {
        Ok(why) => why,
        Err(error) => return format!("refused: {error}"),
    };
    let mut text = format!("why {}: connected={} agents={}", why.framework, why.is_connected, why.agents);
    for item in &why.items {
        let shape = item.item.shape.clone().unwrap_or_default();
        write!(text, "\n    {:?} times {shape} in {}", item.item.count, item.item.role).unwrap();
        for block in &item.blocks {
            write!(text, "\n      {block}").unwrap();
        }
        for group in &item.groups {
            write!(text, "\n      {group} {:?}", group.examples).unwrap();
        }
    }
    text
}
