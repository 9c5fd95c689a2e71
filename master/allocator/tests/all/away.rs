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
