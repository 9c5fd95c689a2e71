//! How large offers are: whole for one, cut to the demand for several, never too small to be worth one.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_allocator::{Allocator, Obstacle};
use proffer_proto_model::*;

fn wants(allocator: &mut Allocator, n: usize, shape: Option<Resources>, count: u32) {
    allocator.put_framework(&framework_id(n), true);
    let item = DemandItem { shape, ..item(role(n), res(1, 1), Some(count)) };
    allocator.set_demand(&framework_id(n), &Demand { items: vec![item] });
}

/// What is granted, in the order of the grants.
fn sizes(allocator: &mut Allocator) -> Vec<Resources> {
    allocator.allocate(Moment(0)).into_iter().map(|grant| grant.resources).collect()
}

#[test]
fn one_is_offered_the_whole_agent_and_several_what_they_want() {
    let mut allocator = Allocator::new(10);
    wants(&mut allocator, 0, Some(res(500, 100)), 1);
    allocator.put_agent(&agent_id(0), &info(res(4_000, 4_000)), true);
    assert_eq!(sizes(&mut allocator), [res(4_000, 4_000)]);
    let mut allocator = Allocator::new(10);
    wants(&mut allocator, 0, Some(res(500, 100)), 2);
    wants(&mut allocator, 1, Some(res(1_000, 200)), 1);
    allocator.put_agent(&agent_id(0), &info(res(4_000, 4_000)), true);
    assert_eq!(sizes(&mut allocator), [res(1_000, 200), res(1_000, 200)]);
}

#[test]
fn a_piece_is_filled_up_to_the_smallest_offer() {
    let mut allocator = Allocator::new(10);
    allocator.set_min_offer(None, Some(res(1_000, 1_000)));
    allocator.set_min_offer(Some(&role(1)), Some(res(0, 500)));
    for n in 0..3 {
        wants(&mut allocator, n, Some(res(200, 100)), 2);
    }
    allocator.put_agent(&agent_id(0), &info(res(2_100, 4_000)), true);
    let got = sizes(&mut allocator);
    assert_eq!(got, [res(1_000, 1_000), res(400, 600)], "for the third less CPU is left than its smallest offer has");
}

#[test]
fn what_is_left_waits_until_it_is_worth_an_offer() {
    let mut allocator = Allocator::new(10);
    allocator.set_min_offer(None, Some(res(1_000, 0)));
    wants(&mut allocator, 0, Some(res(100, 100)), 10);
    wants(&mut allocator, 1, None, 10);
    allocator.put_agent(&agent_id(0), &info(res(1_500, 4_000)), true);
    allocator.charge(&framework_id(0), &role(0), &agent_id(0), &res(600, 0));
    assert_eq!(sizes(&mut allocator), []);
    let (told, _) = allocator.explain(&framework_id(0), None, 1, Moment(0));
    assert_eq!(told[0].groups[0].obstacle, Obstacle::BelowMinimum);
    allocator.recover(&framework_id(0), &role(0), &agent_id(0), &res(100, 0));
    assert_eq!(sizes(&mut allocator), [res(1_000, 4_000)]);
}

#[test]
fn a_smaller_minimum_counts_at_once() {
    let mut allocator = Allocator::new(10);
    allocator.set_min_offer(None, Some(res(1_000, 0)));
    wants(&mut allocator, 0, Some(res(100, 100)), 10);
    allocator.put_agent(&agent_id(0), &info(res(500, 4_000)), true);
    assert_eq!(sizes(&mut allocator), []);
    allocator.set_min_offer(Some(&role(0)), Some(res(200, 0)));
    assert_eq!(sizes(&mut allocator), [res(500, 4_000)]);
}

#[test]
fn who_takes_anything_gets_no_crumbs_of_a_limit() {
    let mut allocator = Allocator::new(10);
    allocator.set_min_offer(None, Some(res(1_000, 0)));
    let limit = |cpus| Quota { limit: Limit { cpus: Some(MilliCpus(cpus)), ..Limit::default() }, ..Quota::default() };
    allocator.set_quota(&role(0), Some(&limit(4_500)));
    wants(&mut allocator, 0, None, 10);
    for n in 0..2 {
        allocator.put_agent(&agent_id(n), &info(res(4_000, 4_000)), true);
    }
    assert_eq!(sizes(&mut allocator), [res(4_000, 4_000)], "half a CPU is within the limit and too little");
    assert_eq!(sizes(&mut allocator), []);
    allocator.set_quota(&role(0), Some(&limit(5_000)));
    assert_eq!(sizes(&mut allocator), [res(1_000, 4_000)]);
}
