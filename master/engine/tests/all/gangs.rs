//! Tasks launched together start all or not at all, wherever one of them is lost half-way; those that ran live on alone.

use super::common::*;
use proffer_master_engine::registry::{GangStage, TaskRecord};
use proffer_master_engine::*;
use proffer_proto_model::*;

/// How far both tasks had come before the loss.
#[derive(Debug, Clone, Copy)]
enum Reached {
    Nothing,
    Starting,
    OtherRuns,
    LostOneRuns,
}

/// How a is lost.
#[derive(Debug, Clone, Copy)]
enum Loss {
    Unreachable,
    NeverGotIt,
    Refused,
    MarkedGone,
    Replaced,
    KilledByFramework,
    Drained,
}

const REACHED: [Reached; 4] = [Reached::Nothing, Reached::Starting, Reached::OtherRuns, Reached::LostOneRuns];
const LOSSES: [Loss; 7] = [
    Loss::Unreachable,
    Loss::NeverGotIt,
    Loss::Refused,
    Loss::MarkedGone,
    Loss::Replaced,
    Loss::KilledByFramework,
    Loss::Drained,
];

/// Tasks a on A1-1 (stream 1) and b on A1-2 (stream 2), launched together by F1-1 (stream 10).
fn gang() -> World {
    let mut world = World::new();
    world.is_traced = false;
    world.attach_from("n1", 1, None, 4_000, vec![]);
    world.attach_from("n2", 2, None, 4_000, vec![]);
    world.subscribe(10, "mpi", anything());
    launch_gang(&mut world);
    world
}

fn launch_gang(world: &mut World) {
    let (mut offers, mut tasks) = (Vec::new(), Vec::new());
    for (_, offer) in std::mem::take(&mut world.offers) {
        let id = if offer.agent.as_str() == "A1-1" { "a" } else { "b" };
        let reserved_use = Default::default();
        tasks.push(TaskLaunch { agent: Some(offer.agent.clone()), task: task(id, 1_000), reserved_use });
        offers.push(offer.id);
    }
    assert_eq!(tasks.len(), 2);
    let group = Operation::LaunchGroup { operation_id: "gang".into(), tasks };
    world.call(10, "gang", accept(offers, vec![group]));
}

fn reach(world: &mut World, reached: Reached) {
    let mut update = |stream: u64, task: &str, states: &[TaskState]| {
        for (at, state) in states.iter().enumerate() {
            world.update(stream, "F1-1", task, at as u64 + 1, *state);
        }
    };
    match reached {
        Reached::Nothing => {}
        Reached::Starting => {
            update(1, "a", &[TaskState::Starting]);
            update(2, "b", &[TaskState::Starting]);
        }
        Reached::OtherRuns => update(2, "b", &[TaskState::Starting, TaskState::Running]),
        Reached::LostOneRuns => update(1, "a", &[TaskState::Starting, TaskState::Running]),
    }
}

/// Loses a, and returns all that was said meanwhile.
fn lose(world: &mut World, stream: u64, loss: Loss) -> Vec<Effect> {
    let a = AgentId::new("A1-1").unwrap();
    match loss {
        Loss::Unreachable => {
            world.handle("away", Input::AgentDisconnected { session: SessionId(stream) });
            let mut said = Vec::new();
            while !world.registry.agents[0].is_unreachable {
                let due = world.engine.next_deadline().unwrap();
                world.now = Now { mono: due, unix: UnixMillis(due.0) };
                said.extend(world.handle("tick", Input::Tick));
                world.handle("b's agent lives", Input::AgentPong { session: SessionId(2) });
                world.handle("b's agent lives", Input::AgentPong { session: SessionId(22) });
            }
            said
        }
        Loss::NeverGotIt => {
            world.handle("away", Input::AgentDisconnected { session: SessionId(stream) });
            let said = world.attach_from("n1", 3, Some("A1-1"), 4_000, vec![]);
            let asked =
                |e: &Effect| matches!(e, Effect::ToAgent { message: ToAgent::Expect(keys), .. } if keys.len() == 1);
            assert!(said.iter().any(asked), "{said:?}");
            world.update(3, "F1-1", "a", 9, TaskState::Dropped)
        }
        Loss::Refused => world.update(stream, "F1-1", "a", 9, TaskState::Failed),
        Loss::MarkedGone => world.operator_effects("A1-1", AgentCommand::MarkGone),
        Loss::Replaced => {
            world.handle("away", Input::AgentDisconnected { session: SessionId(stream) });
            world.attach_from("n1", 3, None, 4_000, vec![])
        }
        Loss::KilledByFramework => {
            let kill = FrameworkCall::Kill { task: TaskId::new("a").unwrap(), agent: Some(a), policy: None };
            world.call(10, "kill", kill);
            world.update(stream, "F1-1", "a", 9, TaskState::Killed)
        }
        Loss::Drained => {
            world.operator("A1-1", AgentCommand::Drain { max_grace_ms: None, mark_gone: false }).unwrap();
            world.update(stream, "F1-1", "a", 9, TaskState::Killed)
        }
    }
}

/// The tasks that are killed because their gang failed, with the streams that are told.
fn gang_kills(effects: &[Effect]) -> Vec<(u64, String)> {
    let kill = |effect: &Effect| match effect {
        Effect::ToAgent { session, message: ToAgent::Kill { task, reason: TaskReason::GangFailed, .. } } => {
            Some((session.0, task.to_string()))
        }
        _ => None,
    };
    effects.iter().filter_map(kill).collect()
}

fn record<'a>(world: &'a World, task: &str) -> Option<&'a TaskRecord> {
    world.registry.tasks.iter().find(|record| record.key.task.as_str() == task)
}

fn has_failed(world: &World, task: &str) -> bool {
    let record = record(world, task).unwrap();
    record.is_kill_requested && record.gang.unwrap().stage == GangStage::Failed
}

/// Both agents come back to a new master with what they had.
fn fail_over(world: &mut World, reached: Reached) {
    world.fail_over(2);
    let state = |task: &str| match (reached, task) {
        (Reached::OtherRuns, "b") | (Reached::LostOneRuns, "a") => TaskState::Running,
        _ => TaskState::Starting,
    };
    let listed = |id: &str| attached("F1-1", task(id, 1_000), 1, state(id));
    world.attach_from("n1", 21, Some("A1-1"), 4_000, vec![listed("a")]);
    world.attach_from("n2", 22, Some("A1-2"), 4_000, vec![listed("b")]);
    let id = Some(FrameworkId::new("F1-1").unwrap());
    let framework = FrameworkInfo { id, ..framework_info("mpi") };
    world.handle("again", Input::Subscribe { session: SessionId(10), framework, demand: Demand::default() });
}

#[test]
fn whatever_loses_one_task_half_way_ends_the_others() {
    for (reached, loss) in REACHED.into_iter().flat_map(|reached| LOSSES.map(|loss| (reached, loss))) {
        for is_new_master in [false, true] {
            let what = format!("{loss:?} after {reached:?}, new master: {is_new_master}");
            let mut world = gang();
            reach(&mut world, reached);
            if is_new_master {
                fail_over(&mut world, reached);
            }
            let (a, b) = if is_new_master { (21, 22) } else { (1, 2) };
            let said = lose(&mut world, a, loss);
            assert_eq!(gang_kills(&said), [(b, "b".to_owned())], "{what}");
            assert!(has_failed(&world, "b"), "{what}");

            // Late and repeated words change nothing.
            for _ in 0..2 {
                let late = world.update(b, "F1-1", "b", 8, TaskState::Running);
                assert_eq!(gang_kills(&late), [], "{what}");
            }
            // Neither a new master nor an absent agent forgets the order.
            world.fail_over(3);
            let running = attached("F1-1", task("b", 1_000), 8, TaskState::Running);
            let said = world.attach_from("n2", 32, Some("A1-2"), 4_000, vec![running]);
            assert_eq!(gang_kills(&said), [(32, "b".to_owned())], "{what}");
            world.update(32, "F1-1", "b", 9, TaskState::Killed);
            assert_eq!(record(&world, "b").unwrap().status.state, TaskState::Killed, "{what}");
            let living = world.registry.tasks.iter().filter(|task| task.status.state.holds_resources());
            assert_eq!(living.count(), 0, "{what}");
        }
    }
}

#[test]
fn a_lost_task_of_a_failed_gang_is_ended_when_its_agent_comes_back() {
    let mut world = gang();
    lose(&mut world, 1, Loss::Unreachable);
    assert_eq!(record(&world, "a").unwrap().status.state, TaskState::Unreachable);
    world.update(2, "F1-1", "b", 1, TaskState::Killed);
    let running = attached("F1-1", task("a", 1_000), 2, TaskState::Running);
    let said = world.attach_from("n1", 3, Some("A1-1"), 4_000, vec![running]);
    assert_eq!(gang_kills(&said), [(3, "a".to_owned())]);
    world.update(3, "F1-1", "a", 3, TaskState::Killed);
    assert!(world.registry.tasks.iter().all(|task| task.status.state == TaskState::Killed));
}

#[test]
fn an_agent_that_is_only_away_for_a_moment_costs_nothing() {
    let mut world = gang();
    reach(&mut world, Reached::OtherRuns);
    world.handle("away", Input::AgentDisconnected { session: SessionId(1) });
    let starting = attached("F1-1", task("a", 1_000), 1, TaskState::Starting);
    let said = world.attach_from("n1", 3, Some("A1-1"), 4_000, vec![starting]);
    assert_eq!(gang_kills(&said), []);
    let said = world.update(3, "F1-1", "a", 2, TaskState::Running);
    assert_eq!(gang_kills(&said), []);
    assert!(world.registry.tasks.iter().all(|task| task.status.state == TaskState::Running));
}

#[test]
fn once_all_have_run_each_lives_on_its_own() {
    for is_new_master in [false, true] {
        for loss in LOSSES {
            let mut world = gang();
            for (stream, id) in [(1, "a"), (2, "b")] {
                world.update(stream, "F1-1", id, 1, TaskState::Running);
            }
            let mut a = 1;
            if is_new_master {
                world.fail_over(2);
                let running = |id: &str| attached("F1-1", task(id, 1_000), 1, TaskState::Running);
                world.attach_from("n1", 21, Some("A1-1"), 4_000, vec![running("a")]);
                world.attach_from("n2", 22, Some("A1-2"), 4_000, vec![running("b")]);
                let id = Some(FrameworkId::new("F1-1").unwrap());
                let framework = FrameworkInfo { id, ..framework_info("mpi") };
                world.handle("again", Input::Subscribe { session: SessionId(10), framework, demand: anything() });
                a = 21;
            }
            let said = lose(&mut world, a, loss);
            assert_eq!(gang_kills(&said), [], "{loss:?}");
            let b = record(&world, "b").unwrap();
            assert_eq!((b.status.state, b.is_kill_requested), (TaskState::Running, false), "{loss:?}");
        }
    }
}

#[test]
fn one_that_finished_early_has_run_and_stays_finished() {
    let mut world = gang();
    world.update(1, "F1-1", "a", 1, TaskState::Finished);
    world.acknowledge(10, "a", 1);
    assert!(record(&world, "a").is_none());
    assert!(record(&world, "b").is_some_and(|b| !b.is_kill_requested), "it has run: nothing is lost");
    world.update(2, "F1-1", "b", 1, TaskState::Failed);
    assert_eq!(record(&world, "b").unwrap().status.state, TaskState::Failed);
}

#[test]
fn tasks_launched_each_for_itself_are_no_gang() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", anything());
    world.launch(10, vec![task("a", 1_000), task("b", 1_000)]);
    let said = world.update(1, "F1-1", "a", 1, TaskState::Failed);
    assert_eq!(gang_kills(&said), []);
    assert!(record(&world, "b").unwrap().gang.is_none());
}
