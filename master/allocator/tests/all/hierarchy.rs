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
