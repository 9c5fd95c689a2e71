//! S3: every role has a quota, and all of it is promised; Mesos' own shape "LargeAndSmallQuota".

use proffer_master_allocator::Grant;
use proffer_proto_model::{Bytes, Limit, MilliCpus, Quota, Resources};

use super::Sample;
use super::cluster::{Cluster, Roles, at};
use super::full::decline;
use crate::clock::cpu_ns_of;
use crate::report::Better;

const SMALL: usize = 2_500;
const LARGE: usize = 500;
const AGENTS: usize = SMALL / 5 + LARGE * 5;

/// 3,000 agents, and as many roles with one framework each.
pub fn large_and_small() -> Vec<Sample> {
    let mut cluster = Cluster::of(AGENTS, SMALL + LARGE, Roles::Each, &resources(2));
    let (set_ns, ()) = cpu_ns_of(|| {
        for (n, (_, role)) in cluster.frameworks.iter().enumerate() {
            cluster.allocator.set_quota(role, Some(&quota(if n < SMALL { 1 } else { 4 })));
        }
    });
    let (first_ns, grants) = cpu_ns_of(|| cluster.allocator.allocate(at(1)));
    check(&grants);
    let (idle_ns, none) = cpu_ns_of(|| cluster.allocator.allocate(at(1)));
    assert_eq!(none, [], "what is left is more than anybody's limit");
    let (decline_ns, ()) = cpu_ns_of(|| decline(&mut cluster, &grants));
    let (second_ns, grants) = cpu_ns_of(|| cluster.allocator.allocate(at(2)));
    check(&grants);
    let ms = |what, ns: u64| Sample::new(what, ns as f64 / 1e6, "ms");
    vec![
        ms("quotas set", set_ns).anchor(108.0),
        ms("pass", first_ns).anchor(7_568.0).target(50.0, Better::Lower),
        ms("idle pass", idle_ns).anchor(6_133.0).target(1.0, Better::Lower),
        ms("every offer declined", decline_ns).anchor(86.7),
        ms("pass after the declines", second_ns).anchor(7_080.0).target(50.0, Better::Lower),
    ]
}

/// 100 roles with 10 frameworks each, promised half of their even part and limited to three quarters of it.
pub fn a_quarter_is_left() -> Vec<Sample> {
    let mut cluster = Cluster::new(1_000, 1_000, Roles::Tens);
    for (_, role) in cluster.frameworks.iter().step_by(10) {
        let part = |cpus, mib| Resources { disk: Bytes::mib(mib), ..Resources::new(MilliCpus(cpus), Bytes::mib(mib)) };
        let quota = Quota { guarantee: part(120_000, 20_480), limit: limit(&part(180_000, 30_720)) };
        cluster.allocator.set_quota(role, Some(&quota));
    }
    let (first_ns, grants) = cpu_ns_of(|| cluster.allocator.allocate(at(1)));
    assert_eq!(cpus(&grants), 18_000_000, "every role is offered all its limit allows");
    let (idle_ns, none) = cpu_ns_of(|| cluster.allocator.allocate(at(1)));
    assert_eq!(none, [], "the rest is above the limits");
    let ms = |what, ns: u64| Sample::new(what, ns as f64 / 1e6, "ms");
    vec![
        ms("pass", first_ns).anchor(304.0).target(50.0, Better::Lower),
        ms("idle pass", idle_ns).anchor(284.0).target(1.0, Better::Lower),
    ]
}

fn check(grants: &[Grant]) {
    assert_eq!(cpus(grants), 4_500_000, "every role is offered all it is promised");
    assert!(grants.len() >= SMALL + 2 * LARGE, "{} offers", grants.len());
}

fn cpus(grants: &[Grant]) -> u64 {
    grants.iter().map(|grant| grant.resources.cpus.0).sum()
}

fn quota(cpus: u64) -> Quota {
    Quota { guarantee: resources(cpus), limit: limit(&resources(cpus)) }
}

fn limit(of: &Resources) -> Limit {
    Limit { cpus: Some(of.cpus), memory: Some(of.memory), disk: Some(of.disk), ..Limit::default() }
}

fn resources(cpus: u64) -> Resources {
    Resources { disk: Bytes::mib(1_024 * cpus), ..Resources::new(MilliCpus(cpus * 1_000), Bytes::mib(1_024 * cpus)) }
}
