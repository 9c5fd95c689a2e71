//! What a role holds on agents that are away counts for limits, and for nothing else.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_allocator::Allocator;
use proffer_proto_model::*;

fn quota(guarantee: u64, limit: Option<u64>) -> Quota {
    Quota { guarantee: res(guarantee, 0), limit: Limit { cpus: limit.map(MilliCpus), ..Limit::default() } }
}

fn wants(allocator: &mut Allocator, n: usize, role: &str) {
    allocator.put_framework(&framework_id(n), true);
    let item = item(Role::new(role).unwrap(), res(1_000, 100), None);
    allocator.set_demand(&framework_id(n), &Demand { items: vec![item] });
}

fn offered(allocator: &mut Allocator, role: &str, at: u64) -> u64 {
    let grants = allocator.allocate(Moment(at));
    grants.iter().filter(|grant| grant.role.as_str() == role).map(|grant| grant.resources.cpus.0).sum()
}

#[test]
fn it_counts_for_limits_above_it_too_and_whoever_was_turned_away_gets_the_room_once_it_is_free() {
    let mut allocator = cluster(4);
    let web = Role::new("eng/web").unwrap();
    allocator.set_quota(&Role::new("eng").unwrap(), Some(&quota(0, Some(5_000))));
    allocator.count_away(&web, &res(3_000, 0), true);
    wants(&mut allocator, 0, "eng/db");
    assert_eq!(offered(&mut allocator, "eng/db", 0), 2_000);
    let in_the_way = allocator.limit_in_the_way(&Role::new("eng/db").unwrap(), &res(1_000, 0));
    assert_eq!(in_the_way.unwrap().as_str(), "eng");
    allocator.count_away(&web, &res(3_000, 0), false);
    assert_eq!(offered(&mut allocator, "eng/db", 1), 3_000);
}

#[test]
fn it_shuts_a_role_that_nobody_else_uses_up() {
    let mut allocator = cluster(1);
    let eng = Role::new("eng").unwrap();
    allocator.set_quota(&eng, Some(&quota(0, Some(1_000))));
    wants(&mut allocator, 0, "eng");
    allocator.count_away(&eng, &res(1_000, 0), true);
    assert_eq!(offered(&mut allocator, "eng", 0), 0);
    allocator.count_away(&eng, &res(500, 0), false);
    assert_eq!(offered(&mut allocator, "eng", 1), 0, "half of what one needs");
    allocator.count_away(&eng, &res(500, 0), false);
    assert_eq!(offered(&mut allocator, "eng", 2), 1_000);
}

#[test]
fn it_keeps_no_guarantee_and_makes_nobodys_share_larger() {
    let mut allocator = cluster(1);
    let eng = Role::new("eng").unwrap();
    allocator.set_quota(&eng, Some(&quota(3_000, None)));
    allocator.count_away(&eng, &res(3_000, 0), true);
    wants(&mut allocator, 0, "ops");
    wants(&mut allocator, 1, "eng");
    let share = allocator.share_millionths(&framework_id(1));
    assert_eq!(share, 0);
    let grants = allocator.allocate(Moment(0));
    let eng: u64 = grants.iter().filter(|grant| grant.role == eng).map(|grant| grant.resources.cpus.0).sum();
    assert!(eng >= 3_000, "what is promised comes first: {eng}");
}

#[test]
fn a_role_that_holds_something_there_is_not_forgotten_until_it_is_free() {
    let mut allocator = cluster(1);
    let web = Role::new("eng/web").unwrap();
    allocator.count_away(&web, &res(1_000, 0), true);
    wants(&mut allocator, 0, "eng/web");
    allocator.set_roles(&framework_id(0), &[]);
    allocator.remove_framework(&framework_id(0));
    assert_eq!(allocator.roles_known().len(), 2);
    allocator.set_quota(&Role::new("eng").unwrap(), Some(&quota(0, Some(1_000))));
    wants(&mut allocator, 1, "eng/db");
    assert_eq!(offered(&mut allocator, "eng/db", 0), 0, "it counts still");
    allocator.set_quota(&Role::new("eng").unwrap(), None);
    allocator.set_roles(&framework_id(1), &[]);
    allocator.remove_framework(&framework_id(1));
    allocator.count_away(&web, &res(1_000, 0), false);
    assert_eq!(allocator.roles_known(), Vec::<&Role>::new());
}

#[test]
fn what_a_role_may_not_use_for_what_it_holds_there_is_kept_from_nobody() {
    for (holder, is_turned_away_first) in [("prod", false), ("prod", true), ("prod/web", false), ("prod/web", true)] {
        let mut allocator = cluster(1);
        let holder = Role::new(holder).unwrap();
        allocator.set_quota(&Role::new("prod").unwrap(), Some(&quota(4_000, Some(4_000))));
        wants(&mut allocator, 1, "prod");
        wants(&mut allocator, 2, "ops");
        if is_turned_away_first {
            allocator.put_framework(&framework_id(1), false);
            assert_eq!(offered(&mut allocator, "ops", 0), 0, "kept for the guarantee");
            allocator.put_framework(&framework_id(1), true);
        }
        allocator.count_away(&holder, &res(4_000, 0), true);
        let grants = allocator.allocate(Moment(1));
        let cpus: u64 = grants.iter().map(|grant| grant.resources.cpus.0).sum();
        assert!(grants.iter().all(|grant| grant.role.as_str() == "ops"), "{grants:?}");
        assert_eq!(cpus, 4_000, "away in {holder}, turned away first: {is_turned_away_first}");
        allocator.count_away(&holder, &res(4_000, 0), false);
        grants.iter().for_each(|grant| decline(&mut allocator, grant, 2, 0));
        assert_eq!(offered(&mut allocator, "prod", 2), 4_000, "it is back and has ended: promised again");
    }
}

#[test]
fn a_part_that_is_there_and_kinds_without_a_limit_stay_promised() {
    let mut allocator = cluster(1);
    let prod = Role::new("prod").unwrap();
    allocator.set_quota(&prod, Some(&quota(3_000, Some(4_000))));
    allocator.count_away(&prod, &res(3_000, 0), true);
    wants(&mut allocator, 2, "ops");
    assert_eq!(offered(&mut allocator, "ops", 0), 3_000, "of the limit of 4 one is left to prod");

    let mut allocator = cluster(1);
    let guarantee = res(4_000, 4_000);
    allocator.set_quota(&prod, Some(&Quota { guarantee, ..quota(0, Some(4_000)) }));
    allocator.count_away(&prod, &res(4_000, 4_000), true);
    wants(&mut allocator, 2, "ops");
    assert_eq!(offered(&mut allocator, "ops", 0), 0, "the memory may be used without a limit");
}
