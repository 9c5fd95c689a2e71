//! Persistent volumes: made of reserved disk, shown to their role only, one writer, never destroyed in use, and the same
//! after any restart on either side. The audit after each input checks that every volume rests on its reservation.

mod outcomes;
mod owned;
mod writers;

use std::collections::BTreeMap;

use crate::common::*;
use proffer_master_engine::reservations::OperatorReservation;
use proffer_master_engine::*;
use proffer_proto_model::task::{Mount, MountSource};
use proffer_proto_model::*;

fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

fn volume_id(name: &str) -> VolumeId {
    VolumeId::new(name).unwrap()
}

fn gib(number: u64) -> Bytes {
    Bytes::mib(number << 10)
}

fn disk(gibs: u64) -> Resources {
    Resources { disk: gib(gibs), ..Resources::default() }
}

/// An agent of 8 CPUs and 100 GiB of disk that holds these volumes and reserves these GiB by its own flags.
fn attach(
    world: &mut World,
    session: u64,
    id: Option<&str>,
    held: Vec<HeldVolume>,
    statics: &[(&str, u64)],
) -> Vec<Effect> {
    attach_from(world, "node", session, id, held, statics)
}

fn attach_from(
    world: &mut World,
    host: &str,
    session: u64,
    id: Option<&str>,
    volumes: Vec<HeldVolume>,
    statics: &[(&str, u64)],
) -> Vec<Effect> {
    let fixed = |(name, gibs): &(&str, u64)| StaticReservation {
        role: role(name),
        resources: disk(*gibs),
        labels: BTreeMap::new(),
    };
    let mut agent = AgentInfo { hostname: host.into(), ..agent_info(id, 8_000) };
    agent.resources.disk = gib(100);
    agent.reservations = statics.iter().map(fixed).collect();
    let input = Input::AgentAttach {
        session: SessionId(session),
        agent,
        incarnation: 1,
        tasks: vec![],
        seen_epoch: Epoch(0),
        cluster: id.map(|_| cluster()),
        volumes,
    };
    world.handle(&format!("attach {id:?} on {session}"), input)
}

fn held(number: u64, id: &str, of: &str, gibs: u64, state: HeldState) -> HeldVolume {
    HeldVolume { volume: Volume { number, id: volume_id(id), role: role(of), size: gib(gibs) }, state }
}

fn subscribe(world: &mut World, session: u64, of: &str) {
    let framework = FrameworkInfo { roles: vec![role(of)], ..framework_info(&of.replace('/', "-")) };
    let input = Input::Subscribe { session: SessionId(session), framework, demand: Demand::anything(role(of)) };
    world.handle(&format!("subscribe {of} on {session}"), input);
}

fn operate(world: &mut World, agent: &str, wish: OperatorReservation) -> Result<(), String> {
    let agent = AgentId::new(agent).unwrap();
    let input = Input::Operator(OperatorCall::Reservation { request: 1, agent, wish });
    let effects = world.handle("operator", input);
    let answer = effects.into_iter().find_map(|effect| match effect {
        Effect::OperatorReply { result, .. } => Some(result.map(drop).map_err(|error| error.message)),
        _ => None,
    });
    answer.unwrap()
}

fn reserve(of: &str, gibs: u64) -> OperatorReservation {
    let (labels, principal) = (BTreeMap::new(), "operator".to_owned());
    OperatorReservation::Reserve {
        role: role(of),
        from_role: None,
        resources: disk(gibs),
        labels,
        principal,
        owner: None,
    }
}

fn unreserve(of: &str, gibs: u64, is_forced: bool) -> OperatorReservation {
    OperatorReservation::Unreserve { role: role(of), resources: disk(gibs), is_forced }
}

fn create(id: &str, of: &str, gibs: u64) -> OperatorReservation {
    OperatorReservation::CreateVolume { role: role(of), id: volume_id(id), size: gib(gibs), owner: None }
}

fn destroy(id: &str, of: &str) -> OperatorReservation {
    OperatorReservation::DestroyVolume { role: role(of), id: volume_id(id) }
}

fn task_with(id: &str, volume: &str, of: Option<&str>, read_only: bool) -> TaskSpec {
    let mut spec = task(id, 100);
    let source = MountSource::Volume { id: volume_id(volume), role: of.map(role), read_only };
    spec.container.mounts = vec![Mount { target: "/data".into(), source }];
    spec
}

fn launch_of(tasks: Vec<TaskSpec>) -> Vec<TaskLaunch> {
    tasks.into_iter().map(|task| TaskLaunch { agent: None, task, reserved_use: Default::default() }).collect()
}

/// Uses the last offer the session got.
fn run(world: &mut World, session: u64, operations: Vec<Operation>) -> Vec<Effect> {
    let at = world.offers.iter().rposition(|(to, _)| to.0 == session).unwrap();
    let (_, offer) = world.offers.remove(at);
    let refuse = Filter::NONE;
    let leftover = DeclineReason::new(DeclineKind::Leftover);
    let accept = Accept { offers: vec![offer.id], operations, filter: refuse, leftover };
    world.call(session, "accept", FrameworkCall::Accept(accept))
}

fn launch(world: &mut World, session: u64, task: TaskSpec) -> Vec<Effect> {
    run(world, session, vec![Operation::Launch { tasks: launch_of(vec![task]) }])
}

/// What was refused of launches: state, reason, message.
fn refusals(effects: &[Effect]) -> Vec<(TaskState, TaskReason, String)> {
    let statuses = effects.iter().filter_map(|effect| match effect {
        Effect::ToFramework { message: ToFramework::Status(statuses), .. } => Some(statuses),
        _ => None,
    });
    statuses.flatten().map(|status| (status.state, status.reason, status.message.clone())).collect()
}

fn outcomes(effects: &[Effect]) -> Vec<(OperationOutcome, String)> {
    let outcome = |effect: &Effect| match effect {
        Effect::ToFramework { message: ToFramework::OperationStatus { outcome, message, .. }, .. } => {
            Some((*outcome, message.clone()))
        }
        _ => None,
    };
    effects.iter().filter_map(outcome).collect()
}

fn orders(effects: &[Effect]) -> Vec<String> {
    let order = |effect: &Effect| match effect {
        Effect::ToAgent { message: ToAgent::CreateVolume(volume), .. } => Some(format!("make {}", volume.number)),
        Effect::ToAgent { message: ToAgent::DestroyVolume { number }, .. } => Some(format!("destroy {number}")),
        Effect::ToAgent { message: ToAgent::Launch { task, .. }, .. } => Some(format!("launch {}", task.id)),
        _ => None,
    };
    effects.iter().filter_map(order).collect()
}

/// The record's volumes: number, name, role and state.
fn volumes(world: &World) -> Vec<(u64, String, String, VolumeState)> {
    let each = world.registry.agents[0].volumes.iter();
    each.map(|known| {
        let Volume { number, id, role, .. } = &known.volume;
        (*number, id.to_string(), role.to_string(), known.state)
    })
    .collect()
}

fn report(world: &mut World, session: u64, number: u64, is_ready: bool) {
    let reports = vec![VolumeReport { number, is_ready, message: String::new(), is_tried_again: false }];
    world.handle("volumes", Input::AgentVolumes { session: SessionId(session), reports });
}

fn last_offer(world: &World, session: u64) -> &Offer {
    &world.offers.iter().rev().find(|(to, _)| to.0 == session).unwrap().1
}

#[test]
fn one_accept_reserves_makes_a_volume_and_uses_it() {
    let mut world = World::new();
    attach(&mut world, 1, None, vec![], &[]);
    subscribe(&mut world, 11, "eng");
    let agent = AgentId::new("A1-1").unwrap();
    let reserve = Operation::Reserve {
        operation_id: "r".into(),
        agent: agent.clone(),
        role: role("eng"),
        from_role: None,
        resources: disk(10),
        labels: BTreeMap::new(),
    };
    let (operation_id, volume_id, of) = ("c".to_owned(), volume_id("db"), role("eng"));
    let create = Operation::CreateVolume { operation_id, agent, volume_id, role: of, size: gib(4) };
    let launch = Operation::Launch { tasks: launch_of(vec![task_with("t", "db", None, false)]) };
    let effects = run(&mut world, 11, vec![reserve, create, launch]);
    let told = [(OperationOutcome::Done, String::new()), (OperationOutcome::Pending, String::new())];
    assert_eq!(outcomes(&effects), told, "the volume is not there yet");
    assert_eq!(orders(&effects), ["make 1", "launch t"], "the agent hears of the volume first");
    assert_eq!(volumes(&world), [(1, "db".into(), "eng".into(), VolumeState::Creating)]);
    let mounts = &world.registry.tasks[0].spec.container.mounts;
    assert!(matches!(&mounts[0].source, MountSource::Volume { role: Some(of), .. } if of.as_str() == "eng"));
    report(&mut world, 1, 1, true);
    assert_eq!(volumes(&world)[0].3, VolumeState::Ready);
    let shown = &last_offer(&world, 11).volumes;
    assert_eq!((shown[0].id.as_str(), shown[0].size, shown[0].used_by.len()), ("db", gib(4), 1));
    assert_eq!(last_offer(&world, 11).resources.disk, gib(96), "what the volume holds is not offered");
}

#[test]
fn a_volume_is_shown_to_its_role_and_below_and_to_nobody_else() {
    let mut world = World::new();
    attach(&mut world, 1, None, vec![], &[("eng", 10)]);
    operate(&mut world, "A1-1", create("shared", "eng", 2)).unwrap();
    operate(&mut world, "A1-1", reserve("eng/web", 5)).unwrap();
    operate(&mut world, "A1-1", create("own", "eng/web", 1)).unwrap();
    for (session, name, seen) in
        [(10, "ops", vec![]), (11, "eng", vec!["shared"]), (12, "eng/web", vec!["shared", "own"])]
    {
        subscribe(&mut world, session, name);
        let names: Vec<_> = last_offer(&world, session).volumes.iter().map(|volume| volume.id.as_str()).collect();
        assert_eq!(names, seen, "{name}");
        let offer = last_offer(&world, session).id.clone();
        let (reason, filter) = (DeclineReason::new(DeclineKind::Other), Filter { refuse_ms: 1_000_000 });
        world.call(session, "decline", FrameworkCall::Decline { offers: vec![offer], reason, filter });
    }
}

#[test]
fn a_task_gets_only_a_volume_that_is_there_for_it_and_free() {
    let mut world = World::new();
    attach(&mut world, 1, None, vec![], &[("eng", 10), ("ops", 10)]);
    attach_from(&mut world, "other", 2, None, vec![], &[("eng", 10)]);
    operate(&mut world, "A1-1", create("db", "eng", 2)).unwrap();
    operate(&mut world, "A1-1", create("theirs", "ops", 2)).unwrap();
    operate(&mut world, "A1-2", create("far", "eng", 2)).unwrap();
    subscribe(&mut world, 11, "eng");
    let near = |world: &mut World, task| {
        world.offers.retain(|(_, offer)| offer.agent.as_str() == "A1-1");
        let effects = launch(world, 11, task);
        world.wait(2_000);
        refusals(&effects).pop()
    };
    for (volume, of, state, reason, words) in [
        ("none", None, TaskState::Error, TaskReason::TaskInvalid, "has no volume none on A1-1; create it first"),
        ("theirs", None, TaskState::Error, TaskReason::TaskInvalid, "is of role ops, the offers are of eng"),
        ("theirs", Some("ops"), TaskState::Error, TaskReason::TaskInvalid, "ops is neither the offers' role eng nor"),
        ("far", None, TaskState::Dropped, TaskReason::VolumeUnavailable, "is on agent A1-2 (other), not on A1-1"),
    ] {
        let (was, why, message) = near(
            &mut world,
            task_with(&format!("bad-{volume}-{of:?}").replace(['(', ')', '"'], ""), volume, of, false),
        )
        .unwrap();
        assert_eq!((was, why), (state, reason), "{message}");
        assert!(message.starts_with("task.container.mounts[0].volume") && message.contains(words), "{message}");
    }
    assert_eq!(near(&mut world, task_with("writer", "db", Some("eng"), false)), None);
    let (state, reason, message) = near(&mut world, task_with("reader", "db", None, true)).unwrap();
    assert_eq!((state, reason), (TaskState::Dropped, TaskReason::VolumeUnavailable));
    assert!(message.contains("volume db is in use by task F1-1/writer"), "{message}");
    world.update(1, "F1-1", "writer", 1, TaskState::Finished);
    for reader in ["r1", "r2"] {
        assert_eq!(near(&mut world, task_with(reader, "db", None, true)), None, "readers share it");
    }
    assert!(near(&mut world, task_with("w2", "db", None, false)).unwrap().2.contains("F1-1/r1"));
}

#[test]
fn tasks_of_one_group_do_not_write_to_one_volume() {
    let mut world = World::new();
    attach(&mut world, 1, None, vec![], &[("eng", 10)]);
    operate(&mut world, "A1-1", create("db", "eng", 2)).unwrap();
    subscribe(&mut world, 11, "eng");
    let group = |names: [&str; 2], read_only| Operation::LaunchGroup {
        operation_id: "g".into(),
        tasks: launch_of(names.iter().map(|id| task_with(id, "db", None, read_only)).collect()),
    };
    let effects = run(&mut world, 11, vec![group(["a", "b"], false), group(["c", "d"], true)]);
    let told = outcomes(&effects);
    assert!(told[0].1.contains("in use by another task of this accept"), "{told:?}");
    assert_eq!(told[1].0, OperationOutcome::Done, "readers do");
    assert_eq!(world.registry.tasks.len(), 2);
}

#[test]
fn a_volume_in_use_is_not_destroyed_and_its_reservation_stays() {
    let mut world = World::new();
    attach(&mut world, 1, None, vec![], &[]);
    operate(&mut world, "A1-1", reserve("eng", 10)).unwrap();
    for (wish, words) in [
        (create("db", "ops", 1), "role: nothing is reserved for ops on A1-1; reserve disk first: `proffer reserve"),
        (create("db", "eng", 11), "size_bytes: 11GiB is more than the 10GiB"),
        (create("db", "eng", 0), "size_bytes: is 0; give at least 1"),
        (destroy("db", "eng"), "volume_id: A1-1 has no volume db of role eng"),
    ] {
        let error = operate(&mut world, "A1-1", wish).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    operate(&mut world, "A1-1", create("db", "eng", 4)).unwrap();
    let error = operate(&mut world, "A1-1", create("db", "eng", 1)).unwrap_err();
    assert!(error.starts_with("volume_id: A1-1 has a volume db of role eng already"), "{error}");
    let error = operate(&mut world, "A1-1", unreserve("eng", 8, false)).unwrap_err();
    assert!(error.contains("volumes rest on it: db") && error.contains("--force"), "{error}");
    subscribe(&mut world, 11, "eng");
    launch(&mut world, 11, task_with("t", "db", None, false));
    for wish in [destroy("db", "eng"), unreserve("eng", 8, true)] {
        let error = operate(&mut world, "A1-1", wish).unwrap_err();
        assert!(error.contains("in use by task F1-1/t; end it first") || error.contains("rest on it"), "{error}");
    }
    assert_eq!(volumes(&world).len(), 1);
    world.update(1, "F1-1", "t", 1, TaskState::Finished);
    operate(&mut world, "A1-1", destroy("db", "eng")).unwrap();
    assert_eq!(volumes(&world)[0].3, VolumeState::Destroying, "kept until the agent said that its data is gone");
    operate(&mut world, "A1-1", create("db", "eng", 4)).unwrap();
    report(&mut world, 1, 1, false);
    assert_eq!(volumes(&world), [(2, "db".into(), "eng".into(), VolumeState::Creating)], "a new one of that name");
}

#[test]
fn a_forced_unreserve_destroys_the_newest_unused_volumes_and_no_more_than_it_must() {
    let mut world = World::new();
    attach(&mut world, 1, None, vec![], &[]);
    operate(&mut world, "A1-1", reserve("eng", 10)).unwrap();
    for id in ["a", "b", "c"] {
        operate(&mut world, "A1-1", create(id, "eng", 3)).unwrap();
    }
    operate(&mut world, "A1-1", unreserve("eng", 1, true)).unwrap();
    assert!(volumes(&world).iter().all(|volume| volume.3 == VolumeState::Creating), "none had to go");
    subscribe(&mut world, 11, "eng");
    launch(&mut world, 11, task_with("t", "c", None, false));
    operate(&mut world, "A1-1", unreserve("eng", 3, true)).unwrap();
    let states: Vec<_> = volumes(&world).into_iter().map(|volume| volume.3).collect();
    use VolumeState::{Creating, Destroying};
    assert_eq!(states, [Creating, Destroying, Creating], "c is in use, a is older");
    assert!(operate(&mut world, "A1-1", unreserve("eng", 6, true)).is_err(), "c is still in use");
}

#[test]
fn a_frameworks_volumes_outlive_it_and_an_agent_that_is_gone_takes_its_own_along() {
    let mut world = World::new();
    attach(&mut world, 1, None, vec![], &[("eng", 10)]);
    operate(&mut world, "A1-1", create("db", "eng", 2)).unwrap();
    subscribe(&mut world, 11, "eng");
    world.call(11, "teardown", FrameworkCall::Teardown);
    assert_eq!(volumes(&world).len(), 1);
    world.operator("A1-1", AgentCommand::MarkGone).unwrap();
    assert_eq!(volumes(&world), []);
}

#[test]
fn whatever_one_side_missed_is_made_good_when_the_agent_attaches() {
    let mut world = World::new();
    attach(&mut world, 1, None, vec![], &[("eng", 50)]);
    for id in ["lost-order", "made", "vanished", "doomed", "done"] {
        operate(&mut world, "A1-1", create(id, "eng", 2)).unwrap();
    }
    [2, 3, 4, 5].into_iter().for_each(|number| report(&mut world, 1, number, true));
    operate(&mut world, "A1-1", destroy("doomed", "eng")).unwrap();
    operate(&mut world, "A1-1", destroy("done", "eng")).unwrap();
    world.fail_over(2);
    let there = vec![
        held(2, "made", "eng", 2, HeldState::Ready),
        held(4, "doomed", "eng", 2, HeldState::Ready),
        held(9, "unknown", "ops", 3, HeldState::Ready),
        held(8, "half-gone", "ops", 3, HeldState::Removing),
    ];
    let effects = attach(&mut world, 2, Some("A1-1"), there, &[("eng", 50)]);
    assert_eq!(orders(&effects), ["make 1", "destroy 4"]);
    use VolumeState::*;
    let expected = [
        (1, "lost-order", "eng", Creating),
        (2, "made", "eng", Ready),
        (3, "vanished", "eng", Lost),
        (4, "doomed", "eng", Destroying),
        (9, "unknown", "ops", Ready),
    ];
    let expected: Vec<_> = expected.map(|(n, id, of, state)| (n, id.to_owned(), of.to_owned(), state)).into();
    assert_eq!(volumes(&world), expected, "one that nobody recorded is taken in, never removed");
    subscribe(&mut world, 11, "eng");
    let (_, reason, message) =
        refusals(&launch(&mut world, 11, task_with("t", "vanished", None, false))).pop().unwrap();
    assert_eq!(reason, TaskReason::VolumeUnavailable);
    assert!(message.contains("is lost on A1-1; destroy it and make it anew"), "{message}");
    operate(&mut world, "A1-1", destroy("vanished", "eng")).unwrap();
    report(&mut world, 2, 3, false);
    operate(&mut world, "A1-1", create("next", "eng", 1)).unwrap();
    assert_eq!(volumes(&world).last().unwrap().0, 10, "numbers do not come again");
}

#[test]
fn a_flag_that_no_longer_reserves_leaves_the_volumes_their_part() {
    let mut world = World::new();
    attach(&mut world, 1, None, vec![], &[("eng", 10)]);
    operate(&mut world, "A1-1", create("db", "eng", 4)).unwrap();
    let there = || vec![held(1, "db", "eng", 4, HeldState::Ready)];
    for (statics, expected) in [
        (vec![("eng", 3u64)], vec![("eng", 4, false), ("eng", 3, true)]),
        (vec![], vec![("eng", 4, false)]),
        (vec![("ops", 2)], vec![("eng", 4, false), ("ops", 2, true)]),
    ] {
        attach(&mut world, 1, Some("A1-1"), there(), &statics);
        let mut pools: Vec<_> = world.registry.agents[0].pools.iter().collect();
        pools.sort_by_key(|pool| pool.is_static);
        let found: Vec<_> = pools.iter().map(|p| (p.role.as_str(), p.resources.disk.0 >> 30, p.is_static)).collect();
        assert_eq!(found, expected);
    }
    subscribe(&mut world, 11, "eng");
    let offer = last_offer(&world, 11);
    assert_eq!((offer.volumes.len(), offer.resources.disk), (1, gib(94)));
}

#[test]
fn an_agent_with_less_disk_than_its_volumes_offers_nothing() {
    let mut world = World::new();
    let there = vec![held(1, "db", "eng", 200, HeldState::Ready)];
    attach(&mut world, 1, None, there, &[]);
    subscribe(&mut world, 11, "eng");
    assert!(world.offers.is_empty(), "{}", world.trace);
    operate(&mut world, "A1-1", destroy("db", "eng")).unwrap();
    operate(&mut world, "A1-1", unreserve("eng", 200, false)).unwrap();
    assert_eq!(last_offer(&world, 11).resources.disk, gib(100));
}
