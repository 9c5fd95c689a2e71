//! Whole lives, each line of input with everything stored and said for it.

use crate::common::*;
use proffer_master_engine::*;
use proffer_proto_model::*;

#[test]
fn a_task_is_offered_for_launched_and_ends() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 1));
    world.launch(10, vec![task("a", 1_000)]);
    world.call(10, "no demand", FrameworkCall::Demand(Demand::default()));
    world.update(1, "F1-1", "a", 1, TaskState::Starting);
    world.update(1, "F1-1", "a", 2, TaskState::Running);
    world.acknowledge(10, "a", 1);
    world.acknowledge(10, "a", 2);
    world.update(1, "F1-1", "a", 3, TaskState::Finished);
    world.acknowledge(10, "a", 3);
    insta::assert_snapshot!(world.trace);
    assert!(world.registry.tasks.is_empty());
}

#[test]
fn an_agent_away_too_long_is_unreachable_and_comes_back() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 2));
    world.launch(10, vec![task("a", 1_000), task("b", 1_000)]);
    world.update(1, "F1-1", "a", 1, TaskState::Running);
    world.handle("agent stream ends", Input::AgentDisconnected { session: SessionId(1) });
    world.wait(30_000);
    world.attach(2, Some("A1-1"), 4_000, vec![attached("F1-1", task("a", 1_000), 1, TaskState::Running)]);
    world.update(2, "F1-1", "b", 1, TaskState::Dropped);
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_new_master_knows_every_task() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 2));
    world.launch(10, vec![task("a", 1_000), task("b", 1_000)]);
    world.update(1, "F1-1", "a", 1, TaskState::Running);
    world.fail_over(2);
    world.subscribe(20, "web", want(1_000, 1));
    world.call(20, "reconcile", FrameworkCall::Reconcile(vec![]));
    world.attach(2, Some("A1-1"), 4_000, vec![attached("F1-1", task("a", 1_000), 2, TaskState::Failed)]);
    world.update(2, "F1-1", "a", 1, TaskState::Running);
    world.update(2, "F1-1", "a", 2, TaskState::Failed);
    world.acknowledge(20, "a", 2);
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_framework_that_never_returns_is_removed_once() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 1));
    world.launch(10, vec![task("a", 1_000)]);
    world.update(1, "F1-1", "a", 1, TaskState::Running);
    world.handle("framework stream ends", Input::FrameworkDisconnected { session: SessionId(10) });
    for _ in 0..13 {
        world.wait(5_000);
        world.handle("pong", Input::AgentPong { session: SessionId(1) });
    }
    world.subscribe(11, "web", anything());
    world.update(1, "F1-1", "a", 2, TaskState::Killed);
    assert!(world.registry.tasks.is_empty() && world.registry.frameworks.is_empty());
    world.subscribe(12, "web", anything());
    insta::assert_snapshot!(world.trace);
}

#[test]
fn void_accepts_bad_tasks_and_groups_are_told_what_is_wrong() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", anything());
    let gone = OfferId::new("O1-77").unwrap();
    let launch = |id: &str, cpus| TaskLaunch { agent: None, task: task(id, cpus), reserved_use: Default::default() };
    let one = vec![Operation::Launch { tasks: vec![launch("a", 1_000)] }];
    world.call(10, "accept twice", accept(vec![world.offers[0].1.id.clone(), gone], one));
    let mut port = launch("port", 100);
    port.task.container.ports.push(task::PortMapping {
        name: "http".into(),
        container_port: 80,
        host_port: 31_001,
        protocol: task::Protocol::Tcp,
    });
    world.launch(10, vec![task("a", 1_000), task("a", 1_000), task("big", 9_000), port.task]);
    world.wait(5_000);
    let group =
        Operation::LaunchGroup { operation_id: "g".into(), tasks: vec![launch("x", 1_000), launch("y", 9_000)] };
    let offer = world.offers.last().unwrap().1.id.clone();
    world.call(10, "accept group", accept(vec![offer], vec![group]));
    insta::assert_snapshot!(world.trace);
}

#[test]
fn one_name_is_one_framework_and_the_newest_stream_wins() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", anything());
    world.subscribe(11, "web", anything());
    let mut other = framework_info("web");
    other.principal = "other".into();
    let input = Input::Subscribe { session: SessionId(12), framework: other, demand: anything() };
    world.handle("other principal", input);
    let mut unknown = framework_info("lost");
    unknown.id = Some(FrameworkId::new("F9-9").unwrap());
    let input = Input::Subscribe { session: SessionId(13), framework: unknown, demand: anything() };
    world.handle("unknown id", input);
    world.call(10, "stale stream", FrameworkCall::Teardown);
    world.call(11, "teardown", FrameworkCall::Teardown);
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_hung_framework_loses_its_offer_to_others() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "hung", anything());
    world.subscribe(11, "quick", want(1_000, 1));
    for _ in 0..6 {
        world.wait(5_000);
        world.handle("pong", Input::AgentPong { session: SessionId(1) });
    }
    assert_eq!(world.offers.last().unwrap().0, SessionId(11));
}

#[test]
fn agents_of_other_clusters_and_newer_epochs_are_refused() {
    let mut world = World::new();
    let mut attach = |seen: u64, cluster: Option<&str>| {
        let input = Input::AgentAttach {
            session: SessionId(seen + 1),
            agent: agent_info(Some("A0-1"), 1_000),
            incarnation: 1,
            tasks: vec![],
            seen_epoch: Epoch(seen),
            cluster: cluster.map(|id| ClusterId::new(id).unwrap()),
            volumes: vec![],
        };
        world.handle("attach", input);
    };
    attach(0, Some("other"));
    attach(5, Some("test"));
    attach(1, Some("test"));
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_kill_is_stored_and_repeated_until_the_task_has_ended() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 1));
    world.launch(10, vec![task("a", 1_000)]);
    world.handle("agent stream ends", Input::AgentDisconnected { session: SessionId(1) });
    let kill = |id: &str| FrameworkCall::Kill { task: TaskId::new(id).unwrap(), agent: None, policy: None };
    world.call(10, "kill a", kill("a"));
    world.call(10, "kill nothing", kill("nothing"));
    world.attach(2, Some("A1-1"), 4_000, vec![attached("F1-1", task("a", 1_000), 1, TaskState::Running)]);
    world.update(2, "F1-1", "a", 2, TaskState::Killed);
    world.acknowledge(10, "a", 2);
    insta::assert_snapshot!(world.trace);
}

#[test]
fn an_agent_that_lost_its_work_directory_replaces_what_it_was() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 2));
    world.launch(10, vec![task("a", 1_000), task("b", 1_000)]);
    world.update(1, "F1-1", "a", 1, TaskState::Running);
    world.update(1, "F1-1", "b", 1, TaskState::Finished);
    // Its old stream is not known to be dead yet: it has to come again.
    world.attach(2, None, 4_000, vec![]);
    world.handle("agent stream ends", Input::AgentDisconnected { session: SessionId(1) });
    world.attach(3, None, 4_000, vec![]);
    insta::assert_snapshot!(world.trace);
    assert!(world.registry.tasks.is_empty());
    assert_eq!(world.registry.agents.len(), 1);
}
