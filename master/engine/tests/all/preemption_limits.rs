//! Preemption within limits: who shares the limit of a promised role makes room there, whatever is free elsewhere.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::*;
use proffer_proto_model::*;

const NOTICE_MS: u64 = 10_000;

fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

fn join(world: &mut World, session: u64, name: &str) {
    let framework = FrameworkInfo { roles: vec![role(name)], ..framework_info(name) };
    let input = Input::Subscribe { session: SessionId(session), framework, demand: Demand::default() };
    world.handle(&format!("subscribe {name}"), input);
}

fn set_quota(world: &mut World, name: &str, guarantee: u64, limit: Option<u64>) {
    let limit = Limit { cpus: limit.map(MilliCpus), ..Limit::default() };
    let quota = Box::new(Quota { guarantee: Resources::new(MilliCpus(guarantee), Bytes(0)), limit });
    let call = RolesCall::SetQuota { role: role(name), quota, force: true };
    world.handle("quota", Input::Operator(OperatorCall::Roles { request: 1, call, is_dry_run: false }));
}

/// A framework in the role runs these and wants nothing more.
fn run(world: &mut World, session: u64, name: &str, tasks: Vec<TaskSpec>) {
    join(world, session, name);
    world.call(session, "wants", FrameworkCall::Demand(Demand::anything(role(name))));
    let names: Vec<String> = tasks.iter().map(|task| task.id.to_string()).collect();
    world.launch(session, tasks);
    let framework = world.streams[&SessionId(session)].to_string();
    for name in names {
        world.update(1, &framework, &name, 1, TaskState::Running);
    }
    world.call(session, "wants nothing", FrameworkCall::Demand(Demand::default()));
    let offers: Vec<OfferId> = world.offers.drain(..).map(|(_, offer)| offer.id).collect();
    let reason = DeclineReason::new(DeclineKind::NoDemand);
    world.call(session, "declines", FrameworkCall::Decline { offers, reason, filter: Filter::NONE });
}

fn ranked(name: &str, cpus: u64, priority: i32) -> TaskSpec {
    TaskSpec { priority, ..task(name, cpus) }
}

fn told<'a>(world: &'a World, what: &str) -> Vec<&'a str> {
    world.trace.lines().map(str::trim).filter(|line| line.contains(what)).collect()
}

/// An agent of 20 CPUs; `eng` may have 10, of which 4 are promised to `eng/web`; `ops` runs one task, `eng/db` these.
fn cluster(tasks: Vec<TaskSpec>) -> World {
    let mut world = World::with(Config {
        preemption_notice_ms: Some(NOTICE_MS),
        agent_timeout_ms: 100_000_000,
        heartbeat_interval_ms: 10_000_000,
        ..Config::default()
    });
    world.attach_from("one", 1, None, 20_000, vec![]);
    run(&mut world, 10, "ops", vec![ranked("ops", 2_000, -9)]);
    run(&mut world, 20, "eng/db", tasks);
    set_quota(&mut world, "eng", 4_000, Some(10_000));
    set_quota(&mut world, "eng/web", 4_000, None);
    join(&mut world, 30, "eng/web");
    world
}

fn demand(world: &mut World, cpus: u64, count: u32, priority: i32) {
    let mut demand = want(cpus, count);
    (demand.items[0].role, demand.items[0].priority) = (role("eng/web"), priority);
    world.call(30, "wants", FrameworkCall::Demand(demand));
}

#[test]
fn the_lowest_work_that_shares_the_limit_goes_and_the_room_is_offered_to_the_promise() {
    let mut world = cluster(vec![ranked("high", 6_000, 5), ranked("low", 2_000, 1), ranked("also", 2_000, 2)]);
    demand(&mut world, 2_000, 1, 3);
    world.wait(6_000);
    let asked = told(&world, "(Preemption)");
    assert!(asked.len() == 1 && asked[0].contains("[low]"), "not what is outside the limit: {asked:?}");
    assert!(world.offers.iter().all(|(to, _)| to.0 != 30), "nothing before");
    world.wait(NOTICE_MS);
    assert!(world.trace.contains("kill F1-2/low"), "{}", world.trace);
    let db = world.streams[&SessionId(20)].to_string();
    world.update(1, &db, "low", 2, TaskState::Killed);
    let (to, offer) = world.offers.last().unwrap();
    assert_eq!((to.0, offer.resources.cpus), (30, MilliCpus(2_000)), "of 10 free, what the limit leaves");
    world.wait(60_000);
    assert_eq!(told(&world, "(Preemption)").len(), 1, "nobody else has to go");
}

#[test]
fn what_matters_more_or_is_too_little_stays_and_so_does_all_when_the_limit_leaves_room_again() {
    let mut world = cluster(vec![ranked("high", 9_000, 5), ranked("low", 1_000, 1)]);
    demand(&mut world, 2_000, 1, 3);
    world.wait(60_000);
    assert_eq!(told(&world, "(Preemption)"), Vec::<&str>::new(), "one CPU of low would not do");
    let mut world = cluster(vec![ranked("low", 10_000, 1)]);
    demand(&mut world, 2_000, 1, 3);
    world.wait(6_000);
    assert_eq!(told(&world, "(Preemption)").len(), 1);
    set_quota(&mut world, "eng", 4_000, Some(12_000));
    world.wait(NOTICE_MS);
    assert!(!world.trace.contains("kill F1-2/low"), "{}", world.trace);
}

#[test]
fn as_much_goes_as_is_owed_and_wanted() {
    let small = |n: usize| ranked(&format!("t{n}"), 1_000, 0);
    let mut world = cluster((0..10).map(small).collect());
    demand(&mut world, 1_000, 9, 3);
    let mut launched = 0;
    for _ in 0..24 {
        world.wait(NOTICE_MS);
        let kills = told(&world, "kill F1-2/t");
        let names: Vec<String> = kills.iter().filter_map(|line| line.split("F1-2/").nth(1)).map(word).collect();
        let db = world.streams[&SessionId(20)].to_string();
        for name in names {
            world.update(1, &db, &name, 2, TaskState::Killed);
        }
        while world.offers.iter().any(|(to, _)| to.0 == 30) {
            world.launch(30, vec![ranked(&format!("w{launched}"), 1_000, 3)]);
            launched += 1;
            demand(&mut world, 1_000, 9 - launched, 3);
        }
    }
    let asked: std::collections::BTreeSet<String> =
        told(&world, "kill F1-2/t").iter().filter_map(|line| line.split("F1-2/").nth(1)).map(word).collect();
    assert_eq!(asked.len(), 4, "nine are wanted and four are promised: {asked:?}");
}

fn word(text: &str) -> String {
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
