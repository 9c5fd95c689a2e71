//! Optimistic offers: all see every agent, the first to answer has it, and all are shown what is left.

use proffer_master_allocator::Grant;
use proffer_proto_model::Role;

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
        answer_ns += cpu_ns_of(|| answer(&mut cluster, &grants, &task, round)).0;
    }
    let rate = |count: usize, ns: u64| count as f64 / (ns as f64 / 1e9);
    let decisions = AGENTS * ROUNDS;
    vec![
        Sample::new("decisions", rate(decisions, pass_ns + answer_ns), "1/s"),
        Sample::new("offers made and ended", rate(offers, pass_ns + answer_ns), "1/s"),
        Sample::new("one accept, with the withdrawals", answer_ns as f64 / 1e3 / decisions as f64, "us"),
    ]
}

/// Of each race somebody else wins.
fn answer(cluster: &mut Cluster, grants: &[Grant], task: &proffer_proto_model::Resources, round: usize) {
    let mut left = vec![round; AGENTS * FRAMEWORKS * ROUNDS + grants.len()];
    for grant in grants {
        cluster.allocator.close(grant.id).expect("an open grant");
        let of_race = usize::try_from(grant.race.0).unwrap_or(usize::MAX) % left.len();
        if left[of_race] == 0 {
            cluster.allocator.charge(&grant.framework, &grant.role, &grant.agent, task);
        }
        left[of_race] = left[of_race].wrapping_sub(1);
    }
}
