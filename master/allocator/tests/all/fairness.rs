//! Nobody starves: who gives back, who waits, and what is left over are offered again to whom it suits.
#![allow(clippy::unwrap_used)] // test helpers

use std::collections::BTreeMap;

use crate::common::*;
use proffer_master_allocator::{Allocator, Grant};
use proffer_proto_model::*;

fn framework(allocator: &mut Allocator, n: usize, demand: &Demand) {
    allocator.put_framework(&framework_id(n), true);
    allocator.set_demand(&framework_id(n), demand);
}

fn receivers(grants: &[Grant]) -> Vec<&str> {
    grants.iter().map(|grant| grant.framework.as_str()).collect()
}

#[test]
fn equal_demands_get_equal_parts_although_one_refuses_left_overs_and_asks_again() {
    let mut allocator = cluster(4);
    let shape = res(1_000, 1_000);
    let mut wanted = [8u32; 2];
    for (n, count) in wanted.iter().enumerate() {
        framework(&mut allocator, n, &want(shape.clone(), *count));
    }
    let mut launched: BTreeMap<String, u32> = BTreeMap::new();
    let mut now = 0;
    while wanted.iter().any(|count| *count > 0) {
        for grant in allocator.allocate(Moment(now)) {
            let n: usize = grant.framework.as_str()[1..].parse().unwrap();
            // The first one keeps left-overs away for 5 s, the second says that anything may come back at once.
            launch(&mut allocator, &grant, &shape, now, if n == 0 { 5_000 } else { 0 });
            wanted[n] -= 1;
            *launched.entry(grant.framework.to_string()).or_default() += 1;
            allocator.set_demand(&framework_id(n), &want(shape.clone(), wanted[n].max(1)));
            if wanted[n] == 0 {
                allocator.set_demand(&framework_id(n), &Demand::default());
            }
        }
        now += 500;
        assert!(now < 60_000, "somebody starves: {launched:?}");
    }
    assert_eq!(launched.into_values().collect::<Vec<_>>(), [8, 8]);
}

#[test]
fn a_framework_that_always_gives_back_without_filter_does_not_block_the_one_that_holds_more() {
    let mut allocator = cluster(1);
    let shape = res(3_000, 3_000);
    framework(&mut allocator, 0, &want(shape.clone(), 1));
    framework(&mut allocator, 1, &want(shape, 1));
    // The second one holds something: by its share the first one comes first, always.
    allocator.charge(&framework_id(1), &role(0), &agent_id(0), &res(1_000, 0));
    let first = allocator.allocate(Moment(0));
    assert_eq!(receivers(&first), ["f00000"]);
    decline(&mut allocator, &first[0], 0, 0);
    let next = allocator.allocate(Moment(0));
    assert_eq!(receivers(&next), ["f00001"]);
    decline(&mut allocator, &next[0], 0, 0);
    assert_eq!(receivers(&allocator.allocate(Moment(0))), ["f00000"]);
}

#[test]
fn a_launch_keeps_its_turn_by_share() {
    let mut allocator = cluster(1);
    for n in 0..2 {
        framework(&mut allocator, n, &want(res(1_000, 1_000), 4));
    }
    allocator.charge(&framework_id(1), &role(0), &agent_id(0), &res(2_500, 0));
    let first = allocator.allocate(Moment(0));
    assert_eq!(receivers(&first), ["f00000"]);
    launch(&mut allocator, &first[0], &res(100, 0), 0, 0);
    assert_eq!(receivers(&allocator.allocate(Moment(0))), ["f00000"], "it used the offer, and still holds least");
}

#[test]
fn what_a_launch_leaves_goes_to_others_at_once_and_comes_back_when_its_filter_ends() {
    let mut allocator = cluster(1);
    let shape = res(1_000, 1_000);
    framework(&mut allocator, 0, &want(shape.clone(), 3));
    let whole = allocator.allocate(Moment(0));
    assert_eq!(whole[0].resources, res(4_000, 4_000));
    launch(&mut allocator, &whole[0], &shape, 0, 5_000);
    allocator.set_demand(&framework_id(0), &want(shape.clone(), 2));
    assert_eq!(allocator.allocate(Moment(0)), [], "it refused the rest, and fewer is nothing new");
    framework(&mut allocator, 1, &want(res(2_000, 2_000), 1));
    let other = allocator.allocate(Moment(0));
    assert_eq!(receivers(&other), ["f00001"]);
    launch(&mut allocator, &other[0], &res(2_000, 2_000), 100, 5_000);
    allocator.set_demand(&framework_id(1), &Demand::default());
    assert_eq!(allocator.allocate(Moment(100)), []);
    assert_eq!(allocator.next_deadline(), Some(Moment(5_000)));
    let again = allocator.allocate(Moment(5_000));
    assert_eq!((receivers(&again), &again[0].resources), (vec!["f00000"], &shape));
}

#[test]
fn what_a_launch_leaves_comes_back_at_once_when_more_is_wanted() {
    let mut allocator = cluster(1);
    let shape = res(1_000, 1_000);
    framework(&mut allocator, 0, &want(shape.clone(), 1));
    let whole = allocator.allocate(Moment(0));
    launch(&mut allocator, &whole[0], &shape, 0, 5_000);
    allocator.set_demand(&framework_id(0), &want(shape, 2));
    assert_eq!(receivers(&allocator.allocate(Moment(0))), ["f00000"]);
    assert_eq!(allocator.next_deadline(), None, "the filter is gone, and so is its timer");
}

/// The SDK does not repeat a demand that is the same again, for example after a task that ended at once.
#[test]
fn a_demand_that_is_not_repeated_counts_again_a_second_after_the_launch() {
    let mut allocator = cluster(2);
    let shape = res(1_000, 1_000);
    framework(&mut allocator, 0, &want(shape.clone(), 1));
    let first = allocator.allocate(Moment(0));
    assert_eq!(first.len(), 1);
    launch(&mut allocator, &first[0], &shape, 0, 5_000);
    assert_eq!(allocator.allocate(Moment(0)), [], "one was wanted, one was launched");
    assert_eq!(allocator.next_deadline(), Some(Moment(1_000)));
    assert_eq!(allocator.allocate(Moment(999)), []);
    let again = allocator.allocate(Moment(1_000));
    assert_eq!(receivers(&again), ["f00000"]);
    assert_ne!(again[0].agent, first[0].agent, "the rest of the first agent is refused for 5 s");
}

#[test]
fn launches_of_one_shape_do_not_hold_back_another() {
    let mut allocator = cluster(20);
    let (small, large) = (res(1_000, 1_000), res(4_000, 4_000));
    let big = AgentInfo { hostname: "big".into(), ..info(res(8_000, 8_000)) };
    allocator.put_agent(&agent_id(99), &big, true);
    let only = |operator| Constraint { subject: "@hostname".into(), operator, value: "big".into() };
    let mut demand = want(large.clone(), 1);
    demand.items.push(item(role(0), small.clone(), Some(1_000)));
    demand.items[0].constraints.push(only(ConstraintOperator::Equals));
    demand.items[1].constraints.push(only(ConstraintOperator::NotEquals));
    framework(&mut allocator, 0, &demand);
    let (mut bigs, mut others): (Vec<_>, Vec<_>) =
        allocator.allocate(Moment(0)).into_iter().partition(|grant| grant.agent == agent_id(99));
    launch(&mut allocator, &bigs.pop().unwrap(), &large, 0, 0);
    // Small ones are launched all the time, and the demand is never repeated.
    for now in (100..1_300).step_by(300) {
        launch(&mut allocator, &others.pop().unwrap(), &small, now, 5_000);
        bigs.extend(allocator.allocate(Moment(now)));
    }
    assert_eq!(bigs.iter().map(|grant| &grant.agent).collect::<Vec<_>>(), [&agent_id(99)]);
}

#[test]
fn a_framework_below_its_cap_again_is_offered_what_came_meanwhile() {
    let mut allocator = Allocator::new(1);
    let demand = Demand { items: vec![item(role(0), res(1_000, 0), None), item(role(1), res(1_000, 0), None)] };
    framework(&mut allocator, 0, &demand);
    for n in 0..3 {
        allocator.put_agent(&agent_id(n), &info(res(1_000, 1_000)), true);
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        let grants = allocator.allocate(Moment(0));
        assert_eq!(grants.len(), 1, "one at a time");
        seen.push(grants[0].agent.clone());
        decline(&mut allocator, &grants[0], 0, 5_000);
    }
    seen.sort();
    seen.dedup();
    assert!(seen.len() >= 2, "it is not offered the same agent for ever: {seen:?}");
}

#[test]
fn what_a_removed_framework_gave_back_is_not_held_against_the_next_one() {
    let mut allocator = cluster(1);
    framework(&mut allocator, 0, &Demand::anything(role(0)));
    let grants = allocator.allocate(Moment(0));
    decline(&mut allocator, &grants[0], 0, 0);
    allocator.remove_framework(&framework_id(0));
    framework(&mut allocator, 1, &Demand::anything(role(0)));
    allocator.put_framework(&framework_id(2), true);
    allocator.put_agent(&agent_id(1), &info(res(4_000, 4_000)), true);
    allocator.charge(&framework_id(2), &role(1), &agent_id(1), &res(4_000, 4_000));
    allocator.set_demand(&framework_id(2), &Demand::anything(role(1)));
    assert_eq!(receivers(&allocator.allocate(Moment(1))), ["f00001"], "it holds nothing, and gave nothing back");
}

#[test]
fn who_refused_an_agent_may_want_it_when_it_is_elsewhere() {
    let mut allocator = Allocator::new(10);
    allocator.put_framework(&framework_id(0), true);
    let demand = Demand { items: vec![item(Role::default_role(), res(500, 100), None)] };
    allocator.set_demand(&framework_id(0), &demand);
    let here = AgentInfo { zone: "a".into(), ..info(res(1_000, 1_000)) };
    allocator.put_agent(&agent_id(0), &here, true);
    let grant = allocator.allocate(Moment(0)).pop().unwrap();
    let closed = allocator.close(grant.id).unwrap();
    allocator.refuse(&grant.framework, &grant.role, &grant.agent, closed.resources, Moment(0), 3_600_000);
    allocator.put_agent(&agent_id(0), &here, true);
    assert_eq!(allocator.allocate(Moment(1)), [], "it comes back as it was");
    allocator.put_agent(&agent_id(0), &AgentInfo { zone: "b".into(), ..here }, true);
    assert_eq!(allocator.allocate(Moment(2)).len(), 1);
    assert_eq!(allocator.filters(), 0);
}

#[test]
fn filters_for_one_agent_are_bounded_and_what_the_oldest_kept_away_is_offered_again() {
    let mut allocator = Allocator::new(10);
    framework(&mut allocator, 0, &Demand::anything(role(0)));
    allocator.put_framework(&framework_id(1), true);
    allocator.put_agent(&agent_id(0), &info(res(100_000, 100_000)), true);
    // None of them covers another one. The first covers what is free at the end.
    let refused = |n: u64| res(1_000 + n * 1_000, 90_000 - n * 1_000);
    allocator.charge(&framework_id(1), &role(1), &agent_id(0), &res(99_000, 10_000));
    for n in 0..16 {
        allocator.refuse(&framework_id(0), &role(0), &agent_id(0), refused(n), Moment(n), 60_000);
    }
    assert_eq!((allocator.filters(), allocator.allocate(Moment(20))), (16, vec![]));
    allocator.refuse(&framework_id(0), &role(0), &agent_id(0), refused(16), Moment(21), 60_000);
    assert_eq!(allocator.filters(), 16);
    assert_eq!(receivers(&allocator.allocate(Moment(21))), ["f00000"]);
    // A broad one stands for all that it covers.
    allocator.refuse(&framework_id(0), &role(0), &agent_id(0), res(99_000, 99_000), Moment(22), 60_000);
    assert_eq!(allocator.filters(), 1);
}
