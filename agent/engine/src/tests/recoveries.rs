//! The agent's process dies at each step, and comes back.

use proffer_proto_model::TaskState::*;
use proffer_proto_model::*;

use super::world::*;
use crate::*;

/// A world whose task has got through so many steps of its launch.
fn after(steps: usize) -> World {
    let mut world = World::attached();
    world.launch(bridged("a", 31000));
    for _ in 0..steps {
        world.perform(0, None, false);
    }
    world
}

#[test]
fn a_death_at_any_step_of_the_launch_ends_in_one_running_container() {
    for steps in 0..=4 {
        for loses_result in [false, true] {
            let mut world = after(steps);
            if loses_result && steps < 4 {
                world.perform(0, None, true);
            }
            world.crash();
            world.connect();
            world.run();
            world.ack_all("a");
            assert_eq!(world.states("a"), [Starting, Running], "after {steps} steps");
            assert_eq!(world.starts.values().collect::<Vec<_>>(), [&1]);
            assert_eq!(world.last("a").container.as_ref().unwrap().address, "10.0.0.2");
            assert_eq!(world.networks.len(), 1);
        }
    }
}

#[test]
fn a_running_task_is_adopted_without_a_word() {
    let mut world = after(4);
    world.ack_all("a");
    world.sent.clear();
    world.crash();
    world.connect();
    world.run();
    assert_eq!(world.sent.len(), 1, "only the attach");
    let ToMaster::Attach { incarnation, tasks, agent, .. } = &world.sent[0] else { panic!("an attach") };
    assert_eq!((*incarnation, tasks.len()), (2, 1));
    assert_eq!(agent.id, Some(AgentId::numbered(1, 1)));
    world.exit("a", ExitCause::Code(0));
    world.run();
    assert_eq!(world.states("a"), [Starting, Running, Finished]);
}

#[test]
fn an_end_that_nobody_watched_is_reported_once() {
    let mut world = after(4);
    world.ack_all("a");
    world.exit("a", ExitCause::Code(5));
    world.crash();
    world.run();
    world.crash();
    world.connect();
    world.run();
    world.ack_all("a");
    assert_eq!(world.states("a"), [Starting, Running, Failed]);
    assert_eq!(world.last("a").exit_code, Some(5));
    assert!(world.boxes.is_empty() && world.networks.is_empty());
}

#[test]
fn a_container_that_vanished_has_ended_with_an_unknown_code() {
    let mut world = after(4);
    world.ack_all("a");
    world.boxes.clear();
    world.crash();
    world.crash();
    world.connect();
    world.run();
    world.ack_all("a");
    assert_eq!(world.states("a"), [Starting, Running, Failed]);
    assert_eq!(world.last("a").reason, TaskReason::ExitUnknown);
}

#[test]
fn a_process_that_may_have_run_is_not_run_again() {
    let mut world = after(3);
    world.perform(0, None, true);
    world.exit("a", ExitCause::Code(0));
    world.crash();
    world.connect();
    world.run();
    world.ack_all("a");
    assert_eq!(world.states("a"), [Starting, Finished]);
    assert_eq!(world.starts.values().collect::<Vec<_>>(), [&1]);
}

#[test]
fn a_kill_survives_the_death() {
    let mut world = after(4);
    world.ack_all("a");
    world.kill("a", 1_000);
    world.crash();
    world.connect();
    world.run();
    world.pass(1_000);
    world.run();
    world.ack_all("a");
    assert_eq!(world.states("a"), [Starting, Running, Killing, Killed]);
}

#[test]
fn a_container_of_ours_that_no_task_owns_is_removed() {
    let mut world = World::attached();
    world.boxes.insert("pf-F1-1-old".to_owned(), Container::Running);
    world.crash();
    assert!(world.boxes.is_empty());
}

#[test]
fn a_launch_that_was_not_stored_was_never_there() {
    let mut world = World::attached();
    world.dies = Some(Death::BeforeCommit);
    world.launch(spec("a"));
    world.connect();
    world.master(MasterMessage::Expect(vec![key("a")]));
    assert_eq!(world.states("a"), [Dropped]);
}
