//! Optimistic roles: the same resources are offered to several frameworks; one wins, and the others are told at once.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::*;
use proffer_proto_model::*;

fn set_mode(world: &mut World, role: &str, offers: OfferMode) {
    let change = PolicyChange { offers: Some(offers), ..PolicyChange::default() };
    let call = RolesCall::SetPolicy { role: Role::new(role).unwrap(), change: Box::new(change) };
    let call = OperatorCall::Roles { request: 1, call, is_dry_run: false };
    world.handle("operator: offers", Input::Operator(call));
}

/// One agent of 4 CPUs, and frameworks on the streams 10 and 11 in the optimistic role `default`.
fn two_racers() -> World {
    // Agents need not answer pings.
    let mut world = World::with(Config { agent_timeout_ms: 3_600_000, ..Config::default() });
    world.is_traced = false;
    set_mode(&mut world, "default", OfferMode::Optimistic);
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "a", anything());
    world.subscribe(11, "b", anything());
    assert_eq!(world.offers.len(), 2, "both see the agent");
    assert_eq!(world.offers[0].1.resources, world.offers[1].1.resources);
    assert!(world.offers.iter().all(|(_, offer)| offer.is_optimistic));
    world
}

fn offer_of(world: &mut World, session: u64) -> OfferId {
    let at = world.offers.iter().rposition(|(to, _)| to.0 == session).unwrap();
    world.offers.remove(at).1.id
}

fn withdrawn(world: &World, session: u64) -> Vec<(OfferId, RescindReason)> {
    let own = world.withdrawn.iter().filter(|(from, ..)| from.0 == session);
    own.map(|(_, offer, reason)| (offer.clone(), *reason)).collect()
}

fn lost(effects: &[Effect], session: u64) -> Vec<OfferId> {
    let rescinded = effects.iter().filter_map(|effect| match effect {
        Effect::ToFramework {
            session: to,
            message: ToFramework::Rescind { offers, reason: RescindReason::LostRace },
        } => (to.0 == session).then(|| offers.clone()),
        _ => None,
    });
    rescinded.flatten().collect()
}

fn dropped(effects: &[Effect]) -> Vec<(String, TaskState, TaskReason)> {
    let statuses = effects.iter().filter_map(|effect| match effect {
        Effect::ToFramework { message: ToFramework::Status(statuses), .. } => Some(statuses.clone()),
        _ => None,
    });
    statuses.flatten().map(|status| (status.task.to_string(), status.state, status.reason)).collect()
}

fn launch(id: &str, cpus: u64) -> Operation {
    let launch = TaskLaunch { agent: None, task: task(id, cpus), reserved_use: Default::default() };
    Operation::Launch { tasks: vec![launch] }
}

#[test]
fn the_first_accept_wins_the_loser_is_told_at_once_and_offered_the_rest() {
    let mut world = two_racers();
    let (first, second) = (offer_of(&mut world, 10), offer_of(&mut world, 11));
    let said = world.call(11, "accept", accept(vec![second], vec![launch("won", 1_000)]));
    assert_eq!(lost(&said, 10), std::slice::from_ref(&first));
    let rest = world.offers.iter().find(|(to, _)| to.0 == 10).map(|(_, offer)| offer.resources.cpus);
    assert_eq!(rest, Some(MilliCpus(3_000)), "in the same breath");
    let said = world.call(10, "too late", accept(vec![first], vec![launch("late", 1_000)]));
    assert_eq!(dropped(&said), [("late".to_owned(), TaskState::Dropped, TaskReason::InvalidOffers)]);
    assert_eq!(world.registry.tasks.len(), 1);
}

#[test]
fn a_decline_or_an_accept_of_nothing_leaves_the_others_in_the_race() {
    for call in [
        |offer| accept(vec![offer], vec![]),
        |offer| {
            let reason = DeclineReason::new(DeclineKind::Other);
            FrameworkCall::Decline { offers: vec![offer], reason, filter: Filter::default() }
        },
    ] {
        let mut world = two_racers();
        let (first, second) = (offer_of(&mut world, 10), offer_of(&mut world, 11));
        let said = world.call(10, "not wanted", call(first));
        assert_eq!(lost(&said, 11), []);
        world.call(11, "accept", accept(vec![second], vec![launch("won", 4_000)]));
        assert_eq!(world.registry.tasks[0].status.state, TaskState::Staging);
    }
}

#[test]
fn an_accept_of_which_nothing_is_carried_out_leaves_the_others_in_the_race() {
    let reserve_too_much = Operation::Reserve {
        operation_id: "r".into(),
        agent: AgentId::new("A1-1").unwrap(),
        role: Role::default_role(),
        from_role: None,
        resources: Resources::new(MilliCpus(9_000), Bytes::mib(4_000)),
        labels: Default::default(),
    };
    let group = |ids: [&str; 2]| {
        let tasks = ids.map(|id| TaskLaunch { agent: None, task: task(id, 3_000), reserved_use: Default::default() });
        Operation::LaunchGroup { operation_id: "g".into(), tasks: tasks.into() }
    };
    for operation in [launch("large", 9_000), reserve_too_much, group(["one", "two"])] {
        let mut world = two_racers();
        let (first, second) = (offer_of(&mut world, 10), offer_of(&mut world, 11));
        let said = world.call(10, "in vain", accept(vec![first], vec![operation]));
        assert_eq!(lost(&said, 11), []);
        let said = world.call(11, "accept", accept(vec![second], vec![launch("won", 4_000)]));
        assert_eq!(dropped(&said), []);
        assert_eq!(world.registry.tasks[0].status.state, TaskState::Staging);
    }
}

#[test]
fn the_first_operation_that_is_carried_out_wins() {
    let mut world = two_racers();
    let (first, second) = (offer_of(&mut world, 10), offer_of(&mut world, 11));
    let said = world.call(10, "half", accept(vec![first], vec![launch("large", 9_000), launch("small", 1_000)]));
    assert_eq!(lost(&said, 11), [second]);
    assert_eq!(world.registry.tasks.len(), 1);
}

#[test]
fn an_offer_that_expires_and_an_agent_that_is_lost_end_races_for_all() {
    let mut world = two_racers();
    let (first, second) = (offer_of(&mut world, 10), offer_of(&mut world, 11));
    world.offers.clear();
    world.wait(29_999);
    assert_eq!((world.offers.len(), withdrawn(&world, 10), withdrawn(&world, 11)), (0, vec![], vec![]));
    world.wait(1);
    // Nobody is left in the race: each is told of its own end, and nobody is offered it again at once.
    assert_eq!(withdrawn(&world, 10), [(first.clone(), RescindReason::Expired)]);
    assert_eq!(withdrawn(&world, 11), [(second.clone(), RescindReason::Expired)]);
    assert!(world.offers.is_empty(), "{:?}", world.offers);
    let said = world.call(10, "too late", accept(vec![first], vec![launch("late", 1_000)]));
    assert_eq!(dropped(&said), [("late".to_owned(), TaskState::Dropped, TaskReason::InvalidOffers)]);
    // Both have another chance, whole, after their pauses; it ends for both with the agent.
    world.wait(6_000);
    let again = [10, 11].map(|to| (offer_of(&mut world, to), to));
    assert!(again.iter().all(|(offer, _)| *offer != second));
    assert!(world.offers.iter().all(|(_, offer)| offer.resources.cpus == MilliCpus(4_000)), "{:?}", world.offers);
    world.offers.clear();
    world.handle("lost", Input::AgentDisconnected { session: SessionId(1) });
    for (offer, to) in again {
        assert_eq!(withdrawn(&world, to).last(), Some(&(offer, RescindReason::AgentLost)), "to {to}");
    }
    assert!(world.offers.is_empty(), "nothing of an agent that is away");
    let agent = world.registry.agents[0].id.clone();
    world.attach(2, Some(agent.as_str()), 4_000, vec![]);
    world.wait(400_000);
    assert!(!world.offers.is_empty(), "it is offered again");
}

#[test]
fn a_reservation_out_of_a_raced_offer_is_nobody_elses_any_more() {
    let mut world = two_racers();
    let (first, second) = (offer_of(&mut world, 10), offer_of(&mut world, 11));
    let reserve = Operation::Reserve {
        operation_id: "r".into(),
        agent: AgentId::new("A1-1").unwrap(),
        role: Role::default_role(),
        from_role: None,
        resources: Resources::new(MilliCpus(4_000), Bytes::mib(4_000)),
        labels: Default::default(),
    };
    let said = world.call(10, "reserve", accept(vec![first], vec![reserve]));
    assert_eq!(lost(&said, 11), [second]);
}

#[test]
fn what_an_operator_reserves_is_withdrawn_from_all_who_race_for_it() {
    let mut world = two_racers();
    let (first, second) = (offer_of(&mut world, 10), offer_of(&mut world, 11));
    let wish = proffer_master_engine::reservations::OperatorReservation::Reserve {
        role: Role::new("eng").unwrap(),
        from_role: None,
        resources: Resources::new(MilliCpus(4_000), Bytes::mib(1_000)),
        labels: Default::default(),
        principal: "somebody".into(),
        owner: None,
    };
    let call = OperatorCall::Reservation { request: 1, agent: AgentId::new("A1-1").unwrap(), wish };
    let said = world.handle("operator: reserve", Input::Operator(call));
    for (session, offer) in [(10, first), (11, second)] {
        let is_told = said.iter().any(|effect| {
            matches!(effect, Effect::ToFramework {
                session: to, message: ToFramework::Rescind { offers, reason: RescindReason::Operator }
            } if to.0 == session && offers.contains(&offer))
        });
        assert!(is_told, "{said:?}");
    }
    assert!(world.offers.iter().all(|(_, offer)| offer.resources.cpus == MilliCpus(0)), "{:?}", world.offers);
}

#[test]
fn a_role_that_is_exclusive_again_races_no_more_and_a_new_master_remembers() {
    let mut world = two_racers();
    world.fail_over(2);
    world.attach(21, Some("A1-1"), 4_000, vec![]);
    world.subscribe(30, "a", anything());
    world.subscribe(31, "b", anything());
    assert_eq!(world.offers.len(), 2);
    set_mode(&mut world, "default", OfferMode::Exclusive);
    let (first, second) = (offer_of(&mut world, 30), offer_of(&mut world, 31));
    let said = world.call(30, "accept", accept(vec![first], vec![launch("won", 1_000)]));
    assert_eq!(lost(&said, 31), [second], "what was offered before goes on as it was");
    assert_eq!(world.offers.len(), 1, "the rest is offered to one");
    assert_eq!(world.registry.roles, []);
}
