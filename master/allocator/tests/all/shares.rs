//! The order of weighted dominant shares against fractions worked out the long way, in whole numbers.
#![allow(clippy::unwrap_used)] // test helpers

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::common::*;
use proffer_master_allocator::Allocator;
use proffer_proto_model::*;
use proptest::prelude::*;

/// One framework in one role, and what its tasks hold.
#[derive(Debug, Clone)]
struct Holder {
    role: usize,
    cpus: u64,
    mib: u64,
}

#[derive(Debug, Clone)]
struct Case {
    holders: Vec<Holder>,
    weights: Vec<u32>,
    /// Shares are by CPU alone.
    is_without_memory: bool,
    shape: (u64, u64),
    times: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let holder = (0usize..3, 0u64..40, 0u64..40).prop_map(|(role, cpus, mib)| Holder { role, cpus, mib });
    let holders = proptest::collection::vec(holder, 2..5);
    let weights = proptest::collection::vec(1u32..4, 3);
    (holders, weights, any::<bool>(), (1u64..6, 1u64..6), 1u64..12).prop_map(
        |(holders, weights, is_without_memory, shape, times)| Case {
            holders,
            weights,
            is_without_memory,
            shape,
            times,
        },
    )
}

const LARGE: u64 = 1_000;

/// How often each framework gets the shape from the new agent.
fn expected(case: &Case) -> BTreeMap<usize, u64> {
    let total = (LARGE + case.shape.0 * case.times, LARGE + case.shape.1 * case.times);
    let mut held: Vec<(u64, u64)> = case.holders.iter().map(|holder| (holder.cpus, holder.mib)).collect();
    let mut got = BTreeMap::new();
    for _ in 0..case.times {
        let of_role = |role: usize| {
            let own = case.holders.iter().zip(&held).filter(|(holder, _)| holder.role == role);
            own.fold((0, 0), |sum, (_, held)| (sum.0 + held.0, sum.1 + held.1))
        };
        // The larger of two fractions, over one denominator.
        let share = |held: (u64, u64)| {
            let by_memory = if case.is_without_memory { 0 } else { held.1 * total.0 };
            (held.0 * total.1).max(by_memory)
        };
        let role_share = |role: usize| (share(of_role(role)), u64::from(case.weights[role]));
        let next = (0..held.len()).min_by(|a, b| {
            let (role_a, role_b) = (case.holders[*a].role, case.holders[*b].role);
            let ((share_a, weight_a), (share_b, weight_b)) = (role_share(role_a), role_share(role_b));
            let by_role = (share_a * weight_b).cmp(&(share_b * weight_a)).then(role_a.cmp(&role_b));
            if by_role == Ordering::Equal { share(held[*a]).cmp(&share(held[*b])).then(a.cmp(b)) } else { by_role }
        });
        let next = next.unwrap();
        held[next].0 += case.shape.0;
        held[next].1 += case.shape.1;
        *got.entry(next).or_default() += 1;
    }
    got
}

/// The tasks are on an agent that offers nothing; then the agent comes that all of them want.
fn granted(case: &Case) -> BTreeMap<usize, u64> {
    let mut allocator = Allocator::new(10);
    let large = Resources::new(MilliCpus(LARGE), Bytes(LARGE));
    allocator.put_agent(&agent_id(0), &info(large), false);
    if case.is_without_memory {
        allocator.set_excluded_kinds(["memory"]);
    }
    for at in 0..case.weights.len() {
        allocator.set_weight(&role(at), weight_of(9 - at as u32));
    }
    let shape = Resources::new(MilliCpus(case.shape.0), Bytes(case.shape.1));
    for (at, holder) in case.holders.iter().enumerate() {
        let id = framework_id(at);
        allocator.put_framework(&id, true);
        let held = Resources::new(MilliCpus(holder.cpus), Bytes(holder.mib));
        allocator.charge(&id, &role(holder.role), &agent_id(0), &held);
        allocator.set_demand(&id, &Demand { items: vec![item(role(holder.role), shape.clone(), None)] });
    }
    // Also those that change weigh from now on.
    for (at, weight) in case.weights.iter().enumerate() {
        allocator.set_weight(&role(at), weight_of(*weight));
    }
    let fresh = Resources::new(MilliCpus(case.shape.0 * case.times), Bytes(case.shape.1 * case.times));
    allocator.put_agent(&agent_id(1), &info(fresh), true);
    let grants = allocator.allocate(Moment(0));
    let number = |id: &FrameworkId| id.as_str()[1..].parse().unwrap();
    grants.iter().map(|grant| (number(&grant.framework), grant.resources.cpus.0 / case.shape.0)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn a_contended_agent_is_filled_in_the_exact_order_of_shares(case in cases()) {
        prop_assert_eq!(granted(&case), expected(&case));
    }
}
