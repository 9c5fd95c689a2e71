//! Reserved parts of agents: who sees them, how grants are split, and that all comes back.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_allocator::{AgentPool, Allocator, Obstacle};
use proffer_proto_model::{Demand, Moment, PoolId, Quota, Role};

fn named(name: &str) -> Role {
    Role::new(name).unwrap()
}

fn pool(id: u64, name: &str, cpus: u64) -> AgentPool {
    AgentPool { id: PoolId(id), role: named(name), resources: res(cpus, cpus), beside: res(0, 0) }
}

/// One agent of eight CPUs, of which two are of `eng` and one of `eng/web`.
fn cluster() -> Allocator {
    let mut allocator = Allocator::new(100);
    allocator.put_agent(&agent_id(0), &info(res(8_000, 8_000)), true);
    allocator.set_pools(&agent_id(0), vec![pool(1, "eng", 2_000), pool(2, "eng/web", 1_000)]);
    allocator
}

fn subscribe(allocator: &mut Allocator, number: usize, name: &str, cpus: u64, count: u32) {
    allocator.put_framework(&framework_id(number), true);
    let item = item(named(name), res(cpus, cpus), Some(count));
    allocator.set_demand(&framework_id(number), &Demand { items: vec![item] });
}

#[test]
fn a_shape_may_lie_across_pools_and_what_is_not_reserved() {
    let mut allocator = cluster();
    subscribe(&mut allocator, 1, "ops", 6_000, 1);
    assert_eq!(allocator.allocate(Moment(0)), [], "ops sees five CPUs only");
    let (why, _) = allocator.explain(&framework_id(1), None, 1, Moment(0));
    assert_eq!(why[0].groups[0].obstacle, Obstacle::Reserved);
    subscribe(&mut allocator, 2, "eng/web", 8_000, 1);
    let grants = allocator.allocate(Moment(0));
    assert_eq!(grants.len(), 1);
    let parts: Vec<_> = grants[0].reserved.iter().map(|(id, part)| (id.0, part.cpus.0)).collect();
    assert_eq!((grants[0].resources.cpus.0, parts), (8_000, vec![(2, 1_000), (1, 2_000)]));
    allocator.close(grants[0].id);
    assert_eq!(allocator.pool_used(&agent_id(0), PoolId(1)).unwrap(), &res(0, 0));
}

#[test]
fn each_takes_its_own_reservation_first_when_several_share_an_agent() {
    let mut allocator = cluster();
    subscribe(&mut allocator, 1, "ops", 1_000, 100);
    subscribe(&mut allocator, 2, "eng", 1_000, 100);
    let grants = allocator.allocate(Moment(0));
    let of = |number: usize| grants.iter().find(|grant| grant.framework == framework_id(number)).unwrap();
    assert_eq!(of(1).reserved, []);
    assert_eq!(of(2).reserved, [(PoolId(1), res(2_000, 2_000))]);
    let sum = of(1).resources.cpus.0 + of(2).resources.cpus.0;
    assert_eq!(sum, 7_000, "all but what is of eng/web");
}

#[test]
fn what_a_task_holds_of_a_pool_comes_back_to_it_and_a_pool_that_goes_is_for_all() {
    let mut allocator = cluster();
    subscribe(&mut allocator, 1, "eng", 2_000, 1);
    let parts = [(PoolId(1), res(2_000, 2_000))];
    allocator.charge(&framework_id(1), &named("eng"), &agent_id(0), &res(2_000, 2_000));
    allocator.charge_reserved(&agent_id(0), &parts);
    let grant = allocator.allocate(Moment(0)).remove(0);
    assert_eq!((grant.resources.cpus.0, grant.reserved), (5_000, vec![]), "the pool is used up");
    allocator.close(grant.id);
    allocator.recover(&framework_id(1), &named("eng"), &agent_id(0), &res(2_000, 2_000));
    allocator.recover_reserved(&agent_id(0), &parts);
    assert_eq!(allocator.pool_used(&agent_id(0), PoolId(1)).unwrap(), &res(0, 0));
    allocator.set_demand(&framework_id(1), &Demand::default());
    allocator.set_pools(&agent_id(0), vec![]);
    subscribe(&mut allocator, 2, "ops", 8_000, 1);
    assert_eq!(allocator.allocate(Moment(0))[0].resources.cpus.0, 8_000);
}

#[test]
fn an_agent_that_shrank_below_what_is_reserved_gives_nothing() {
    let mut allocator = cluster();
    subscribe(&mut allocator, 1, "eng/web", 1_000, 1);
    allocator.put_agent(&agent_id(0), &info(res(2_000, 2_000)), true);
    assert_eq!(allocator.allocate(Moment(0)), []);
    allocator.set_pools(&agent_id(0), vec![pool(2, "eng/web", 1_000)]);
    assert_eq!(allocator.allocate(Moment(0)).len(), 1);
}

#[test]
fn who_takes_anything_leaves_what_is_reserved_for_others_to_them_in_the_same_pass() {
    let mut allocator = cluster();
    for (number, name) in [(1, "ops"), (2, "eng")] {
        allocator.put_framework(&framework_id(number), true);
        allocator.set_demand(&framework_id(number), &Demand::anything(named(name)));
    }
    allocator.charge(&framework_id(2), &named("eng"), &agent_id(0), &res(1_000, 1_000));
    let cpus: Vec<u64> = allocator.allocate(Moment(0)).iter().map(|grant| grant.resources.cpus.0).collect();
    assert_eq!(cpus, [4_000, 2_000], "ops has its turn first, and sees what is not reserved");
}

#[test]
fn who_was_short_of_what_its_own_reservation_lacks_is_offered_it_once_so_much_is_spare() {
    let mut allocator = cluster();
    let guarantee = |cpus| Quota { guarantee: res(cpus, 0), ..Quota::default() };
    allocator.set_quota(&named("ops"), Some(&guarantee(5_000)));
    subscribe(&mut allocator, 1, "eng", 3_000, 1);
    assert_eq!(allocator.allocate(Moment(0)), [], "two are its own, and all others are promised to ops");
    allocator.put_agent(&agent_id(1), &info(res(1_000, 1_000)), true);
    let grants = allocator.allocate(Moment(0));
    assert_eq!(grants.len(), 1, "one more will do");
    assert_eq!(grants[0].resources.cpus.0, 3_000);
}
