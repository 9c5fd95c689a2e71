//! S4: every offer launches one small task and gives the rest back, until the cluster is full.

use super::Sample;
use super::cluster::{Cluster, Roles, at, small_task};
use crate::clock::cpu_ns_of;
use crate::report::Better;

const AGENTS: usize = 1_000;
const ROUNDS: usize = 24;

/// 50 frameworks.
pub fn few_frameworks() -> Vec<Sample> {
    run(50, 25_761.0)
}

/// 1,000 frameworks.
pub fn many_frameworks() -> Vec<Sample> {
    run(1_000, 21_709.0)
}

fn run(frameworks: usize, anchor: f64) -> Vec<Sample> {
    let mut cluster = Cluster::new(AGENTS, frameworks, Roles::One);
    let task = small_task();
    let (mut decisions, mut launched, mut ns) = (0_u64, 0, 0);
    while launched < AGENTS * ROUNDS {
        let (pass_ns, grants) = cpu_ns_of(|| cluster.allocator.allocate(at(1)));
        assert!(!grants.is_empty(), "there is room for more tasks, so there are offers");
        let (answer_ns, ()) = cpu_ns_of(|| {
            for grant in &grants {
                cluster.allocator.close(grant.id).expect("an open grant");
                cluster.allocator.charge(&grant.framework, &grant.role, &grant.agent, &task);
            }
        });
        launched += grants.len();
        decisions += grants.len() as u64;
        ns += pass_ns + answer_ns;
    }
    let value = decisions as f64 / (ns as f64 / 1e9);
    let rate = Sample::new("offers made and answered", value, "1/s");
    vec![rate.anchor(anchor).target(1_000_000.0, Better::Higher)]
}
