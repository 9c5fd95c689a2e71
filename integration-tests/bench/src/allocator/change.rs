//! One change in a full cluster: a task ends, its room is offered, another task starts there.

use super::Sample;
use super::cluster::{Cluster, Roles, agent_resources, at};
use crate::clock::cpu_ns_of;
use crate::report::{Better, median};

const FRAMEWORKS: usize = 100;
const CHANGES: usize = 1_000;

/// The same change at 1k and at 20k agents, and how the cost grows.
pub fn one_change() -> Vec<Sample> {
    let (small, large) = (cost_us(1_000), cost_us(20_000));
    let growth = large / small.max(f64::EPSILON);
    vec![
        Sample::new("at 1k agents", small, "us"),
        Sample::new("at 20k agents", large, "us").target(20.0, Better::Lower),
        Sample::new("t(20k)/t(1k)", growth, "x").target(1.3, Better::Lower),
    ]
}

fn cost_us(agents: usize) -> f64 {
    let mut cluster = Cluster::new(agents, FRAMEWORKS, Roles::One);
    let whole = agent_resources();
    for (n, agent) in cluster.agents.iter().enumerate() {
        let (framework, role) = &cluster.frameworks[n % FRAMEWORKS];
        cluster.allocator.charge(framework, role, agent, &whole);
    }
    assert!(cluster.allocator.allocate(at(1)).is_empty(), "the cluster is full");
    let costs = (0..CHANGES).map(|n| {
        let place = (n * 7_919) % agents;
        let (framework, role) = &cluster.frameworks[place % FRAMEWORKS];
        let (ns, grants) = cpu_ns_of(|| {
            cluster.allocator.recover(framework, role, &cluster.agents[place], &whole);
            cluster.allocator.allocate(at(1))
        });
        assert_eq!(grants.len(), 1, "what was freed is offered at once");
        cluster.allocator.close(grants[0].id).expect("an open grant");
        cluster.allocator.charge(framework, role, &cluster.agents[place], &whole);
        ns as f64 / 1e3
    });
    median(costs.collect())
}
