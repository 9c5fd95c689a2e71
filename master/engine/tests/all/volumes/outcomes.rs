//! What frameworks hear of operations on volumes: pending at once, done or failed only after the agent said so, and
//! never lost with a master or a stream.

use super::*;

/// An agent with a volume that framework F1-1 on stream 11 wants made.
fn wanted() -> World {
    let mut world = World::new();
    attach(&mut world, 1, None, vec![], &[("eng", 10)]);
    subscribe(&mut world, 11, "eng");
    assert_eq!(begin(&mut world, create_as("c", "db")), ["c Pending "]);
    world
}

fn create_as(operation: &str, id: &str) -> Operation {
    let agent = AgentId::new("A1-1").unwrap();
    Operation::CreateVolume {
        operation_id: operation.into(),
        agent,
        volume_id: volume_id(id),
        role: role("eng"),
        size: gib(1),
    }
}

fn destroy_as(operation: &str, id: &str) -> Operation {
    let agent = AgentId::new("A1-1").unwrap();
    Operation::DestroyVolume { operation_id: operation.into(), agent, volume_id: volume_id(id), role: role("eng") }
}

/// Runs one operation out of the last offer.
fn begin(world: &mut World, operation: Operation) -> Vec<String> {
    let effects = run(world, 11, vec![operation]);
    told(&effects)
}

/// All that frameworks hear of operations: id, outcome, message.
fn told(effects: &[Effect]) -> Vec<String> {
    let each = effects.iter().filter_map(|effect| match effect {
        Effect::ToFramework { message: ToFramework::OperationStatus { operation_id, outcome, message }, .. } => {
            Some(format!("{operation_id} {outcome:?} {message}"))
        }
        _ => None,
    });
    each.collect()
}

fn says(world: &mut World, session: u64, number: u64, is_ready: bool, message: &str) -> Vec<String> {
    let reports = vec![VolumeReport { number, is_ready, message: message.into(), is_tried_again: false }];
    told(&world.handle("volumes", Input::AgentVolumes { session: SessionId(session), reports }))
}

/// The agent could not, and goes on trying.
fn tries_again(world: &mut World, number: u64, message: &str) -> Vec<String> {
    let reports = vec![VolumeReport { number, is_ready: false, message: message.into(), is_tried_again: true }];
    told(&world.handle("volumes", Input::AgentVolumes { session: SessionId(1), reports }))
}

fn comes_back(world: &mut World, session: u64) -> Vec<String> {
    let framework = FrameworkInfo { roles: vec![role("eng")], ..framework_info("eng") };
    let demand = Demand::anything(role("eng"));
    told(&world.handle("back", Input::Subscribe { session: SessionId(session), framework, demand }))
}

fn goes(world: &mut World, session: u64) {
    world.handle("gone", Input::FrameworkDisconnected { session: SessionId(session) });
}

#[test]
fn done_is_said_after_the_agent_has_done_it_and_once() {
    let mut world = wanted();
    assert_eq!(says(&mut world, 1, 1, true, ""), ["c Done "]);
    assert!(says(&mut world, 1, 1, true, "").is_empty(), "the agent may say it again");
    assert_eq!(begin(&mut world, destroy_as("d", "db")), ["d Pending "]);
    assert!(says(&mut world, 1, 1, true, "").is_empty(), "late word of what was before");
    assert_eq!(says(&mut world, 1, 1, false, ""), ["d Done "]);
    assert_eq!(volumes(&world), []);
}

#[test]
fn what_the_agent_gives_up_has_failed_with_its_cause_and_is_shown_to_operators() {
    let mut world = wanted();
    let [told] = <[String; 1]>::try_from(says(&mut world, 1, 1, false, "cannot make /x: disk is broken")).unwrap();
    assert!(told.starts_with("c Failed cannot make /x: disk is broken; destroy the volume"), "{told}");
    let known = &world.registry.agents[0].volumes[0];
    assert_eq!((known.state, known.message.as_str()), (VolumeState::Lost, "cannot make /x: disk is broken"));
    assert_eq!(begin(&mut world, destroy_as("d", "db")), ["d Pending "]);
    assert_eq!(says(&mut world, 1, 1, false, ""), ["d Done "]);
    assert_eq!(begin(&mut world, create_as("c2", "db")), ["c2 Pending "], "its name is free again");
}

#[test]
fn why_a_try_failed_is_shown_until_one_succeeds_and_nobody_is_told_an_outcome() {
    let mut world = wanted();
    let cause = |world: &World| world.registry.agents[0].volumes[0].message.clone();
    assert!(tries_again(&mut world, 1, "cannot make /x: disk is full").is_empty());
    assert_eq!((volumes(&world)[0].3, cause(&world)), (VolumeState::Creating, "cannot make /x: disk is full".into()));
    assert_eq!(says(&mut world, 1, 1, true, ""), ["c Done "]);
    assert_eq!(cause(&world), "");
    assert!(tries_again(&mut world, 1, "cannot make /x: late").is_empty());
    assert_eq!((volumes(&world)[0].3, cause(&world)), (VolumeState::Ready, String::new()), "late word");
    assert_eq!(begin(&mut world, destroy_as("d", "db")), ["d Pending "]);
    assert!(tries_again(&mut world, 1, "cannot remove /x: busy").is_empty());
    assert_eq!((volumes(&world)[0].3, cause(&world)), (VolumeState::Destroying, "cannot remove /x: busy".into()));
    assert_eq!(says(&mut world, 1, 1, false, ""), ["d Done "]);
}

#[test]
fn who_is_away_hears_it_when_it_comes_back() {
    let mut world = wanted();
    goes(&mut world, 11);
    assert!(says(&mut world, 1, 1, true, "").is_empty());
    assert_eq!(comes_back(&mut world, 12), ["c Done "]);
    goes(&mut world, 12);
    assert!(comes_back(&mut world, 13).is_empty(), "once");
}

#[test]
fn a_new_master_knows_who_waits_and_what_was_not_heard() {
    let ready = || held(1, "db", "eng", 1, HeldState::Ready);
    let statics = &[("eng", 10)];
    // The agent made it while there was no master, and comes back before the framework, which misses two masters.
    let mut world = wanted();
    world.fail_over(2);
    assert!(told(&attach(&mut world, 21, Some("A1-1"), vec![ready()], statics)).is_empty());
    world.fail_over(3);
    assert_eq!(comes_back(&mut world, 31), ["c Done "]);
    // The framework first; the agent never got the order.
    let mut world = wanted();
    world.fail_over(2);
    assert!(comes_back(&mut world, 22).is_empty(), "it is not done");
    let effects = attach(&mut world, 21, Some("A1-1"), vec![], statics);
    assert_eq!((told(&effects), orders(&effects)), (vec![], vec!["make 1".to_owned()]));
    assert_eq!(says(&mut world, 21, 1, true, ""), ["c Done "]);
    // The agent removed it while there was no master.
    assert_eq!(volumes(&world)[0].3, VolumeState::Ready);
    let offer = last_offer(&world, 22).id.clone();
    let leftover = DeclineReason::new(DeclineKind::Leftover);
    let accept =
        Accept { offers: vec![offer], operations: vec![destroy_as("d", "db")], filter: Filter::NONE, leftover };
    assert_eq!(told(&world.call(22, "accept", FrameworkCall::Accept(accept))), ["d Pending "]);
    world.fail_over(3);
    assert!(comes_back(&mut world, 32).is_empty());
    assert_eq!(told(&attach(&mut world, 31, Some("A1-1"), vec![], statics)), ["d Done "]);
}

#[test]
fn what_can_never_be_done_has_failed() {
    let mut world = wanted();
    let both = ["c Failed the volume was destroyed before the agent had made it", "d Pending "];
    assert_eq!(begin(&mut world, destroy_as("d", "db")), both);
    let told_of_end = told(&world.operator_effects("A1-1", AgentCommand::MarkGone));
    let [end] = <[String; 1]>::try_from(told_of_end).unwrap();
    assert!(end.starts_with("d Failed an operator marked agent A1-1 gone for good"), "{end}");

    let mut world = wanted();
    world.handle("gone", Input::AgentDisconnected { session: SessionId(1) });
    let [end] = <[String; 1]>::try_from(told(&attach(&mut world, 2, None, vec![], &[]))).unwrap();
    assert!(end.starts_with("c Failed agent A1-1 (node) was replaced"), "{end}");
}

#[test]
fn an_operation_without_an_id_is_followed_by_nothing() {
    let mut world = World::new();
    attach(&mut world, 1, None, vec![], &[("eng", 10)]);
    subscribe(&mut world, 11, "eng");
    assert!(begin(&mut world, create_as("", "db")).is_empty());
    assert!(says(&mut world, 1, 1, true, "").is_empty());
}
