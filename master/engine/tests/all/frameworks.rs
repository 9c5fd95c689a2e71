//! Frameworks that change their description, and operators that end them.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::*;
use proffer_proto_model::*;

fn eng() -> Role {
    Role::new("eng").unwrap()
}

#[test]
fn an_update_is_stored_and_offers_of_roles_left_are_withdrawn() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    let both = FrameworkInfo { roles: vec![Role::default_role(), eng()], ..framework_info("web") };
    let input = Input::Subscribe { session: SessionId(10), framework: both.clone(), demand: Demand::anything(eng()) };
    world.handle("subscribe in two roles", input);
    world.launch(10, vec![task("paid-by-eng", 1_000)]);
    world.wait(5_000);
    let one = FrameworkInfo { labels: [("team".to_owned(), "a".to_owned())].into(), ..framework_info("web") };
    world.call(10, "leaves eng", FrameworkCall::Update(one.clone()));
    assert_eq!(world.registry.frameworks[0].info.roles, [Role::default_role()]);
    assert_eq!(world.registry.tasks[0].role, eng(), "tasks stay as they are");
    world.call(10, "the same again", FrameworkCall::Update(one));
    world.call(10, "demand in a role left", FrameworkCall::Demand(Demand::anything(eng())));
    world.call(10, "comes back to eng", FrameworkCall::Update(both));
    world.call(10, "demand", FrameworkCall::Demand(Demand::anything(eng())));
    insta::assert_snapshot!(world.trace);
}

#[test]
fn an_update_cannot_change_who_it_is() {
    let mut world = World::new();
    world.subscribe(10, "web", Demand::default());
    let before = world.registry.frameworks.clone();
    let same = framework_info("web");
    for (what, info) in [
        ("id", FrameworkInfo { id: Some(FrameworkId::new("F9-9").unwrap()), ..same.clone() }),
        ("name", FrameworkInfo { name: "other".into(), ..same.clone() }),
        ("principal", FrameworkInfo { principal: "other".into(), ..same.clone() }),
        ("no role", FrameworkInfo { roles: vec![], ..same.clone() }),
        ("a role twice", FrameworkInfo { roles: vec![eng(), eng()], ..same.clone() }),
        ("too many roles", FrameworkInfo { roles: numbered_roles(101), ..same.clone() }),
    ] {
        world.call(10, what, FrameworkCall::Update(info));
    }
    assert_eq!(world.registry.frameworks, before);
    insta::assert_snapshot!(world.trace);
}

fn numbered_roles(count: usize) -> Vec<Role> {
    (0..count).map(|n| Role::new(format!("r{n}")).unwrap()).collect()
}

#[test]
fn as_many_roles_as_allowed_are_taken_and_one_more_is_refused_at_once() {
    let mut world = World::new();
    let subscribe = |session, name: &str, roles| {
        let framework = FrameworkInfo { roles: numbered_roles(roles), ..framework_info(name) };
        Input::Subscribe { session: SessionId(session), framework, demand: Demand::default() }
    };
    world.handle("100 roles", subscribe(10, "many", 100));
    assert_eq!(world.registry.frameworks.len(), 1);
    let effects = world.handle("101 roles", subscribe(11, "more", 101));
    assert!(format!("{effects:?}").contains("framework.roles: names 101 roles, at most 100 are allowed; leave those"));
    assert_eq!(world.registry.frameworks.len(), 1, "it was refused, and nothing stored");
}

/// After every step the audit compares what the allocator knows with what is needed.
#[test]
fn a_framework_that_goes_from_role_to_role_leaves_none_behind() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 1));
    for (n, role) in numbered_roles(60).into_iter().enumerate() {
        let roles = FrameworkInfo { roles: vec![role.clone()], ..framework_info("web") };
        world.call(10, "goes on", FrameworkCall::Update(roles));
        let items = want(1_000, 1).items.into_iter().map(|item| DemandItem { role: role.clone(), ..item }).collect();
        world.call(10, "wants", FrameworkCall::Demand(Demand { items }));
        let (name, seq) = (format!("t{n}"), 1);
        world.launch(10, vec![task(&name, 1_000)]);
        world.update(1, "F1-1", &name, seq, TaskState::Finished);
        world.acknowledge(10, &name, seq);
    }
    world.fail_over(2);
    assert_eq!(world.registry.roles, []);
}

#[test]
fn an_operator_ends_a_framework_and_is_told_so_once_stored() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 2));
    world.launch(10, vec![task("a", 1_000)]);
    world.wait(5_000);
    let teardown =
        |request, id: &str| Input::Operator(OperatorCall::TeardownFramework { request, framework: id.to_owned() });
    world.handle("operator ends F1-1", teardown(7, "F1-1"));
    world.handle("operator ends it again", teardown(8, "F1-1"));
    world.fail_over(2);
    world.attach(2, Some("A1-1"), 4_000, vec![attached("F1-1", task("a", 1_000), 1, TaskState::Running)]);
    world.handle("operator is not sure", teardown(9, "F1-1"));
    world.update(2, "F1-1", "a", 2, TaskState::Killed);
    assert!(world.registry.frameworks.is_empty() && world.registry.tasks.is_empty());
    world.handle("operator ends what is gone", teardown(10, "F1-1"));
    world.fail_over(3);
    world.handle("operator asks the next master, by name", teardown(11, "web"));
    world.handle("operator ends what never was", teardown(12, "wep"));
    world.subscribe(11, "web", anything());
    world.handle("operator ends the one that has the name now", teardown(13, "web"));
    insta::assert_snapshot!(world.trace);
}

/// Those that are away count, those that are known come back, and one that is gone makes room.
#[test]
fn so_many_frameworks_and_no_more() {
    let config = Config { max_frameworks: 2, ..Config::default() };
    let mut world = World::with(config);
    world.subscribe(10, "a", Demand::default());
    world.subscribe(11, "b", Demand::default());
    world.handle("b goes", Input::FrameworkDisconnected { session: SessionId(11) });
    let subscribe = |session, name: &str| Input::Subscribe {
        session: SessionId(session),
        framework: framework_info(name),
        demand: Demand::default(),
    };
    for at in 12..14 {
        let effects = world.handle("one too many", subscribe(at, "c"));
        let [Effect::ToFramework { message, .. }, Effect::Close { .. }] = effects.as_slice() else {
            panic!("{effects:?}")
        };
        let ToFramework::Error { kind: FrameworkErrorKind::Full, message, is_fatal: true } = message else {
            panic!("{message:?}")
        };
        assert!(message.contains("2 frameworks already"), "{message}");
        assert!(message.contains("--max-frameworks") && message.contains("proffer frameworks teardown"), "{message}");
        world.fail_over(at);
    }
    for (session, name) in [(20, "a"), (21, "b")] {
        let effects = world.handle("back", subscribe(session, name));
        assert!(format!("{effects:?}").contains("Subscribed"), "{effects:?}");
    }
    world.call(20, "teardown", FrameworkCall::Teardown);
    let effects = world.handle("there is room", subscribe(22, "c"));
    assert!(format!("{effects:?}").contains("Subscribed"), "{effects:?}");
}
