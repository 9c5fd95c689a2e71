//! S2: agents come one by one, each half used by some framework, and each is offered at once; then each of them grows.

use proffer_master_allocator::{Allocator, Grant};
use proffer_proto_model::{AgentInfo, Bytes, MilliCpus, PortRange, PortSet, Resources};

use super::Sample;
use super::cluster::{Cluster, Roles, agent_id, agent_info, at};
use crate::clock::cpu_ns_of;
use crate::report::Better;

const AGENTS: usize = 10_000;
const FRAMEWORKS: usize = 1_000;

/// What the agent has beside what is used: one CPU.
const LEFT_MILLI: u64 = 1_000;

/// What it has more after the update. Of the peer it was a kind of its own, to be taken back at any time.
const MORE_MILLI: u64 = 10_000;

/// A pass after every agent: none is added or grows together with others.
pub fn one_by_one() -> Vec<Sample> {
    let mut cluster = Cluster::of(0, FRAMEWORKS, Roles::One, &Resources::default());
    let (total, used) = (total(), used());
    let mut agents: Vec<AgentInfo> = (0..AGENTS).map(|n| agent_info(&agent_id(n), &total)).collect();
    let (add_ns, offers) = cpu_ns_of(|| {
        let one = |(n, info): (usize, &AgentInfo)| {
            let (framework, role) = &cluster.frameworks[n % FRAMEWORKS];
            let id = agent_id(n);
            cluster.allocator.put_agent(&id, info, true);
            cluster.allocator.charge(framework, role, &id, &used);
            offered(&mut cluster.allocator)
        };
        agents.iter().enumerate().map(one).collect::<Vec<Vec<Grant>>>()
    });
    check(&offers, LEFT_MILLI);
    for info in &mut agents {
        info.resources.cpus.0 += MORE_MILLI;
    }
    let (update_ns, offers) = cpu_ns_of(|| {
        let one = |(n, info): (usize, &AgentInfo)| {
            cluster.allocator.put_agent(&agent_id(n), info, true);
            offered(&mut cluster.allocator)
        };
        agents.iter().enumerate().map(one).collect::<Vec<Vec<Grant>>>()
    });
    check(&offers, MORE_MILLI);
    let ms = |what, ns: u64| Sample::new(what, ns as f64 / 1e6, "ms");
    vec![
        ms("agents added", add_ns).anchor(631.0).target(60.0, Better::Lower),
        ms("agents updated", update_ns).anchor(453.0).target(60.0, Better::Lower),
    ]
}

fn offered(allocator: &mut Allocator) -> Vec<Grant> {
    allocator.allocate(at(1))
}

fn check(offers: &[Vec<Grant>], milli: u64) {
    let is_right = |grants: &Vec<Grant>| grants.iter().map(|grant| grant.resources.cpus.0).sum::<u64>() == milli;
    assert!(offers.iter().all(is_right), "each agent is offered as soon as there is something of it");
}

fn ports(ranges: &[(u16, u16)]) -> PortSet {
    ranges.iter().map(|(begin, end)| PortRange { begin: *begin, end: *end }).collect::<Vec<_>>().into()
}

fn total() -> Resources {
    Resources {
        disk: Bytes::mib(4_096),
        ports: ports(&[(31_000, 32_000)]),
        ..Resources::new(MilliCpus(LEFT_MILLI + 1_000), Bytes::mib(1_024))
    }
}

fn used() -> Resources {
    Resources {
        disk: Bytes::mib(1_024),
        ports: ports(&[(31_126, 31_510), (31_512, 31_623), (31_810, 31_852), (31_854, 31_964)]),
        ..Resources::new(MilliCpus(1_000), Bytes::mib(128))
    }
}
