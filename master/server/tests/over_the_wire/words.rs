//! What well-behaved peers say.

use proffer_proto_wire::scheduler::{self, call};
use proffer_proto_wire::{agent, common};

pub fn info(id: &str, name: &str) -> scheduler::FrameworkInfo {
    scheduler::FrameworkInfo {
        framework_id: id.to_owned(),
        name: name.to_owned(),
        roles: vec!["default".to_owned()],
        ..Default::default()
    }
}

pub fn subscribe(info: scheduler::FrameworkInfo) -> call::Call {
    call::Call::Subscribe(scheduler::Subscribe { framework: Some(info), demand: None })
}

pub fn attach(hostname: &str) -> agent::AttachRequest {
    let resources = common::Resources {
        cpus_milli: 4_000,
        memory_bytes: 4 << 30,
        ports: vec![common::PortRange { begin: 31_000, end: 31_099 }],
        ..Default::default()
    };
    let agent = agent::AgentInfo {
        hostname: hostname.to_owned(),
        api_address: "127.0.0.1:5051".to_owned(),
        address: "127.0.0.1".to_owned(),
        resources: Some(resources),
        version: "test".to_owned(),
        boot_id: "boot".to_owned(),
        ..Default::default()
    };
    agent::AttachRequest { agent: Some(agent), incarnation: 1, ..Default::default() }
}

pub fn task(id: &str) -> common::TaskSpec {
    let container = common::ContainerSpec { image: "busybox:1.36".to_owned(), ..Default::default() };
    let resources = common::Resources { cpus_milli: 100, memory_bytes: 32 << 20, ..Default::default() };
    common::TaskSpec {
        task_id: id.to_owned(),
        name: "web".to_owned(),
        container: Some(container),
        resources: Some(resources),
        ..Default::default()
    }
}

/// Uses an offer for one Launch of these tasks; what is left may be offered again at once.
pub fn accept(offer: &scheduler::Offer, tasks: Vec<common::TaskSpec>) -> call::Call {
    let tasks = tasks.into_iter().map(|task| scheduler::TaskLaunch {
        agent_id: String::new(),
        task: Some(task),
        reserved_use: 0,
    });
    let launch = scheduler::operation::Operation::Launch(scheduler::Launch { tasks: tasks.collect() });
    call::Call::Accept(scheduler::Accept {
        offer_ids: vec![offer.offer_id.clone()],
        operations: vec![scheduler::Operation { operation_id: String::new(), operation: Some(launch) }],
        filter: Some(scheduler::Filter { refuse_ms: Some(0) }),
        leftover_reason: None,
    })
}
