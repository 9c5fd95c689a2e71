//! Preemption on several agents at once: as many as are owed and wanted, and none beside what comes anyway.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::*;
use proffer_proto_model::*;

const NOTICE_MS: u64 = 10_000;
const ADHOC: u64 = 20;
const PROD: u64 = 30;

fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

fn join(world: &mut World, session: u64, name: &str) {
    let framework = FrameworkInfo { roles: vec![role(name)], ..framework_info(name) };
    world.handle("subscribe", Input::Subscribe { session: SessionId(session), framework, demand: Demand::default() });
}

/// An agent of 4 CPUs for each list: revocable tasks of so many CPUs. `prod` is promised so many.
fn world(agents: &[&[u64]], promised: u64) -> World {
    let mut world = World::with(Config {
        preemption_notice_ms: Some(NOTICE_MS),
        agent_timeout_ms: 100_000_000,
        heartbeat_interval_ms: 10_000_000,
        ..Config::default()
    });
    for at in 1..=agents.len() as u64 {
        world.attach_from(&format!("host-{at}"), at, None, 4_000, vec![]);
    }
    join(&mut world, ADHOC, "adhoc");
    world.call(ADHOC, "wants", FrameworkCall::Demand(Demand::anything(role("adhoc"))));
    for (_, offer) in std::mem::take(&mut world.offers) {
        let number: usize = offer.agent.as_str().rsplit('-').next().unwrap().parse().unwrap();
        let specs = agents[number - 1].iter().enumerate();
        let specs = specs.map(|(at, cpus)| task(&format!("t{number}-{at}"), cpus * 1_000));
        let tasks: Vec<TaskSpec> = specs.map(|spec| TaskSpec { is_revocable: true, ..spec }).collect();
        let names: Vec<String> = tasks.iter().map(|task| task.id.to_string()).collect();
        let launch = |task| TaskLaunch { agent: None, task, reserved_use: Default::default() };
        let launches = Operation::Launch { tasks: tasks.into_iter().map(launch).collect() };
        world.call(ADHOC, "accepts", accept(vec![offer.id], vec![launches]));
        let framework = world.streams[&SessionId(ADHOC)].to_string();
        for name in names {
            world.update(number as u64, &framework, &name, 1, TaskState::Running);
        }
    }
    world.call(ADHOC, "wants nothing", FrameworkCall::Demand(Demand::default()));
    let guarantee = Resources::new(MilliCpus(promised * 1_000), Bytes::mib(promised * 1_000));
    let quota = Box::new(Quota { guarantee, limit: Limit::default() });
    let call = RolesCall::SetQuota { role: role("prod"), quota, force: true };
    world.handle("quota", Input::Operator(OperatorCall::Roles { request: 1, call, is_dry_run: false }));
    join(&mut world, PROD, "prod");
    world
}

/// `prod` wants so many of so many CPUs.
fn demand(world: &mut World, wanted: &[(u64, u32)]) {
    let items = wanted.iter().map(|(cpus, count)| DemandItem {
        role: role("prod"),
        shape: Some(Resources::new(MilliCpus(cpus * 1_000), Bytes::mib(cpus * 1_000))),
        count: Some(*count),
        constraints: vec![],
        priority: 0,
        ports: 0,
    });
    let items = items.collect();
    world.call(PROD, "wants", FrameworkCall::Demand(Demand { items }));
}

/// Who was asked to leave, by agent.
fn asked(world: &World) -> usize {
    world.trace.matches("(Preemption)").count()
}

fn kills(world: &World) -> usize {
    world.trace.lines().filter(|line| line.contains("kill F1-1/t")).count()
}

#[test]
fn what_is_owed_is_taken_back_on_several_agents_within_one_notice() {
    let mut world = world(&[&[4], &[4], &[4], &[4]], 12);
    demand(&mut world, &[(4, 9)]);
    world.wait(6_000);
    assert_eq!(asked(&world), 3, "three of four are owed: {}", world.trace);
    world.wait(NOTICE_MS);
    assert_eq!(kills(&world), 3);
    world.wait(60_000);
    assert_eq!((asked(&world), kills(&world)), (3, 3));
}

#[test]
fn no_more_than_are_wanted_and_none_for_whom_there_is_room() {
    let mut some = world(&[&[4], &[4], &[4], &[4]], 16);
    demand(&mut some, &[(4, 2)]);
    some.wait(60_000);
    assert_eq!((asked(&some), kills(&some)), (2, 2), "two are wanted");
    let mut free = world(&[&[4], &[4], &[], &[4]], 16);
    demand(&mut free, &[(4, 2)]);
    free.wait(60_000);
    assert_eq!(kills(&free), 1, "one finds room as it is");
}

#[test]
fn all_that_a_victim_brings_counts() {
    let mut same = world(&[&[4], &[4], &[4]], 12);
    demand(&mut same, &[(1, 4)]);
    same.wait(60_000);
    assert_eq!(kills(&same), 1, "there is room for all four where it was");
    let mut other = world(&[&[4], &[4], &[4]], 12);
    demand(&mut other, &[(3, 1), (1, 1)]);
    other.wait(60_000);
    assert_eq!(kills(&other), 1, "the small one fits beside the large one");
    let mut both = world(&[&[4], &[4], &[4]], 12);
    demand(&mut both, &[(3, 1), (2, 1)]);
    both.wait(60_000);
    assert_eq!(kills(&both), 2, "each has an agent");
}

#[test]
fn who_is_not_needed_any_more_stays_and_the_others_go() {
    let mut world = world(&[&[4], &[4], &[4]], 12);
    demand(&mut world, &[(4, 3)]);
    world.wait(6_000);
    assert_eq!(asked(&world), 3);
    let framework = world.streams[&SessionId(ADHOC)].to_string();
    world.update(2, &framework, "t2-0", 2, TaskState::Finished);
    demand(&mut world, &[(4, 2)]);
    world.wait(60_000);
    assert_eq!(kills(&world), 1, "one left by itself, one is not wanted any more: {}", world.trace);
}

#[test]
fn at_most_eight_agents_at_a_time() {
    let full: Vec<&[u64]> = vec![&[4]; 12];
    let mut world = world(&full, 48);
    demand(&mut world, &[(4, 12)]);
    world.wait(6_000);
    assert_eq!(asked(&world), 8);
}
