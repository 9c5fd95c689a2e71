//! Random inputs in any order: the invariants hold after each, and a new master is the same as the old one.
#![allow(clippy::unwrap_used)] // test helpers

use std::collections::BTreeSet;

use crate::common::*;
use proffer_master_engine::registry::AgentMode;
use proffer_master_engine::*;
use proffer_proto_model::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Attach { agent: u64, listed: u8, cpus: u64, is_same_stream: bool },
    Detach { agent: u64 },
    Subscribe { framework: u64 },
    Leave { framework: u64 },
    Teardown { framework: u64 },
    OperatorTeardown { framework: u64 },
    Roles { framework: u64, has_second: bool },
    Gang { framework: u64, tasks: Vec<(u8, u64)> },
    Demand { framework: u64, cpus: u64, count: u32 },
    Launch { framework: u64, tasks: Vec<(u8, u64)> },
    Decline { framework: u64, refuse_ms: u64 },
    Update { agent: u64, at: u8, seq: u64, state: usize },
    Acknowledge { framework: u64, task: u8, seq: u64 },
    Kill { framework: u64, task: u8 },
    Reconcile { framework: u64 },
    Quota { at: u8, limit: u64, force: bool },
    Weight { at: u8, milli: u32 },
    Offers { at: u8, is_optimistic: bool },
    Wait { ms: u64 },
    Drain { agent: u64, max_grace_ms: Option<u64>, mark_gone: bool },
    Mode { agent: u64, is_back: bool },
    CancelDrain { agent: u64 },
    MarkGone { agent: u64 },
    FailOver,
}

fn steps() -> impl Strategy<Value = Step> {
    let (a, f, t) = (0u64..3, 0u64..3, 0u8..6);
    prop_oneof![
        4 => (a.clone(), any::<u8>(), 1u64..5, prop::bool::weighted(0.2)).prop_map(|(agent, listed, cpus, is_same_stream)| {
            Step::Attach { agent, listed, cpus: cpus * 1_000, is_same_stream }
        }),
        1 => a.clone().prop_map(|agent| Step::Detach { agent }),
        4 => f.clone().prop_map(|framework| Step::Subscribe { framework }),
        1 => f.clone().prop_map(|framework| Step::Leave { framework }),
        1 => f.clone().prop_map(|framework| Step::Teardown { framework }),
        1 => f.clone().prop_map(|framework| Step::OperatorTeardown { framework }),
        1 => (f.clone(), any::<bool>()).prop_map(|(framework, has_second)| Step::Roles { framework, has_second }),
        3 => (f.clone(), proptest::collection::vec((t.clone(), 1u64..4), 1..4))
            .prop_map(|(framework, tasks)| Step::Gang { framework, tasks }),
        4 => (f.clone(), 0u64..3, 1u32..4).prop_map(|(framework, cpus, count)| Step::Demand { framework, cpus: cpus * 500, count }),
        8 => (f.clone(), proptest::collection::vec((t.clone(), 1u64..4), 0..3))
            .prop_map(|(framework, tasks)| Step::Launch { framework, tasks }),
        2 => (f.clone(), 0u64..9_000).prop_map(|(framework, refuse_ms)| Step::Decline { framework, refuse_ms }),
        8 => (a, any::<u8>(), 1u64..5, 0usize..12).prop_map(|(agent, at, seq, state)| Step::Update { agent, at, seq, state }),
        4 => (f.clone(), t.clone(), 1u64..5).prop_map(|(framework, task, seq)| Step::Acknowledge { framework, task, seq }),
        2 => (f.clone(), t).prop_map(|(framework, task)| Step::Kill { framework, task }),
        1 => f.prop_map(|framework| Step::Reconcile { framework }),
        3 => (0u64..40_000).prop_map(|ms| Step::Wait { ms }),
        2 => (0u8..2, 0u64..5, any::<bool>()).prop_map(|(at, limit, force)| Step::Quota { at, limit, force }),
        1 => (0u8..2, 1u32..4_000).prop_map(|(at, milli)| Step::Weight { at, milli }),
        2 => (0u8..2, any::<bool>()).prop_map(|(at, is_optimistic)| Step::Offers { at, is_optimistic }),
        2 => (0u64..3, proptest::option::of(0u64..60_000), prop::bool::weighted(0.2))
            .prop_map(|(agent, max_grace_ms, mark_gone)| Step::Drain { agent, max_grace_ms, mark_gone }),
        3 => (0u64..3, prop::bool::weighted(0.8)).prop_map(|(agent, is_back)| Step::Mode { agent, is_back }),
        2 => (0u64..3).prop_map(|agent| Step::CancelDrain { agent }),
        1 => (0u64..3).prop_map(|agent| Step::MarkGone { agent }),
        1 => Just(Step::FailOver),
    ]
}

struct Run {
    world: World,
    next_session: u64,
    epoch: u64,
    agents: [Option<(String, u64)>; 3],
    frameworks: [u64; 3],
    /// Tasks of which an agent said that they have ended, perhaps before the update that says how.
    over: BTreeSet<TaskKey>,
}

impl Run {
    fn new() -> Self {
        let mut world = World::new();
        world.is_traced = false;
        Self {
            world,
            next_session: 100,
            epoch: 1,
            agents: [const { None }; 3],
            frameworks: [0; 3],
            over: BTreeSet::new(),
        }
    }

    fn session(&mut self) -> u64 {
        self.next_session += 1;
        self.next_session
    }

    fn step(&mut self, step: Step) {
        let name = format!("{step:?}");
        match step {
            Step::Attach { agent, listed, cpus, is_same_stream } => {
                self.attach(agent as usize, listed, cpus, is_same_stream);
            }
            Step::Detach { agent } => {
                let session = SessionId(self.agents[agent as usize].as_ref().map_or(0, |a| a.1));
                self.world.handle(&name, Input::AgentDisconnected { session });
            }
            Step::Subscribe { framework } => {
                let session = self.session();
                self.frameworks[framework as usize] = session;
                self.world.subscribe(session, &format!("f{framework}"), anything());
            }
            Step::Leave { framework } => {
                let session = SessionId(self.frameworks[framework as usize]);
                self.world.handle(&name, Input::FrameworkDisconnected { session });
            }
            Step::Launch { framework, tasks } => self.launch(framework, tasks),
            Step::Update { agent, at, seq, state } => self.update(agent as usize, at, seq, TaskState::ALL[state]),
            Step::Wait { ms } => self.world.wait(ms),
            Step::Drain { agent, max_grace_ms, mark_gone } => {
                self.command(agent, AgentCommand::Drain { max_grace_ms, mark_gone });
            }
            Step::Mode { agent, is_back: true } => self.command(agent, AgentCommand::Reactivate),
            Step::Mode { agent, is_back: false } => self.command(agent, AgentCommand::Deactivate),
            Step::CancelDrain { agent } => self.command(agent, AgentCommand::CancelDrain),
            Step::MarkGone { agent } => self.command(agent, AgentCommand::MarkGone),
            Step::FailOver => {
                self.epoch += 1;
                self.world.fail_over(self.epoch);
            }
            Step::Teardown { framework } => self.call(framework, &name, FrameworkCall::Teardown),
            Step::OperatorTeardown { framework } => {
                let session = SessionId(self.frameworks[framework as usize]);
                if let Some(framework) = self.world.streams.get(&session).cloned() {
                    let call = OperatorCall::TeardownFramework { request: 1, framework: framework.into() };
                    self.world.handle(&name, Input::Operator(call));
                }
            }
            Step::Roles { framework, has_second } => {
                let mut info = framework_info(&format!("f{framework}"));
                info.roles.extend(has_second.then(|| Role::new("second").unwrap()));
                self.call(framework, &name, FrameworkCall::Update(info));
                if has_second {
                    let demand = Demand::anything(Role::new("second").unwrap());
                    self.call(framework, &name, FrameworkCall::Demand(demand));
                }
            }
            Step::Quota { at, limit, force } => self.quota(at, limit, force),
            Step::Weight { at, milli } => {
                let weights = vec![(role(at), Weight::from_milli(milli).unwrap())];
                self.roles(RolesCall::SetWeights { weights });
            }
            Step::Offers { at, is_optimistic } => {
                let offers = if is_optimistic { OfferMode::Optimistic } else { OfferMode::Exclusive };
                let change = Box::new(PolicyChange { offers: Some(offers), ..PolicyChange::default() });
                self.roles(RolesCall::SetPolicy { role: role(at), change });
            }
            Step::Gang { framework, tasks } => self.gang(framework, tasks),
            Step::Demand { framework, cpus, count } => {
                let demand = if cpus == 0 { Demand::default() } else { want(cpus, count) };
                self.call(framework, &name, FrameworkCall::Demand(demand));
            }
            Step::Decline { framework, refuse_ms } => {
                let offers = self.take_offers(framework);
                let reason = DeclineReason::new(DeclineKind::Other);
                self.call(framework, &name, FrameworkCall::Decline { offers, reason, filter: Filter { refuse_ms } });
            }
            Step::Acknowledge { framework, task, seq } => {
                let acks = vec![(task_id(task), seq, TaskSource::Agent)];
                self.call(framework, &name, FrameworkCall::Acknowledge(acks));
            }
            Step::Kill { framework, task } => {
                self.call(framework, &name, FrameworkCall::Kill { task: task_id(task), agent: None, policy: None });
            }
            Step::Reconcile { framework } => self.call(framework, &name, FrameworkCall::Reconcile(vec![])),
        }
    }

    /// No limit ends the quota.
    fn quota(&mut self, at: u8, limit: u64, force: bool) {
        let role = role(at);
        if limit == 0 {
            return self.roles(RolesCall::RemoveQuota { role });
        }
        let limit = Limit { cpus: Some(MilliCpus(limit * 500)), ..Limit::default() };
        let quota = Box::new(Quota { limit, ..Quota::default() });
        self.roles(RolesCall::SetQuota { role, quota, force });
    }

    fn roles(&mut self, call: RolesCall) {
        let call = OperatorCall::Roles { request: 1, call, is_dry_run: false };
        self.world.handle("operator sets a role", Input::Operator(call));
    }

    /// What was launched is within the limits of its role, whatever was held before.
    fn check_limits(&self, before: &[registry::TaskRecord]) {
        let holds = |tasks: &[registry::TaskRecord], role: &Role| {
            let lives =
                |task: &&registry::TaskRecord| task.status.state.holds_resources() && !self.over.contains(&task.key);
            let of_role = tasks.iter().filter(|task| task.role == *role).filter(lives);
            of_role.map(|task| task.resources.cpus.0).sum::<u64>()
        };
        for record in &self.world.registry.roles {
            let (was, is) = (holds(before, &record.role), holds(&self.world.registry.tasks, &record.role));
            let limit = record.quota.limit.cpus.map_or(u64::MAX, |most| most.0);
            assert!(is <= limit || is <= was, "role {} holds {is} of {limit} and held {was}", record.role);
        }
    }

    /// What follows from it holds at once: the audit sees offers of agents that take no work.
    fn command(&mut self, agent: u64, command: AgentCommand) {
        let Some((id, _)) = self.agents[agent as usize].clone() else { return };
        let mode_of = |world: &World| world.registry.agents.iter().find(|r| r.id.as_str() == id).map(|r| r.mode);
        let before = mode_of(&self.world);
        let is_done = self.world.operator(&id, command).is_ok();
        let is_draining = matches!(before, Some(AgentMode::Draining(_)));
        let is_refused = match command {
            AgentCommand::Reactivate => is_draining,
            AgentCommand::CancelDrain => !is_draining,
            _ => false,
        };
        let record = self.world.registry.agents.iter().find(|record| record.id.as_str() == id);
        let is_gone = record.is_some_and(|record| record.mode.is_gone());
        assert!(is_done != is_refused || is_gone, "{command:?} of {record:?}");
        // Its machine comes back with an empty work directory.
        if is_gone {
            self.agents[agent as usize] = None;
        }
    }

    fn call(&mut self, framework: u64, name: &str, call: FrameworkCall) {
        self.world.call(self.frameworks[framework as usize], name, call);
    }

    /// Attaches with some of the tasks the master believes to be there.
    fn attach(&mut self, agent: usize, listed: u8, cpus: u64, is_same_stream: bool) {
        let older = self.agents[agent].as_ref().map(|a| a.1).filter(|_| is_same_stream);
        let session = older.unwrap_or_else(|| self.session());
        let id = self.agents[agent].as_ref().map(|a| a.0.clone());
        let here = self.world.registry.tasks.iter().filter(|t| Some(t.agent.as_str()) == id.as_deref());
        let over = &mut self.over;
        let tasks = here
            .enumerate()
            .filter(|(at, _)| listed & (1 << (at % 8)) != 0)
            .map(|(at, t)| {
                let state = if at % 3 == 2 { TaskState::Failed } else { TaskState::Running };
                if state.is_terminal() {
                    over.insert(t.key.clone());
                }
                attached(t.key.framework.as_str(), t.spec.clone(), t.status.seq.max(1), state)
            })
            .collect();
        let effects = self.world.attach_from(&format!("node-{agent}"), session, id.as_deref(), cpus, tasks);
        for effect in effects {
            if let Effect::ToAgent { message: ToAgent::Attached { agent: id, .. }, .. } = effect {
                self.agents[agent] = Some((id.as_str().to_owned(), session));
            }
        }
    }

    fn update(&mut self, agent: usize, at: u8, seq: u64, state: TaskState) {
        let Some((id, session)) = self.agents[agent].clone() else { return };
        let here: Vec<_> = self.world.registry.tasks.iter().filter(|t| t.agent.as_str() == id).collect();
        if let Some(task) = here.get(at as usize % here.len().max(1)) {
            let (framework, task) = (task.key.framework.clone(), task.key.task.clone());
            if state.is_terminal() {
                self.over.insert(TaskKey { framework: framework.clone(), task: task.clone() });
            }
            self.world.update(session, framework.as_str(), task.as_str(), seq, state);
        }
    }

    fn take_offers(&mut self, framework: u64) -> Vec<OfferId> {
        let session = self.frameworks[framework as usize];
        let (mine, others) = self.world.offers.drain(..).partition(|(to, _)| to.0 == session);
        self.world.offers = others;
        let mine: Vec<(SessionId, Offer)> = mine;
        mine.into_iter().map(|(_, offer)| offer.id).collect()
    }

    /// All offers together, of several agents and perhaps several roles.
    fn gang(&mut self, framework: u64, tasks: Vec<(u8, u64)>) {
        let session = self.frameworks[framework as usize];
        let agents: Vec<AgentId> =
            self.world.offers.iter().filter(|(to, _)| to.0 == session).map(|(_, offer)| offer.agent.clone()).collect();
        let offers = self.take_offers(framework);
        let on = |at: usize| agents.get(at % agents.len().max(1)).cloned();
        let launches = tasks.iter().enumerate().map(|(at, (id, cpus))| TaskLaunch {
            agent: on(at),
            task: spec(*id, *cpus),
            reserved_use: Default::default(),
        });
        let group = Operation::LaunchGroup { operation_id: "gang".into(), tasks: launches.collect() };
        self.call(framework, "gang", accept(offers, vec![group]));
    }

    /// Stale offers may be among them: then nothing may be launched.
    fn launch(&mut self, framework: u64, tasks: Vec<(u8, u64)>) {
        let mut offers = self.take_offers(framework);
        let last = offers.pop().into_iter().collect();
        let launches = tasks.iter().map(|(id, cpus)| TaskLaunch {
            agent: None,
            task: spec(*id, *cpus),
            reserved_use: Default::default(),
        });
        let operations = vec![Operation::Launch { tasks: launches.collect() }];
        self.call(framework, "accept", accept(last, operations));
    }
}

fn role(at: u8) -> Role {
    if at == 0 { Role::default_role() } else { Role::new("second").unwrap() }
}

fn task_id(number: u8) -> TaskId {
    TaskId::new(format!("t{number}")).unwrap()
}

fn spec(number: u8, cpus: u64) -> TaskSpec {
    task(&format!("t{number}"), cpus * 400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn the_invariants_hold_after_every_step(steps in proptest::collection::vec(steps(), 1..80)) {
        let mut run = Run::new();
        for step in steps {
            let before = run.world.registry.tasks.clone();
            run.over.retain(|key| before.iter().any(|task| task.key == *key));
            let launches = matches!(step, Step::Launch { .. } | Step::Gang { .. });
            run.step(step);
            if launches {
                run.check_limits(&before);
            }
        }
        let epoch = run.epoch + 1;
        run.world.fail_over(epoch);
    }
}
