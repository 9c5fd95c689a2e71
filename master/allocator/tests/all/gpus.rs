//! Agents with GPUs are kept for those who want GPUs, and whoever else asks why is told so.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_allocator::{Allocator, Grant, Obstacle};
use proffer_proto_model::*;

fn with_gpus(resources: Resources, gpus: u32) -> Resources {
    Resources { gpus, ..resources }
}

fn wants(allocator: &mut Allocator, n: usize, shape: Option<Resources>) {
    allocator.put_framework(&framework_id(n), true);
    let item = DemandItem { shape, ..item(role(n), res(1, 1), None) };
    allocator.set_demand(&framework_id(n), &Demand { items: vec![item] });
}

fn receivers(grants: &[Grant]) -> Vec<(&str, &str)> {
    grants.iter().map(|grant| (grant.framework.as_str(), grant.agent.as_str())).collect()
}

#[test]
fn agents_with_gpus_go_to_those_who_want_gpus() {
    let mut allocator = Allocator::new(10);
    wants(&mut allocator, 0, Some(res(1_000, 100)));
    wants(&mut allocator, 1, None);
    allocator.put_agent(&agent_id(0), &info(with_gpus(res(4_000, 4_000), 2)), true);
    assert_eq!(allocator.allocate(Moment(0)), []);
    let (explained, _) = allocator.explain(&framework_id(0), None, 10, Moment(0));
    let group = &explained[0].groups[0];
    assert_eq!(group.obstacle, Obstacle::GpusKept);
    assert_eq!(group.to_string(), "1 agent: has GPUs, which are kept for those who want GPUs");
    wants(&mut allocator, 2, Some(with_gpus(res(1_000, 100), 1)));
    let grants = allocator.allocate(Moment(0));
    assert_eq!(receivers(&grants), [("f00002", "a00000")]);
}

#[test]
fn agents_with_gpus_can_be_for_all() {
    let mut allocator = Allocator::new(10);
    wants(&mut allocator, 0, Some(res(1_000, 100)));
    allocator.put_agent(&agent_id(0), &info(with_gpus(res(4_000, 4_000), 2)), true);
    assert_eq!(allocator.allocate(Moment(0)), []);
    allocator.set_gpus_for_all(true);
    assert_eq!(receivers(&allocator.allocate(Moment(0))), [("f00000", "a00000")]);
}

#[test]
fn a_promise_is_not_kept_on_agents_that_are_kept_from_it() {
    let mut allocator = Allocator::new(10);
    let promised = Quota { guarantee: res(4_000, 0), ..Quota::default() };
    allocator.set_quota(&role(0), Some(&promised));
    wants(&mut allocator, 0, Some(res(1_000, 100)));
    allocator.put_framework(&framework_id(0), false);
    allocator.put_agent(&agent_id(0), &info(res(4_000, 4_000)), true);
    allocator.put_agent(&agent_id(1), &info(with_gpus(res(4_000, 4_000), 2)), true);
    wants(&mut allocator, 1, Some(res(1_000, 100)));
    assert_eq!(allocator.allocate(Moment(0)), [], "the one without GPUs is all that can be kept for the promise");
}
