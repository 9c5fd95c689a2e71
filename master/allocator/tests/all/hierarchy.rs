//! Roles within roles: what a role gets is shared among the roles below it and its own frameworks alike.
#![allow(clippy::unwrap_used)] // test helpers

use std::collections::BTreeMap;

use crate::common::*;
use proffer_master_allocator::Allocator;
use proffer_proto_model::*;

/// One framework in each role, all want as much as they can get of one agent; how many shapes each role gets.
fn split(roles: &[&str], weights: &[(&str, u32)], shapes: u64) -> BTreeMap<String, u64> {
    let mut allocator = Allocator::new(10);
    for (role, weight) in weights {
        allocator.set_weight(&Role::new(role).unwrap(), weight_of(*weight));
    }
    for (at, role) in roles.iter().enumerate() {
        let id = framework_id(at);
        allocator.put_framework(&id, true);
        let item = item(Role::new(role).unwrap(), res(1_000, 1_000), None);
        allocator.set_demand(&id, &Demand { items: vec![item] });
    }
    allocator.put_agent(&agent_id(0), &info(res(1_000 * shapes, 1_000 * shapes)), true);
    let grants = allocator.allocate(Moment(0));
    grants.iter().map(|grant| (grant.role.to_string(), grant.resources.cpus.0 / 1_000)).collect()
}

fn expected(parts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    parts.iter().map(|(role, shapes)| ((*role).to_owned(), *shapes)).collect()
}

#[test]
fn a_role_shares_with_the_roles_below_it_what_it_gets() {
    let got = split(&["eng", "eng/web", "ops"], &[], 8);
    assert_eq!(got, expected(&[("eng", 2), ("eng/web", 2), ("ops", 4)]));
}

#[test]
fn many_roles_below_one_get_no_more_than_one_without_any() {
    let got = split(&["eng/a", "eng/b/x", "eng/b/y", "ops"], &[], 16);
    assert_eq!(got, expected(&[("eng/a", 4), ("eng/b/x", 2), ("eng/b/y", 2), ("ops", 8)]));
}

#[test]
fn a_weight_counts_among_siblings_only() {
    let got = split(&["eng/a", "eng/b", "ops"], &[("eng", 3), ("eng/a", 2)], 12);
    assert_eq!(got, expected(&[("eng/a", 6), ("eng/b", 3), ("ops", 3)]));
}

/// Who gets the only agent next: it is given back at once.
fn next(allocator: &mut Allocator, now: u64) -> String {
    let grants = allocator.allocate(Moment(now));
    assert_eq!(grants.len(), 1);
    allocator.close(grants[0].id).unwrap();
    grants[0].role.to_string()
}

/// As long as a role has no roles below it, nothing is counted for its own frameworks apart.
#[test]
fn what_a_role_holds_itself_counts_from_the_moment_a_role_comes_below_it() {
    let mut allocator = cluster(1);
    let eng = Role::new("eng").unwrap();
    let demand = |role: &Role| Demand { items: vec![item(role.clone(), res(4_000, 4_000), None)] };
    allocator.put_framework(&framework_id(0), true);
    allocator.set_demand(&framework_id(0), &demand(&eng));
    allocator.put_agent(&agent_id(1), &info(res(8_000, 8_000)), false);
    allocator.charge(&framework_id(0), &eng, &agent_id(1), &res(2_000, 2_000));
    let below = Role::new("eng/web").unwrap();
    allocator.put_framework(&framework_id(1), true);
    allocator.set_roles(&framework_id(1), std::slice::from_ref(&below));
    allocator.set_demand(&framework_id(1), &demand(&below));
    allocator.charge(&framework_id(1), &below, &agent_id(1), &res(1_000, 1_000));
    assert_eq!(next(&mut allocator, 0), "eng/web", "it holds one, eng itself two");
    allocator.charge(&framework_id(1), &below, &agent_id(1), &res(2_000, 2_000));
    // Whoever gave it back last comes last, once.
    assert_eq!(next(&mut allocator, 1), "eng");
    assert_eq!(next(&mut allocator, 2), "eng/web");
    assert_eq!(next(&mut allocator, 3), "eng");
    // The role below ends, and comes again.
    allocator.recover(&framework_id(1), &below, &agent_id(1), &res(3_000, 3_000));
    allocator.remove_framework(&framework_id(1));
    allocator.recover(&framework_id(0), &eng, &agent_id(1), &res(1_500, 1_500));
    allocator.put_framework(&framework_id(2), true);
    allocator.set_demand(&framework_id(2), &demand(&below));
    allocator.charge(&framework_id(2), &below, &agent_id(1), &res(1_000, 1_000));
    allocator.put_agent(&agent_id(0), &info(res(4_000, 4_000)), true);
    assert_eq!(allocator.allocate(Moment(4))[0].role, eng, "it holds half of one, eng/web a whole one");
}

/// The order of one is not kept until there is another.
#[test]
fn who_was_alone_is_counted_as_soon_as_somebody_comes_beside_it() {
    let mut allocator = cluster(4);
    allocator.put_framework(&framework_id(0), true);
    allocator.set_demand(&framework_id(0), &Demand { items: vec![item(role(0), res(4_000, 4_000), None)] });
    assert_eq!(allocator.allocate(Moment(0)).len(), 4, "all for the only one");
    allocator.put_framework(&framework_id(1), true);
    allocator.set_demand(&framework_id(1), &Demand { items: vec![item(role(0), res(4_000, 4_000), None)] });
    for n in 4..8 {
        allocator.put_agent(&agent_id(n), &info(res(4_000, 4_000)), true);
        let grants = allocator.allocate(Moment(0));
        assert_eq!(grants[0].framework, framework_id(1), "agent {n}");
    }
}
