//! What an operator is told who asks why nothing is started.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::explain::Why;
use proffer_master_engine::*;
use proffer_proto_model::*;

fn ask(world: &mut World, request: u64, framework: &str, role: Option<Role>) -> Result<Why, FatalError> {
    let framework = FrameworkId::new(framework).unwrap();
    let call = OperatorCall::Why { request, framework, role };
    let effects = world.handle("why?", Input::Operator(call));
    let answer = effects.into_iter().find_map(|effect| match effect {
        Effect::WhyReply { request: of, answer } if of == request => Some(*answer),
        _ => None,
    });
    answer.unwrap()
}

#[test]
fn the_story_of_a_service_that_waits_is_told_at_each_step() {
    let mut world = World::new();
    world.attach_from("one", 1, None, 4_000, vec![]);
    world.attach_from("two", 2, None, 2_000, vec![]);
    world.subscribe(10, "web", Demand::default());
    ask(&mut world, 1, "F1-1", None).unwrap();
    world.call(10, "more than any agent has", FrameworkCall::Demand(want(9_000, 1)));
    ask(&mut world, 2, "F1-1", None).unwrap();
    world.call(10, "much", FrameworkCall::Demand(want(3_000, 2)));
    let offered = ask(&mut world, 3, "F1-1", None).unwrap();
    assert_eq!((offered.offers, offered.max_offers), (1, 1_000));
    world.launch(10, vec![task("a", 3_000)]);
    world.wait(6_000);
    ask(&mut world, 4, "F1-1", None).unwrap();
    let before = world.registry.clone();
    world.handle("the stream ends", Input::FrameworkDisconnected { session: SessionId(10) });
    let gone = ask(&mut world, 5, "F1-1", None).unwrap();
    assert!(!gone.is_connected && gone.items.is_empty());
    assert_eq!(world.registry, before, "a question stores nothing");
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_question_about_nobody_is_refused_with_the_way_out() {
    let mut world = World::new();
    world.subscribe(10, "web", anything());
    let error = ask(&mut world, 1, "F9-9", None).unwrap_err();
    assert!(error.is_not_found && error.message.contains("list of frameworks"), "{error}");
    let error = ask(&mut world, 2, "F1-1", Some(Role::new("eng/db").unwrap())).unwrap_err();
    assert!(error.message.contains("use one of default"), "{error}");
}

#[test]
fn the_answer_stays_small_however_much_is_wanted() {
    let mut world = World::new();
    let items = (0..40).map(|n| want(9_000 + n, 1).items.remove(0)).collect();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", Demand { items });
    let why = ask(&mut world, 1, "F1-1", None).unwrap();
    assert_eq!((why.items.len(), why.items_left_out), (32, 8));
}
