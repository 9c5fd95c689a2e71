//! Preemption: who makes room for a role that is short of what it was promised, after which notice, and who never does.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::*;
use proffer_proto_model::*;

const NOTICE_MS: u64 = 10_000;

fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

/// One agent of 4 CPUs; `adhoc` (no promise) runs what `tasks` says; `prod` is promised 2 CPUs and 2,000 MiB.
fn busy(notice: Option<u64>, tasks: Vec<TaskSpec>) -> World {
    let mut world = World::with(Config {
        preemption_notice_ms: notice,
        agent_timeout_ms: 100_000_000,
        heartbeat_interval_ms: 10_000_000,
        ..Config::default()
    });
    world.attach_from("one", 1, None, 4_000, vec![]);
    join(&mut world, 10, "adhoc");
    world.call(10, "wants", FrameworkCall::Demand(Demand::anything(role("adhoc"))));
    let names: Vec<String> = tasks.iter().map(|task| task.id.to_string()).collect();
    world.launch(10, tasks);
    let framework = world.streams[&SessionId(10)].to_string();
    for name in names {
        world.update(1, &framework, &name, 1, TaskState::Running);
    }
    world.call(10, "wants nothing", FrameworkCall::Demand(Demand::default()));
    let offers: Vec<OfferId> = world.offers.drain(..).map(|(_, offer)| offer.id).collect();
    let reason = DeclineReason::new(DeclineKind::NoDemand);
    world.call(10, "declines", FrameworkCall::Decline { offers, reason, filter: Filter::NONE });
    let guarantee = Resources::new(MilliCpus(2_000), Bytes::mib(2_000));
    let quota = Box::new(Quota { guarantee, limit: Limit::default() });
    let call = RolesCall::SetQuota { role: role("prod"), quota, force: true };
    world.handle("quota", Input::Operator(OperatorCall::Roles { request: 1, call, is_dry_run: false }));
    join(&mut world, 20, "prod");
    world
}

fn join(world: &mut World, session: u64, name: &str) {
    let framework = FrameworkInfo { roles: vec![role(name)], ..framework_info(name) };
    let input = Input::Subscribe { session: SessionId(session), framework, demand: Demand::default() };
    world.handle(&format!("subscribe {name}"), input);
}

fn demand(world: &mut World, cpus: u64, priority: i32) -> Vec<Effect> {
    let mut demand = want(cpus, 1);
    (demand.items[0].role, demand.items[0].priority) = (role("prod"), priority);
    world.call(20, "wants", FrameworkCall::Demand(demand))
}

fn ranked(name: &str, cpus: u64, priority: i32) -> TaskSpec {
    TaskSpec { priority, ..task(name, cpus) }
}

fn told<'a>(world: &'a World, what: &str) -> Vec<&'a str> {
    world.trace.lines().map(str::trim).filter(|line| line.contains(what)).collect()
}

#[test]
fn a_jump_of_the_wall_clock_kills_nobody_before_its_notice_has_passed() {
    let mut world = busy(Some(NOTICE_MS), vec![ranked("low", 4_000, 1)]);
    demand(&mut world, 2_000, 3);
    world.wait(6_000);
    assert_eq!(told(&world, "(Preemption)").len(), 1);
    let due = world.engine.next_deadline().unwrap();
    world.now = Now { mono: due, unix: UnixMillis(due.0 + 86_400_000) };
    world.handle("a day later by the wall clock", Input::Tick);
    assert_eq!(told(&world, "kill"), Vec::<&str>::new());
    world.wait(NOTICE_MS);
    assert!(!told(&world, "kill").is_empty());
}

#[test]
fn lower_work_is_asked_to_leave_and_killed_after_the_notice_and_the_room_goes_to_the_promise() {
    let mut world =
        busy(Some(NOTICE_MS), vec![ranked("high", 1_000, 5), ranked("low", 2_000, 1), ranked("also", 1_000, 2)]);
    demand(&mut world, 2_000, 3);
    world.wait(6_000);
    let asked = told(&world, "(Preemption)");
    assert!(asked.len() == 1 && asked[0].contains("[low]"), "the lowest, and no more than does: {asked:?}");
    let why = OperatorCall::Why { request: 2, framework: world.streams[&SessionId(20)].clone(), role: None };
    let effects = world.handle("why", Input::Operator(why));
    let notes = effects.iter().find_map(|effect| match effect {
        Effect::WhyReply { answer, .. } => answer.as_ref().as_ref().ok().map(|why| why.notes.clone()),
        _ => None,
    });
    let notes = notes.unwrap();
    assert!(notes.len() == 1 && notes[0].contains("room for role prod") && notes[0].contains("1 tasks"), "{notes:?}");
    world.wait(NOTICE_MS - 2_000);
    assert!(!world.trace.contains("kill F1-1/low"), "not before the notice has passed");
    world.wait(3_000);
    assert!(world.trace.contains("kill F1-1/low"), "{}", world.trace);
    let record = world.registry.tasks.iter().find(|record| record.key.task.as_str() == "low").unwrap();
    assert!(record.is_preempted && record.is_kill_requested);
    let adhoc = world.streams[&SessionId(10)].to_string();
    let low = attached(&adhoc, ranked("low", 2_000, 1), 1, TaskState::Running);
    let effects = world.attach_from("one", 1, Some("A1-1"), 4_000, vec![low]);
    let is_kill = |effect: &Effect| {
        matches!(effect, Effect::ToAgent { message: ToAgent::Kill { reason: TaskReason::Preempted, .. }, .. })
    };
    assert!(effects.iter().any(is_kill), "repeated to an agent that comes back: {effects:?}");
    world.update(1, &adhoc, "low", 2, TaskState::Killed);
    assert_eq!(told(&world, "rescind inverse").len(), 1);
    let (to, offer) = world.offers.last().unwrap();
    assert_eq!((to.0, offer.resources.cpus), (20, MilliCpus(2_000)), "at once, to whom it was promised");
    world.wait(30_000);
    assert_eq!(told(&world, "(Preemption)").len(), 1, "nobody else has to go");
}

#[test]
fn it_is_off_by_default_and_what_matters_as_much_stays() {
    let mut world = busy(None, vec![ranked("low", 4_000, -5)]);
    demand(&mut world, 2_000, 0);
    world.wait(60_000);
    assert!(told(&world, "(Preemption)").is_empty());
    let mut world = busy(Some(NOTICE_MS), vec![ranked("same", 4_000, 0)]);
    demand(&mut world, 2_000, 0);
    world.wait(60_000);
    assert!(told(&world, "(Preemption)").is_empty());
    let revocable = TaskSpec { is_revocable: true, ..task("spot", 4_000) };
    let mut world = busy(Some(NOTICE_MS), vec![revocable]);
    demand(&mut world, 2_000, 0);
    world.wait(6_000);
    assert_eq!(told(&world, "(Preemption)").len(), 1, "but for what is revocable");
}

#[test]
fn what_would_not_help_is_left_alone_and_so_is_what_is_promised_to_others() {
    let mut world = busy(Some(NOTICE_MS), vec![ranked("low", 4_000, -1)]);
    demand(&mut world, 3_000, 0);
    world.wait(60_000);
    assert!(told(&world, "(Preemption)").is_empty(), "more than is promised");
    let mut world = busy(Some(NOTICE_MS), vec![ranked("low", 4_000, -1)]);
    let guarantee = Resources::new(MilliCpus(4_000), Bytes(0));
    let quota = Box::new(Quota { guarantee, limit: Limit::default() });
    let call = RolesCall::SetQuota { role: role("adhoc"), quota, force: true };
    world.handle("quota", Input::Operator(OperatorCall::Roles { request: 1, call, is_dry_run: false }));
    demand(&mut world, 2_000, 0);
    world.wait(60_000);
    assert!(told(&world, "(Preemption)").is_empty(), "adhoc is promised all it holds");
    let mut world = busy(Some(NOTICE_MS), vec![ranked("low", 2_000, -1)]);
    demand(&mut world, 2_000, 0);
    world.wait(60_000);
    assert!(told(&world, "(Preemption)").is_empty(), "it fits beside it");
}

#[test]
fn nobody_has_to_go_any_more_when_the_demand_is_gone() {
    let mut world = busy(Some(NOTICE_MS), vec![ranked("low", 4_000, -1)]);
    demand(&mut world, 2_000, 0);
    world.wait(6_000);
    assert_eq!(told(&world, "(Preemption)").len(), 1);
    world.call(20, "wants nothing", FrameworkCall::Demand(Demand::default()));
    world.wait(NOTICE_MS + 2_000);
    assert_eq!(told(&world, "rescind inverse"), ["framework 10: rescind inverse [V1-1] Cancelled"]);
    assert!(!world.trace.contains("kill F1-1/low"));
}

#[test]
fn two_that_are_short_do_not_take_from_one_more_than_it_may_lose() {
    let mut world = World::with(Config {
        preemption_notice_ms: Some(NOTICE_MS),
        agent_timeout_ms: 100_000_000,
        heartbeat_interval_ms: 10_000_000,
        ..Config::default()
    });
    for agent in 1..4 {
        world.attach_from(&format!("host-{agent}"), agent, None, 1_000, vec![]);
    }
    join(&mut world, 10, "adhoc");
    world.call(10, "wants", FrameworkCall::Demand(Demand::anything(role("adhoc"))));
    for name in ["one", "two", "three"] {
        world.launch(10, vec![ranked(name, 1_000, 0)]);
    }
    world.call(10, "wants nothing", FrameworkCall::Demand(Demand::default()));
    for (name, cpus, stream) in [("adhoc", 2_000, 0), ("gold", 1_000, 20), ("silver", 1_000, 21)] {
        let guarantee = Resources::new(MilliCpus(cpus), Bytes::mib(cpus));
        let quota = Box::new(Quota { guarantee, limit: Limit::default() });
        let call = RolesCall::SetQuota { role: role(name), quota, force: true };
        world.handle("quota", Input::Operator(OperatorCall::Roles { request: 1, call, is_dry_run: false }));
        if stream > 0 {
            join(&mut world, stream, name);
            let mut demand = want(1_000, 1);
            (demand.items[0].role, demand.items[0].priority) = (role(name), 1);
            world.call(stream, "wants", FrameworkCall::Demand(demand));
        }
    }
    world.wait(5_000);
    assert_eq!(told(&world, "(Preemption)").len(), 1, "{}", world.trace);
    world.wait(2 * NOTICE_MS);
    let killed = world.tasks.values().filter(|task| task.is_kill_requested).count();
    assert_eq!(killed, 1, "adhoc is promised the other two");
}

#[test]
fn nobody_is_killed_any_more_who_was_promised_what_it_holds_during_the_notice() {
    let mut world = busy(Some(NOTICE_MS), vec![ranked("low", 4_000, -1)]);
    demand(&mut world, 2_000, 0);
    world.wait(6_000);
    assert_eq!(told(&world, "(Preemption)").len(), 1);
    let guarantee = Resources::new(MilliCpus(4_000), Bytes(0));
    let quota = Box::new(Quota { guarantee, limit: Limit::default() });
    let call = RolesCall::SetQuota { role: role("adhoc"), quota, force: true };
    world.handle("quota", Input::Operator(OperatorCall::Roles { request: 1, call, is_dry_run: false }));
    world.wait(2 * NOTICE_MS);
    assert!(!world.trace.contains("kill F1-1/low"), "{}", world.trace);
}

#[test]
fn who_is_not_needed_any_more_since_another_leaves_by_itself_stays() {
    let tasks = ["a", "b", "c", "d"].map(|name| ranked(name, 1_000, -1)).to_vec();
    let mut world = busy(Some(NOTICE_MS), tasks);
    demand(&mut world, 2_000, 0);
    world.wait(6_000);
    let asked = told(&world, "(Preemption)");
    assert!(asked.len() == 1 && asked[0].contains("[a, b]"), "{asked:?}");
    let adhoc = world.streams[&SessionId(10)].to_string();
    world.update(1, &adhoc, "c", 2, TaskState::Finished);
    world.wait(2 * NOTICE_MS);
    let killed: Vec<_> =
        world.tasks.values().filter(|task| task.is_kill_requested).map(|t| t.key.task.clone()).collect();
    assert_eq!(killed.len(), 1, "one CPU was free by then: {killed:?}");
}

#[test]
fn nobody_is_killed_any_more_for_what_a_limit_does_not_allow_by_then() {
    for most in [1_999, 2_000] {
        let mut world = busy(Some(NOTICE_MS), vec![ranked("low", 4_000, -1)]);
        join(&mut world, 30, "prod/web");
        let mut wanted = want(2_000, 1);
        wanted.items[0].role = role("prod/web");
        world.call(30, "wants", FrameworkCall::Demand(wanted));
        world.wait(6_000);
        assert_eq!(told(&world, "(Preemption)").len(), 1, "{}", world.trace);
        let limit = Limit { cpus: Some(MilliCpus(most)), ..Limit::default() };
        let quota = Box::new(Quota { guarantee: Resources::default(), limit });
        let call = RolesCall::SetQuota { role: role("prod/web"), quota, force: true };
        world.handle("quota", Input::Operator(OperatorCall::Roles { request: 1, call, is_dry_run: false }));
        world.wait(2 * NOTICE_MS);
        assert_eq!(world.trace.contains("kill F1-1/low"), most == 2_000, "limit {most}\n{}", world.trace);
    }
}
