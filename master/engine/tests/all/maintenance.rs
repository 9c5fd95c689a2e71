//! Maintenance windows: agents leave work at the start and come back at the end, over restarts and operators' own wishes.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::registry::{AgentMode, WindowAction, WindowId};
use proffer_master_engine::*;
use proffer_proto_model::*;

const DRAIN: WindowAction = WindowAction::Drain { max_grace_ms: Some(3_000) };

/// Two agents, the task a on the first.
fn two_agents() -> World {
    let mut world = World::new();
    world.attach_from("one", 1, None, 4_000, vec![]);
    world.subscribe(10, "web", anything());
    world.launch(10, vec![task("a", 1_000)]);
    let web = world.registry.frameworks[0].id.to_string();
    world.update(1, &web, "a", 1, TaskState::Running);
    world.attach_from("two", 2, None, 4_000, vec![]);
    world
}

fn plan(
    world: &mut World,
    agents: &[&str],
    start: u64,
    duration_ms: u64,
    action: WindowAction,
) -> Result<(), FatalError> {
    let agents = agents.iter().map(|id| AgentId::new(*id).unwrap()).collect();
    world.maintenance(MaintenanceCommand::Schedule { agents, start: Some(UnixMillis(start)), duration_ms, action })
}

fn remove(world: &mut World, id: &str) -> Result<(), FatalError> {
    world.maintenance(MaintenanceCommand::Remove(WindowId(id.into())))
}

fn modes(world: &World) -> Vec<AgentMode> {
    world.registry.agents.iter().map(|agent| agent.mode).collect()
}

fn pongs(world: &mut World) {
    for session in [1, 2] {
        world.handle("pong", Input::AgentPong { session: SessionId(session) });
    }
}

/// Lets time pass with both agents alive.
fn pass(world: &mut World, mut ms: u64) {
    while ms > 0 {
        let step = ms.min(5_000);
        world.wait(step);
        pongs(world);
        ms -= step;
    }
}

#[test]
fn a_window_drains_its_agents_and_gives_back_those_it_took() {
    let mut world = two_agents();
    world.operator("A1-2", AgentCommand::Deactivate).unwrap();
    plan(&mut world, &["A1-2", "A1-1"], 20_000, 60_000, DRAIN).unwrap();
    assert_eq!(modes(&world)[0], AgentMode::Active, "not yet");
    pass(&mut world, 19_000);
    assert_eq!(modes(&world)[0], AgentMode::Active, "not yet");
    pass(&mut world, 2_000);
    assert!(matches!(modes(&world)[0], AgentMode::Draining(drain) if drain.max_grace_ms == Some(3_000)));
    assert_eq!(modes(&world)[1], AgentMode::Drained, "it was empty");
    let web = world.registry.frameworks[0].id.to_string();
    world.update(1, &web, "a", 2, TaskState::Killed);
    assert_eq!(modes(&world), [AgentMode::Drained; 2]);
    pass(&mut world, 60_000);
    assert_eq!(modes(&world), [AgentMode::Active, AgentMode::Drained], "the second took no work before either");
    assert!(world.registry.windows.is_empty());
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_window_goes_on_with_the_next_master_and_what_was_missed_is_made_good() {
    for (away_ms, mode) in [(10_000, AgentMode::Active), (40_000, AgentMode::Deactivated), (200_000, AgentMode::Active)]
    {
        for is_open_before in [false, true] {
            let mut world = two_agents();
            plan(&mut world, &["A1-1"], if is_open_before { 0 } else { 30_000 }, 90_000, WindowAction::Deactivate)
                .unwrap();
            world.now.mono = world.now.mono + away_ms;
            world.now.unix.0 += away_ms;
            world.fail_over(2);
            world.wait(0);
            let mode = if is_open_before && away_ms < 90_000 { AgentMode::Deactivated } else { mode };
            assert_eq!(modes(&world)[0], mode, "{away_ms} ms away, open before: {is_open_before}");
            assert_eq!(world.registry.windows.is_empty(), away_ms == 200_000);
        }
    }
}

#[test]
fn a_window_that_is_taken_back_ends_and_operators_wishes_stand_above_it() {
    let mut world = two_agents();
    plan(&mut world, &["A1-1", "A1-2"], 0, 60_000, WindowAction::Deactivate).unwrap();
    assert_eq!(modes(&world), [AgentMode::Deactivated; 2], "at once");
    world.operator("A1-2", AgentCommand::MarkGone).unwrap();
    world.operator("A1-1", AgentCommand::Reactivate).unwrap();
    pass(&mut world, 10_000);
    assert_eq!(modes(&world), [AgentMode::Active, AgentMode::Gone], "it is not taken again");
    remove(&mut world, "M1-1").unwrap();
    assert_eq!(modes(&world), [AgentMode::Active, AgentMode::Gone]);
    let told = remove(&mut world, "M1-1").unwrap_err();
    assert!(told.is_not_found && told.message.contains("`proffer maintenance ls`"), "{told}");
}

#[test]
fn wrong_windows_are_refused_with_the_fix() {
    let mut world = two_agents();
    pass(&mut world, 10_000);
    plan(&mut world, &["A1-1"], 100_000, 50_000, DRAIN).unwrap();
    plan(&mut world, &["A1-1"], 150_000, 50_000, DRAIN).unwrap();
    plan(&mut world, &["A1-1", "A1-2"], 50_000, 50_000, DRAIN).unwrap();
    world.operator("A1-2", AgentCommand::MarkGone).unwrap();
    let day = 86_400_000;
    let table: [(&[&str], u64, u64, &str); 9] = [
        (&["A1-1"], 149_999, 10, "in window M1-1 at that time already"),
        (&["A1-1"], 40_000, 10_001, "in window M1-3"),
        (&["A1-1"], 9_999, 10, "start_unix_ms: that was 0 s ago"),
        (&["A9-9"], 300_000, 10, "there is no agent A9-9"),
        (&["A1-2"], 300_000, 10, "gone for good"),
        (&[], 300_000, 10, "at least one agent"),
        (&["A1-1", "A1-1"], 300_000, 10, "each once"),
        (&["A1-1"], 300_000, 0, "duration_ms: is nothing or too long"),
        (&["A1-1"], 5_000 * day, 10, "more than five years ahead"),
    ];
    for (agents, start, duration_ms, told) in table {
        let error = plan(&mut world, agents, start, duration_ms, DRAIN).unwrap_err().message;
        assert!(error.contains(told), "{told:?}: {error}");
    }
    assert_eq!(world.registry.windows.len(), 3, "nothing of them was stored");
}
