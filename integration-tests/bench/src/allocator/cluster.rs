//! Clusters as the shapes want them, with ids as long as real ones.

use proffer_master_allocator::Allocator;
use proffer_proto_model::{
    AgentId, AgentInfo, Bytes, Demand, FrameworkId, MilliCpus, Moment, PortRange, Resources, Role,
};

const UUID: &str = "6c1f2a3e-9b5d-4f0e-8a77-2d4b9c0e1f53";

/// No framework is capped in the shapes.
pub const NO_CAP: usize = usize::MAX;

/// A cluster under measurement.
pub struct Cluster {
    /// What is measured.
    pub allocator: Allocator,
    /// Its agents.
    pub agents: Vec<AgentId>,
    /// Its frameworks, each with its role.
    pub frameworks: Vec<(FrameworkId, Role)>,
}

/// How frameworks are spread over roles.
#[derive(Clone, Copy)]
pub enum Roles {
    /// All in one.
    One,
    /// Each alone in one of its own.
    Each,
    /// Ten in each.
    Tens,
}

impl Cluster {
    /// Agents of the S1 shape, then frameworks that take anything.
    pub fn new(agents: usize, frameworks: usize, roles: Roles) -> Self {
        Self::of(agents, frameworks, roles, &agent_resources())
    }

    /// Agents that have so much each, then frameworks that take anything.
    pub fn of(agents: usize, frameworks: usize, roles: Roles, resources: &Resources) -> Self {
        let mut allocator = Allocator::new(NO_CAP);
        let agents: Vec<AgentId> = (0..agents).map(agent_id).collect();
        for id in &agents {
            allocator.put_agent(id, &agent_info(id, resources), true);
        }
        let frameworks: Vec<(FrameworkId, Role)> = (0..frameworks).map(|n| (framework_id(n), role(n, roles))).collect();
        for (id, role) in &frameworks {
            allocator.put_framework(id, true);
            allocator.set_demand(id, &Demand::anything(role.clone()));
        }
        Self { allocator, agents, frameworks }
    }
}

/// A moment of the run, in milliseconds.
pub fn at(ms: u64) -> Moment {
    Moment(ms)
}

/// What every agent has: 24 CPUs, 4 GiB of memory and of disk, ports 31000-32000.
pub fn agent_resources() -> Resources {
    let ports = PortRange { begin: 31_000, end: 32_000 };
    Resources {
        disk: Bytes::mib(4_096),
        ports: vec![ports].into(),
        ..Resources::new(MilliCpus(24_000), Bytes::mib(4_096))
    }
}

/// The small task: one CPU and 128 MiB.
pub fn small_task() -> Resources {
    Resources::new(MilliCpus(1_000), Bytes::mib(128))
}

/// An agent's id.
pub fn agent_id(n: usize) -> AgentId {
    AgentId::new(format!("{UUID}-S{n}")).expect("a valid id")
}

fn framework_id(n: usize) -> FrameworkId {
    FrameworkId::new(format!("{UUID}-{n:04}")).expect("a valid id")
}

fn role(n: usize, roles: Roles) -> Role {
    match roles {
        Roles::One => Role::default_role(),
        Roles::Tens => role(n / 10, Roles::Each),
        Roles::Each => Role::new(format!("role{n}")).expect("a valid role"),
    }
}

/// An agent that has so much.
pub fn agent_info(id: &AgentId, resources: &Resources) -> AgentInfo {
    AgentInfo {
        id: Some(id.clone()),
        hostname: id.to_string(),
        api_address: "127.0.0.1:5051".to_owned(),
        address: "127.0.0.1".to_owned(),
        resources: resources.clone(),
        attributes: Vec::new(),
        region: String::new(),
        zone: String::new(),
        version: String::new(),
        boot_id: String::new(),
        reservations: Vec::new(),
    }
}
