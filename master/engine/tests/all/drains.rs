//! Operators drain, deactivate and remove agents: what is stored, who is told what, and what lasts.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::registry::AgentMode;
use proffer_master_engine::*;
use proffer_proto_model::*;

const DRAIN: AgentCommand = AgentCommand::Drain { max_grace_ms: Some(3_000), mark_gone: false };
const REMOVE: AgentCommand = AgentCommand::Drain { max_grace_ms: None, mark_gone: true };

/// One agent, A1-1, with the tasks a and b of framework F1-1.
fn two_tasks() -> World {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", anything());
    world.launch(10, vec![task("a", 1_000), task("b", 1_000)]);
    world.update(1, &framework(&world), "a", 1, TaskState::Running);
    world.update(1, &framework(&world), "b", 1, TaskState::Running);
    world
}

fn framework(world: &World) -> String {
    world.registry.frameworks[0].id.to_string()
}

fn mode(world: &World) -> AgentMode {
    world.registry.agents[0].mode
}

fn kills(effects: &[Effect]) -> Vec<(String, u64)> {
    let of = |effect: &Effect| match effect {
        Effect::ToAgent { message: ToAgent::Kill { task, policy, reason: TaskReason::AgentDraining, .. }, .. } => {
            Some((task.to_string(), policy.unwrap().grace_ms))
        }
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

fn refused_for_ever(effects: &[Effect]) -> bool {
    let is_refusal = |e: &Effect| matches!(e, Effect::ToAgent { message: ToAgent::Refused { is_final: true, .. }, .. });
    effects.iter().any(is_refusal)
}

#[test]
fn a_drain_withdraws_offers_ends_tasks_in_bounded_time_and_is_done_with_the_last() {
    let mut world = two_tasks();
    let web = framework(&world);
    world.wait(6_000);
    assert!(!world.offers.is_empty(), "the rest is on offer");
    world.operator("A1-1", DRAIN).unwrap();
    world.offers.clear();
    world.operator("A1-1", DRAIN).unwrap();
    world.update(1, &web, "a", 2, TaskState::Killed);
    assert!(matches!(mode(&world), AgentMode::Draining(_)));
    world.update(1, &web, "b", 2, TaskState::Killed);
    assert_eq!(mode(&world), AgentMode::Drained);
    world.call(10, "wants more", FrameworkCall::Demand(want(500, 3)));
    assert!(world.offers.is_empty(), "a drained agent is not offered");
    world.operator("A1-1", AgentCommand::Reactivate).unwrap();
    assert_eq!(world.offers.len(), 1);
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_drain_outlives_the_master_and_the_absence_of_the_agent() {
    let mut world = two_tasks();
    let web = framework(&world);
    world.handle("the agent is away", Input::AgentDisconnected { session: SessionId(1) });
    world.operator("A1-1", DRAIN).unwrap();
    world.fail_over(2);
    assert!(matches!(mode(&world), AgentMode::Draining(_)));
    world.wait(50_000);
    assert!(matches!(mode(&world), AgentMode::Draining(_)), "an unreachable task may still run");
    let running = |id: &str| attached(&web, task(id, 1_000), 1, TaskState::Running);
    let effects = world.attach(2, Some("A1-1"), 4_000, vec![running("a"), running("b"), running("c")]);
    let each = |id: &str| (id.to_owned(), 3_000);
    assert_eq!(kills(&effects), [each("a"), each("b"), each("c")], "also one this master never heard of");
    world.subscribe(11, "batch", anything());
    assert!(world.offers.is_empty());
    for id in ["a", "b", "c"] {
        world.update(2, &web, id, 2, TaskState::Killed);
    }
    assert_eq!(mode(&world), AgentMode::Drained);
    world.fail_over(3);
    let effects = world.attach(3, Some("A1-1"), 4_000, vec![]);
    assert_eq!((mode(&world), refused_for_ever(&effects)), (AgentMode::Drained, false));
}

#[test]
fn an_agent_drained_to_be_gone_is_gone_once_every_end_is_confirmed() {
    let mut world = two_tasks();
    let web = framework(&world);
    world.operator("A1-1", REMOVE).unwrap();
    world.update(1, &web, "a", 2, TaskState::Killed);
    world.update(1, &web, "b", 2, TaskState::Finished);
    world.acknowledge(10, "a", 2);
    assert!(matches!(mode(&world), AgentMode::Draining(_)), "one end is not confirmed");
    let effects = world.acknowledge(10, "b", 2);
    assert!(refused_for_ever(&effects), "{effects:?}");
    assert_eq!(mode(&world), AgentMode::Gone);
    world.fail_over(2);
    assert!(refused_for_ever(&world.attach(2, Some("A1-1"), 4_000, vec![])));
    world.attach(3, None, 4_000, vec![]);
    assert_eq!(world.registry.agents.len(), 2, "the machine joins as a new agent, the old one stays remembered");
    world.operator("A1-1", REMOVE).unwrap();
    let told = world.operator("A1-1", AgentCommand::Reactivate).unwrap_err().message;
    assert!(told.contains("empty its work directory"), "{told}");
}

#[test]
fn tasks_of_an_agent_marked_gone_have_ended_unreachable_ones_too() {
    for is_reachable in [true, false] {
        let mut world = two_tasks();
        if !is_reachable {
            world.wait(120_000);
            world.fail_over(2);
            world.subscribe(11, "web", anything());
        }
        let effects = world.operator_effects("A1-1", AgentCommand::MarkGone);
        let ended = effects.iter().filter_map(|effect| match effect {
            Effect::ToFramework { message: ToFramework::Status(statuses), .. } => Some(statuses),
            _ => None,
        });
        let states: Vec<_> = ended.flatten().map(|status| status.state).collect();
        assert_eq!(states, [TaskState::GoneByOperator; 2]);
        assert!(world.registry.tasks.is_empty() && mode(&world) == AgentMode::Gone);
        assert_eq!(refused_for_ever(&effects), is_reachable);
    }
}

#[test]
fn a_cancelled_drain_offers_the_agent_again_and_deactivation_leaves_tasks_alone() {
    let mut world = two_tasks();
    world.operator("A1-1", DRAIN).unwrap();
    let told = world.operator("A1-1", AgentCommand::Reactivate).unwrap_err().message;
    assert!(told.contains("`proffer drain cancel A1-1`"), "{told}");
    world.operator("A1-1", AgentCommand::CancelDrain).unwrap();
    world.update(1, "A", "a", 2, TaskState::Killed);
    assert_eq!(mode(&world), AgentMode::Active);
    let told = world.operator("A1-1", AgentCommand::CancelDrain).unwrap_err().message;
    assert!(told.contains("no drain is under way"), "{told}");
    let effects = world.operator_effects("A1-1", AgentCommand::Deactivate);
    assert_eq!((mode(&world), kills(&effects)), (AgentMode::Deactivated, vec![]));
    assert!(world.operator_effects("A1-1", AgentCommand::Deactivate).len() == 1, "again is the answer only");
    let effects = world.attach(2, Some("A1-1"), 4_000, vec![]);
    assert_eq!((mode(&world), kills(&effects)), (AgentMode::Deactivated, vec![]));
    let mut empty = World::new();
    empty.attach(1, None, 4_000, vec![]);
    empty.operator("A1-1", AgentCommand::Deactivate).unwrap();
    empty.operator("A1-1", DRAIN).unwrap();
    let told = empty.operator("A1-1", AgentCommand::CancelDrain).unwrap_err().message;
    assert!(told.contains("`proffer agents reactivate A1-1`"), "an empty one is drained at once: {told}");
    let told = world.operator("A1-9", DRAIN).unwrap_err();
    assert!(told.is_not_found && told.message.contains("see `proffer agents`"), "{told}");
}
