//! What a role holds on an agent that cannot be reached counts for its limit until the agent is back or gone, also over
//! a new master; and for no guarantee.
#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers

use crate::common::*;
use proffer_master_engine::explain::Why;
use proffer_master_engine::*;
use proffer_proto_model::*;

fn eng() -> Role {
    Role::new("eng").unwrap()
}

fn set_quota(world: &mut World, guarantee: u64, limit: Option<u64>, force: bool) -> Result<(), String> {
    let guarantee = Resources { cpus: MilliCpus(guarantee), ..Resources::default() };
    let quota = Quota { guarantee, limit: Limit { cpus: limit.map(MilliCpus), ..Limit::default() } };
    let call = RolesCall::SetQuota { role: eng(), quota: Box::new(quota), force };
    let asked = Input::Operator(OperatorCall::Roles { request: 1, call, is_dry_run: false });
    let replied = world.handle("quota", asked).into_iter().find_map(|effect| match effect {
        Effect::OperatorReply { result, .. } => Some(result.map(drop).map_err(|error| error.message)),
        _ => None,
    });
    replied.unwrap()
}

fn subscribe(world: &mut World, session: u64, of: &str) {
    let id = world.registry.frameworks.first().map(|known| known.id.clone());
    let role = Role::new(of).unwrap();
    let framework = FrameworkInfo { id, roles: vec![role.clone()], ..framework_info("web") };
    let mut demand = want(1_000, 16);
    demand.items[0].role = role;
    world.handle("subscribe", Input::Subscribe { session: SessionId(session), framework, demand });
}

/// Everything of the role that may run: alive as far as anybody knows, in thousandths of a CPU.
fn may_run(world: &World) -> u64 {
    let alive = world.registry.tasks.iter().filter(|task| !task.status.state.is_terminal());
    alive.filter(|task| eng().holds(&task.role)).map(|task| task.resources.cpus.0).sum()
}

/// Tries to start more in every way there is: with what is offered, and with more than that.
fn start_more(world: &mut World, session: u64, tag: &str) {
    world.wait(6_000);
    let offers: Vec<Offer> = world.offers.drain(..).map(|(_, offer)| offer).collect();
    for (n, offer) in offers.into_iter().enumerate() {
        let task = task(&format!("{tag}-{n}"), offer.resources.cpus.0.clamp(100, 4_000));
        let launch = TaskLaunch { agent: None, task, reserved_use: Default::default() };
        let accept = accept(vec![offer.id], vec![Operation::Launch { tasks: vec![launch] }]);
        world.call(session, "more", accept);
    }
}

fn why(world: &mut World) -> Why {
    let framework = FrameworkId::new("F1-1").unwrap();
    let call = OperatorCall::Why { request: 7, framework, role: None };
    let effects = world.handle("why?", Input::Operator(call));
    let answer = effects.into_iter().find_map(|effect| match effect {
        Effect::WhyReply { answer, .. } => Some(*answer),
        _ => None,
    });
    answer.unwrap().unwrap()
}

fn running(of: &str, id: &str, cpus: u64) -> AttachedTask {
    AttachedTask { role: Role::new(of).unwrap(), ..attached("F1-1", task(id, cpus), 1, TaskState::Running) }
}

/// A limit of 4 CPUs, all of it held by a task on agent `A1-1`, which cannot be reached; `A1-2` is empty.
fn lost_at_the_limit(of: &str) -> World {
    let mut world = World::new();
    world.attach_from("one", 1, None, 4_000, vec![]);
    subscribe(&mut world, 10, of);
    set_quota(&mut world, 0, Some(4_000), false).unwrap();
    world.wait(1);
    world.launch(10, vec![task("a", 4_000)]);
    world.update(1, "F1-1", "a", 1, TaskState::Running);
    world.attach_from("two", 2, None, 8_000, vec![]);
    lose(&mut world, 1);
    world
}

/// The agent of a stream is declared unreachable; the other one stays.
fn lose(world: &mut World, session: u64) {
    world.handle("the stream ends", Input::AgentDisconnected { session: SessionId(session) });
    for _ in 0..8 {
        world.wait(5_000);
        world.handle("pong", Input::AgentPong { session: SessionId(2) });
    }
    assert!(world.registry.agents[0].is_unreachable && !world.registry.agents[1].is_unreachable);
}

#[test]
fn what_cannot_be_reached_counts_for_the_limit_until_it_is_back() {
    for of in ["eng", "eng/web"] {
        let mut world = lost_at_the_limit(of);
        start_more(&mut world, 10, "more");
        assert_eq!(may_run(&world), 4_000, "in {of}: nothing more than the limit can be running");
        world.attach_from("one", 3, Some("A1-1"), 4_000, vec![running(of, "a", 4_000)]);
        start_more(&mut world, 10, "again");
        assert_eq!(may_run(&world), 4_000, "in {of}: it is back and counts once");
        world.update(3, "F1-1", "a", 2, TaskState::Finished);
        start_more(&mut world, 10, "then");
        assert_eq!(may_run(&world), 4_000, "in {of}: there is room again");
    }
}

#[test]
fn a_new_master_counts_it_too() {
    let mut world = lost_at_the_limit("eng");
    world.fail_over(2);
    world.attach_from("two", 22, Some("A1-2"), 8_000, vec![]);
    subscribe(&mut world, 20, "eng");
    start_more(&mut world, 20, "more");
    assert_eq!(may_run(&world), 4_000);
    world.attach_from("one", 21, Some("A1-1"), 4_000, vec![running("eng", "a", 4_000)]);
    start_more(&mut world, 20, "again");
    assert_eq!(may_run(&world), 4_000);
}

#[test]
fn an_agent_that_is_back_without_the_task_frees_it_once_it_says_so() {
    let mut world = lost_at_the_limit("eng");
    world.attach_from("one", 3, Some("A1-1"), 4_000, vec![]);
    start_more(&mut world, 10, "more");
    assert_eq!(may_run(&world), 4_000, "asked after, and not known to have ended");
    world.update(3, "F1-1", "a", 0, TaskState::Gone);
    start_more(&mut world, 10, "then");
    let ended = world.registry.tasks.iter().find(|task| task.key.task.as_str() == "a");
    assert!(ended.is_none_or(|task| task.status.state.is_terminal()));
    assert_eq!(may_run(&world), 4_000, "its replacements\n{}", world.trace);
}

#[test]
fn an_agent_that_is_marked_gone_frees_it_and_the_question_why_says_so() {
    let mut world = lost_at_the_limit("eng");
    let told = why(&mut world).notes;
    assert_eq!(
        told,
        ["limit of role eng: 4 cpus, 3.9GiB memory of it is held by tasks and reservations on unreachable agents, \
          4 cpus, 3.9GiB memory on A1-1 (one); it counts until they are back or gone: mark an agent that never comes \
          back gone to free it (`proffer agents gone A1-1`)"]
    );
    world.operator("A1-1", AgentCommand::MarkGone).unwrap();
    assert_eq!(why(&mut world).notes, Vec::<String>::new());
    start_more(&mut world, 10, "more");
    assert_eq!(may_run(&world), 4_000);
}

#[test]
fn a_lower_limit_has_to_be_forced_and_the_refusal_says_what_is_out_of_reach() {
    let mut world = lost_at_the_limit("eng");
    let refused = set_quota(&mut world, 0, Some(3_000), false).unwrap_err();
    assert!(refused.contains("hold 4 cpus now") && refused.contains("on unreachable agents"), "{refused}");
    set_quota(&mut world, 0, Some(3_000), true).unwrap();
}

#[test]
fn a_reservation_that_cannot_be_reached_counts_for_the_limit_once_and_for_no_guarantee() {
    let mut world = World::new();
    let agent = AgentInfo {
        reservations: vec![StaticReservation {
            role: eng(),
            resources: Resources { cpus: MilliCpus(3_000), ..Resources::default() },
            labels: Default::default(),
        }],
        hostname: "one".into(),
        ..agent_info(None, 4_000)
    };
    let (session, seen_epoch, tasks, volumes) = (SessionId(1), Epoch(0), Vec::new(), Vec::new());
    let attach = Input::AgentAttach { session, agent, incarnation: 1, tasks, seen_epoch, cluster: None, volumes };
    world.handle("attach", attach);
    subscribe(&mut world, 10, "eng");
    world.wait(1);
    world.launch(10, vec![task("a", 2_000)]);
    world.attach_from("two", 2, None, 8_000, vec![]);
    set_quota(&mut world, 2_000, Some(4_000), false).unwrap();
    lose(&mut world, 1);
    let seen = &world.roles[&eng()];
    assert_eq!(seen.unreachable.cpus.0, 3_000, "2 of the 3 that are reserved are the task's");
    assert_eq!((seen.reserved.cpus.0, seen.allocated.cpus.0), (0, 0), "nothing of it serves the guarantee");
    start_more(&mut world, 10, "more");
    assert_eq!(may_run(&world), 3_000, "one more beside the 3 that are held there");
    world.fail_over(2);
    world.attach_from("two", 22, Some("A1-2"), 8_000, vec![]);
    subscribe(&mut world, 20, "eng");
    start_more(&mut world, 20, "again");
    assert_eq!(may_run(&world), 3_000);
}

#[test]
fn what_the_limit_does_not_let_a_role_replace_is_kept_from_nobody_else() {
    let mut world = lost_at_the_limit("eng");
    set_quota(&mut world, 4_000, Some(4_000), true).unwrap();
    let ops = Role::new("ops").unwrap();
    let framework = FrameworkInfo { roles: vec![ops.clone()], ..framework_info("ops") };
    let mut demand = want(1_000, 8);
    demand.items[0].role = ops.clone();
    world.handle("subscribe ops", Input::Subscribe { session: SessionId(11), framework, demand });
    world.wait(6_000);
    let offered = world.offers.iter().filter(|(_, offer)| offer.role == ops);
    let offered: u64 = offered.map(|(_, offer)| offer.resources.cpus.0).sum();
    assert_eq!(offered, 8_000, "all of the agent that is there\n{}", world.trace);
}
