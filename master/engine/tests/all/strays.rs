//! What an agent reports and the master does not know, agents that are silent, and ids that are used twice.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::*;
use proffer_proto_model::*;

fn key(task: &str) -> TaskKey {
    TaskKey { framework: FrameworkId::new("F1-1").unwrap(), task: TaskId::new(task).unwrap() }
}

/// For example after the registry was restored from an older backup.
#[test]
fn a_task_only_its_agent_knows_is_adopted_charged_and_lives_on() {
    let mut world = World::new();
    world.subscribe(10, "web", Demand::default());
    let listed = vec![
        attached("F1-1", task("known-to-agent", 3_000), 2, TaskState::Running),
        attached("F1-1", task("over", 3_000), 3, TaskState::Finished),
        attached("F9-9", task("of-nobody", 1_000), 1, TaskState::Running),
    ];
    world.attach(1, Some("A0-7"), 4_000, listed);
    assert_eq!(world.registry.tasks.len(), 1);
    world.call(10, "demand", FrameworkCall::Demand(want(2_000, 1)));
    assert_eq!(world.offers, [], "what it holds is not offered");
    world.update(1, "F1-1", "over", 3, TaskState::Finished);
    world.acknowledge(10, "over", 3);
    world.call(10, "reconcile", FrameworkCall::Reconcile(vec![]));
    world.update(1, "F1-1", "known-to-agent", 3, TaskState::Finished);
    world.acknowledge(10, "known-to-agent", 3);
    assert!(world.registry.tasks.is_empty());
    insta::assert_snapshot!(world.trace);
}

#[test]
fn an_attached_but_silent_agent_is_unreachable_after_its_time() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 1));
    world.launch(10, vec![task("a", 1_000)]);
    world.wait(20_000);
    world.handle("pong", Input::AgentPong { session: SessionId(1) });
    world.wait(29_999);
    assert_eq!(world.tasks[&key("a")].status.state, TaskState::Staging, "each word counts from when it was heard");
    world.offers.clear();
    world.wait(1);
    assert_eq!(world.tasks[&key("a")].status.state, TaskState::Unreachable);
    world.call(10, "more", FrameworkCall::Demand(want(1_000, 5)));
    assert_eq!(world.offers, []);
    world.update(1, "F1-1", "a", 1, TaskState::Running);
    assert_eq!(world.tasks[&key("a")].status.state, TaskState::Unreachable, "its stream was closed: a late word");
    world.attach(2, Some("A1-1"), 4_000, vec![attached("F1-1", task("a", 1_000), 1, TaskState::Running)]);
    assert_eq!(world.tasks[&key("a")].status.state, TaskState::Running);
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_stream_that_attaches_as_another_agent_leaves_the_first() {
    let mut world = World::new();
    world.attach_from("one", 1, Some("A0-1"), 1_000, vec![]);
    world.attach_from("two", 1, Some("A0-2"), 1_000, vec![]);
    world.subscribe(10, "web", want(1_000, 2));
    let agents: Vec<&str> = world.offers.iter().map(|(_, offer)| offer.agent.as_str()).collect();
    assert_eq!(agents, ["A0-2"]);
}

#[test]
fn a_reused_id_is_refused_and_its_living_task_goes_on_as_if_nothing_was() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 2));
    world.launch(10, vec![task("a", 1_000)]);
    world.update(1, "F1-1", "a", 1, TaskState::Running);
    world.acknowledge(10, "a", 1);
    world.wait(5_000);
    let void = accept(vec![OfferId::new("O1-77").unwrap()], vec![launches(&["a"])]);
    world.call(10, "the same launch again, its offer gone", void);
    let offer = world.offers.pop().unwrap().1.id;
    world.call(10, "the same id again", accept(vec![offer], vec![launches(&["a", "b"])]));
    world.wait(5_000);
    let offer = world.offers.pop().unwrap().1.id;
    let tasks =
        ["c", "a"].map(|id| TaskLaunch { agent: None, task: task(id, 500), reserved_use: Default::default() }).to_vec();
    let group = Operation::LaunchGroup { operation_id: "g".into(), tasks };
    world.call(10, "and in a group", accept(vec![offer], vec![group]));
    for effect in world.update(1, "F1-1", "a", 2, TaskState::Failed) {
        if let Effect::ToFramework { message: ToFramework::Status(statuses), .. } = effect {
            assert_eq!((statuses[0].seq, statuses[0].state), (2, TaskState::Failed));
        }
    }
    world.call(10, "while its end is not confirmed", accept(vec![], vec![launches(&["a"])]));
    world.acknowledge(10, "a", 2);
    assert_eq!(world.registry.tasks.iter().map(|t| t.key.task.as_str()).collect::<Vec<_>>(), ["b"]);
    insta::assert_snapshot!(world.trace);
}

/// Refused first and launched after, it would begin after its end.
#[test]
fn an_id_refused_in_an_accept_is_not_launched_by_the_rest_of_it() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 2));
    world.launch(10, vec![task("a", 9_000), task("a", 1_000), task("b", 1_000), task("b", 9_000)]);
    assert_eq!(world.registry.tasks.iter().map(|t| t.key.task.as_str()).collect::<Vec<_>>(), ["b"]);
}

fn launches(ids: &[&str]) -> Operation {
    Operation::Launch {
        tasks: ids
            .iter()
            .map(|id| TaskLaunch { agent: None, task: task(id, 500), reserved_use: Default::default() })
            .collect(),
    }
}
