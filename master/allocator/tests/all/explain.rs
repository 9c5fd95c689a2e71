//! Every reason for which an agent does not serve a wanted shape is told, grouped and counted.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_allocator::{Allocator, Block, Explanation};
use proffer_proto_model::*;

fn wanting(allocator: &mut Allocator, n: usize, item: DemandItem) {
    allocator.put_framework(&framework_id(n), true);
    allocator.set_demand(&framework_id(n), &Demand { items: vec![item] });
}

fn only(allocator: &Allocator, now: u64) -> Explanation {
    let (mut all, _) = allocator.explain(&framework_id(0), None, 9, Moment(now));
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// As people read it.
fn words(explanation: &Explanation) -> Vec<String> {
    explanation.groups.iter().map(|group| group.to_string()).collect()
}

fn in_zone(zone: &str, resources: Resources) -> AgentInfo {
    AgentInfo { zone: zone.into(), ..info(resources) }
}

fn zone_is(zone: &str) -> Constraint {
    Constraint { subject: "@zone".into(), operator: ConstraintOperator::Equals, value: zone.into() }
}

#[test]
fn rules_sizes_and_what_tasks_hold_are_told_apart_and_counted() {
    let mut allocator = Allocator::new(10);
    for n in 0..12 {
        allocator.put_agent(&agent_id(n), &in_zone("a", res(4_000, 4_000)), true);
    }
    for n in 12..15 {
        allocator.put_agent(&agent_id(n), &in_zone("b", res(4_000, 4_000)), true);
        let held = 2_188 + n as u64;
        allocator.charge(&framework_id(9), &role(0), &agent_id(n), &res(0, held));
    }
    allocator.put_agent(&agent_id(15), &in_zone("b", res(1_000, 1_000)), true);
    allocator.put_agent(&agent_id(16), &in_zone("b", res(4_000, 4_000)), false);
    let mut wanted = item(role(0), res(2_000, 2_000), Some(2));
    wanted.constraints = vec![zone_is("b")];
    wanting(&mut allocator, 0, wanted);
    assert_eq!(allocator.allocate(Moment(0)), []);
    let told = only(&allocator, 0);
    assert_eq!(
        words(&told),
        [
            "12 agents: zone is not b",
            "3 agents: at least 200MiB memory short; tasks hold the rest",
            "1 agent: 1 cpus, 1000MiB memory short even when empty: never fits",
            "1 agent: not attached",
        ]
    );
    assert_eq!(told.groups[0].examples, [agent_id(0), agent_id(1), agent_id(2)], "bounded");
    assert_eq!((told.blocks.len(), told.offered, told.launched), (0, 0, 0));
}

#[test]
fn a_refusal_is_told_with_the_time_it_lasts_and_ends() {
    let mut allocator = cluster(1);
    wanting(&mut allocator, 0, item(role(0), res(1_000, 1_000), Some(1)));
    let grants = allocator.allocate(Moment(0));
    assert_eq!(words(&only(&allocator, 0)), ["1 agent: offered to this framework now, which has not answered yet"]);
    assert_eq!(only(&allocator, 0).blocks, [Block::Covered]);
    decline(&mut allocator, &grants[0], 1_000, 5_000);
    assert_eq!(allocator.allocate(Moment(2_000)), []);
    assert_eq!(words(&only(&allocator, 2_000)), ["1 agent: 4 s more of a pause after the framework declined"]);
    assert_eq!(words(&only(&allocator, 6_000)), ["1 agent: could be offered"]);
}

#[test]
fn what_others_are_offered_and_ones_own_cap_are_told() {
    let mut allocator = Allocator::new(1);
    for n in 0..2 {
        allocator.put_agent(&agent_id(n), &info(res(4_000, 4_000)), true);
    }
    wanting(&mut allocator, 1, item(role(0), res(3_000, 3_000), Some(1)));
    assert_eq!(allocator.allocate(Moment(0)).len(), 1);
    wanting(&mut allocator, 0, item(role(0), res(3_000, 3_000), Some(8)));
    assert_eq!(allocator.allocate(Moment(0)).len(), 1);
    let told = only(&allocator, 0);
    assert_eq!(
        words(&told),
        [
            "1 agent: offered to other frameworks now",
            "1 agent: offered to this framework now, which has not answered yet"
        ]
    );
    assert_eq!(told.blocks, [Block::OfferCap { most: 1 }]);
    allocator.put_framework(&framework_id(0), false);
    assert!(only(&allocator, 0).blocks.contains(&Block::Inactive));
}

#[test]
fn ports_by_number_and_by_count_and_the_least_for_anything_are_told() {
    let mut allocator = Allocator::new(10);
    let with_ports = Resources { ports: ports(31_000, 31_001), ..res(4_000, 4_000) };
    allocator.put_agent(&agent_id(0), &info(with_ports), true);
    let taken = Resources { ports: ports(31_000, 31_000), ..Resources::default() };
    allocator.charge(&framework_id(9), &role(0), &agent_id(0), &taken);
    let told = |shape: Option<Resources>, count: u32, allocator: &mut Allocator| {
        let wanted = DemandItem { shape, ports: count, ..item(role(0), res(0, 0), Some(1)) };
        wanting(allocator, 0, wanted);
        words(&only(allocator, 0))
    };
    let named = Resources { ports: ports(31_000, 31_000), ..res(1_000, 0) };
    assert_eq!(told(Some(named), 0, &mut allocator), ["1 agent: ports 31000 short; tasks hold the rest"]);
    let cpus = Some(res(1_000, 0));
    assert_eq!(told(cpus.clone(), 2, &mut allocator), ["1 agent: 1 host port short; tasks hold the rest"]);
    assert_eq!(told(cpus, 5, &mut allocator), ["1 agent: 3 host ports short even when empty: never fits"]);
    allocator.charge(&framework_id(9), &role(0), &agent_id(0), &res(3_995, 3_990));
    assert_eq!(told(None, 0, &mut allocator), ["1 agent: nothing worth an offer is free"]);
}

#[test]
fn only_the_role_that_was_asked_for_is_explained() {
    let mut allocator = cluster(1);
    allocator.put_framework(&framework_id(0), true);
    let items = vec![item(role(0), res(9_000, 0), Some(1)), item(role(1), res(9_001, 0), Some(1))];
    allocator.set_demand(&framework_id(0), &Demand { items });
    assert_eq!(allocator.explain(&framework_id(0), None, 9, Moment(0)).0.len(), 2);
    let (first, left_out) = allocator.explain(&framework_id(0), None, 1, Moment(0));
    assert_eq!((first.len(), left_out), (1, 1), "no more than was asked for");
    let (of_one, _) = allocator.explain(&framework_id(0), Some(&role(1)), 9, Moment(0));
    assert_eq!(of_one.len(), 1);
    assert_eq!(of_one[0].item.role, role(1));
    assert_eq!(allocator.explain(&framework_id(7), None, 9, Moment(0)), (vec![], 0));
}
