//! How tasks end: by themselves, by request, by their bounds.

use proffer_proto_model::TaskState::*;
use proffer_proto_model::*;

use super::world::*;
use crate::*;

fn running(spec: TaskSpec) -> World {
    let mut world = World::attached();
    let task = spec.id.to_string();
    world.launch(spec);
    world.run();
    world.ack_all(&task);
    world
}

#[test]
fn each_way_to_end_has_its_state_and_reason() {
    let table = [
        (ExitCause::Code(0), Finished, TaskReason::None, ""),
        (ExitCause::Code(3), Failed, TaskReason::Exited, "exit code 3"),
        (ExitCause::Signal(11), Failed, TaskReason::Signalled, "ended by signal 11 (SIGSEGV)"),
        (
            ExitCause::OutOfMemory,
            Failed,
            TaskReason::OutOfMemory,
            "ended by the kernel at its memory limit of 64MiB (peak 5MiB); ask for more memory or set a higher \
             memory limit",
        ),
        (ExitCause::Unknown, Failed, TaskReason::ExitUnknown, "its container has ended and the exit code is lost"),
    ];
    for (cause, state, reason, message) in table {
        let mut world = running(spec("a"));
        world.exit("a", cause);
        world.run();
        let last = world.last("a");
        assert_eq!((last.state, last.reason, last.message.as_str()), (state, reason, message));
        assert_eq!(last.peak_memory_bytes, Some(5 << 20));
    }
}

#[test]
fn a_kill_asks_first_and_forces_after_the_grace() {
    let mut world = running(spec("a"));
    world.kill("a", 1_000);
    world.run();
    assert_eq!(world.states("a").last(), Some(&Killing));
    assert_eq!(world.signals.iter().map(|s| s.1).collect::<Vec<_>>(), [Signal::Term]);
    assert_eq!(world.engine.next_deadline(), Some(world.now.mono + 1_000));
    world.pass(999);
    assert!(world.pending.iter().all(|e| !matches!(e, Effect::SignalContainer { .. })));
    world.pass(1);
    world.run();
    world.ack_all("a");
    assert_eq!(world.states("a"), [Starting, Running, Killing, Killed]);
    assert_eq!(world.last("a").reason, TaskReason::KillRequested);
}

#[test]
fn a_process_that_obeys_with_code_0_was_still_killed() {
    let mut world = running(spec("a"));
    world.kill("a", 1_000);
    world.exit("a", ExitCause::Code(0));
    world.run();
    world.ack_all("a");
    assert_eq!(world.last("a").state, Killed);
    assert_eq!(world.last("a").exit_code, Some(0));
}

#[test]
fn a_force_that_does_nothing_is_repeated() {
    let mut world = running(spec("a"));
    world.kill("a", 0);
    for _ in 0..3 {
        let signal = world.pending.iter().position(|e| matches!(e, Effect::SignalContainer { .. })).unwrap();
        world.perform(signal, Some(FailureKind::Temporary), false);
        world.pass(5_000);
    }
    assert_eq!(world.signals.iter().map(|s| s.1).collect::<Vec<_>>(), [Signal::Kill; 3]);
}

#[test]
fn a_second_kill_can_only_shorten_the_grace() {
    let mut world = running(spec("a"));
    world.kill("a", 10_000);
    world.kill("a", 60_000);
    world.kill("a", 100);
    assert_eq!(world.engine.next_deadline(), Some(world.now.mono + 100));
    world.kill("a", 20_000);
    assert_eq!(world.engine.next_deadline(), Some(world.now.mono + 100));
}

#[test]
fn a_kill_during_the_pull_does_not_wait_for_it() {
    let mut world = World::attached();
    world.launch(spec("a"));
    world.kill("a", 1_000);
    world.run();
    world.ack_all("a");
    assert_eq!(world.states("a"), [Starting, Killed]);
    assert_eq!(world.last("a").reason, TaskReason::KilledDuringLaunch);
    assert!(world.boxes.is_empty() && world.starts.is_empty());
}

#[test]
fn a_kill_at_any_step_of_the_launch_leaves_nothing() {
    for steps in 0..5 {
        let mut world = World::attached();
        world.launch(bridged("a", 31000));
        for _ in 0..steps.min(4) {
            world.perform(0, None, false);
        }
        world.kill("a", 100);
        world.run();
        world.pass(100);
        world.run();
        world.ack_all("a");
        assert_eq!(world.last("a").state, Killed, "after {steps} steps");
        assert!(world.boxes.is_empty() && world.networks.is_empty() && world.store.progress.is_empty());
    }
}

#[test]
fn a_task_that_runs_too_long_fails_with_that_reason() {
    let mut limited = spec("a");
    limited.max_run_time_ms = Some(3_000);
    let mut world = running(limited);
    world.pass(2_000);
    world.crash();
    world.connect();
    world.run();
    assert_eq!(world.engine.next_deadline(), Some(world.now.mono + 1_000), "a restart does not start the time again");
    world.pass(1_000);
    world.run();
    world.pass(1_000);
    world.run();
    world.ack_all("a");
    assert_eq!((world.last("a").state, world.last("a").reason), (Failed, TaskReason::MaxRunTime));
    assert!(world.last("a").message.contains("3000 ms"), "{}", world.last("a").message);
}
