//! Small words for allocator tests.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)] // test helpers; each test binary uses its part

use proffer_master_allocator::{Allocator, Grant, Work};
use proffer_proto_model::*;

pub fn agent_id(n: usize) -> AgentId {
    AgentId::new(format!("a{n:05}")).unwrap()
}

pub fn framework_id(n: usize) -> FrameworkId {
    FrameworkId::new(format!("f{n:05}")).unwrap()
}

pub fn role(n: usize) -> Role {
    Role::new(format!("r{n}")).unwrap()
}

pub fn weight_of(whole: u32) -> Weight {
    Weight::from_milli(whole * 1_000).unwrap()
}

pub fn res(cpus: u64, mib: u64) -> Resources {
    Resources::new(MilliCpus(cpus), Bytes::mib(mib))
}

pub fn ports(begin: u64, end: u64) -> PortSet {
    vec![PortRange::new(begin, end).unwrap()].into()
}

pub fn info(resources: Resources) -> AgentInfo {
    AgentInfo {
        id: None,
        hostname: "node".into(),
        api_address: String::new(),
        address: String::new(),
        resources,
        attributes: vec![],
        region: String::new(),
        zone: String::new(),
        version: String::new(),
        boot_id: String::new(),
        reservations: Vec::new(),
    }
}

pub fn item(role: Role, shape: Resources, count: Option<u32>) -> DemandItem {
    DemandItem { role, shape: Some(shape), count, constraints: vec![], priority: 0, ports: 0 }
}

pub fn want(shape: Resources, count: u32) -> Demand {
    Demand { items: vec![item(role(0), shape, Some(count))] }
}

/// A cluster of `agents` agents of 4 CPUs.
pub fn cluster(agents: usize) -> Allocator {
    let mut allocator = Allocator::new(1_000_000);
    for n in 0..agents {
        allocator.put_agent(&agent_id(n), &info(res(4_000, 4_000)), true);
    }
    allocator
}

/// The steps between two readings.
pub fn spent(before: Work, after: Work) -> Work {
    Work {
        agents: after.agents - before.agents,
        clients: after.clients - before.clients,
        filters: after.filters - before.filters,
        shares: after.shares - before.shares,
        moves: after.moves - before.moves,
        shapes: after.shapes - before.shapes,
    }
}

/// Ends a grant as a decline does: with the filter.
pub fn decline(allocator: &mut Allocator, grant: &Grant, now: u64, refuse_ms: u64) {
    let closed = allocator.close(grant.id).unwrap();
    let refused = closed.resources.saturating_sum(&closed.beside);
    allocator.refuse(&grant.framework, &grant.role, &grant.agent, refused, Moment(now), refuse_ms);
}

/// Ends a grant as an accept does: launches one task, the rest with the filter.
pub fn launch(allocator: &mut Allocator, grant: &Grant, task: &Resources, now: u64, refuse_ms: u64) {
    let closed = allocator.close(grant.id).unwrap();
    allocator.note_launch(&grant.framework, &grant.role, task, Moment(now));
    allocator.charge(&grant.framework, &grant.role, &grant.agent, task);
    let rest = closed.resources.checked_sub(task).expect("the task fits").saturating_sum(&closed.beside);
    allocator.refuse(&grant.framework, &grant.role, &grant.agent, rest, Moment(now), refuse_ms);
}
