//! One event costs as much with ten thousand agents as with ten: steps are counted, never time.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_allocator::{Allocator, Grant, Work};
use proffer_proto_model::*;

/// The steps of the next pass, and its grants.
fn pass(allocator: &mut Allocator, now: u64) -> (Work, Vec<Grant>) {
    let before = allocator.work();
    let grants = allocator.allocate(Moment(now));
    let after = allocator.work();
    (spent(before, after), grants)
}

/// Every agent has a task, ten frameworks want more than fits: all have refused all that is left.
fn busy(agents: usize) -> Allocator {
    let mut allocator = cluster(agents);
    for n in 0..10 {
        allocator.put_framework(&framework_id(n), true);
        allocator.set_demand(&framework_id(n), &want(res(3_000, 3_000), 1_000_000));
    }
    for n in 0..agents {
        allocator.charge(&framework_id(n % 10), &role(0), &agent_id(n), &res(2_000, 2_000));
    }
    assert_eq!(pass(&mut allocator, 0).1, []);
    allocator
}

/// The steps of each event, by name.
fn events(agents: usize) -> Vec<(&'static str, Work)> {
    let mut allocator = busy(agents);
    let mut seen = Vec::new();
    seen.push(("nothing", pass(&mut allocator, 1).0));
    allocator.recover(&framework_id(0), &role(0), &agent_id(7), &res(2_000, 2_000));
    let (work, grants) = pass(&mut allocator, 1);
    assert_eq!(grants.len(), 1);
    seen.push(("a task ended", work));
    decline(&mut allocator, &grants[0], 1, 5_000);
    let (work, grants) = pass(&mut allocator, 1);
    seen.push(("a decline", work));
    launch(&mut allocator, &grants[0], &res(3_000, 3_000), 1, 5_000);
    let (work, grants) = pass(&mut allocator, 1);
    assert_eq!(grants, []);
    seen.push(("an accept", work));
    let demand = want(res(3_000, 3_000), 999_999);
    allocator.set_demand(&framework_id(1), &demand);
    seen.push(("one less is wanted", pass(&mut allocator, 2).0));
    assert!(allocator.next_deadline().is_some());
    seen.push(("a filter ended", pass(&mut allocator, 6_000).0));
    allocator.put_agent(&agent_id(agents), &info(res(1_000, 1_000)), true);
    seen.push(("a new agent", pass(&mut allocator, 6_000).0));
    allocator.set_agent_active(&agent_id(3), false);
    seen.push(("an agent left", pass(&mut allocator, 6_000).0));
    seen
}

#[test]
fn an_event_costs_the_same_in_a_large_cluster() {
    let (small, large) = (events(100), events(10_000));
    assert_eq!(small, large);
    for (what, work) in large {
        assert!(work.agents <= 2 && work.clients <= 20, "{what}: {work:?}");
        assert!(work.filters <= 20 && work.shares <= 20 && work.moves <= 100, "{what}: {work:?}");
    }
}

/// A framework whose demand is covered by offers declines one after the other: each decline must not walk the cluster.
#[test]
fn declining_all_offers_looks_at_each_agent_a_few_times() {
    let agents = 10_000;
    let mut allocator = cluster(agents);
    allocator.put_framework(&framework_id(0), true);
    allocator.set_demand(&framework_id(0), &want(res(4_000, 4_000), 50));
    let (_, mut grants) = pass(&mut allocator, 0);
    assert_eq!(grants.len(), 50);
    let (mut work, mut declined) = (0, 0);
    while let Some(grant) = grants.pop() {
        decline(&mut allocator, &grant, 0, 5_000);
        declined += 1;
        let (more, new) = pass(&mut allocator, 0);
        work += more.agents;
        grants.extend(new);
    }
    assert_eq!(declined, agents, "each agent is offered once, and no agent twice within 5 s");
    assert!(work <= 3 * agents as u64, "{work} looks at {agents} agents");
}
