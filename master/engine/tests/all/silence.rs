//! Many agents fall silent at once: their tasks are not told to be unreachable all at once.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::*;
use proffer_proto_model::*;

const AGENTS: u64 = 12;
const MOST: usize = 3;
const MINUTE_MS: u64 = 60_000;

/// A task on each of many agents; how many may be declared unreachable in a minute.
fn world() -> World {
    let mut world = World::with(Config { agent_removals_per_minute: MOST, ..Config::default() });
    world.subscribe(100, "web", anything());
    for n in 1..=AGENTS {
        world.attach_from(&format!("host-{n}"), n, None, 1_000, vec![]);
        world.launch(100, vec![task(&format!("t{n}"), 1_000)]);
    }
    world
}

fn unreachable(world: &World) -> usize {
    world.tasks.values().filter(|task| task.status.state == TaskState::Unreachable).count()
}

/// All streams end.
fn cut_all(world: &mut World) {
    for n in 1..=AGENTS {
        world.handle("cut", Input::AgentDisconnected { session: SessionId(n) });
    }
}

#[test]
fn so_many_a_minute_are_unreachable_and_the_others_wait() {
    let mut world = world();
    cut_all(&mut world);
    world.wait(29_999);
    assert_eq!(unreachable(&world), 0);
    world.wait(1);
    assert_eq!(unreachable(&world), MOST);
    world.wait(MINUTE_MS - 1);
    assert_eq!(unreachable(&world), MOST);
    for minute in 2..=AGENTS as usize / MOST {
        world.wait(if minute == 2 { 1 } else { MINUTE_MS });
        assert_eq!(unreachable(&world), minute * MOST);
    }
    assert_eq!(world.offers, [], "nothing of a silent agent is offered");
}

#[test]
fn who_is_heard_of_while_it_waits_was_never_lost() {
    let mut world = world();
    cut_all(&mut world);
    world.wait(30_000);
    for n in MOST as u64 + 1..=AGENTS {
        let id = format!("A1-{n}");
        let tasks = vec![attached("F1-1", task(&format!("t{n}"), 1_000), 1, TaskState::Running)];
        world.attach_from(&format!("host-{n}"), AGENTS + n, Some(&id), 1_000, tasks);
    }
    for _ in 0..40 {
        world.wait(5_000);
        for n in MOST as u64 + 1..=AGENTS {
            world.handle("pong", Input::AgentPong { session: SessionId(AGENTS + n) });
        }
    }
    assert_eq!(unreachable(&world), MOST, "those that came back in time");
    let running = world.tasks.values().filter(|task| task.status.state == TaskState::Running).count();
    assert_eq!(running, AGENTS as usize - MOST);
}

#[test]
fn an_agent_marked_gone_does_not_wait() {
    let mut world = world();
    cut_all(&mut world);
    world.wait(30_000);
    world.operator(&format!("A1-{AGENTS}"), AgentCommand::MarkGone).unwrap();
    let alive = world.tasks.values().filter(|task| !task.status.state.is_terminal()).count();
    assert_eq!(alive, AGENTS as usize - 1, "its task has ended");
    for _ in 0..10 {
        world.wait(MINUTE_MS);
    }
    assert_eq!(unreachable(&world), AGENTS as usize - 1);
}

/// The next master does not know when others were declared, and no agent has come to it: it counts anew.
#[test]
fn a_new_master_declares_no_more_at_once() {
    let mut world = world();
    world.fail_over(2);
    world.subscribe(101, "web", anything());
    world.wait(30_000);
    assert_eq!(unreachable(&world), MOST);
    world.wait(MINUTE_MS);
    assert_eq!(unreachable(&world), 2 * MOST);
}

#[test]
fn a_tenth_of_a_large_cluster_may_be_declared() {
    let mut world = World::with(Config { agent_removals_per_minute: 1, ..Config::default() });
    for n in 1..=50 {
        world.attach_from(&format!("host-{n}"), n, None, 1_000, vec![]);
    }
    for n in 1..=50 {
        world.handle("cut", Input::AgentDisconnected { session: SessionId(n) });
    }
    world.wait(30_000);
    let lost = world.registry.agents.iter().filter(|agent| agent.is_unreachable).count();
    assert_eq!(lost, 5);
}

#[test]
fn an_agent_that_was_replaced_while_it_waited_takes_nobodys_turn() {
    let mut world = world();
    cut_all(&mut world);
    world.wait(30_000);
    // All that wait but the last of them: ids are in the order of their letters.
    for n in (2..=8).chain([AGENTS]) {
        world.attach_from(&format!("host-{n}"), AGENTS + n, None, 1_000, vec![]);
    }
    world.wait(MINUTE_MS);
    let last = TaskKey { framework: FrameworkId::new("F1-1").unwrap(), task: TaskId::new("t9").unwrap() };
    assert_eq!(world.tasks[&last].status.state, TaskState::Unreachable);
}
