//! One framework that hoards, hangs or answers without end costs the others little. Counted in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers

use std::collections::{BTreeMap, BTreeSet};

use crate::common::*;
use proffer_master_engine::*;
use proffer_proto_model::*;

fn decline(offers: &[Offer], refuse_ms: u64) -> FrameworkCall {
    let ids = offers.iter().map(|offer| offer.id.clone()).collect();
    FrameworkCall::Decline { offers: ids, reason: DeclineReason::new(DeclineKind::Other), filter: Filter { refuse_ms } }
}

fn taken(world: &mut World, session: u64) -> Vec<Offer> {
    let (mine, others) = std::mem::take(&mut world.offers).into_iter().partition(|(to, _)| to.0 == session);
    world.offers = others;
    let mine: Vec<(SessionId, Offer)> = mine;
    mine.into_iter().map(|(_, offer)| offer).collect()
}

/// No trace, and agents need not answer pings.
fn quiet() -> World {
    let mut world = World::with(Config { agent_timeout_ms: 3_600_000, ..Config::default() });
    world.is_traced = false;
    world
}

/// Answers every offer at once for a minute; gives how many there were.
fn answered_in_a_minute(answer: impl Fn(&[Offer]) -> FrameworkCall) -> usize {
    let mut world = quiet();
    world.attach(1, None, 4_000, vec![]);
    world.subscribe(10, "spins", anything());
    let mut count = 0;
    for _ in 0..60_000 {
        loop {
            let offers = taken(&mut world, 10);
            if offers.is_empty() {
                break;
            }
            count += offers.len();
            assert!(count < 1_000, "it spins");
            world.call(10, "answer", answer(&offers));
        }
        world.wait(1);
    }
    count
}

#[test]
fn a_filter_of_no_time_does_not_spin() {
    // Three are free, then 10 ms, 20 ms, ... and one each second in the end.
    let count = answered_in_a_minute(|offers| decline(offers, 0));
    assert!((60..=72).contains(&count), "{count} offers");
    let count = answered_in_a_minute(|offers| decline(offers, 5));
    assert!((60..=72).contains(&count), "{count} offers");
    // Whoever asks for longer gets what it asks for.
    let count = answered_in_a_minute(|offers| decline(offers, 3_000));
    assert!((20..=21).contains(&count), "{count} offers");
}

#[test]
fn accepts_that_launch_nothing_do_not_spin() {
    let nothing = |offers: &[Offer], more: Option<OfferId>, filter| {
        let ids = offers.iter().map(|offer| offer.id.clone()).chain(more).collect();
        let leftover = DeclineReason::new(DeclineKind::Leftover);
        let operations = vec![Operation::Launch {
            tasks: vec![TaskLaunch { agent: None, task: task("t", 1 << 40), reserved_use: Default::default() }],
        }];
        FrameworkCall::Accept(Accept { offers: ids, operations, filter, leftover })
    };
    let too_large = answered_in_a_minute(|offers| nothing(offers, None, Filter::NONE));
    assert!((60..=72).contains(&too_large), "{too_large} offers");
    let unknown = OfferId::numbered(9, 9);
    let void = answered_in_a_minute(|offers| nothing(offers, Some(unknown.clone()), Filter::NONE));
    assert!((60..=72).contains(&void), "{void} offers");
}

#[test]
fn whoever_launches_gets_the_rest_at_once() {
    let mut world = quiet();
    world.attach(1, None, 20_000, vec![]);
    world.subscribe(10, "packs", anything());
    for number in 0..20 {
        let offers = taken(&mut world, 10);
        assert_eq!(offers.len(), 1, "before task {number}");
        let tasks = vec![TaskLaunch {
            agent: None,
            task: task(&format!("t{number}"), 1_000),
            reserved_use: Default::default(),
        }];
        let FrameworkCall::Accept(accept) = accept(vec![offers[0].id.clone()], vec![Operation::Launch { tasks }])
        else {
            unreachable!()
        };
        world.call(10, "accept", FrameworkCall::Accept(Accept { filter: Filter::NONE, ..accept }));
    }
}

#[test]
fn whoever_lets_offers_expire_gets_none_then_one_and_more_as_it_answers() {
    let mut world = quiet();
    for host in 0..16 {
        world.attach_from(&format!("h{host}"), host, None, 1_000, vec![]);
    }
    world.subscribe(100, "hangs", anything());
    assert_eq!(taken(&mut world, 100).len(), 16);
    // They expire after 30 s; the filter that follows lasts 5 s.
    world.wait(36_000);
    let mut offers = taken(&mut world, 100);
    assert_eq!(offers.len(), 1, "one, after 5 s");
    assert_eq!(offers[0].expires_in_ms, 5_000, "and it is told that this one expires soon");
    world.wait(4_000);
    assert_eq!(taken(&mut world, 100), []);
    world.wait(9_999);
    assert_eq!(taken(&mut world, 100), [], "10 s the second time");
    world.wait(1);
    offers = taken(&mut world, 100);
    let mut got = Vec::new();
    while got.len() < 4 {
        got.push(offers.len());
        world.call(100, "decline", decline(&offers, 100));
        offers = taken(&mut world, 100);
        world.wait(100);
        offers.extend(taken(&mut world, 100));
    }
    assert_eq!(got, [1, 2, 4, 8]);
    assert_eq!(offers[0].expires_in_ms, 30_000, "whoever answers has its time again");
}

#[test]
fn whoever_comes_back_again_and_again_over_unanswered_offers_gets_one_that_expires_soon() {
    let mut world = quiet();
    for host in 0..16 {
        world.attach_from(&format!("h{host}"), host, None, 1_000, vec![]);
    }
    world.subscribe(100, "comes back", anything());
    assert_eq!(taken(&mut world, 100).len(), 16);
    world.wait(4_999);
    world.handle("gone", Input::FrameworkDisconnected { session: SessionId(100) });
    world.subscribe(101, "comes back", anything());
    assert_eq!(taken(&mut world, 101).len(), 16, "it had no time to answer");
    world.wait(5_000);
    world.handle("gone", Input::FrameworkDisconnected { session: SessionId(101) });
    world.subscribe(102, "comes back", anything());
    let offers = taken(&mut world, 102);
    assert_eq!(offers.iter().map(|offer| offer.expires_in_ms).collect::<Vec<_>>(), [5_000]);
}

#[test]
fn what_was_offered_a_moment_before_another_one_expired_is_not_held_for_the_usual_time() {
    let mut world = quiet();
    world.attach(1, None, 1_000, vec![]);
    world.subscribe(100, "hangs", anything());
    world.wait(29_000);
    world.attach_from("late", 2, None, 1_000, vec![]);
    assert_eq!(taken(&mut world, 100).len(), 2);
    world.subscribe(101, "waits", anything());
    // The first expires after 30 s, and the second 5 s later.
    world.wait(1_000);
    assert_eq!(taken(&mut world, 101).len(), 1);
    world.wait(4_999);
    assert_eq!(taken(&mut world, 101), []);
    world.wait(1);
    assert_eq!(taken(&mut world, 101).len(), 1);
}

/// What the one framework does that the others suffer from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bad {
    /// It is not there.
    Absent,
    /// Takes offers and never answers.
    Hung,
    /// Gives everything back at once, with no filter, and changes what it wants as often as calls are taken.
    Flooding,
}

/// Four frameworks run tasks of one second on eight agents for ten minutes; gives how many tasks ended.
fn tasks_done(bad: Bad) -> usize {
    let mut world = quiet();
    for agent in 0..8 {
        world.attach_from(&format!("h{agent}"), agent, None, 4_000, vec![]);
    }
    for good in 0..4 {
        world.subscribe(100 + good, &format!("good-{good}"), want(1_000, 16));
    }
    if bad != Bad::Absent {
        world.subscribe(666, "bad", anything());
    }
    let (mut done, mut next, mut flip) = (0, 0, 0);
    let mut ends: BTreeSet<(u64, u64, FrameworkId, String)> = BTreeSet::new();
    let agents: BTreeMap<AgentId, u64> = (0..8).map(|agent| (AgentId::numbered(1, agent + 1), agent)).collect();
    for step in 0..30_000_u64 {
        let now = step * 20;
        while ends.first().is_some_and(|end| end.0 <= now) {
            let (_, session, framework, task) = ends.pop_first().unwrap();
            world.update(session, framework.as_str(), &task, 1, TaskState::Finished);
            let good = world.streams.iter().find(|(_, id)| **id == framework).unwrap().0.0;
            world.acknowledge(good, &task, 1);
            done += 1;
        }
        for good in 100..104 {
            for offer in taken(&mut world, good) {
                let fits = offer.resources.cpus.0 / 1_000;
                let ids: Vec<String> = (0..fits).map(|at| format!("t{}", next + at)).collect();
                next += fits;
                let tasks = ids
                    .iter()
                    .map(|id| TaskLaunch { agent: None, task: task(id, 1_000), reserved_use: Default::default() })
                    .collect();
                let framework = world.streams[&SessionId(good)].clone();
                let call = accept(vec![offer.id.clone()], vec![Operation::Launch { tasks }]);
                for effect in world.call(good, "accept", call) {
                    if let Effect::ToAgent { session, message: ToAgent::Launch { task, .. } } = effect {
                        assert_eq!(session.0, agents[&offer.agent]);
                        ends.insert((now + 1_000, session.0, framework.clone(), task.id.to_string()));
                    }
                }
            }
            if step % 5 == 0 {
                world.call(good, "demand", FrameworkCall::Demand(want(1_000, 16)));
            }
        }
        if bad == Bad::Flooding {
            let offers = taken(&mut world, 666);
            if !offers.is_empty() {
                world.call(666, "decline", decline(&offers, 0));
            }
            flip += 1;
            world.call(666, "demand", FrameworkCall::Demand(want(500 + flip % 2, 1_000)));
        }
        world.wait(20);
    }
    done
}

#[test]
fn a_hung_or_flooding_framework_costs_the_others_less_than_a_twentieth() {
    let alone = tasks_done(Bad::Absent);
    println!("{alone} tasks alone");
    assert!(alone > 15_000, "32 tasks a second fit, {alone} were done in 600 s");
    for bad in [Bad::Hung, Bad::Flooding] {
        let beside = tasks_done(bad);
        println!("{beside} tasks beside a framework that is {bad:?}");
        assert!(beside * 100 >= alone * 95, "{bad:?}: {beside} tasks were done beside it, {alone} without it");
    }
}
