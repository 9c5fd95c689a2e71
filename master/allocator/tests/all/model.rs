//! Random runs against a naive model that walks everything every time: never over-allocates, never forgets anybody.
#![allow(clippy::unwrap_used)] // test helpers

mod checks;
mod naive;
mod promises;
mod races;
mod reserved;
mod roles;

use self::naive::Naive;
use crate::common::{info, item, ports, res, weight_of};
use proffer_master_allocator::Placement;
use proffer_proto_model::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    PutAgent { agent: usize, cpus: u64, rack: u8 },
    SetActive { agent: usize, is_active: bool },
    RemoveAgent { agent: usize },
    PutFramework { framework: usize, is_active: bool },
    RemoveFramework { framework: usize },
    Roles { framework: usize, roles: Vec<usize> },
    Demand { framework: usize, items: Vec<(usize, usize, Option<u32>)> },
    Decline { at: usize, refuse_ms: u64 },
    Launch { at: usize, shape: usize, refuse_ms: u64 },
    End { at: usize },
    Weight { role: usize, weight: u32 },
    Quota { role: usize, guarantee: Option<u64>, limit: Option<u64> },
    Reserve { agent: usize, parts: Vec<(usize, u64, bool, u64)>, is_kept: bool },
    Mode { role: usize, is_optimistic: bool },
    Place { role: usize, policy: Option<usize> },
    MinOffer { role: Option<usize>, cpus: Option<u64> },
    Away { role: usize, halves: u64 },
    Back { at: usize },
    Wait { ms: u64 },
}

/// The same with little else than promises and limits.
fn steps_of_quotas() -> impl Strategy<Value = Step> {
    let (f, cpus) = (0usize..3, || prop_oneof![1 => Just(None), 4 => (0u64..9).prop_map(Some)]);
    let items = proptest::collection::vec((0usize..ROLES, 0usize..2, proptest::option::of(1u32..4)), 0..4);
    let parts = proptest::collection::vec((0usize..ROLES, 0u64..3, any::<bool>(), Just(0u64)), 0..3);
    let filter = prop_oneof![Just(0u64), Just(1_000)];
    prop_oneof![
        3 => (0usize..3, 1u64..7, 0u8..2).prop_map(|(agent, cpus, rack)| Step::PutAgent { agent, cpus, rack }),
        1 => (0usize..3).prop_map(|agent| Step::RemoveAgent { agent }),
        1 => (0usize..3, parts, any::<bool>()).prop_map(|(agent, parts, is_kept)| Step::Reserve { agent, parts, is_kept }),
        2 => (f.clone(), prop::bool::weighted(0.9)).prop_map(|(framework, is_active)| Step::PutFramework { framework, is_active }),
        6 => (f, items).prop_map(|(framework, items)| Step::Demand { framework, items }),
        3 => (any::<usize>(), filter.clone()).prop_map(|(at, refuse_ms)| Step::Decline { at, refuse_ms }),
        10 => (any::<usize>(), 0usize..2, filter).prop_map(|(at, shape, refuse_ms)| Step::Launch { at, shape, refuse_ms }),
        5 => any::<usize>().prop_map(|at| Step::End { at }),
        8 => (0usize..ROLES, cpus(), cpus()).prop_map(|(role, guarantee, limit)| Step::Quota { role, guarantee, limit }),
        1 => (0usize..ROLES, any::<bool>()).prop_map(|(role, is_optimistic)| Step::Mode { role, is_optimistic }),
        2 => (0usize..ROLES, 1u64..5).prop_map(|(role, halves)| Step::Away { role, halves }),
        1 => any::<usize>().prop_map(|at| Step::Back { at }),
        3 => (0u64..3_000).prop_map(|ms| Step::Wait { ms }),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let (a, f) = (0usize..4, 0usize..3);
    let cpus = proptest::option::of(0u64..6);
    let filter = prop_oneof![Just(0u64), Just(1_000), Just(5_000)];
    let part = (0usize..ROLES, 0u64..5, any::<bool>(), prop_oneof![4 => Just(0u64), 1 => Just(500)]);
    let parts = proptest::collection::vec(part, 0..4);
    let roles = proptest::collection::vec(0usize..ROLES, 0..3);
    let items = proptest::collection::vec((0usize..ROLES, 0usize..SHAPES, proptest::option::of(1u32..4)), 0..3);
    prop_oneof![
        5 => (a.clone(), 1u64..5, 0u8..2).prop_map(|(agent, cpus, rack)| Step::PutAgent { agent, cpus, rack }),
        1 => (a.clone(), any::<bool>()).prop_map(|(agent, is_active)| Step::SetActive { agent, is_active }),
        1 => a.clone().prop_map(|agent| Step::RemoveAgent { agent }),
        2 => (a, parts, any::<bool>()).prop_map(|(agent, parts, is_kept)| Step::Reserve { agent, parts, is_kept }),
        3 => (f.clone(), prop::bool::weighted(0.8)).prop_map(|(framework, is_active)| Step::PutFramework { framework, is_active }),
        1 => f.clone().prop_map(|framework| Step::RemoveFramework { framework }),
        3 => (f.clone(), roles).prop_map(|(framework, roles)| Step::Roles { framework, roles }),
        6 => (f, items).prop_map(|(framework, items)| Step::Demand { framework, items }),
        5 => (any::<usize>(), filter.clone()).prop_map(|(at, refuse_ms)| Step::Decline { at, refuse_ms }),
        8 => (any::<usize>(), 0usize..SHAPES, filter).prop_map(|(at, shape, refuse_ms)| Step::Launch { at, shape, refuse_ms }),
        4 => any::<usize>().prop_map(|at| Step::End { at }),
        1 => (0usize..ROLES, 1u32..4).prop_map(|(role, weight)| Step::Weight { role, weight }),
        1 => (0usize..ROLES, cpus.clone(), cpus).prop_map(|(role, guarantee, limit)| Step::Quota { role, guarantee, limit }),
        2 => (0usize..ROLES, prop::bool::weighted(0.7)).prop_map(|(role, is_optimistic)| Step::Mode { role, is_optimistic }),
        1 => (0usize..ROLES, proptest::option::of(0usize..4)).prop_map(|(role, policy)| Step::Place { role, policy }),
        1 => (proptest::option::of(0usize..ROLES), proptest::option::of(0u64..1_500))
            .prop_map(|(role, cpus)| Step::MinOffer { role, cpus }),
        2 => (0usize..ROLES, 1u64..5).prop_map(|(role, halves)| Step::Away { role, halves }),
        1 => any::<usize>().prop_map(|at| Step::Back { at }),
        4 => (0u64..3_000).prop_map(|ms| Step::Wait { ms }),
    ]
}

const SHAPES: usize = 6;
const ROLES: usize = 6;

/// Two roles, two below the first, one below one of those, and one below a role that nobody is in.
fn role(at: usize) -> Role {
    Role::new(["r0", "r1", "r0/a", "r0/a/b", "r2/c", "r0/d"][at]).unwrap()
}

/// What may be wanted: small, large, lopsided, with ports, only in one rack, anything.
fn wanted(role_at: usize, shape: usize, count: Option<u32>) -> DemandItem {
    let item = item(role(role_at), res(500, 100), count);
    match shape {
        0 => item,
        1 => DemandItem { shape: Some(res(2_000, 100)), priority: 1, ..item },
        2 => DemandItem { shape: Some(res(100, 1_500)), ..item },
        3 => DemandItem { ports: 2, ..item },
        4 => DemandItem { constraints: vec![in_rack("1")], ..item },
        _ => DemandItem { shape: None, ..item },
    }
}

fn in_rack(rack: &str) -> Constraint {
    Constraint { subject: "rack".into(), operator: ConstraintOperator::Equals, value: rack.into() }
}

/// The step, if what comes of it does not depend on the slots that agents happen to have: of equals a policy takes the
/// one in the first slot, and filters that end at once end in the order of slots.
fn in_any_order(step: Step) -> Option<Step> {
    match step {
        Step::Place { .. } => None,
        Step::Decline { at, refuse_ms: _ } => Some(Step::Decline { at, refuse_ms: 0 }),
        Step::Launch { at, shape, refuse_ms: _ } => Some(Step::Launch { at, shape, refuse_ms: 0 }),
        other => Some(other),
    }
}

fn run(naive: &mut Naive, step: Step) {
    match step {
        Step::PutAgent { agent, cpus, rack } => {
            let resources = Resources { ports: ports(100, 105), ..res(cpus * 1_000, cpus * 500) };
            let rack = Attribute { name: "rack".into(), value: AttributeValue::Text(rack.to_string()) };
            naive.put_agent(agent, AgentInfo { attributes: vec![rack], ..info(resources) });
        }
        Step::SetActive { agent, is_active } => naive.set_active(agent, is_active),
        Step::RemoveAgent { agent } => naive.remove_agent(agent),
        Step::PutFramework { framework, is_active } => naive.put_framework(framework, is_active),
        Step::RemoveFramework { framework } => naive.remove_framework(framework),
        Step::Roles { framework, roles } => naive.set_roles(framework, roles.into_iter().map(role).collect()),
        Step::Demand { framework, items } => {
            let mut demand = Demand::default();
            for (role, shape, count) in items {
                let new = wanted(role, shape, count);
                // The same shape twice in a role would be one shape with a sum: frameworks state it once.
                let is_twice = |old: &DemandItem| DemandItem { count: new.count, ..old.clone() } == new;
                if !demand.items.iter().any(is_twice) {
                    demand.items.push(new);
                }
            }
            naive.demand(framework, demand);
        }
        Step::Decline { at, refuse_ms } => naive.decline(at, refuse_ms),
        Step::Launch { at, shape, refuse_ms } => {
            let task = wanted(0, shape, None).shape.unwrap_or_else(|| res(10, 0));
            naive.launch(at, task, refuse_ms);
        }
        Step::End { at } => naive.end(at),
        Step::Weight { role: at, weight } => naive.set_weight(&role(at), weight_of(weight)),
        Step::Quota { role: at, guarantee, limit } => {
            let guarantee = res(guarantee.unwrap_or(0) * 1_000, 0);
            let limit = Limit { cpus: limit.map(|most| MilliCpus(most * 1_000)), ..Limit::default() };
            naive.set_quota(&role(at), Quota { guarantee, limit });
        }
        Step::Reserve { agent, parts, is_kept } => {
            let part = |(at, halves, has_port, beside): (usize, u64, bool, u64)| {
                // A port of its own for each role.
                let port = ports(100 + at as u64, 100 + at as u64);
                let port = if has_port { port } else { PortSet::default() };
                let resources = Resources { ports: port, ..res(halves * 500, halves * 200) };
                (role(at), resources, res(beside, 0))
            };
            naive.set_pools(agent, parts.into_iter().map(part).collect(), is_kept);
        }
        Step::Mode { role: at, is_optimistic } => naive.set_optimistic(&role(at), is_optimistic),
        Step::Place { role: at, policy } => {
            let spread = Placement::Spread { attribute: "rack".into() };
            let policies = [Placement::First, Placement::Pack, Placement::LeastLoaded, spread];
            naive.set_placement(&role(at), policy.map(|policy| policies[policy].clone()));
        }
        Step::MinOffer { role: at, cpus } => {
            naive.set_min_offer(at.map(role), cpus.map(|cpus| res(cpus, 0)));
        }
        Step::Away { role: at, halves } => naive.count_away(&role(at), halves * 500),
        Step::Back { at } => naive.back(at),
        Step::Wait { ms } => naive.now += ms,
    }
    naive.allocate();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_given_twice_and_nobody_is_forgotten(
        cap in 1usize..5,
        steps in proptest::collection::vec(steps(), 1..60),
    ) {
        let mut naive = Naive::new(cap);
        for step in steps {
            run(&mut naive, step);
            if let Some(broken) = naive.broken() {
                return Err(TestCaseError::fail(broken));
            }
        }
    }

    #[test]
    fn promises_are_kept_within_limits(
        cap in 1usize..6,
        steps in proptest::collection::vec(steps_of_quotas(), 1..80),
    ) {
        let mut naive = Naive::new(cap);
        for step in steps {
            run(&mut naive, step);
            if let Some(broken) = naive.broken() {
                return Err(TestCaseError::fail(broken));
            }
        }
    }

    #[test]
    fn what_was_forgotten_counts_for_nothing(
        cap in 1usize..5,
        before in proptest::collection::vec(steps(), 1..40),
        after in proptest::collection::vec(steps(), 1..20),
    ) {
        let mut used = Naive::new(cap);
        before.into_iter().for_each(|step| run(&mut used, step));
        used.clear();
        prop_assert_eq!(used.allocator.roles_known(), Vec::<&Role>::new());
        // Filters and holds begin at the same moment.
        let mut new = Naive::new(cap);
        new.now = used.now;
        for step in after.into_iter().filter_map(in_any_order) {
            run(&mut used, step.clone());
            run(&mut new, step);
            prop_assert_eq!(used.granted(), new.granted());
        }
    }
}
