//! Placement: which of the agents that fit comes first, by the policy of a role or a framework.
#![allow(clippy::unwrap_used)] // test helpers

use std::collections::BTreeMap;

use crate::common::*;
use proffer_master_allocator::{Allocator, Placement};
use proffer_proto_model::*;

/// Agents of 4 CPUs, of which so many are held by somebody else, in zones by turns.
fn half_used(held: &[u64], zones: &[&str]) -> Allocator {
    let mut allocator = Allocator::new(1_000);
    allocator.put_framework(&framework_id(9), true);
    for (n, held) in held.iter().enumerate() {
        let zone = zones[n % zones.len()].to_owned();
        let place = AgentInfo { zone, hostname: format!("host-{n}"), ..info(res(4_000, 4_000)) };
        allocator.put_agent(&agent_id(n), &place, true);
        allocator.charge(&framework_id(9), &role(9), &agent_id(n), &res(*held, 0));
    }
    allocator
}

/// Starts tasks one after the other, each where the first offer is; the agents it was.
fn start(allocator: &mut Allocator, framework: usize, shape: &Resources, tasks: usize) -> Vec<usize> {
    allocator.put_framework(&framework_id(framework), true);
    let mut places = Vec::new();
    for _ in 0..tasks {
        allocator.set_demand(&framework_id(framework), &want(shape.clone(), 1));
        let grants = allocator.allocate(Moment(0));
        let grant = grants.first().unwrap();
        allocator.close(grant.id).unwrap();
        allocator.charge(&grant.framework, &grant.role, &grant.agent, shape);
        places.push(grant.agent.as_str()[1..].parse().unwrap());
        allocator.set_demand(&framework_id(framework), &Demand::default());
        allocator.allocate(Moment(0));
    }
    places
}

#[test]
fn pack_fills_the_fullest_that_fits() {
    let mut allocator = half_used(&[0, 2_000, 3_500, 3_000], &["a"]);
    allocator.set_placement(&role(0), Some(Placement::Pack));
    assert_eq!(start(&mut allocator, 0, &res(1_000, 10), 5), [3, 1, 1, 0, 0], "agent 2 has too little left");
}

#[test]
fn least_loaded_takes_the_emptiest() {
    let mut allocator = half_used(&[2_000, 0, 500, 3_000], &["a"]);
    allocator.set_placement(&role(0), Some(Placement::LeastLoaded));
    assert_eq!(start(&mut allocator, 0, &res(1_000, 10), 5), [1, 2, 1, 2, 0]);
}

#[test]
fn spread_takes_the_zones_in_turns() {
    let mut allocator = half_used(&[0, 0, 0, 1_000, 1_000], &["a", "a", "a", "b", "c"]);
    allocator.set_placement(&role(0), Some(Placement::Spread { attribute: "@zone".into() }));
    let zones: Vec<&str> =
        start(&mut allocator, 0, &res(1_000, 10), 6).iter().map(|agent| ["a", "a", "a", "b", "c"][*agent]).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    zones.iter().for_each(|zone| *counts.entry(zone).or_default() += 1);
    assert_eq!(counts, [("a", 2), ("b", 2), ("c", 2)].into(), "{zones:?}");
}

#[test]
fn a_framework_may_have_a_policy_of_its_own() {
    let mut allocator = half_used(&[0, 2_000], &["a"]);
    allocator.set_placement(&role(0), Some(Placement::Pack));
    allocator.put_framework(&framework_id(0), true);
    allocator.set_framework_placement(&framework_id(0), Some(Placement::LeastLoaded));
    assert_eq!(start(&mut allocator, 0, &res(1_000, 10), 1), [0]);
    assert_eq!(start(&mut allocator, 1, &res(1_000, 10), 1), [1], "the other one has its role's");
    allocator.set_framework_placement(&framework_id(0), None);
    assert_eq!(start(&mut allocator, 0, &res(1_000, 10), 1), [1]);
}

#[test]
fn a_policy_says_where_and_not_how_much() {
    let granted = |placement: Placement| {
        let mut allocator = half_used(&[0, 1_000, 2_000, 3_000], &["a", "b"]);
        for n in 0..2 {
            allocator.set_placement(&role(n), Some(placement.clone()));
            allocator.put_framework(&framework_id(n), true);
            let item = item(role(n), res(500, 10), None);
            allocator.set_demand(&framework_id(n), &Demand { items: vec![item] });
        }
        let mut by_role: BTreeMap<Role, u64> = BTreeMap::new();
        for grant in allocator.allocate(Moment(0)) {
            *by_role.entry(grant.role).or_default() += grant.resources.cpus.0;
        }
        by_role.into_values().collect::<Vec<_>>()
    };
    let spread = Placement::Spread { attribute: "@zone".into() };
    for placement in [Placement::First, Placement::Pack, Placement::LeastLoaded, spread] {
        assert_eq!(granted(placement.clone()), [5_000, 5_000], "{placement:?}");
    }
}

/// Steps for each grant of one shape to each of many frameworks.
fn steps_for_each_grant(agents: usize, placement: Placement) -> u64 {
    let mut allocator = half_used(&vec![1_000; agents], &["a", "b", "c"]);
    allocator.set_placement(&role(0), Some(placement));
    for n in 0..50 {
        allocator.put_framework(&framework_id(n), true);
        allocator.set_demand(&framework_id(n), &want(res(1_000, 10), 1));
    }
    allocator.allocate(Moment(0));
    let before = allocator.work();
    allocator.put_framework(&framework_id(50), true);
    allocator.set_demand(&framework_id(50), &want(res(1_000, 10), 1));
    assert_eq!(allocator.allocate(Moment(0)).len(), 1);
    allocator.work().clients - before.clients
}

#[test]
fn a_grant_by_policy_costs_the_same_in_a_large_cluster() {
    let spread = |attribute: &str| Placement::Spread { attribute: attribute.into() };
    for placement in [Placement::Pack, Placement::LeastLoaded, spread("@zone"), spread("@hostname")] {
        let (small, large) =
            (steps_for_each_grant(100, placement.clone()), steps_for_each_grant(3_000, placement.clone()));
        assert!(large <= small + 5, "{placement:?}: {small} steps with 100 agents, {large} with 3,000");
    }
}

#[test]
fn a_policy_for_all_gives_way_to_a_role_s_own() {
    let mut allocator = half_used(&[0, 2_000], &["a"]);
    allocator.set_default_placement(Placement::Pack);
    assert_eq!(start(&mut allocator, 0, &res(1_000, 10), 1), [1]);
    allocator.set_placement(&role(0), Some(Placement::LeastLoaded));
    assert_eq!(start(&mut allocator, 0, &res(1_000, 10), 1), [0]);
    allocator.set_placement(&role(0), None);
    assert_eq!(start(&mut allocator, 0, &res(1_000, 10), 1), [1]);
}

#[test]
fn policies_are_read_as_they_are_written() {
    let spread = Placement::Spread { attribute: "@zone".into() };
    for (text, policy) in [("first", Placement::First), ("pack", Placement::Pack), ("spread:@zone", spread)] {
        assert_eq!(text.parse::<Placement>().unwrap(), policy);
    }
    for text in ["", "packed", "spread", "spread:", "spread:a b", "pack:x"] {
        let error = text.parse::<Placement>().unwrap_err().to_string();
        assert!(error.contains("spread:ATTRIBUTE"), "{error}");
    }
}

/// 40 agents that come first by the policy and cannot hold the task, and two that can.
fn behind_others(first: &AgentInfo, policy: Placement) -> Vec<usize> {
    let mut allocator = Allocator::new(1_000);
    allocator.put_framework(&framework_id(9), true);
    for n in 0..40 {
        allocator.put_agent(&agent_id(n), first, true);
    }
    for (n, held) in [(40, 1_000), (41, 2_000)] {
        allocator.put_agent(&agent_id(n), &AgentInfo { zone: "b".into(), ..info(res(4_000, 4_000)) }, true);
        allocator.charge(&framework_id(9), &role(9), &agent_id(n), &res(held, 0));
    }
    allocator.set_placement(&role(0), Some(policy));
    start(&mut allocator, 0, &res(1_000, 100), 1)
}

#[test]
fn agents_that_come_first_and_cannot_hold_it_do_not_hide_the_others() {
    let without_memory = AgentInfo { zone: "a".into(), ..info(res(1_500, 50)) };
    assert_eq!(behind_others(&without_memory, Placement::Pack), [41]);
    let with_gpus = Resources { gpus: 1, ..res(4_000, 4_000) };
    let kept_for_gpus = AgentInfo { zone: "a".into(), ..info(with_gpus) };
    assert_eq!(behind_others(&kept_for_gpus, Placement::LeastLoaded), [40]);
    assert_eq!(behind_others(&kept_for_gpus, Placement::Spread { attribute: "@zone".into() }), [40]);
}

#[test]
fn many_values_are_taken_in_turns_and_then_those_with_the_fewest() {
    let mut allocator = Allocator::new(1_000);
    for n in 0..100 {
        let place = AgentInfo { hostname: format!("host-{n}"), ..info(res(4_000, 4_000)) };
        allocator.put_agent(&agent_id(n), &place, true);
    }
    allocator.set_placement(&role(0), Some(Placement::Spread { attribute: "@hostname".into() }));
    for round in 1..=3 {
        let places = start(&mut allocator, 0, &res(1_000, 10), 100);
        let different: std::collections::BTreeSet<_> = places.iter().collect();
        assert_eq!(different.len(), 100, "round {round}: each host once");
    }
}

#[test]
fn a_spread_counts_what_was_there_before_it() {
    let mut allocator = half_used(&[0, 0], &["a", "b"]);
    start(&mut allocator, 0, &res(100, 10), 1);
    let (framework, role, at) = (framework_id(0), role(0), agent_id(0));
    for _ in 0..3 {
        allocator.charge(&framework, &role, &at, &res(100, 10));
    }
    allocator.set_placement(&role, Some(Placement::Spread { attribute: "@zone".into() }));
    let held = [&at; 4].into_iter().map(|agent| (&framework, &role, agent));
    allocator.recount_places(&[framework.clone()].into(), held);
    assert_eq!(start(&mut allocator, 0, &res(100, 10), 4), [1, 1, 1, 1], "four are in zone a already");
    // What ends is taken out of what was counted, and of nothing else.
    allocator.recover(&framework, &role, &at, &res(100, 10));
    assert_eq!(start(&mut allocator, 0, &res(100, 10), 1), [0]);
}
