//! What is promised to a role is kept within the limits above it, and no more is kept than those let it use.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_allocator::{Allocator, Grant};
use proffer_proto_model::*;

fn named(name: &str) -> Role {
    Role::new(name).unwrap()
}

/// In CPUs.
fn quota(allocator: &mut Allocator, name: &str, guarantee: u64, limit: Option<u64>) {
    let limit = Limit { cpus: limit.map(|most| MilliCpus(most * 1_000)), ..Limit::default() };
    allocator.set_quota(&named(name), Some(&Quota { guarantee: res(guarantee * 1_000, 0), limit }));
}

/// A framework in the role that wants as many of one CPU as it can get.
fn wants(allocator: &mut Allocator, n: usize, name: &str) {
    allocator.put_framework(&framework_id(n), true);
    let item = item(named(name), res(1_000, 10), None);
    allocator.set_demand(&framework_id(n), &Demand { items: vec![item] });
}

fn agent(allocator: &mut Allocator, n: usize, cpus: u64) {
    allocator.put_agent(&agent_id(n), &info(res(cpus * 1_000, 64_000)), true);
}

/// In CPUs.
fn got(grants: &[Grant], name: &str) -> u64 {
    let own = grants.iter().filter(|grant| grant.role == named(name));
    own.map(|grant| grant.resources.cpus.0 / 1_000).sum()
}

fn hold(allocator: &mut Allocator, n: usize, name: &str, cpus: u64) {
    allocator.put_framework(&framework_id(n), true);
    allocator.charge(&framework_id(n), &named(name), &agent_id(0), &res(cpus * 1_000, 0));
}

fn free(allocator: &mut Allocator, n: usize, name: &str, cpus: u64) {
    allocator.recover(&framework_id(n), &named(name), &agent_id(0), &res(cpus * 1_000, 0));
}

#[test]
fn a_sibling_gets_only_what_the_limit_leaves_beside_the_guarantee() {
    let mut allocator = Allocator::new(10);
    quota(&mut allocator, "eng", 4, Some(10));
    quota(&mut allocator, "eng/web", 4, None);
    agent(&mut allocator, 0, 20);
    wants(&mut allocator, 0, "eng/db");
    let before = allocator.allocate(Moment(0));
    assert_eq!(got(&before, "eng/db"), 6);
    wants(&mut allocator, 1, "eng/web");
    wants(&mut allocator, 2, "ops");
    let after = allocator.allocate(Moment(1));
    assert_eq!((got(&after, "eng/web"), got(&after, "eng/db"), got(&after, "ops")), (4, 0, 10));
}

#[test]
fn the_guarantee_of_a_cousin_counts_at_every_limit_above() {
    let mut allocator = Allocator::new(10);
    quota(&mut allocator, "org", 4, Some(10));
    quota(&mut allocator, "org/eng", 4, None);
    quota(&mut allocator, "org/eng/web", 4, None);
    agent(&mut allocator, 0, 20);
    // One beside the promised role, one beside the role above it, one in the role above it.
    for (n, name) in ["org/eng/db", "org/ops", "org/eng"].into_iter().enumerate() {
        wants(&mut allocator, n, name);
        let grants = allocator.allocate(Moment(n as u64));
        assert_eq!(got(&grants, name), 6, "{name}");
        allocator.set_demand(&framework_id(n), &Demand::default());
        grants.iter().for_each(|grant| decline(&mut allocator, grant, n as u64, 0));
    }
}

#[test]
fn who_waited_for_the_guarantee_is_woken_when_it_is_met_given_up_or_the_limit_is_raised() {
    let with_waiting = || {
        let mut allocator = Allocator::new(10);
        quota(&mut allocator, "eng", 4, Some(10));
        quota(&mut allocator, "eng/web", 4, None);
        agent(&mut allocator, 0, 20);
        hold(&mut allocator, 7, "eng/db", 6);
        wants(&mut allocator, 0, "eng/db");
        assert_eq!(got(&allocator.allocate(Moment(0)), "eng/db"), 0);
        allocator
    };
    let mut allocator = with_waiting();
    quota(&mut allocator, "eng/web", 2, None);
    assert_eq!(got(&allocator.allocate(Moment(1)), "eng/db"), 2, "less is promised");
    let mut allocator = with_waiting();
    quota(&mut allocator, "eng", 4, Some(13));
    assert_eq!(got(&allocator.allocate(Moment(1)), "eng/db"), 3, "more is allowed");
    let mut allocator = with_waiting();
    free(&mut allocator, 7, "eng/db", 1);
    assert_eq!(got(&allocator.allocate(Moment(1)), "eng/db"), 1, "one has ended");
    let mut allocator = with_waiting();
    hold(&mut allocator, 8, "eng/web", 3);
    assert_eq!(got(&allocator.allocate(Moment(1)), "eng/db"), 0, "what was kept is used");
    free(&mut allocator, 7, "eng/db", 2);
    assert_eq!(got(&allocator.allocate(Moment(2)), "eng/db"), 2);
}

#[test]
fn who_is_promised_something_within_a_limit_that_others_use_up_gets_what_comes_free_and_keeps_nothing_in_vain() {
    let mut allocator = Allocator::new(10);
    agent(&mut allocator, 0, 20);
    hold(&mut allocator, 7, "eng/db", 9);
    // Set when it was too late.
    quota(&mut allocator, "eng", 4, Some(10));
    quota(&mut allocator, "eng/web", 4, None);
    let zone = Constraint { subject: "@hostname".into(), operator: ConstraintOperator::Equals, value: "node".into() };
    let wanted = DemandItem { constraints: vec![zone], ..item(named("eng/web"), res(1_000, 10), None) };
    allocator.put_framework(&framework_id(1), false);
    allocator.set_demand(&framework_id(1), &Demand { items: vec![wanted] });
    wants(&mut allocator, 2, "ops");
    assert_eq!(got(&allocator.allocate(Moment(0)), "ops"), 10, "of eleven free only one is kept");
    allocator.put_framework(&framework_id(1), true);
    wants(&mut allocator, 0, "eng/db");
    free(&mut allocator, 7, "eng/db", 2);
    let grants = allocator.allocate(Moment(1));
    assert_eq!((got(&grants, "eng/db"), got(&grants, "eng/web"), got(&grants, "ops")), (0, 3, 0));
}

#[test]
fn two_that_are_promised_more_than_the_limit_leaves_share_it() {
    let mut allocator = Allocator::new(10);
    agent(&mut allocator, 0, 20);
    hold(&mut allocator, 7, "eng/db", 8);
    quota(&mut allocator, "eng", 4, Some(10));
    quota(&mut allocator, "eng/web", 2, None);
    quota(&mut allocator, "eng/api", 2, None);
    wants(&mut allocator, 0, "eng/web");
    wants(&mut allocator, 1, "eng/api");
    wants(&mut allocator, 2, "eng/db");
    let grants = allocator.allocate(Moment(0));
    assert_eq!((got(&grants, "eng/web"), got(&grants, "eng/api"), got(&grants, "eng/db")), (1, 1, 0));
}

#[test]
fn what_is_away_uses_up_the_limit_for_those_below_and_is_kept_for_nobody() {
    let mut allocator = Allocator::new(10);
    quota(&mut allocator, "eng", 4, Some(10));
    quota(&mut allocator, "eng/web", 4, None);
    agent(&mut allocator, 0, 20);
    allocator.count_away(&named("eng/db"), &res(9_000, 0), true);
    wants(&mut allocator, 0, "ops");
    assert_eq!(got(&allocator.allocate(Moment(0)), "ops"), 19);
    wants(&mut allocator, 1, "eng/web");
    assert_eq!(got(&allocator.allocate(Moment(1)), "eng/web"), 1);
}

#[test]
fn why_tells_for_whom_room_is_kept_within_which_limit() {
    let mut allocator = Allocator::new(10);
    quota(&mut allocator, "eng", 4, Some(10));
    quota(&mut allocator, "eng/web", 4, None);
    agent(&mut allocator, 0, 20);
    hold(&mut allocator, 7, "eng/db", 6);
    wants(&mut allocator, 0, "eng/db");
    assert_eq!(allocator.allocate(Moment(0)), []);
    let (told, _) = allocator.explain(&framework_id(0), None, 1, Moment(0));
    let blocks: Vec<String> = told[0].blocks.iter().map(ToString::to_string).collect();
    assert_eq!(
        blocks,
        ["kept for the guarantee of eng/web within the limit of eng: one more would leave less than is promised"]
    );
    hold(&mut allocator, 7, "eng/db", 4);
    let (told, _) = allocator.explain(&framework_id(0), None, 1, Moment(0));
    assert_eq!(told[0].blocks[0].to_string(), "quota of eng reached: one more would be above its limit");
}

#[test]
fn why_tells_what_is_kept_for_the_guarantees_of_others() {
    let mut allocator = Allocator::new(10);
    quota(&mut allocator, "prod", 4, None);
    agent(&mut allocator, 0, 4);
    wants(&mut allocator, 0, "ops");
    assert_eq!(allocator.allocate(Moment(0)), []);
    let (told, _) = allocator.explain(&framework_id(0), None, 1, Moment(0));
    let groups: Vec<String> = told[0].groups.iter().map(ToString::to_string).collect();
    assert_eq!(groups, ["1 agent: what is free is kept for what other roles are guaranteed"]);
}
