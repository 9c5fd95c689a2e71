//! Quotas: limits cut offers at every level, promises are served first and kept where they can be used.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_allocator::{AgentPool, Allocator, Grant};
use proffer_proto_model::*;

fn named(name: &str) -> Role {
    Role::new(name).unwrap()
}

fn limit(cpus: u64) -> Quota {
    Quota { limit: Limit { cpus: Some(MilliCpus(cpus)), ..Limit::default() }, ..Quota::default() }
}

fn guarantee(cpus: u64) -> Quota {
    Quota { guarantee: res(cpus, 0), ..Quota::default() }
}

/// A framework in a role that wants as many of a shape as it can get, where a zone is named only there.
fn wants(allocator: &mut Allocator, n: usize, role: &str, shape: &Resources, zone: Option<&str>) {
    let in_zone = |zone: &str| Constraint {
        subject: "@zone".into(),
        operator: ConstraintOperator::Equals,
        value: zone.to_owned(),
    };
    let constraints = zone.map(in_zone).into_iter().collect();
    let item = DemandItem { constraints, ..item(named(role), shape.clone(), None) };
    allocator.put_framework(&framework_id(n), true);
    allocator.set_demand(&framework_id(n), &Demand { items: vec![item] });
}

fn agent(allocator: &mut Allocator, n: usize, cpus: u64, zone: &str) {
    let info = AgentInfo { zone: zone.to_owned(), ..info(res(cpus, 64_000)) };
    allocator.put_agent(&agent_id(n), &info, true);
}

fn cpus(grants: &[Grant], role: &str) -> u64 {
    grants.iter().filter(|grant| grant.role == named(role)).map(|grant| grant.resources.cpus.0).sum()
}

#[test]
fn limits_cut_offers_at_every_level() {
    let mut allocator = Allocator::new(10);
    allocator.set_quota(&named("eng"), Some(&limit(5_000)));
    allocator.set_quota(&named("eng/web"), Some(&limit(2_000)));
    wants(&mut allocator, 0, "eng/web", &res(1_000, 100), None);
    wants(&mut allocator, 1, "eng/db", &res(1_000, 100), None);
    wants(&mut allocator, 2, "ops", &res(1_000, 100), None);
    agent(&mut allocator, 0, 20_000, "a");
    let grants = allocator.allocate(Moment(0));
    assert_eq!((cpus(&grants, "eng/web"), cpus(&grants, "eng/db")), (2_000, 3_000));
    assert_eq!(cpus(&grants, "ops"), 15_000, "who is not limited gets the rest");
}

#[test]
fn who_takes_anything_is_offered_what_the_limit_leaves() {
    let mut allocator = Allocator::new(10);
    allocator.set_quota(&named("eng"), Some(&limit(2_500)));
    allocator.put_framework(&framework_id(0), true);
    allocator.set_demand(&framework_id(0), &Demand::anything(named("eng")));
    agent(&mut allocator, 0, 2_000, "a");
    agent(&mut allocator, 1, 2_000, "a");
    let grants = allocator.allocate(Moment(0));
    let sizes: Vec<u64> = grants.iter().map(|grant| grant.resources.cpus.0).collect();
    assert_eq!(sizes, [2_000, 500], "and all the memory, which is not limited");
    assert_eq!(grants[1].resources.memory, Bytes::mib(64_000));
}

#[test]
fn a_limit_below_what_is_held_takes_nothing_back_and_lets_nothing_in() {
    let mut allocator = Allocator::new(10);
    agent(&mut allocator, 0, 4_000, "a");
    wants(&mut allocator, 0, "eng", &res(1_000, 100), None);
    allocator.charge(&framework_id(0), &named("eng"), &agent_id(0), &res(3_000, 100));
    allocator.set_quota(&named("eng"), Some(&limit(2_000)));
    assert_eq!(allocator.allocate(Moment(0)), []);
    allocator.recover(&framework_id(0), &named("eng"), &agent_id(0), &res(1_000, 0));
    assert_eq!(allocator.allocate(Moment(0)), [], "it is at its limit");
    allocator.recover(&framework_id(0), &named("eng"), &agent_id(0), &res(1_000, 0));
    assert_eq!(cpus(&allocator.allocate(Moment(0)), "eng"), 1_000);
    allocator.set_quota(&named("eng"), None);
    assert_eq!(cpus(&allocator.allocate(Moment(0)), "eng"), 2_000, "without a limit it gets the rest");
}

#[test]
fn an_accept_is_asked_against_what_is_held_and_offered() {
    let mut allocator = Allocator::new(10);
    allocator.set_quota(&named("eng"), Some(&limit(3_000)));
    agent(&mut allocator, 0, 2_000, "a");
    wants(&mut allocator, 0, "eng/web", &res(1_000, 100), None);
    let grants = allocator.allocate(Moment(0));
    assert_eq!(cpus(&grants, "eng/web"), 2_000);
    let in_the_way = |allocator: &Allocator, role: &str, cpus| allocator.limit_in_the_way(&named(role), &res(cpus, 9));
    assert_eq!(in_the_way(&allocator, "eng/db", 1_000), None);
    assert_eq!(in_the_way(&allocator, "eng/db", 1_001), Some(named("eng")), "offers count until they are closed");
    let (told, _) = allocator.explain(&framework_id(0), None, 1, Moment(0));
    assert_eq!(told[0].blocks, [], "a third one is within the limit");
    allocator.set_quota(&named("eng"), Some(&limit(2_500)));
    let (told, _) = allocator.explain(&framework_id(0), None, 1, Moment(0));
    assert_eq!(told[0].blocks[0].to_string(), "quota of eng reached: one more would be above its limit");
    allocator.set_quota(&named("eng"), Some(&limit(3_000)));
    allocator.close(grants[0].id);
    assert_eq!(in_the_way(&allocator, "eng/db", 3_000), None);
    assert_eq!(in_the_way(&allocator, "ops", 9_000), None);
}

#[test]
fn what_is_promised_is_kept_for_a_role_that_does_not_want_it_yet() {
    let mut allocator = Allocator::new(10);
    allocator.set_quota(&named("eng"), Some(&guarantee(3_000)));
    wants(&mut allocator, 0, "ops", &res(1_000, 100), None);
    agent(&mut allocator, 0, 5_000, "a");
    let before = allocator.allocate(Moment(0));
    assert_eq!(cpus(&before, "ops"), 2_000);
    wants(&mut allocator, 1, "eng/web", &res(1_000, 100), None);
    assert_eq!(cpus(&allocator.allocate(Moment(0)), "eng/web"), 3_000, "a role within it uses the promise");
}

#[test]
fn who_is_owed_comes_before_who_has_less() {
    let mut allocator = Allocator::new(10);
    agent(&mut allocator, 0, 4_000, "a");
    agent(&mut allocator, 1, 2_000, "a");
    for (n, role) in ["eng", "ops"].into_iter().enumerate() {
        wants(&mut allocator, n, role, &res(1_000, 100), None);
    }
    allocator.charge(&framework_id(0), &named("eng"), &agent_id(0), &res(4_000, 100));
    allocator.set_quota(&named("eng"), Some(&guarantee(6_000)));
    let grants = allocator.allocate(Moment(0));
    assert_eq!((cpus(&grants, "eng"), cpus(&grants, "ops")), (2_000, 0));
}

/// Two zones, and a promise that is wanted in one of them only.
#[test]
fn a_promise_is_kept_where_it_can_be_used() {
    let mut allocator = Allocator::new(1);
    allocator.set_quota(&named("eng"), Some(&guarantee(4_000)));
    // It holds as many offers as it may for now: what it is promised has to wait for it.
    wants(&mut allocator, 0, "eng", &res(2_000, 100), Some("a"));
    agent(&mut allocator, 9, 500, "a");
    allocator.put_framework(&framework_id(0), false);
    agent(&mut allocator, 0, 4_000, "a");
    agent(&mut allocator, 1, 8_000, "b");
    wants(&mut allocator, 1, "ops", &res(500, 100), Some("a"));
    wants(&mut allocator, 2, "ops", &res(8_000, 100), None);
    let grants = allocator.allocate(Moment(0));
    let got = |grants: &[Grant]| -> Vec<(String, String)> {
        grants.iter().map(|grant| (grant.framework.to_string(), grant.agent.to_string())).collect()
    };
    let of = |framework: usize, agent: usize| (framework_id(framework).to_string(), agent_id(agent).to_string());
    assert_eq!(got(&grants), [of(1, 9), of(2, 1)], "too small an agent and another zone are nobody's promise");
    allocator.put_framework(&framework_id(0), true);
    let grants = allocator.allocate(Moment(0));
    assert_eq!((got(&grants), cpus(&grants, "eng")), (vec![of(0, 0)], 4_000));
}

#[test]
fn an_agent_that_is_kept_is_not_broken_into_pieces_too_small() {
    let mut allocator = Allocator::new(10);
    allocator.set_quota(&named("eng"), Some(&guarantee(2_000)));
    wants(&mut allocator, 0, "eng", &res(2_000, 100), None);
    allocator.put_framework(&framework_id(0), false);
    wants(&mut allocator, 1, "ops", &res(1_500, 100), None);
    agent(&mut allocator, 0, 3_000, "a");
    assert_eq!(allocator.allocate(Moment(0)), [], "1.5 of 3 CPUs would leave no room for 2");
    agent(&mut allocator, 1, 3_000, "a");
    assert_eq!(cpus(&allocator.allocate(Moment(0)), "ops"), 3_000, "one of the two is enough for the promise");
}

#[test]
fn kinds_can_be_left_out_of_fairness() {
    let split = |excluded: &[&str]| {
        let mut allocator = Allocator::new(10);
        allocator.set_excluded_kinds(excluded.iter().copied());
        agent(&mut allocator, 0, 4_000, "a");
        for (n, role) in ["eng", "ops"].into_iter().enumerate() {
            wants(&mut allocator, n, role, &res(1_000, 100), None);
        }
        // Much memory and little CPU: by memory it has had its part.
        allocator.charge(&framework_id(0), &named("eng"), &agent_id(0), &res(0, 60_000));
        let grants = allocator.allocate(Moment(0));
        (cpus(&grants, "eng"), cpus(&grants, "ops"))
    };
    assert_eq!(split(&[]), (0, 4_000));
    assert_eq!(split(&["memory"]), (2_000, 2_000));
}

fn reserve(allocator: &mut Allocator, n: usize, role: &str, cpus: u64) {
    let pool = AgentPool { id: PoolId(n as u64 + 1), role: named(role), resources: res(cpus, 0), beside: res(0, 0) };
    allocator.set_pools(&agent_id(n), vec![pool]);
}

#[test]
fn what_is_reserved_counts_for_the_limit_before_it_is_used() {
    let mut allocator = Allocator::new(10);
    allocator.set_quota(&named("eng"), Some(&limit(4_000)));
    agent(&mut allocator, 0, 8_000, "a");
    agent(&mut allocator, 1, 8_000, "b");
    reserve(&mut allocator, 0, "eng", 3_000);
    wants(&mut allocator, 0, "eng/web", &res(1_000, 0), Some("b"));
    let grants = allocator.allocate(Moment(0));
    assert_eq!(cpus(&grants, "eng/web"), 1_000, "three of four are reserved elsewhere");
    wants(&mut allocator, 1, "eng", &res(1_000, 0), Some("a"));
    let grants = allocator.allocate(Moment(0));
    assert_eq!(cpus(&grants, "eng"), 3_000, "what is reserved may be used, and no more");
    assert_eq!(grants[0].reserved, [(PoolId(1), res(3_000, 0))]);
    // Given up, it leaves as much of the limit for what is not reserved.
    allocator.close(grants[0].id);
    allocator.set_demand(&framework_id(1), &Demand::default());
    assert_eq!(cpus(&allocator.allocate(Moment(0)), "eng/web"), 0, "it is reserved still");
    allocator.set_pools(&agent_id(0), vec![]);
    assert_eq!(cpus(&allocator.allocate(Moment(0)), "eng/web"), 3_000);
}

#[test]
fn a_limit_that_was_forced_below_what_is_reserved_leaves_the_reservation_to_its_role() {
    let mut allocator = Allocator::new(10);
    agent(&mut allocator, 0, 8_000, "a");
    reserve(&mut allocator, 0, "eng", 3_000);
    allocator.set_quota(&named("eng"), Some(&limit(1_000)));
    wants(&mut allocator, 0, "eng", &res(1_000, 0), None);
    assert_eq!(cpus(&allocator.allocate(Moment(0)), "eng"), 3_000);
}

#[test]
fn what_is_reserved_is_part_of_what_is_promised() {
    let mut allocator = Allocator::new(10);
    agent(&mut allocator, 0, 8_000, "a");
    reserve(&mut allocator, 0, "eng", 3_000);
    allocator.set_quota(&named("eng"), Some(&guarantee(4_000)));
    wants(&mut allocator, 0, "ops", &res(1_000, 0), None);
    assert_eq!(cpus(&allocator.allocate(Moment(0)), "ops"), 4_000, "one more is kept beside the three");
    allocator.set_pools(&agent_id(0), vec![]);
    assert_eq!(cpus(&allocator.allocate(Moment(0)), "ops"), 0, "now it is four that are kept");
}

#[test]
fn what_is_kept_for_others_does_not_keep_a_role_from_its_reservation() {
    let mut allocator = Allocator::new(10);
    agent(&mut allocator, 0, 4_000, "a");
    reserve(&mut allocator, 0, "eng", 2_000);
    allocator.set_quota(&named("ops"), Some(&guarantee(2_000)));
    wants(&mut allocator, 0, "eng", &res(1_000, 0), None);
    assert_eq!(cpus(&allocator.allocate(Moment(0)), "eng"), 2_000, "all that is theirs");
    wants(&mut allocator, 1, "ops", &res(1_000, 0), None);
    assert_eq!(cpus(&allocator.allocate(Moment(0)), "ops"), 2_000, "all that was kept");
}

#[test]
fn who_takes_anything_takes_the_reservation_beside_what_is_kept_for_others() {
    let mut allocator = Allocator::new(10);
    agent(&mut allocator, 0, 4_000, "a");
    reserve(&mut allocator, 0, "eng", 2_000);
    allocator.set_quota(&named("ops"), Some(&guarantee(1_000)));
    allocator.put_framework(&framework_id(0), true);
    allocator.set_demand(&framework_id(0), &Demand::anything(named("eng")));
    assert_eq!(cpus(&allocator.allocate(Moment(0)), "eng"), 3_000);
}
