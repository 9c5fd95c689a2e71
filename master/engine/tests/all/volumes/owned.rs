//! What a framework reserved ends with it when it is removed for good, unless it leaves it to its roles; what others use
//! stays.

use super::*;

/// Framework F1-1 of eng on stream 11 has reserved 10 GiB, made a volume of 4 of them, and runs a task with it.
fn settled(leaves: bool) -> World {
    let mut world = World::new();
    attach(&mut world, 1, None, vec![], &[]);
    let framework = FrameworkInfo { roles: vec![role("eng")], leaves_reservations: leaves, ..framework_info("owner") };
    let demand = Demand::anything(role("eng"));
    world.handle("subscribe", Input::Subscribe { session: SessionId(11), framework, demand });
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
    run(&mut world, 11, vec![reserve, create, launch]);
    report(&mut world, 1, 1, true);
    world
}

/// Role, GiB and owner of every reservation.
fn reservations(world: &World) -> Vec<(String, u64, Option<String>)> {
    let pools = world.registry.agents[0].pools.iter();
    pools.map(|pool| (pool.role.to_string(), pool.resources.disk.0 >> 30, pool.owner.clone().map(Into::into))).collect()
}

fn owners(world: &World) -> Vec<Option<String>> {
    world.registry.agents[0].volumes.iter().map(|known| known.owner.clone().map(Into::into)).collect()
}

#[test]
fn reservations_and_volumes_end_after_the_last_task_of_a_framework_that_was_removed() {
    let mut world = settled(false);
    assert_eq!(reservations(&world), [("eng".into(), 10, Some("F1-1".into()))]);
    assert_eq!(owners(&world), [Some("F1-1".into())]);
    subscribe(&mut world, 12, "eng");
    world.call(11, "teardown", FrameworkCall::Teardown);
    assert_eq!(volumes(&world)[0].3, VolumeState::Ready, "its task still runs");
    world.fail_over(2);
    assert_eq!(volumes(&world)[0].3, VolumeState::Ready);
    attach(&mut world, 2, Some("A1-1"), vec![held(1, "db", "eng", 4, HeldState::Ready)], &[]);
    let effects = world.update(2, "F1-1", "t", 1, TaskState::Killed);
    assert_eq!(orders(&effects), ["destroy 1"]);
    assert_eq!((reservations(&world), volumes(&world)[0].3), (vec![], VolumeState::Destroying));
    assert!(world.registry.frameworks.iter().all(|framework| framework.id.as_str() != "F1-1"));
    report(&mut world, 2, 1, false);
    assert_eq!(volumes(&world), []);
    subscribe(&mut world, 13, "eng");
    let offered = world.offers.iter().map(|(_, offer)| offer.resources.disk).max();
    assert_eq!(offered, Some(gib(100)), "all of it is for anybody again");
}

#[test]
fn a_framework_may_leave_what_it_has_to_its_roles() {
    let mut world = settled(true);
    world.call(11, "teardown", FrameworkCall::Teardown);
    let effects = world.update(1, "F1-1", "t", 1, TaskState::Killed);
    assert!(orders(&effects).is_empty());
    assert_eq!(reservations(&world), [("eng".into(), 10, None)]);
    assert_eq!((volumes(&world)[0].3, owners(&world)), (VolumeState::Ready, vec![None]));
    subscribe(&mut world, 12, "eng");
    assert_eq!(last_offer(&world, 12).volumes[0].id.as_str(), "db");
}

#[test]
fn what_another_framework_uses_stays_for_the_role() {
    let mut world = settled(false);
    world.update(1, "F1-1", "t", 1, TaskState::Finished);
    world.call(11, "demand", FrameworkCall::Demand(Demand::default()));
    let offers: Vec<OfferId> = world.offers.drain(..).map(|(_, offer)| offer.id).collect();
    let (reason, filter) = (DeclineReason::new(DeclineKind::Other), Filter::NONE);
    world.call(11, "decline", FrameworkCall::Decline { offers, reason, filter });
    subscribe(&mut world, 12, "eng");
    launch(&mut world, 12, task_with("other", "db", None, false));
    world.call(11, "teardown", FrameworkCall::Teardown);
    assert_eq!((volumes(&world)[0].3, owners(&world)), (VolumeState::Ready, vec![None]));
    assert_eq!(reservations(&world), [("eng".into(), 4, None)], "the disk of the volume; the rest is free");
    world.wait(10_000);
    assert_eq!(last_offer(&world, 12).reserved, [], "it was withdrawn and is offered as what it is now");
}

#[test]
fn a_framework_that_never_comes_back_takes_along_what_is_on_agents_that_are_away() {
    let mut world = settled(false);
    world.update(1, "F1-1", "t", 1, TaskState::Finished);
    world.handle("gone", Input::FrameworkDisconnected { session: SessionId(11) });
    world.handle("agent", Input::AgentDisconnected { session: SessionId(1) });
    world.wait(70_000);
    assert_eq!((reservations(&world), volumes(&world)[0].3), (vec![], VolumeState::Destroying));
    let effects = attach(&mut world, 2, Some("A1-1"), vec![held(1, "db", "eng", 4, HeldState::Ready)], &[]);
    assert_eq!(orders(&effects), ["destroy 1"]);
}

#[test]
fn what_operators_made_and_what_was_refined_by_others_does_not_go() {
    let mut world = settled(false);
    world.update(1, "F1-1", "t", 1, TaskState::Finished);
    operate(&mut world, "A1-1", reserve("eng", 5)).unwrap();
    operate(&mut world, "A1-1", create("kept", "eng", 2)).unwrap();
    let refine = OperatorReservation::Reserve {
        role: role("eng/web"),
        from_role: Some(role("eng")),
        resources: disk(3),
        labels: BTreeMap::new(),
        principal: "operator".into(),
        owner: None,
    };
    operate(&mut world, "A1-1", refine).unwrap();
    world.call(11, "teardown", FrameworkCall::Teardown);
    let left: Vec<(String, u64)> = reservations(&world).into_iter().map(|(role, gib, _)| (role, gib)).collect();
    let sum = |of: &str| left.iter().filter(|(role, _)| role == of).map(|(_, gib)| gib).sum::<u64>();
    assert_eq!((sum("eng"), sum("eng/web")), (5 + 2, 3), "the operator's volume holds 2 GiB of it: {left:?}");
    let names: Vec<_> = volumes(&world).into_iter().filter(|known| known.3.is_kept()).map(|known| known.1).collect();
    assert_eq!(names, ["kept"]);
}

#[test]
fn what_a_framework_refined_from_its_own_reservation_goes_with_both() {
    let mut world = settled(false);
    let refine = Operation::Reserve {
        operation_id: "f".into(),
        agent: AgentId::new("A1-1").unwrap(),
        role: role("eng/web"),
        from_role: Some(role("eng")),
        resources: disk(3),
        labels: BTreeMap::new(),
    };
    run(&mut world, 11, vec![refine]);
    assert_eq!(reservations(&world).len(), 2);
    world.update(1, "F1-1", "t", 1, TaskState::Finished);
    world.call(11, "teardown", FrameworkCall::Teardown);
    assert_eq!(reservations(&world), [], "nothing is left behind in the outer one");
}

#[test]
fn what_others_refined_from_it_is_refined_from_what_it_came_from_then() {
    let mut world = settled(false);
    world.update(1, "F1-1", "t", 1, TaskState::Finished);
    let refine = |of: &str, from: &str, gib: u64| OperatorReservation::Reserve {
        role: role(of),
        from_role: Some(role(from)),
        resources: disk(gib),
        labels: BTreeMap::new(),
        principal: "operator".into(),
        owner: None,
    };
    operate(&mut world, "A1-1", refine("eng/web", "eng", 3)).unwrap();
    world.call(11, "teardown", FrameworkCall::Teardown);
    assert_eq!(reservations(&world), [("eng/web".into(), 3, None)]);
    let unreserve = OperatorReservation::Unreserve { role: role("eng/web"), resources: disk(3), is_forced: false };
    operate(&mut world, "A1-1", unreserve).unwrap();
    assert_eq!(reservations(&world), [], "it does not go back to a reservation that has ended");
}
