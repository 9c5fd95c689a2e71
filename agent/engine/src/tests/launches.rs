//! From a launch to a running container.

use proffer_proto_model::TaskState::*;
use proffer_proto_model::*;

use super::world::*;
use crate::*;

#[test]
fn a_task_starts_runs_ends_and_leaves_nothing() {
    let mut world = World::attached();
    world.launch(spec("a"));
    assert!(world.store.launches.contains_key(&key("a")), "stored before anything is done");
    world.run();
    world.ack("a");
    assert_eq!(world.states("a"), [Starting, Running]);
    let container = world.last("a").container.clone().unwrap();
    assert_eq!((container.pid, container.host_address.as_str()), (7, "127.0.0.1"));
    world.exit("a", ExitCause::Code(0));
    world.run();
    world.ack_all("a");
    assert_eq!(world.states("a"), [Starting, Running, Finished]);
    assert_eq!(world.last("a").exit_code, Some(0));
    assert!(world.boxes.is_empty() && world.store.progress.is_empty() && world.store.launches.is_empty());
    assert_eq!(world.store.ended.len(), 1);
    assert_eq!(world.engine.next_deadline(), Some(world.now.mono + 3 * PING_MS), "only the master is waited for");
}

#[test]
fn a_bridged_task_gets_a_network_before_its_container_and_loses_it_after() {
    let mut world = World::attached();
    world.launch(bridged("a", 31000));
    world.run();
    world.ack("a");
    assert_eq!(world.last("a").container.as_ref().unwrap().address, "10.0.0.2");
    assert_eq!(world.networks.len(), 1);
    world.exit("a", ExitCause::Code(0));
    world.run();
    assert!(world.networks.is_empty());
}

#[test]
fn a_host_port_is_wired_to_one_container_at_a_time() {
    let mut world = World::attached();
    world.launch(bridged("a", 31000));
    world.run();
    world.exit("a", ExitCause::Code(1));
    world.perform(0, None, false);
    // The first has ended but is not cleaned up: its replacement waits for the port.
    world.launch(bridged("b", 31000));
    let image = world.pending.iter().position(|e| matches!(e, Effect::PrepareImage { .. })).unwrap();
    world.perform(image, None, false);
    assert!(!world.pending.iter().any(|e| matches!(e, Effect::AttachNetwork { .. })));
    world.run();
    assert_eq!(world.boxes.get(&container_id(&key("b"))), Some(&Container::Running));
}

#[test]
fn the_same_launch_twice_starts_once_also_after_the_end() {
    let mut world = World::attached();
    world.launch(spec("a"));
    world.launch(spec("a"));
    world.run();
    world.launch(spec("a"));
    world.exit("a", ExitCause::Code(0));
    world.run();
    world.ack_all("a");
    world.launch(spec("a"));
    world.run();
    assert_eq!(world.starts.get(&container_id(&key("a"))), Some(&1));
    assert!(world.store.progress.is_empty());
}

#[test]
fn an_image_that_cannot_be_had_fails_the_task_with_the_cause() {
    let mut world = World::attached();
    world.launch(spec("a"));
    world.fail_next(FailureKind::Permanent);
    world.run();
    world.ack("a");
    assert_eq!(world.states("a"), [Starting, Failed]);
    assert_eq!(world.last("a").reason, TaskReason::ImageUnavailable);
    assert_eq!(world.last("a").message, "made to fail");
}

#[test]
fn a_runtime_that_is_away_is_tried_again_but_not_for_ever() {
    let mut world = World::attached();
    world.launch(spec("a"));
    world.perform(0, None, false);
    world.fail_next(FailureKind::Temporary);
    assert!(world.pending.is_empty(), "it waits before it tries again");
    world.pass(500);
    assert_eq!(world.pending.len(), 1);
    for _ in 0..60 {
        if world.states("a") == [Starting] && !world.pending.is_empty() {
            world.fail_next(FailureKind::Temporary);
        }
        world.master(MasterMessage::Ping { nonce: 1 });
        world.pass(5_000);
        world.ack("a");
    }
    assert_eq!(world.last("a").reason, TaskReason::ContainerLaunchFailed);
}

#[test]
fn a_container_left_by_an_earlier_try_is_removed_and_made_again() {
    let mut world = World::attached();
    world.launch(spec("a"));
    world.perform(0, None, false);
    world.boxes.insert(container_id(&key("a")), Container::Ended(ExitCause::Unknown));
    world.run();
    world.pass(500);
    world.run();
    world.ack("a");
    assert_eq!(world.states("a"), [Starting, Running]);
}

#[test]
fn a_failed_creation_is_cleaned_up() {
    let mut world = World::attached();
    world.launch(spec("a"));
    world.perform(0, None, false);
    world.fail_next(FailureKind::Permanent);
    world.run();
    world.ack_all("a");
    assert_eq!(world.last("a").reason, TaskReason::ContainerLaunchFailed);
    assert!(world.boxes.is_empty());
}

#[test]
fn a_launch_beyond_what_the_agent_has_is_dropped_with_what_is_missing() {
    let mut world = World::attached();
    let mut big = spec("a");
    big.resources = Resources::new(MilliCpus(5_000), Bytes::mib(64));
    world.launch(big);
    assert_eq!(world.states("a"), [Dropped]);
    assert_eq!(world.last("a").message, "the agent has 4 cpus, 4GiB memory left and lacks 1 cpus");
    world.ack("a");
    assert!(world.store.progress.is_empty());
}

#[test]
fn what_a_runtime_says_is_bounded_and_can_be_shown() {
    let mut world = World::attached();
    world.launch(spec("a"));
    let message = format!("bad\u{0}\u{1b}[31m{}", "x".repeat(100_000));
    let result = StepResult::ImageFailed(Failure { kind: FailureKind::Permanent, message });
    world.input(Input::Step { key: key("a"), result });
    world.ack("a");
    let told = &world.last("a").message;
    assert!(told.starts_with("bad[31mxxx") && told.ends_with("x…"), "{told}");
    assert_eq!(told.chars().count(), 2_001);
}
