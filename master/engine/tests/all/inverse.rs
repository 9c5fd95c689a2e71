//! Inverse offers: who is asked to leave an agent, when, what is answered, and when a request is over.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::registry::{WindowAction, WindowId};
use proffer_master_engine::view::{Change, InverseOutcome, InverseView};
use proffer_master_engine::*;
use proffer_proto_model::*;

const DRAIN: WindowAction = WindowAction::Drain { max_grace_ms: None };
const HOUR_MS: u64 = 3_600_000;

/// A world whose agents never fall silent: their timers would only be in the way here.
fn world() -> World {
    let mut world = World::with(config());
    world.attach_from("one", 1, None, 4_000, vec![]);
    world.attach_from("two", 2, None, 4_000, vec![]);
    world
}

fn config() -> Config {
    Config { agent_timeout_ms: 100 * HOUR_MS, heartbeat_interval_ms: HOUR_MS, ..Config::default() }
}

/// Puts a task on the agent, and waits until it runs.
fn run(world: &mut World, session: u64, name: &str, agent: &str, task_id: &str) {
    world.subscribe(session, name, anything());
    run_more(world, session, agent, task_id);
}

fn run_more(world: &mut World, session: u64, agent: &str, task_id: &str) {
    world.call(session, "wants", FrameworkCall::Demand(anything()));
    let at = world.offers.iter().rposition(|(to, offer)| to.0 == session && offer.agent.as_str() == agent);
    let (_, offer) = world.offers.remove(at.expect("an offer of the agent"));
    let launch = TaskLaunch { agent: None, task: task(task_id, 500), reserved_use: Default::default() };
    world.call(session, "launch", accept(vec![offer.id], vec![Operation::Launch { tasks: vec![launch] }]));
    let framework = world.streams[&SessionId(session)].to_string();
    let agent_session = if agent == "A1-1" { 1 } else { 2 };
    world.update(agent_session, &framework, task_id, 1, TaskState::Running);
    world.call(session, "wants nothing", FrameworkCall::Demand(Demand::default()));
    let rest: Vec<OfferId> =
        world.offers.iter().filter(|(to, _)| to.0 == session).map(|(_, offer)| offer.id.clone()).collect();
    let (reason, filter) = (DeclineReason::new(DeclineKind::NoDemand), Filter::NONE);
    world.call(session, "declines", FrameworkCall::Decline { offers: rest, reason, filter });
    world.offers.retain(|(to, _)| to.0 != session);
}

fn end(world: &mut World, session: u64, agent_session: u64, task_id: &str) -> Vec<Effect> {
    let framework = world.streams[&SessionId(session)].to_string();
    world.update(agent_session, &framework, task_id, 2, TaskState::Killed)
}

fn plan(world: &mut World, agents: &[&str], start: u64, action: WindowAction) -> Vec<Effect> {
    let agents = agents.iter().map(|id| AgentId::new(*id).unwrap()).collect();
    let start = Some(UnixMillis(start));
    let command = MaintenanceCommand::Schedule { agents, start, duration_ms: HOUR_MS, action };
    let effects = world.handle("plan", Input::Operator(OperatorCall::Maintenance { request: 1, command }));
    assert!(effects.iter().any(|e| matches!(e, Effect::OperatorReply { result: Ok(_), .. })), "{effects:?}");
    effects
}

fn remove(world: &mut World, id: &str) -> Vec<Effect> {
    let command = MaintenanceCommand::Remove(WindowId(id.into()));
    world.handle("remove", Input::Operator(OperatorCall::Maintenance { request: 1, command }))
}

/// The requests a session was sent.
fn asked(effects: &[Effect], to: u64) -> Vec<InverseOffer> {
    let offers = effects.iter().filter_map(|effect| match effect {
        Effect::ToFramework { session, message: ToFramework::InverseOffers(offers) } if session.0 == to => Some(offers),
        _ => None,
    });
    offers.flatten().cloned().collect()
}

/// The requests a session was told to be over.
fn over(effects: &[Effect], to: u64) -> Vec<(String, InverseEnd)> {
    let ends = effects.iter().filter_map(|effect| match effect {
        Effect::ToFramework { session, message: ToFramework::RescindInverse { offers, end } } if session.0 == to => {
            Some(offers.iter().map(|id| (id.to_string(), *end)))
        }
        _ => None,
    });
    ends.flatten().collect()
}

fn reply(world: &mut World, session: u64, id: &str, answer: InverseAnswer, again_ms: Option<u64>) -> Vec<Effect> {
    let filter = again_ms.map(|refuse_ms| Filter { refuse_ms });
    let offers = vec![InverseOfferId::new(id).unwrap()];
    let reply = InverseReply { offers, answer, message: "so it is".into(), filter };
    world.call(session, "answers", FrameworkCall::InverseReply(reply))
}

fn errors(effects: &[Effect]) -> Vec<(FrameworkErrorKind, String)> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::ToFramework { message: ToFramework::Error { kind, message, is_fatal: false }, .. } => {
            Some((*kind, message.clone()))
        }
        _ => None,
    });
    told.collect()
}

/// What readers are told of requests from now on.
fn views(world: &mut World, what: impl FnOnce(&mut World) -> Input) -> Vec<InverseView> {
    let input = what(world);
    let frame = world.engine.handle(world.now, input);
    frame.operations().iter().for_each(|operation| world.registry.apply(operation));
    let changes = world.engine.take_changes().into_iter();
    changes.filter_map(|change| if let Change::Inverse(view) = change { Some(*view) } else { None }).collect()
}

#[test]
fn offers_say_when_their_agent_is_not_there_and_are_made_anew_when_that_changes() {
    let mut world = world();
    world.subscribe(10, "web", anything());
    assert!(world.offers.iter().all(|(_, offer)| offer.unavailability.is_none()));
    let planned = |world: &World, agent: &str| {
        let of_agent = world.offers.iter().rev().find(|(_, offer)| offer.agent.as_str() == agent);
        of_agent.and_then(|(_, offer)| offer.unavailability).map(|planned| (planned.start.0, planned.duration_ms))
    };
    plan(&mut world, &["A1-1"], 50 * HOUR_MS, DRAIN);
    assert_eq!(planned(&world, "A1-1"), Some((50 * HOUR_MS, HOUR_MS)), "withdrawn and made anew");
    assert_eq!(planned(&world, "A1-2"), None, "the other one is as it was");
    plan(&mut world, &["A1-1"], 20 * HOUR_MS, DRAIN);
    assert_eq!(planned(&world, "A1-1"), Some((20 * HOUR_MS, HOUR_MS)), "the next one counts");
    let offers = world.offers.len();
    plan(&mut world, &["A1-1"], 70 * HOUR_MS, DRAIN);
    plan(&mut world, &["A1-1"], 5 * HOUR_MS, WindowAction::Deactivate);
    assert_eq!(world.offers.len(), offers, "a later one and one that ends no task change nothing");
    remove(&mut world, "M1-2");
    assert_eq!(planned(&world, "A1-1"), Some((50 * HOUR_MS, HOUR_MS)));
    for id in ["M1-1", "M1-3", "M1-4"] {
        remove(&mut world, id);
    }
    assert_eq!(planned(&world, "A1-1"), None);
}

#[test]
fn whoever_has_tasks_there_is_asked_once_before_a_window_and_nobody_else() {
    let mut world = world();
    run(&mut world, 10, "web", "A1-1", "a");
    run_more(&mut world, 10, "A1-1", "b");
    run(&mut world, 11, "batch", "A1-2", "c");
    world.subscribe(12, "idle", Demand::default());
    let effects = plan(&mut world, &["A1-1", "A1-2"], 10 * HOUR_MS, DRAIN);
    assert!(asked(&effects, 10).is_empty(), "an hour before it is early enough");
    world.wait(9 * HOUR_MS - 1);
    assert!(!world.trace.contains("leave"), "{}", world.trace);
    world.wait(1);
    let told: Vec<&str> = world.trace.lines().filter(|line| line.contains(" leave ")).collect();
    assert_eq!(
        told,
        [
            "  framework 10: V1-1 leave A1-1 by 36000000 (Maintenance): [a, b]",
            "  framework 11: V1-2 leave A1-2 by 36000000 (Maintenance): [c]",
        ]
    );
    let effects = end(&mut world, 10, 1, "a");
    assert!(over(&effects, 10).is_empty(), "b is still there");
    let effects = end(&mut world, 10, 1, "b");
    assert_eq!(over(&effects, 10), [("V1-1".to_owned(), InverseEnd::Left)]);
    let effects = remove(&mut world, "M1-1");
    assert_eq!(over(&effects, 11), [("V1-2".to_owned(), InverseEnd::Cancelled)]);
}

#[test]
fn a_request_outlives_the_start_of_its_window_until_the_last_task_is_gone() {
    let mut world = world();
    run(&mut world, 10, "web", "A1-1", "a");
    let effects = plan(&mut world, &["A1-1"], HOUR_MS / 2, DRAIN);
    let offer = asked(&effects, 10).remove(0);
    assert_eq!((offer.cause, offer.unavailability.start.0), (InverseCause::Maintenance, HOUR_MS / 2));
    assert_eq!((offer.tasks.len(), offer.resources.cpus), (1, MilliCpus(500)));
    assert!(offer.message.contains("window M1-1"), "{}", offer.message);
    assert_eq!(offer.hostname, "one");
    world.wait(HOUR_MS / 2);
    assert!(!world.trace.contains("rescind inverse"), "{}", world.trace);
    assert!(world.trace.contains("kill F1-1/a AGENT_DRAINING"), "what is left is ended as ever");
    let effects = end(&mut world, 10, 1, "a");
    assert_eq!(over(&effects, 10), [("V1-1".to_owned(), InverseEnd::Left)]);
    // A window that only deactivates ends nothing and asks nobody.
    run_more_on_two(&mut world);
    let effects = plan(&mut world, &["A1-2"], HOUR_MS, WindowAction::Deactivate);
    assert!(asked(&effects, 10).is_empty());
}

fn run_more_on_two(world: &mut World) {
    run_more(world, 10, "A1-2", "z");
}

#[test]
fn a_drain_with_a_bound_asks_too_and_one_without_does_not() {
    let mut world = world();
    run(&mut world, 10, "web", "A1-1", "a");
    let drain = |max_grace_ms| AgentCommand::Drain { max_grace_ms, mark_gone: false };
    let effects = world.operator_effects("A1-1", drain(None));
    assert!(asked(&effects, 10).is_empty(), "it has no time by which its tasks are ended");
    let effects = world.operator_effects("A1-1", drain(Some(7_000)));
    let offer = asked(&effects, 10).remove(0);
    let by = world.now.unix.0 + 7_000;
    assert_eq!((offer.cause, offer.unavailability.start.0), (InverseCause::Drain, by));
    let effects = world.operator_effects("A1-1", drain(Some(3_000)));
    assert_eq!(over(&effects, 10), [("V1-1".to_owned(), InverseEnd::Replaced)]);
    assert_eq!(asked(&effects, 10)[0].unavailability.start.0, by - 4_000);
    let effects = world.operator_effects("A1-1", AgentCommand::CancelDrain);
    assert_eq!(over(&effects, 10), [("V1-2".to_owned(), InverseEnd::Cancelled)]);
}

#[test]
fn answers_are_kept_and_changed_and_asked_for_again_when_that_is_wanted() {
    let mut world = world();
    run(&mut world, 10, "web", "A1-1", "a");
    plan(&mut world, &["A1-1"], HOUR_MS, DRAIN);
    let answer = |answer, filter| {
        let offers = vec![InverseOfferId::numbered(1, 1)];
        let call = FrameworkCall::InverseReply(InverseReply { offers, answer, message: "busy".into(), filter });
        Input::Framework { session: SessionId(10), call }
    };
    let told = views(&mut world, |_| answer(InverseAnswer::Accepted, None));
    assert!(matches!(&told[0].outcome, InverseOutcome::Accepted { message, .. } if message == "busy"), "{told:?}");
    let again = Some(Filter { refuse_ms: 5 });
    let told = views(&mut world, |_| answer(InverseAnswer::Declined, again));
    assert!(matches!(told[0].outcome, InverseOutcome::Declined { .. }) && told[0].ended.is_none(), "{told:?}");
    world.trace.clear();
    world.wait(999);
    assert!(!world.trace.contains("leave"), "a second at least");
    world.wait(1);
    assert_eq!(world.trace.matches("V1-1 leave A1-1").count(), 1, "{}", world.trace);
    world.wait(60_000);
    assert_eq!(world.trace.matches("V1-1 leave A1-1").count(), 1, "once for each wish");
    let told = views(&mut world, |world| {
        let updates = vec![(
            world.streams[&SessionId(10)].clone(),
            agent_status("a", 2, TaskState::Finished),
            TaskState::Finished,
        )];
        Input::AgentUpdates { session: SessionId(1), updates }
    });
    assert_eq!((told[0].ended, told[0].outcome.clone()), (Some(InverseEnd::Left), InverseOutcome::Outstanding));
}

#[test]
fn wrong_names_are_told_by_kind_and_the_right_ones_count() {
    let mut world = world();
    run(&mut world, 10, "web", "A1-1", "a");
    run(&mut world, 11, "batch", "A1-1", "b");
    plan(&mut world, &["A1-1"], HOUR_MS, DRAIN);
    end(&mut world, 10, 1, "a");
    let accept = InverseAnswer::Accepted;
    let table = [
        ("V1-1", FrameworkErrorKind::StaleInverseOffer),
        ("V0-7", FrameworkErrorKind::UnknownInverseOffer),
        ("V1-99", FrameworkErrorKind::UnknownInverseOffer),
        ("V9-1", FrameworkErrorKind::UnknownInverseOffer),
        ("O1-1", FrameworkErrorKind::UnknownInverseOffer),
        ("V1-2", FrameworkErrorKind::Forbidden),
    ];
    for (id, kind) in table {
        let told = errors(&reply(&mut world, 10, id, accept, None));
        assert!(told.len() == 1 && told[0].0 == kind && told[0].1.contains(id), "{id}: {told:?}");
    }
    assert!(errors(&reply(&mut world, 11, "V1-2", accept, None)).is_empty());
    world.fail_over(2);
    let told = errors(&{
        world.subscribe(20, "batch", Demand::default());
        reply(&mut world, 20, "V1-2", accept, None)
    });
    assert_eq!(told[0].0, FrameworkErrorKind::StaleInverseOffer, "{told:?}");
}

#[test]
fn a_framework_that_comes_back_and_one_of_a_new_master_are_asked_again() {
    let mut world = world();
    run(&mut world, 10, "web", "A1-1", "a");
    plan(&mut world, &["A1-1"], HOUR_MS, DRAIN);
    reply(&mut world, 10, "V1-1", InverseAnswer::Accepted, None);
    let effects = world.subscribe(11, "web", Demand::default());
    assert_eq!(asked(&effects, 11).iter().map(|o| o.id.to_string()).collect::<Vec<_>>(), ["V1-1"]);
    world.fail_over(2);
    world.wait(1);
    let effects = world.subscribe(12, "web", Demand::default());
    let again = asked(&effects, 12);
    assert_eq!((again.len(), again[0].id.as_str(), again[0].tasks.len()), (1, "V2-1", 1));
    assert_eq!(again[0].unavailability.start.0, HOUR_MS);
    let effects = remove(&mut world, "M1-1");
    assert_eq!(over(&effects, 12), [("V2-1".to_owned(), InverseEnd::Cancelled)]);
}

#[test]
fn a_request_is_over_when_its_agent_is_gone_or_its_framework_removed() {
    let mut world = world();
    run(&mut world, 10, "web", "A1-1", "a");
    run(&mut world, 11, "batch", "A1-2", "b");
    plan(&mut world, &["A1-1", "A1-2"], HOUR_MS, DRAIN);
    let effects = world.operator_effects("A1-1", AgentCommand::MarkGone);
    assert_eq!(over(&effects, 10), [("V1-1".to_owned(), InverseEnd::AgentLost)]);
    world.call(11, "teardown", FrameworkCall::Teardown);
    let told = errors(&{
        world.subscribe(12, "other", Demand::default());
        reply(&mut world, 12, "V1-2", InverseAnswer::Accepted, None)
    });
    assert_eq!(told[0].0, FrameworkErrorKind::StaleInverseOffer, "{told:?}");
}
