//! Optimistic offers: all see every agent, the first to answer has it, and all are shown what is left.

use std::collections::BTreeMap;

use proffer_master_allocator::{Grant, GrantId};
use proffer_proto_model::{Resources, Role};

use super::Sample;
use super::cluster::{Cluster, Roles, at, small_task};
use crate::clock::cpu_ns_of;

const AGENTS: usize = 1_000;
const FRAMEWORKS: usize = 50;
const ROUNDS: usize = 24;

/// Every agent is won again and again until the cluster is full. A decision is one small task; it ends 49 other offers,
/// and 50 are made of the rest.
pub fn first_wins() -> Vec<Sample> {
    let mut cluster = Cluster::new(AGENTS, FRAMEWORKS, Roles::One);
    cluster.allocator.set_optimistic(&Role::default_role(), true);
    let task = small_task();
    let (mut pass_ns, mut answer_ns, mut offers) = (0, 0, 0);
    for round in 0..ROUNDS {
        let (ns, grants) = cpu_ns_of(|| cluster.allocator.allocate(at(1)));
        assert_eq!(grants.len(), AGENTS * FRAMEWORKS, "everybody is shown every agent");
        pass_ns += ns;
        offers += grants.len();
        let winners = winners(&grants, round);
        answer_ns += cpu_ns_of(|| answer(&mut cluster, &grants, &winners, &task)).0;
    }
    let rate = |count: usize, ns: u64| count as f64 / (ns as f64 / 1e9);
    let decisions = AGENTS * ROUNDS;
    vec![
        Sample::new("decisions", rate(decisions, pass_ns + answer_ns), "1/s"),
        Sample::new("offers made and ended", rate(offers, pass_ns + answer_ns), "1/s"),
        Sample::new("one accept, with the withdrawals", answer_ns as f64 / 1e3 / decisions as f64, "us"),
    ]
}

/// Those that win: of each race one, in turn.
fn winners(grants: &[Grant], round: usize) -> Vec<bool> {
    let mut seen: BTreeMap<GrantId, usize> = BTreeMap::new();
    let mut is_turn = |grant: &Grant| {
        let members = seen.entry(grant.race).or_default();
        *members += 1;
        *members == 1 + (round * 7) % FRAMEWORKS
    };
    grants.iter().map(&mut is_turn).collect()
}

fn answer(cluster: &mut Cluster, grants: &[Grant], winners: &[bool], task: &Resources) {
    for (grant, has_won) in grants.iter().zip(winners) {
        cluster.allocator.close(grant.id).expect("an open grant");
        if *has_won {
            cluster.allocator.charge(&grant.framework, &grant.role, &grant.agent, task);
        }
    }
}
