//! How the cost grows with the size: runs at n, 2n and 4n, the exponent fitted to the steps done, never to time.
#![allow(clippy::unwrap_used)] // test helpers

use crate::common::*;
use proffer_master_allocator::{Allocator, Grant, Work};
use proffer_proto_model::*;

/// What a fit may lie above the bound.
const SLACK: f64 = 0.15;

/// The same for moves in heaps, which cost a logarithm.
const SLACK_OF_MOVES: f64 = 0.45;

/// So few steps count as so many: their noise says nothing.
const FEW: u64 = 25;

/// The steps done by `action`.
fn steps<T>(allocator: &mut Allocator, action: impl FnOnce(&mut Allocator) -> T) -> (Work, T) {
    let before = allocator.work();
    let result = action(allocator);
    (spent(before, allocator.work()), result)
}

/// The slope of log(steps) over log(n) at n, 2n and 4n, by least squares.
fn exponent(costs: [(usize, u64); 3]) -> f64 {
    let points = costs.map(|(n, cost)| ((n as f64).ln(), (cost.max(FEW) as f64).ln()));
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / 3.0;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let over: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    over / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

/// Each kind of steps for itself: one may not hide behind another.
fn assert_grows(what: &str, bound: f64, n: usize, cost: impl Fn(usize) -> Work) {
    let costs = [n, 2 * n, 4 * n].map(|n| (n, cost(n)));
    let kinds = |work: Work| {
        let Work { agents, clients, filters, shares, moves, shapes } = work;
        let of_passes = [("agents", agents), ("clients", clients), ("filters", filters), ("shares", shares)];
        of_passes.into_iter().chain([("moves", moves), ("shapes", shapes)]).collect::<Vec<_>>()
    };
    for at in 0..kinds(Work::default()).len() {
        let kind = kinds(costs[0].1)[at].0;
        let slack = if kind == "moves" { SLACK_OF_MOVES } else { SLACK };
        let fitted = exponent(costs.map(|(n, work)| (n, kinds(work)[at].1)));
        assert!(fitted <= bound + slack, "{what}: {kind} grow with {fitted:.2}, not {bound}: {costs:?}");
    }
}

fn everybody_wants(allocator: &mut Allocator, frameworks: usize, role_of: impl Fn(usize) -> Role) {
    for n in 0..frameworks {
        allocator.put_framework(&framework_id(n), true);
        allocator.set_demand(&framework_id(n), &Demand::anything(role_of(n)));
    }
}

/// Frameworks that want anything, and one agent, granted: every share was found once.
fn measured(frameworks: usize) -> Allocator {
    let mut allocator = cluster(1);
    everybody_wants(&mut allocator, frameworks, |_| role(0));
    assert_eq!(allocator.allocate(Moment(0)).len(), 1);
    allocator
}

/// So many agents more than the first.
fn attach(allocator: &mut Allocator, agents: usize) {
    for n in 1..=agents {
        allocator.put_agent(&agent_id(n), &info(res(4_000, 4_000)), true);
    }
}

fn full_pass(agents: usize, frameworks: usize) -> Work {
    let mut allocator = measured(frameworks);
    attach(&mut allocator, agents);
    let (steps, grants) = steps(&mut allocator, |allocator| allocator.allocate(Moment(0)));
    assert_eq!(grants.len(), agents);
    steps
}

#[test]
fn a_full_pass_grows_with_the_agents_and_not_with_the_frameworks() {
    assert_grows("agents", 1.0, 500, |agents| full_pass(agents, 50));
    assert_grows("frameworks", 0.0, 50, |frameworks| full_pass(500, frameworks));
    assert_grows("both", 1.0, 100, |n| full_pass(n, n));
}

/// All of it is promised, and all that is promised is the limit.
fn with_quotas(n: usize) -> (Allocator, Vec<Grant>, Work) {
    let mut allocator = cluster(n);
    everybody_wants(&mut allocator, n, role);
    let half = res(2_000, 2_000);
    let limit = Limit { cpus: Some(half.cpus), memory: Some(half.memory), ..Limit::default() };
    for at in 0..n {
        allocator.set_quota(&role(at), Some(&Quota { guarantee: half.clone(), limit: limit.clone() }));
    }
    let (steps, grants) = steps(&mut allocator, |allocator| allocator.allocate(Moment(0)));
    assert_eq!(grants.len(), n);
    (allocator, grants, steps)
}

#[test]
fn a_pass_with_quotas_grows_with_the_roles() {
    assert_grows("agents, roles and frameworks", 1.0, 100, |n| with_quotas(n).2);
    let (mut allocator, _, _) = with_quotas(400);
    assert_eq!(
        steps(&mut allocator, |allocator| allocator.allocate(Moment(1))),
        (Work::default(), vec![]),
        "an idle pass is free"
    );
}

#[test]
fn an_answer_costs_the_same_with_any_number_of_quotas() {
    assert_grows("a decline", 0.0, 100, |n| {
        let (mut allocator, grants, _) = with_quotas(n);
        decline(&mut allocator, &grants[n / 2], 1, 5_000);
        steps(&mut allocator, |allocator| allocator.allocate(Moment(1))).0
    });
    assert_grows("declines of all", 1.0, 100, |n| {
        let (mut allocator, grants, _) = with_quotas(n);
        grants.iter().for_each(|grant| decline(&mut allocator, grant, 1, 5_000));
        steps(&mut allocator, |allocator| allocator.allocate(Moment(1))).0
    });
}

#[test]
fn an_idle_pass_of_a_saturated_cluster_is_free() {
    let mut allocator = cluster(50);
    everybody_wants(&mut allocator, 10, |_| role(0));
    let mut offers = 0;
    loop {
        let grants = allocator.allocate(Moment(1));
        offers += grants.len();
        grants.iter().for_each(|grant| decline(&mut allocator, grant, 1, 1_000_000));
        if grants.is_empty() {
            break;
        }
    }
    assert_eq!(offers, 500, "everybody declined everything");
    assert_eq!(steps(&mut allocator, |allocator| allocator.allocate(Moment(2))), (Work::default(), vec![]));
}

/// All in one optimistic role, after a pass: everybody is shown every agent that `count` covers, 64 at most.
fn with_races(agents: usize, frameworks: usize, count: Option<u32>) -> (Allocator, Vec<Grant>, Work) {
    let mut allocator = cluster(agents);
    allocator.set_optimistic(&role(0), true);
    for n in 0..frameworks {
        allocator.put_framework(&framework_id(n), true);
        let items = vec![DemandItem { count, ..item(role(0), res(1_000, 1_000), None) }];
        allocator.set_demand(&framework_id(n), &Demand { items });
    }
    let (steps, grants) = steps(&mut allocator, |allocator| allocator.allocate(Moment(0)));
    (allocator, grants, steps)
}

#[test]
fn a_pass_of_races_grows_with_the_offers_it_makes() {
    assert_grows("agents", 1.0, 100, |agents| with_races(agents, 20, None).2);
    assert_grows("frameworks that all fit in", 1.0, 10, |frameworks| with_races(50, frameworks, None).2);
    assert_grows("frameworks that do not", 0.0, 100, |frameworks| with_races(50, frameworks, None).2);
    assert_grows("both", 1.0, 100, |n| with_races(n, n, None).2);
}

#[test]
fn an_answer_in_a_race_costs_the_same_with_any_number_of_races() {
    let of_decline = |agents: usize, frameworks: usize, count: Option<u32>| {
        let (mut allocator, grants, _) = with_races(agents, frameworks, count);
        decline(&mut allocator, &grants[grants.len() / 2], 1, 5_000);
        steps(&mut allocator, |allocator| allocator.allocate(Moment(1))).0
    };
    assert_grows("a decline, agents", 0.0, 100, |agents| of_decline(agents, 20, None));
    assert_grows("a decline, frameworks", 0.0, 15, |frameworks| of_decline(50, frameworks, None));
    assert_grows("a decline of who wants a count", 0.0, 100, |agents| of_decline(agents, 20, Some(40)));
    let of_accept = |agents: usize, frameworks: usize| {
        let (mut allocator, grants, _) = with_races(agents, frameworks, None);
        let won = &grants[agents / 2];
        for lost in grants.iter().filter(|grant| grant.race == won.race && grant.id != won.id) {
            allocator.close(lost.id).unwrap();
        }
        launch(&mut allocator, won, &res(1_000, 1_000), 1, 0);
        steps(&mut allocator, |allocator| allocator.allocate(Moment(1))).0
    };
    assert_grows("an accept, agents", 0.0, 100, |agents| of_accept(agents, 20));
    assert_grows("an accept, frameworks that all fit in", 1.0, 15, |frameworks| of_accept(50, frameworks));
    assert_grows("an accept, frameworks that do not", 0.0, 100, |frameworks| of_accept(50, frameworks));
}

#[test]
fn declining_all_that_is_raced_for_looks_at_each_race_a_few_times() {
    assert_grows("declines of all by who wants a count", 1.0, 100, |agents| {
        let (mut allocator, mut grants, _) = with_races(agents, 2, Some(40));
        let before = allocator.work();
        while let Some(grant) = grants.pop() {
            decline(&mut allocator, &grant, 0, 5_000);
            grants.extend(allocator.allocate(Moment(0)));
        }
        spent(before, allocator.work())
    });
}

#[test]
fn an_idle_pass_is_free_however_many_races_are_open() {
    let (mut allocator, _, _) = with_races(200, 50, None);
    assert_eq!(steps(&mut allocator, |allocator| allocator.allocate(Moment(1))), (Work::default(), vec![]));
}

/// Agents attach one at a time, each with a task of some framework, and each is offered at once.
fn attach_one_by_one(agents: usize, frameworks: usize, size: impl Fn(usize) -> Resources) -> Work {
    let mut allocator = measured(frameworks);
    let (work, ()) = steps(&mut allocator, |allocator| {
        for n in 1..=agents {
            allocator.put_agent(&agent_id(n), &info(size(n)), true);
            allocator.charge(&framework_id(n % frameworks), &role(0), &agent_id(n), &res(500, 500));
            assert_eq!(allocator.allocate(Moment(0)).len(), 1);
        }
    });
    work
}

#[test]
fn agents_that_attach_one_at_a_time_cost_no_look_at_every_framework() {
    let same = |_| res(4_000, 4_000);
    assert_grows("agents of one size", 1.0, 100, |agents| attach_one_by_one(agents, 100, same));
    assert_grows("frameworks beside agents of one size", 0.0, 100, |n| attach_one_by_one(100, n, same));
    assert_grows("as many frameworks as agents of one size", 1.0, 100, |n| attach_one_by_one(n, n, same));
    // As many sizes as agents: the proportions of the cluster change with each of them.
    let others = |n: usize| res(2_000 + 37 * (n as u64 * 7_919 % 101), 2_000 + 41 * (n as u64 * 104_729 % 97));
    assert_grows("as many frameworks as agents of all sizes", 1.0, 200, |n| attach_one_by_one(n, n, others));
}

#[test]
fn a_total_that_changes_without_end_costs_no_look_at_every_framework() {
    assert_grows("one agent that grows again and again", 0.0, 200, |frameworks| {
        let mut allocator = measured(frameworks);
        attach(&mut allocator, 1_000);
        allocator.allocate(Moment(0));
        let (work, ()) = steps(&mut allocator, |allocator| {
            for n in 1..=50 {
                allocator.put_agent(&agent_id(0), &info(res(4_000 + 100 * n, 4_000)), true);
                assert_eq!(allocator.allocate(Moment(0)).len(), 1);
            }
        });
        work
    });
}

/// As many items, alike up to the end.
fn long_demand(items: usize, round: usize) -> Demand {
    let one = |n: usize| {
        let mut shape = res(1_000, 1_000);
        shape.scalars = (0..30)
            .map(|at| (format!("s{at:02}"), 1))
            .chain([("z".to_owned(), (round * items + n) as u64 + 1)])
            .collect();
        item(role(0), shape, Some(1))
    };
    Demand { items: (0..items).map(one).collect() }
}

#[test]
fn a_demand_costs_what_is_in_it_however_alike_its_shapes_are() {
    let stated = |items: usize, rounds: [usize; 2]| {
        let mut allocator = cluster(1);
        allocator.put_framework(&framework_id(0), true);
        allocator.set_demand(&framework_id(0), &long_demand(items, rounds[0]));
        steps(&mut allocator, |allocator| allocator.set_demand(&framework_id(0), &long_demand(items, rounds[1]))).0
    };
    assert_grows("a demand that is stated again", 1.0, 100, |items| stated(items, [0, 0]));
    assert_eq!(stated(100, [0, 0]).shapes, 100, "each is found at once");
    assert_grows("another demand", 1.0, 100, |items| stated(items, [0, 1]));
}
