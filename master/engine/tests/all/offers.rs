//! Offers from end to end: filters, gangs, what one bad task leaves, and what is void when its agent changes.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_engine::*;
use proffer_proto_model::*;

fn decline(offer: &Offer, refuse_ms: u64) -> FrameworkCall {
    let reason = DeclineReason::new(DeclineKind::Spread);
    FrameworkCall::Decline { offers: vec![offer.id.clone()], reason, filter: Filter { refuse_ms } }
}

fn launch(id: &str, cpus: u64) -> TaskLaunch {
    TaskLaunch { agent: None, task: task(id, cpus), reserved_use: Default::default() }
}

fn on(agent: &AgentId, launch: TaskLaunch) -> TaskLaunch {
    TaskLaunch { agent: Some(agent.clone()), ..launch }
}

/// The offers made since the last call, with their receivers.
fn new_offers(world: &mut World) -> Vec<(u64, Offer)> {
    world.offers.drain(..).map(|(session, offer)| (session.0, offer)).collect()
}

#[test]
fn a_filter_lasts_as_asked_covers_less_and_not_more_and_ends_with_new_demand() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 1));
    let offer = world.offers.pop().unwrap().1;
    world.call(10, "decline for 3 s", decline(&offer, 3_000));
    world.call(10, "the same demand", FrameworkCall::Demand(want(1_000, 1)));
    world.wait(2_999);
    assert_eq!(new_offers(&mut world), [], "not before its time");
    world.wait(1);
    let offer = new_offers(&mut world).pop().unwrap().1;
    world.call(10, "decline for ever", decline(&offer, u64::MAX));
    world.call(10, "less is wanted of it", FrameworkCall::Demand(want(1_000, 1)));
    assert_eq!(new_offers(&mut world), []);
    world.attach(2, Some("A1-1"), 5_000, vec![]);
    let offer = new_offers(&mut world).pop().expect("the agent has more than was refused").1;
    world.call(10, "decline for ever", decline(&offer, u64::MAX));
    world.call(10, "more is wanted", FrameworkCall::Demand(want(1_000, 2)));
    assert_eq!(new_offers(&mut world).len(), 1);
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_filter_does_not_keep_others_away_and_ends_with_the_stream() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 1));
    let offer = world.offers.pop().unwrap().1;
    world.call(10, "decline", decline(&offer, 60_000));
    world.subscribe(11, "batch", want(1_000, 1));
    let (receiver, offer) = new_offers(&mut world).pop().unwrap();
    assert_eq!(receiver, 11);
    world.call(11, "decline", decline(&offer, 60_000));
    world.subscribe(12, "web", want(1_000, 1));
    assert_eq!(new_offers(&mut world).pop().map(|(receiver, _)| receiver), Some(12));
}

#[test]
fn a_gang_over_several_agents_is_launched_whole_or_not_at_all() {
    let mut world = World::new();
    for (session, host) in [(1, "one"), (2, "two")] {
        world.attach_from(host, session, None, 4_000, vec![]);
    }
    world.subscribe(10, "mpi", want(3_000, 8));
    let offers: Vec<Offer> = new_offers(&mut world).into_iter().map(|(_, offer)| offer).collect();
    let (one, two) = (offers[0].agent.clone(), offers[1].agent.clone());
    let ids = || offers.iter().map(|offer| offer.id.clone()).collect::<Vec<_>>();
    let group = |tasks| vec![Operation::LaunchGroup { operation_id: "gang".into(), tasks }];
    let tasks = vec![on(&one, launch("a", 3_000)), on(&two, launch("b", 3_000)), on(&two, launch("c", 3_000))];
    world.call(10, "one too many", accept(ids(), group(tasks)));
    assert!(world.registry.tasks.is_empty(), "none of them");
    world.wait(5_000);
    let offers: Vec<Offer> = new_offers(&mut world).into_iter().map(|(_, offer)| offer).collect();
    let ids: Vec<OfferId> = offers.iter().map(|offer| offer.id.clone()).collect();
    world.call(10, "gang", accept(ids, group(vec![on(&one, launch("a", 3_000)), on(&two, launch("b", 3_000))])));
    assert_eq!(world.registry.tasks.len(), 2);
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_bad_task_costs_its_neighbours_nothing_and_the_rest_goes_back() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 3));
    world.subscribe(11, "batch", want(2_000, 1));
    let mut bad = launch("bad", 1_000);
    bad.task.container.image.clear();
    let offer = world.offers.iter().find(|(to, _)| to.0 == 10).unwrap().1.id.clone();
    world.offers.clear();
    let one = Operation::Launch { tasks: vec![launch("good", 1_000), bad, launch("huge", 9_000)] };
    world.call(10, "one good, two bad", accept(vec![offer], vec![one]));
    let (receiver, offer) = new_offers(&mut world).pop().unwrap();
    assert_eq!((receiver, offer.resources.cpus), (11, MilliCpus(3_000)), "all but the good one's");
    world.call(11, "decline", decline(&offer, 60_000));
    world.wait(5_000);
    let (receiver, offer) = new_offers(&mut world).pop().unwrap();
    assert_eq!((receiver, offer.resources.cpus), (10, MilliCpus(3_000)), "its own again, after the filter");
    insta::assert_snapshot!(world.trace);
}

/// The same stream, or a newer one while the older is not known to be dead.
#[test]
fn an_agent_that_comes_back_with_less_than_is_on_offer_voids_the_offers() {
    for session in [1, 2] {
        let mut world = World::new();
        world.attach(1, None, 4_000, vec![]);
        world.subscribe(10, "web", want(1_000, 1));
        let offer = new_offers(&mut world).pop().unwrap().1;
        let effects = world.attach(session, Some("A1-1"), 2_000, vec![]);
        let rescinded = effects.iter().find_map(|effect| match effect {
            Effect::ToFramework { message: ToFramework::Rescind { offers, reason }, .. } => Some((offers, *reason)),
            _ => None,
        });
        assert_eq!(rescinded, Some((&vec![offer.id.clone()], RescindReason::AgentChanged)));
        let again = new_offers(&mut world).pop().unwrap().1;
        assert_eq!(again.resources.cpus, MilliCpus(2_000));
        let one = Operation::Launch { tasks: vec![launch("late", 4_000)] };
        world.call(10, "accept of the void one", accept(vec![offer.id], vec![one]));
        assert!(world.registry.tasks.is_empty());
    }
}

#[test]
fn an_agent_that_comes_back_with_less_than_its_tasks_hold_is_not_offered() {
    let mut world = World::new();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "web", want(1_000, 1));
    world.launch(10, vec![task("a", 3_000)]);
    world.wait(1_000);
    new_offers(&mut world);
    let mine = || vec![attached("F1-1", task("a", 3_000), 1, TaskState::Running)];
    world.attach(2, Some("A1-1"), 2_000, mine());
    world.call(10, "more", FrameworkCall::Demand(want(10, 5)));
    assert_eq!(new_offers(&mut world), []);
    world.update(2, "F1-1", "a", 2, TaskState::Finished);
    assert_eq!(new_offers(&mut world).pop().unwrap().1.resources.cpus, MilliCpus(2_000));
}

#[test]
fn a_hoarder_is_held_to_its_cap_and_others_are_served() {
    let config = Config { max_offers_per_framework: 2, ..Config::default() };
    let mut world = World::with(config);
    for n in 0..4 {
        world.attach_from(&format!("host{n}"), n + 1, None, 4_000, vec![]);
    }
    world.subscribe(10, "hoarder", anything());
    assert_eq!(new_offers(&mut world).len(), 2);
    world.subscribe(11, "modest", want(1_000, 2));
    let modest = new_offers(&mut world);
    assert!(!modest.is_empty() && modest.iter().all(|(receiver, _)| *receiver == 11));
}

#[test]
fn the_master_is_told_how_what_is_free_is_shared_out() {
    let first_agent = |sharing: Sharing| {
        let mut world = World::with(Config { sharing, ..Config::default() });
        world.attach(1, None, 4_000, vec![]);
        world.attach_from("other", 2, None, 2_000, vec![]);
        world.subscribe(10, "web", want(1_000, 1));
        new_offers(&mut world).into_iter().next().unwrap().1.agent
    };
    assert_eq!(first_agent(Sharing::default()).as_str(), "A1-1");
    assert_eq!(first_agent(Sharing { placement: Placement::Pack, ..Sharing::default() }).as_str(), "A1-2");
    let min_offer = Resources { cpus: MilliCpus(3_000), ..Resources::default() };
    let sharing = Sharing { placement: Placement::Pack, min_offer, ..Sharing::default() };
    assert_eq!(first_agent(sharing).as_str(), "A1-1", "the other one has less than an offer must hold");
}
