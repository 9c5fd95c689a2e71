//! What one event costs in clusters of n, 2n and 4n: steps are counted, never time.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::*;
use proffer_proto_model::*;

/// What a fit may lie above the bound.
const SLACK: f64 = 0.15;
/// So few steps count as so many: their noise says nothing.
const FEW: u64 = 10;
const N: u64 = 50;

/// The slope of log(steps) over log(n) at n, 2n and 4n, by least squares.
fn exponent(costs: [(u64, u64); 3]) -> f64 {
    let points = costs.map(|(n, cost)| ((n as f64).ln(), (cost.max(FEW) as f64).ln()));
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / 3.0;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let over: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    over / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

fn assert_grows(what: &str, bound: f64, cost: impl Fn(u64) -> u64) {
    let costs = [N, 2 * N, 4 * N].map(|n| (n, cost(n)));
    let fitted = exponent(costs);
    assert!(costs[0].1 > 0 && fitted <= bound + SLACK, "{what}: grows with {fitted:.2}, not {bound}: {costs:?} steps");
}

/// So many agents, each with so many tasks of framework F1-1 on stream 10,001 that run.
fn busy(agents: u64, tasks: u64) -> World {
    let mut world =
        World::with(Config { agent_timeout_ms: 100_000, heartbeat_interval_ms: 90_000, ..Config::default() });
    world.is_traced = false;
    for at in 1..=agents {
        world.attach_from(&format!("host-{at}"), at, None, 4_000, vec![]);
    }
    world.subscribe(10_001, "busy", anything());
    let offers = std::mem::take(&mut world.offers);
    assert_eq!(offers.len() as u64, agents);
    for (_, offer) in offers {
        let agent = offer.agent.clone();
        let launch = |n| TaskLaunch {
            agent: None,
            task: TaskSpec {
                resources: Resources::new(MilliCpus(1), Bytes::mib(1)),
                ..task(&format!("{agent}-{n}"), 1)
            },
            reserved_use: Default::default(),
        };
        let launches = Operation::Launch { tasks: (0..tasks).map(launch).collect() };
        world.call(10_001, "accepts", accept(vec![offer.id], vec![launches]));
    }
    world.call(10_001, "wants nothing", FrameworkCall::Demand(Demand::default()));
    for at in 1..=agents {
        for n in 0..tasks {
            world.update(at, "F1-1", &format!("A1-{at}-{n}"), 1, TaskState::Running);
        }
    }
    world
}

/// The steps of something.
fn steps(world: &mut World, action: impl FnOnce(&mut World)) -> u64 {
    let before = world.engine.steps();
    action(world);
    world.engine.steps() - before
}

fn updates(world: &mut World, session: u64, task: &str) {
    world.update(session, "F1-1", task, 2, TaskState::Finished);
    world.acknowledge(10_001, task, 2);
}

#[test]
fn a_status_update_costs_the_same_however_much_there_is_beside_it() {
    let one = |world: &mut World| steps(world, |world| updates(world, 2, "A1-2-0"));
    assert_grows("agents", 0.0, |agents| one(&mut busy(agents, 2)));
    assert_grows("tasks of its agent", 0.0, |tasks| one(&mut busy(3, tasks)));
    // Drains and windows of others do not make it dearer.
    let beside = |agents: u64| {
        let mut world = busy(agents, 4);
        for at in 3..=agents {
            world
                .operator(&format!("A1-{at}"), AgentCommand::Drain { max_grace_ms: None, mark_gone: at % 2 == 0 })
                .unwrap();
        }
        one(&mut world)
    };
    assert_grows("agents under drain", 0.0, beside);
}

#[test]
fn a_drain_costs_each_of_its_tasks_once() {
    let drain = |tasks: u64| {
        let mut world = busy(3, tasks);
        world.operator("A1-2", AgentCommand::Drain { max_grace_ms: None, mark_gone: false }).unwrap();
        let cost = steps(&mut world, |world| (0..tasks).for_each(|n| updates(world, 2, &format!("A1-2-{n}"))));
        let drained = world.registry.agents.iter().filter(|agent| agent.mode == registry::AgentMode::Drained).count();
        assert_eq!(drained, 1);
        cost
    };
    assert_grows("tasks", 1.0, drain);
}

#[test]
fn a_lost_agent_costs_its_own_tasks_and_one_word_to_each_framework() {
    let lost = |world: &mut World| {
        steps(world, |world| {
            world.handle("gone", Input::AgentDisconnected { session: SessionId(2) });
            world.wait(100_001);
        })
    };
    // Each of the others is heard of in time.
    let quiet = |world: &mut World| {
        let agents = world.registry.agents.len() as u64;
        for at in (1..=agents).filter(|at| *at != 2) {
            world.handle("disconnects later", Input::AgentPong { session: SessionId(at) });
        }
    };
    let among = |agents: u64, tasks: u64| {
        let mut world = busy(agents, tasks);
        world.handle("gone", Input::AgentDisconnected { session: SessionId(2) });
        world.now = Now { mono: world.now.mono + 99_000, unix: UnixMillis(world.now.unix.0 + 99_000) };
        quiet(&mut world);
        steps(&mut world, |world| world.wait(1_001))
    };
    assert_grows("agents", 0.0, |agents| among(agents, 3));
    assert_grows("its tasks", 1.0, |tasks| among(3, tasks));
    let frameworks = |frameworks: u64| {
        let mut world = busy(2, 3);
        (0..frameworks).for_each(|n| drop(world.subscribe(20_000 + n, &format!("f{n}"), Demand::default())));
        lost(&mut world)
    };
    assert_grows("frameworks", 1.0, frameworks);
}

#[test]
fn a_framework_that_comes_back_costs_its_own_tasks() {
    let back = |world: &mut World, name: &str| {
        world.handle("goes", Input::FrameworkDisconnected { session: SessionId(10_001) });
        steps(world, |world| drop(world.subscribe(30_000, name, Demand::default())))
    };
    assert_grows("its tasks", 1.0, |tasks| back(&mut busy(3, tasks), "busy"));
    let others = |tasks: u64| {
        let mut world = busy(3, tasks);
        world.subscribe(10_002, "small", anything());
        let (_, offer) = std::mem::take(&mut world.offers).into_iter().next().unwrap();
        let launch = Operation::Launch {
            tasks: vec![TaskLaunch { agent: None, task: task("own", 1), reserved_use: Default::default() }],
        };
        world.call(10_002, "accepts", accept(vec![offer.id], vec![launch]));
        // Everybody is asked to leave.
        for at in 1..=3 {
            world
                .operator(&format!("A1-{at}"), AgentCommand::Drain { max_grace_ms: Some(600_000), mark_gone: false })
                .unwrap();
        }
        world.handle("goes", Input::FrameworkDisconnected { session: SessionId(10_002) });
        steps(&mut world, |world| drop(world.subscribe(30_000, "small", Demand::default())))
    };
    assert_grows("tasks of others", 0.0, others);
}
