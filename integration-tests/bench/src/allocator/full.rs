//! S1: one pass over a whole empty cluster, then every offer declined for good, again and again.

use proffer_master_allocator::Grant;

use super::Sample;
use super::cluster::{Cluster, Roles, at};
use crate::clock::{cpu_ns_of, peak_rss_bytes};
use crate::report::Better;

/// A filter that outlives the run.
const FOR_EVER_MS: u64 = 365 * 24 * 3_600 * 1_000;

/// All frameworks in one role.
pub fn one_role() -> Vec<Sample> {
    let mut samples = pass(Cluster::new(10_000, 1_000, Roles::One), 582.0, 12.0);
    samples.push(memory(358.0, None));
    samples
}

/// Each framework alone in its role.
pub fn role_each() -> Vec<Sample> {
    let mut samples = pass(Cluster::new(10_000, 1_000, Roles::Each), 554.0, 20.0);
    samples.push(memory(5_899.0, Some(60.0)));
    samples
}

fn memory(anchor: f64, target: Option<f64>) -> Sample {
    let value = peak_rss_bytes() as f64 / 1e6;
    let sample = Sample::new("memory", value, "MB").anchor(anchor);
    Sample { target: target.map(|target| (target, Better::Lower)), ..sample }
}

fn pass(mut cluster: Cluster, anchor_ms: f64, target_ms: f64) -> Vec<Sample> {
    let agents = cluster.agents.len();
    let (first_ns, grants) = cpu_ns_of(|| cluster.allocator.allocate(at(1)));
    assert_eq!(grants.len(), agents, "each agent is offered once, whole");
    let (decline_ns, ()) = cpu_ns_of(|| decline(&mut cluster, &grants));
    let (second_ns, grants) = cpu_ns_of(|| cluster.allocator.allocate(at(2)));
    assert_eq!(grants.len(), agents, "each agent is offered to somebody else");
    let ms = |what, ns: u64| Sample::new(what, ns as f64 / 1e6, "ms");
    vec![
        ms("full pass", first_ns).anchor(anchor_ms).target(target_ms, Better::Lower),
        ms("every offer declined", decline_ns),
        ms("pass after the declines", second_ns).anchor(anchor_ms).target(target_ms, Better::Lower),
    ]
}

/// Declines all of them for good.
pub fn decline(cluster: &mut Cluster, grants: &[Grant]) {
    for grant in grants {
        let closed = cluster.allocator.close(grant.id).expect("an open grant");
        let refused = closed.resources.saturating_sum(&closed.beside);
        cluster.allocator.refuse(&grant.framework, &grant.role, &grant.agent, refused, at(1), FOR_EVER_MS);
    }
}

/// Every framework has declined every agent: what the next passes cost.
pub fn saturated() -> Vec<Sample> {
    let mut cluster = Cluster::new(5_000, 50, Roles::One);
    let mut offers = 0;
    loop {
        let grants = cluster.allocator.allocate(at(1));
        if grants.is_empty() {
            break;
        }
        offers += grants.len();
        decline(&mut cluster, &grants);
    }
    assert_eq!(offers, 5_000 * 50, "each framework was offered each agent once");
    let (idle_ns, grants) = cpu_ns_of(|| cluster.allocator.allocate(at(2)));
    assert!(grants.is_empty(), "nobody wants anything");
    let idle = Sample::new("idle pass", idle_ns as f64 / 1e6, "ms").anchor(764.0).target(1.0, Better::Lower);
    vec![idle, memory(960.0, None)]
}
