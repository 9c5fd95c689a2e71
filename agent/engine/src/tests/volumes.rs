//! Volumes: made and removed once whatever crashes, never under a task, and told to the master when it is so.

use proffer_proto_model::task::{Mount, MountSource};
use proffer_proto_model::*;

use super::world::*;
use crate::*;

fn volume(number: u64, id: &str) -> Volume {
    Volume { number, id: VolumeId::new(id).unwrap(), role: Role::default_role(), size: Bytes::mib(1) }
}

fn create(world: &mut World, number: u64, id: &str) {
    world.master(MasterMessage::CreateVolume(volume(number, id)));
}

fn destroy(world: &mut World, number: u64) {
    world.master(MasterMessage::DestroyVolume { number });
}

fn using(task: &str, id: &str) -> TaskSpec {
    let mut spec = spec(task);
    let source =
        MountSource::Volume { id: VolumeId::new(id).unwrap(), role: Some(Role::default_role()), read_only: false };
    spec.container.mounts = vec![Mount { target: "/data".to_owned(), source }];
    spec
}

/// What the master was told of volumes: number, and whether it is there.
fn told(world: &World) -> Vec<(u64, bool)> {
    let reports = world.sent.iter().filter_map(|message| match message {
        ToMaster::Volumes(reports) => Some(reports),
        _ => None,
    });
    reports.flatten().filter(|report| !report.is_tried_again).map(|report| (report.number, report.is_ready)).collect()
}

/// Of which volumes the master was told that the last try failed, and why.
fn troubles(world: &World) -> Vec<(u64, &str)> {
    let reports = world.sent.iter().filter_map(|message| match message {
        ToMaster::Volumes(reports) => Some(reports),
        _ => None,
    });
    let tried = reports.flatten().filter(|report| report.is_tried_again && !report.is_ready);
    tried.map(|report| (report.number, report.message.as_str())).collect()
}

fn states(world: &World) -> Vec<(u64, HeldState)> {
    world.store.volumes.iter().map(|(number, held)| (*number, held.state)).collect()
}

#[test]
fn an_order_is_stored_before_it_is_done_and_done_before_it_is_told() {
    let mut world = World::attached();
    create(&mut world, 1, "db");
    assert_eq!((states(&world), told(&world)), (vec![(1, HeldState::Making)], vec![]));
    world.run();
    assert_eq!((states(&world), told(&world)), (vec![(1, HeldState::Ready)], vec![(1, true)]));
    create(&mut world, 1, "db");
    assert!(world.pending.is_empty(), "once is enough");
    destroy(&mut world, 1);
    destroy(&mut world, 1);
    assert_eq!(states(&world), [(1, HeldState::Removing)]);
    world.run();
    assert!(world.store.volumes.is_empty() && world.directories.is_empty());
    destroy(&mut world, 1);
    assert_eq!(told(&world), [(1, true), (1, true), (1, false), (1, false)]);
}

#[test]
fn whatever_a_crash_interrupts_is_finished_by_the_next_start() {
    for loses_result in [false, true] {
        let mut world = World::attached();
        create(&mut world, 1, "db");
        if loses_result {
            world.perform(0, None, true);
        }
        world.crash();
        world.run();
        assert_eq!(states(&world), [(1, HeldState::Ready)], "nobody has to be there to tell it");
        world.connect();
        assert_eq!(told(&world), [(1, true)]);
        destroy(&mut world, 1);
        if loses_result {
            world.perform(0, None, true);
        }
        world.crash();
        world.run();
        assert!(world.store.volumes.is_empty() && world.directories.is_empty());
    }
}

#[test]
fn a_task_waits_for_its_volume_and_a_volume_for_its_task() {
    let mut world = World::attached();
    create(&mut world, 1, "db");
    world.launch(using("a", "db"));
    world.perform(1, None, false);
    assert!(world.boxes.is_empty(), "the image is there, the volume is not");
    world.run();
    assert_eq!(world.directories.values().copied().collect::<Vec<_>>(), [1]);
    destroy(&mut world, 1);
    create(&mut world, 2, "db");
    world.run();
    assert_eq!(states(&world), [(1, HeldState::Removing), (2, HeldState::Making)], "not under the task");
    world.exit("a", ExitCause::Code(0));
    world.run();
    assert_eq!(states(&world), [(2, HeldState::Ready)]);
    assert_eq!(world.directories.values().copied().collect::<Vec<_>>(), [0], "made anew");
}

#[test]
fn a_task_does_not_start_without_its_volume() {
    let mut world = World::attached();
    world.launch(using("a", "none"));
    assert_eq!(world.states("a"), [TaskState::Dropped]);
    assert_eq!(world.last("a").reason, TaskReason::VolumeUnavailable);
    create(&mut world, 1, "db");
    world.launch(using("b", "db"));
    world.perform(1, None, false);
    world.fail_next(FailureKind::Temporary);
    world.ack_all("b");
    assert!(world.last("b").message.contains("volume db could not be made"), "{}", world.last("b").message);
    world.run();
    world.pass(30_000);
    world.run();
    assert_eq!(states(&world), [(1, HeldState::Ready)], "it is tried again, also without a master");
    world.connect();
    world.launch(using("c", "db"));
    world.kill("c", 10);
    world.run();
    world.ack_all("c");
    assert_eq!(world.states("c").last(), Some(&TaskState::Killed));
}

#[test]
fn another_order_does_not_wait_for_the_next_try_of_the_last_one() {
    let mut world = World::attached();
    create(&mut world, 1, "db");
    world.fail_next(FailureKind::Temporary);
    assert!(world.pending.is_empty(), "making is tried again later");
    destroy(&mut world, 1);
    world.run();
    assert_eq!((told(&world), states(&world)), (vec![(1, false)], vec![]));
}

#[test]
fn a_task_that_comes_after_a_failure_is_told_of_the_next_one_at_once() {
    let mut world = World::attached();
    create(&mut world, 1, "db");
    world.fail_next(FailureKind::Temporary);
    world.launch(using("a", "db"));
    world.perform(0, None, false);
    world.fail_next(FailureKind::Temporary);
    world.run();
    world.ack_all("a");
    assert!(world.last("a").message.contains("volume db could not be made"), "{}", world.last("a").message);
    world.launch(using("b", "db"));
    world.run();
    world.ack_all("b");
    assert_eq!(world.states("b").last(), Some(&TaskState::Running));
}

#[test]
fn two_writers_are_never_let_near_one_volume_even_if_the_master_says_so() {
    let mut world = World::attached();
    create(&mut world, 1, "db");
    world.launch(using("a", "db"));
    world.run();
    world.launch(using("b", "db"));
    assert_eq!(world.states("b"), [TaskState::Dropped]);
    assert!(world.last("b").message.contains("in use by task F1-1/a"), "{}", world.last("b").message);
    world.exit("a", ExitCause::Code(0));
    world.run();
    world.launch(using("c", "db"));
    world.run();
    world.ack_all("c");
    assert_eq!(world.states("c").last(), Some(&TaskState::Running));
}

#[test]
fn what_cannot_be_made_is_given_up_after_some_tries_and_told_with_the_cause() {
    let mut world = World::attached();
    create(&mut world, 1, "db");
    for _ in 0..4 {
        world.fail_next(FailureKind::Temporary);
        assert_eq!((states(&world), told(&world)), (vec![(1, HeldState::Making)], vec![]));
        world.pass(30_000);
    }
    world.connect();
    world.fail_next(FailureKind::Temporary);
    assert_eq!((states(&world), told(&world)), (vec![], vec![(1, false)]));
    let cause = world.sent.iter().rev().find_map(|message| match message {
        ToMaster::Volumes(reports) => Some(reports[0].message.clone()),
        _ => None,
    });
    assert!(!cause.unwrap().is_empty());
    // The master may ask again.
    create(&mut world, 2, "db");
    world.run();
    assert_eq!(states(&world), [(2, HeldState::Ready)]);
    // What is not removed is tried for ever: its data must go.
    destroy(&mut world, 2);
    for _ in 0..9 {
        world.fail_next(FailureKind::Temporary);
        world.pass(30_000);
    }
    assert_eq!(states(&world), [(2, HeldState::Removing)]);
    world.run();
    assert!(world.store.volumes.is_empty());
}

#[test]
fn a_task_that_waits_for_a_volume_made_anew_does_not_keep_the_old_one_from_going() {
    let mut world = World::attached();
    create(&mut world, 1, "db");
    world.run();
    destroy(&mut world, 1);
    world.fail_next(FailureKind::Temporary);
    create(&mut world, 2, "db");
    world.launch(using("a", "db"));
    assert_eq!(states(&world), [(1, HeldState::Removing), (2, HeldState::Making)]);
    world.pass(30_000);
    world.connect();
    world.run();
    world.ack_all("a");
    assert_eq!(states(&world), [(2, HeldState::Ready)]);
    assert_eq!(world.states("a").last(), Some(&TaskState::Running));
}

#[test]
fn a_try_that_failed_is_told_with_its_cause_each_time() {
    let mut world = World::attached();
    create(&mut world, 1, "db");
    world.fail_next(FailureKind::Temporary);
    assert_eq!((troubles(&world).len(), told(&world)), (1, vec![]));
    world.pass(30_000);
    world.connect();
    world.run();
    assert_eq!((troubles(&world).len(), told(&world)), (1, vec![(1, true)]));
    destroy(&mut world, 1);
    for tries in 2..4 {
        world.fail_next(FailureKind::Temporary);
        assert_eq!((troubles(&world).len(), told(&world)), (tries, vec![(1, true)]));
        world.pass(30_000);
        world.connect();
    }
    assert!(troubles(&world).iter().all(|(number, why)| *number == 1 && !why.is_empty()), "{:?}", troubles(&world));
    world.run();
    assert_eq!(told(&world), [(1, true), (1, false)]);
}
