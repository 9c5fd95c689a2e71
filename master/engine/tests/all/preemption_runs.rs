//! Random clusters in which a role is short of what it was promised: who has to go, and that it was worth it.
#![allow(clippy::unwrap_used)] // test helpers

use std::collections::BTreeMap;

use crate::common::*;
use proffer_master_engine::registry::{AgentRecord, TaskRecord};
use proffer_master_engine::reservations::OperatorReservation;
use proffer_master_engine::*;
use proffer_proto_model::*;
use proptest::prelude::*;

const NOTICE_MS: u64 = 2_000;
const PROD: &str = "prod";
/// Roles of those who were there before, and the streams of their frameworks.
const OTHERS: [(&str, u64); 3] = [("adhoc", 20), ("other", 21), ("other/sub", 22)];
const PROD_STREAM: u64 = 30;

/// A task that was there before: role, CPUs, priority, revocable.
type Old = (usize, u64, i32, bool);

/// One agent: what is reserved for `prod` and for `other`, and its tasks.
type Place = (u64, u64, Vec<Old>);

#[derive(Debug, Clone)]
struct Case {
    places: Vec<Place>,
    /// Promised to `prod` and to `other`.
    promised: (u64, u64),
    /// CPUs, how many, priority.
    wanted: Vec<(u64, u32, i32)>,
}

fn cases() -> impl Strategy<Value = Case> {
    let old = (0usize..3, 1u64..4, -2i32..4, prop::bool::weighted(0.2));
    let place = (prop_oneof![3 => Just(0u64), 1 => 1u64..3], prop_oneof![3 => Just(0u64), 1 => 1u64..3]);
    let place = (place, proptest::collection::vec(old, 0..5)).prop_map(|((own, others), old)| (own, others, old));
    let wanted = proptest::collection::vec((1u64..4, 1u32..3, 0i32..3), 1..4);
    (proptest::collection::vec(place, 1..4), (1u64..9, 0u64..5), wanted).prop_map(|(places, promised, wanted)| Case {
        places,
        promised,
        wanted,
    })
}

fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

fn res(cpus: u64) -> Resources {
    Resources::new(MilliCpus(cpus * 1_000), Bytes::mib(cpus * 1_000))
}

/// The world, and what `prod` still wants.
struct Run {
    world: World,
    wanted: Vec<(u64, u32, i32)>,
    promised: (u64, u64),
    launched: usize,
    /// What was killed that need not have been.
    needless: Option<String>,
}

impl Run {
    fn start(case: &Case) -> Self {
        let mut world = World::with(Config {
            preemption_notice_ms: Some(NOTICE_MS),
            agent_timeout_ms: 100_000_000,
            heartbeat_interval_ms: 10_000_000,
            ..Config::default()
        });
        for (at, (own, others, _)) in case.places.iter().enumerate() {
            world.attach_from(&format!("host-{at}"), 1 + at as u64, None, 4_000, vec![]);
            for (name, cpus) in [(PROD, *own), ("other", *others)] {
                let (agent, labels) = (AgentId::numbered(1, at as u64 + 1), BTreeMap::new());
                let (role, resources) = (role(name), res(cpus));
                let principal = "operator".to_owned();
                let wish =
                    OperatorReservation::Reserve { role, from_role: None, resources, labels, principal, owner: None };
                if cpus > 0 {
                    world.handle("reserve", Input::Operator(OperatorCall::Reservation { request: 1, agent, wish }));
                }
            }
        }
        let mut run = Self { world, wanted: case.wanted.clone(), promised: case.promised, launched: 0, needless: None };
        OTHERS.iter().enumerate().for_each(|(at, (name, stream))| run.fill(case, at, name, *stream));
        run.promise("other", case.promised.1);
        run.promise(PROD, case.promised.0);
        run.join(PROD, PROD_STREAM);
        run.demand();
        run
    }

    fn promise(&mut self, name: &str, cpus: u64) {
        let quota = Box::new(Quota { guarantee: res(cpus), limit: Limit::default() });
        let call = RolesCall::SetQuota { role: role(name), quota, force: true };
        self.world.handle("quota", Input::Operator(OperatorCall::Roles { request: 1, call, is_dry_run: false }));
    }

    fn join(&mut self, name: &str, stream: u64) {
        let framework = FrameworkInfo { roles: vec![role(name)], ..framework_info(name) };
        let input = Input::Subscribe { session: SessionId(stream), framework, demand: Demand::default() };
        self.world.handle("subscribe", input);
    }

    /// One of the others launches what it has on each agent, as far as it fits.
    fn fill(&mut self, case: &Case, at: usize, name: &str, stream: u64) {
        self.join(name, stream);
        self.world.call(stream, "wants", FrameworkCall::Demand(Demand::anything(role(name))));
        for (_, offer) in std::mem::take(&mut self.world.offers) {
            let number: usize = offer.agent.as_str().rsplit('-').next().unwrap().parse().unwrap();
            let mut left = offer.resources.clone();
            let mut tasks = Vec::new();
            for (_, cpus, priority, is_revocable) in case.places[number - 1].2.iter().filter(|old| old.0 == at) {
                if let Some(rest) = left.checked_sub(&res(*cpus)) {
                    left = rest;
                    self.launched += 1;
                    let spec = task(&format!("t{}", self.launched), cpus * 1_000);
                    tasks.push(TaskSpec { priority: *priority, is_revocable: *is_revocable, ..spec });
                }
            }
            self.accept(stream, offer, tasks);
        }
        self.world.call(stream, "wants nothing", FrameworkCall::Demand(Demand::default()));
    }

    fn accept(&mut self, stream: u64, offer: Offer, tasks: Vec<TaskSpec>) {
        let names: Vec<String> = tasks.iter().map(|task| task.id.to_string()).collect();
        let launch = |task| TaskLaunch { agent: None, task, reserved_use: Default::default() };
        let launches = Operation::Launch { tasks: tasks.into_iter().map(launch).collect() };
        self.world.call(stream, "accepts", accept(vec![offer.id], vec![launches]));
        let framework = self.world.streams[&SessionId(stream)].to_string();
        let agent = offer.agent.as_str().rsplit('-').next().unwrap().parse().unwrap();
        for name in names {
            self.world.update(agent, &framework, &name, 1, TaskState::Running);
        }
    }

    fn demand(&mut self) {
        let items = self.wanted.iter().filter(|item| item.1 > 0).map(|(cpus, count, priority)| DemandItem {
            role: role(PROD),
            shape: Some(res(*cpus)),
            count: Some(*count),
            constraints: vec![],
            priority: *priority,
            ports: 0,
        });
        let items = items.collect();
        self.world.call(PROD_STREAM, "wants", FrameworkCall::Demand(Demand { items }));
    }

    /// Uses what `prod` is offered, and ends what is to be killed. True when there was something to do.
    fn answer(&mut self) -> bool {
        let mut is_busy = false;
        for (stream, offer) in std::mem::take(&mut self.world.offers) {
            is_busy = true;
            assert_eq!(stream.0, PROD_STREAM, "nobody else wants anything");
            let mut left = offer.resources.clone();
            let mut tasks = Vec::new();
            self.wanted.sort_by_key(|(cpus, _, priority)| std::cmp::Reverse((*priority, *cpus)));
            for (cpus, count, priority) in &mut self.wanted {
                while *count > 0
                    && let Some(rest) = left.checked_sub(&res(*cpus))
                {
                    left = rest;
                    *count -= 1;
                    self.launched += 1;
                    tasks.push(TaskSpec { priority: *priority, ..task(&format!("p{}", self.launched), *cpus * 1_000) });
                }
            }
            self.accept(PROD_STREAM, offer, tasks);
            self.demand();
        }
        let is_due = |task: &&TaskRecord| task.is_kill_requested && !task.status.state.is_terminal();
        let due: Vec<TaskRecord> = self.world.tasks.values().filter(is_due).cloned().collect();
        self.needless = self.needless.take().or_else(|| self.needless_of(&due));
        for task in due {
            is_busy = true;
            let agent = task.agent.as_str().rsplit('-').next().unwrap().parse().unwrap();
            let (framework, name) = (task.key.framework.to_string(), task.key.task.to_string());
            self.world.update(agent, &framework, &name, 2, TaskState::Killed);
        }
        is_busy
    }

    /// Of those that are to be killed now: one without whom a shape fits too, or more shapes than are owed.
    fn needless_of(&self, due: &[TaskRecord]) -> Option<String> {
        let wanted = || self.wanted.iter().filter(|item| item.1 > 0).map(|item| item.0 * 1_000);
        let (smallest, largest) = (wanted().min()?, wanted().max()?);
        let owed = (self.promised.0 * 1_000).saturating_sub(self.consumed(PROD, &[]));
        let (mut taken, mut kept) = (0, 0);
        for agent in self.agents() {
            let here: Vec<&TaskRecord> = due.iter().filter(|task| task.agent == agent.id).collect();
            if here.is_empty() {
                continue;
            }
            for spared in &here {
                let others: Vec<&TaskRecord> = here.iter().filter(|task| task.key != spared.key).copied().collect();
                if self.room(agent, &others) >= largest {
                    return Some(format!("{} is killed in vain", spared.key.task));
                }
            }
            taken += smallest;
            let own = agent.pools.iter().filter(|pool| pool.role == role(PROD));
            kept += own.map(|pool| pool.resources.cpus.0).sum::<u64>();
        }
        (taken > owed + kept).then(|| format!("{taken} are taken back at once, {owed} are owed"))
    }

    /// Until nothing has happened for longer than a look and a notice take.
    fn settle(&mut self) {
        let mut quiet_ms = 0;
        while quiet_ms < 3 * (NOTICE_MS + 1_000) {
            quiet_ms = if self.answer() { 0 } else { quiet_ms + 500 };
            self.world.wait(500);
            // Filters of the others are of no interest, and neither is who comes back to an offer after 5 s.
        }
    }

    fn living(&self) -> impl Iterator<Item = &TaskRecord> {
        self.world.tasks.values().filter(|task| !task.status.state.is_terminal())
    }

    /// CPU that a role holds: tasks, and reservations that no task uses.
    fn consumed(&self, name: &str, without: &[&TaskRecord]) -> u64 {
        let stays = |task: &&TaskRecord| !without.iter().any(|gone| gone.key == task.key);
        let held = self.living().filter(stays).filter(|task| is_in(&task.role, name)).map(|task| task.resources.cpus.0);
        let pools = self.agents().flat_map(|agent| &agent.pools).filter(|pool| is_in(&pool.role, name));
        let reserved: u64 = pools.map(|pool| pool.resources.cpus.0).sum();
        let used = self.living().filter(stays).map(|task| self.of_pools(task, |of| is_in(of, name))).sum::<u64>();
        held.sum::<u64>() + reserved - used
    }

    /// CPU of a task that is of reservations of such roles.
    fn of_pools(&self, task: &TaskRecord, is_meant: impl Fn(&Role) -> bool) -> u64 {
        let agent = self.agents().find(|agent| agent.id == task.agent).unwrap();
        let role_of = |id: &PoolId| &agent.pools.iter().find(|pool| pool.id == *id).unwrap().role;
        task.reserved.iter().filter(|(id, _)| is_meant(role_of(id))).map(|(_, part)| part.cpus.0).sum()
    }

    fn agents(&self) -> impl Iterator<Item = &AgentRecord> {
        self.world.registry.agents.iter()
    }

    /// CPU of an agent that `prod` may have once these have gone.
    fn room(&self, agent: &AgentRecord, gone: &[&TaskRecord]) -> u64 {
        let reserved: u64 = agent.pools.iter().filter(|pool| pool.role != role(PROD)).map(|p| p.resources.cpus.0).sum();
        let here = self.living().filter(|task| task.agent == agent.id);
        let stays = here.filter(|task| !gone.iter().any(|gone| gone.key == task.key));
        let used = stays.map(|task| task.resources.cpus.0 - self.of_pools(task, |of| *of != role(PROD)));
        agent.info.resources.cpus.0 - reserved - used.sum::<u64>()
    }

    /// A shape that is wanted and owed, and a set of tasks that could go for it.
    fn missed(&self) -> Option<String> {
        let owed = (self.promised.0 * 1_000).saturating_sub(self.consumed(PROD, &[]));
        for (cpus, _, priority) in self.wanted.iter().filter(|item| item.1 > 0) {
            for agent in self.agents() {
                let tasks: Vec<&TaskRecord> = self
                    .living()
                    .filter(|task| task.agent == agent.id && task.role != role(PROD))
                    .filter(|task| task.spec.is_revocable || task.spec.priority < *priority)
                    .collect();
                let own = agent.pools.iter().filter(|pool| pool.role == role(PROD)).map(|pool| pool.resources.cpus.0);
                let held = self.living().filter(|task| task.agent == agent.id);
                let kept = own.sum::<u64>() - held.map(|task| self.of_pools(task, |of| *of == role(PROD))).sum::<u64>();
                for bits in 0u32..1 << tasks.len() {
                    let gone = tasks.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
                    let gone: Vec<&TaskRecord> = gone.map(|(_, task)| *task).collect();
                    let is_kept = gone.iter().all(|task| !is_in(&task.role, "other"))
                        || self.consumed("other", &gone) >= self.promised.1 * 1_000;
                    let is_enough = self.room(agent, &gone) >= cpus * 1_000;
                    if owed + kept >= cpus * 1_000 && is_enough && is_kept {
                        let names: Vec<_> = gone.iter().map(|task| task.key.task.as_str()).collect();
                        return Some(format!("{cpus} CPUs are owed, and {names:?} of {} could go", agent.id));
                    }
                }
            }
        }
        None
    }
}

fn is_in(role: &Role, name: &str) -> bool {
    Role::new(name).unwrap().holds(role)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn a_promise_is_met_when_somebody_may_go_and_nobody_goes_who_may_not(case in cases()) {
        let mut run = Run::start(&case);
        let other = run.consumed("other", &[]);
        let dearest = case.wanted.iter().map(|item| item.2).max().unwrap();
        run.settle();
        for gone in run.world.tasks.values().filter(|task| task.status.state.is_terminal()) {
            prop_assert!(gone.is_preempted && gone.role != role(PROD), "{gone:?}");
            let use_to_others = run.of_pools(gone, |of| *of != role(PROD));
            prop_assert!(use_to_others < gone.resources.cpus.0, "only a reservation of others gets it: {gone:?}");
            prop_assert!(gone.spec.is_revocable || gone.spec.priority < dearest, "{gone:?}");
        }
        let least = other.min(case.promised.1 * 1_000);
        prop_assert!(run.consumed("other", &[]) >= least, "other is left with less than {least}");
        prop_assert!(run.needless.is_none(), "{:?}", run.needless);
        if let Some(missed) = run.missed() {
            return Err(TestCaseError::fail(missed));
        }
    }
}
