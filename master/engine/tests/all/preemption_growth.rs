//! What it costs to look for room for roles that are short: bounded for one look, and nothing while nothing changes.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::*;
use proffer_proto_model::*;

/// What a fit may lie above the bound.
const SLACK: f64 = 0.15;
const NOTICE_MS: u64 = 10_000;

fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

/// So many agents of 4 CPUs, full of tasks of priority 5. `prod` is promised all of them, and wants so many different
/// shapes of a priority.
fn full(agents: u64, shapes: u64, priority: i32) -> World {
    full_for(agents, false, (0..shapes).map(|n| item(1_000 + n, priority)).collect())
}

fn item(cpus: u64, priority: i32) -> DemandItem {
    let shape = Some(Resources::new(MilliCpus(cpus), Bytes::mib(1_000)));
    DemandItem { role: role("prod"), shape, count: Some(1), constraints: vec![], priority, ports: 0 }
}

/// The same; one of two tasks of each agent may be revocable.
fn full_for(agents: u64, has_revocable: bool, items: Vec<DemandItem>) -> World {
    let mut world = World::with(Config {
        preemption_notice_ms: Some(NOTICE_MS),
        agent_timeout_ms: 100_000_000,
        heartbeat_interval_ms: 100_000_000,
        ..Config::default()
    });
    world.is_traced = false;
    for at in 1..=agents {
        world.attach_from(&format!("host-{at}"), at, None, 4_000, vec![]);
    }
    let adhoc = FrameworkInfo { roles: vec![role("adhoc")], ..framework_info("adhoc") };
    let demand = Demand::anything(role("adhoc"));
    world.handle("subscribe", Input::Subscribe { session: SessionId(5_001), framework: adhoc, demand });
    for (at, (_, offer)) in std::mem::take(&mut world.offers).into_iter().enumerate() {
        let launch = |part: u64| TaskLaunch {
            agent: None,
            task: TaskSpec {
                priority: 5,
                is_revocable: has_revocable && part == 0,
                ..task(&format!("t{at}-{part}"), 2_000)
            },
            reserved_use: Default::default(),
        };
        let launches = Operation::Launch { tasks: vec![launch(0), launch(1)] };
        world.call(5_001, "accepts", accept(vec![offer.id], vec![launches]));
    }
    world.call(5_001, "wants nothing", FrameworkCall::Demand(Demand::default()));
    let guarantee = Resources::new(MilliCpus(4_000 * agents), Bytes::mib(4_000 * agents));
    let quota = Box::new(Quota { guarantee, limit: Limit::default() });
    let call = RolesCall::SetQuota { role: role("prod"), quota, force: true };
    world.handle("quota", Input::Operator(OperatorCall::Roles { request: 1, call, is_dry_run: false }));
    let prod = FrameworkInfo { roles: vec![role("prod")], ..framework_info("prod") };
    let demand = Demand { items };
    world.handle("subscribe", Input::Subscribe { session: SessionId(5_002), framework: prod, demand });
    world
}

/// The steps of the looks in so many milliseconds.
fn steps(world: &mut World, ms: u64) -> u64 {
    let before = world.engine.preemption_steps();
    let end = world.now.mono + ms;
    while let Some(due) = world.engine.next_deadline().filter(|due| *due <= end) {
        world.now = Now { mono: due, unix: UnixMillis(due.0) };
        drop(world.engine.handle(world.now, Input::Tick));
    }
    world.now = Now { mono: end, unix: UnixMillis(end.0) };
    world.engine.preemption_steps() - before
}

/// The slope of log(steps) over log(n) at n, 2n and 4n, by least squares.
fn exponent(costs: [u64; 3], n: u64) -> f64 {
    let at = |times: u64, cost: u64| (((n * times) as f64).ln(), (cost.max(1) as f64).ln());
    let points = [at(1, costs[0]), at(2, costs[1]), at(4, costs[2])];
    let (x, y) = (points.map(|p| p.0).iter().sum::<f64>() / 3.0, points.map(|p| p.1).iter().sum::<f64>() / 3.0);
    let over: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    over / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>()
}

#[test]
fn a_look_grows_no_faster_than_the_agents_and_not_with_the_wants() {
    let n = 50;
    let agents = [n, 2 * n, 4 * n].map(|agents| steps(&mut full(agents, 10, 5), 5_999));
    let fitted = exponent(agents, n);
    assert!(agents[0] > 0 && fitted <= 1.0 + SLACK, "agents: grows with {fitted:.2}: {agents:?} steps");
    let wants = [100, 200, 400].map(|shapes| steps(&mut full(n, shapes, 5), 5_999));
    let fitted = exponent(wants, 100);
    assert!(fitted <= SLACK, "wants beyond those of one look: grows with {fitted:.2}: {wants:?} steps");
}

#[test]
fn no_task_is_looked_at_that_cannot_go() {
    let (may_not, may) = (steps(&mut full(50, 1, 5), 5_999), steps(&mut full(50, 1, 6), 5_999));
    assert!(may > may_not, "two tasks of each agent: {may} and {may_not}");
}

#[test]
fn nothing_is_looked_at_again_until_something_changes_or_much_time_has_passed() {
    let mut world = full(20, 3, 5);
    assert!(steps(&mut world, 7_000) > 0);
    assert_eq!(steps(&mut world, 5_000), 0, "nothing was found, and nothing is new");
    let demand = Demand { items: vec![item(1_000, 5)] };
    let call = FrameworkCall::Demand(demand);
    drop(world.engine.handle(world.now, Input::Framework { session: SessionId(5_002), call }));
    assert!(steps(&mut world, 1_000) > 0);
}

#[test]
fn wants_beyond_those_of_one_look_have_their_turn_in_the_next() {
    // Larger ones come first, and no task but the revocable one may go: that is enough for the smallest only.
    let large = (0..200).map(|n| item(3_000 + n, 5));
    let mut world = full_for(1, true, large.chain([item(1_500, 5)]).collect());
    world.is_traced = true;
    world.wait(5_500);
    assert!(!world.trace.contains("Preemption"), "not in the first look");
    world.wait(4_000);
    assert!(world.trace.contains("Preemption"), "in the fourth: {}", world.trace);
}
