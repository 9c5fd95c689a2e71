//! Between the engine's words and those of the wire, the runtime and the network.

use proffer_agent_engine as engine;
use proffer_agent_network as network;
use proffer_agent_runtime as runtime;
use proffer_proto_model::convert;
use proffer_proto_model::task::{PortMapping, Protocol, PullPolicy};
use proffer_proto_model::{Epoch, TaskKey};
use proffer_proto_wire::agent as wire;
use runtime::RuntimeErrorKind;

/// What the engine says to the master, for the wire.
pub(crate) fn to_wire(message: engine::ToMaster) -> wire::AgentMessage {
    use engine::ToMaster;
    let message = match message {
        ToMaster::Attach { agent, incarnation, tasks, seen_epoch, cluster, volumes } => {
            let tasks = tasks.into_iter().map(|task| convert::AgentTask {
                framework: task.framework,
                spec: (*task.spec).clone(),
                latest: task.latest,
                role: task.role,
            });
            convert::AgentMessage::Attach(Box::new(convert::AttachRequest {
                agent: *agent,
                incarnation,
                tasks: tasks.collect(),
                seen_epoch,
                cluster,
                volumes,
            }))
        }
        ToMaster::Updates(updates) => {
            let updates = updates.into_iter().map(|update| convert::StatusUpdate {
                framework: update.framework,
                status: update.status,
                latest_state: update.latest,
            });
            convert::AgentMessage::Updates(updates.collect())
        }
        ToMaster::Volumes(reports) => convert::AgentMessage::Volumes(reports),
        ToMaster::Pong { nonce } => convert::AgentMessage::Pong { nonce },
        ToMaster::Detach => convert::AgentMessage::Detach,
    };
    message.into()
}

/// What the master said, for the engine.
pub(crate) fn from_wire(message: wire::MasterMessage) -> Result<(Epoch, engine::MasterMessage), convert::WireError> {
    use engine::MasterMessage as To;
    let convert::MasterEnvelope { epoch, message } = message.try_into()?;
    let message = match message {
        convert::MasterMessage::Attached { agent, ping_interval_ms, cluster } => {
            To::Attached { agent, ping_interval_ms, cluster }
        }
        convert::MasterMessage::Launch(tasks) => {
            let task = |task: convert::LaunchTask| engine::LaunchTask {
                framework: task.framework,
                spec: task.spec,
                role: task.role,
            };
            To::Launch(tasks.into_iter().map(task).collect())
        }
        convert::MasterMessage::Kill { framework, task, policy, reason } => {
            To::Kill { key: TaskKey { framework, task }, policy, reason }
        }
        convert::MasterMessage::Acknowledge(confirmed) => To::Acknowledge(confirmed),
        convert::MasterMessage::Expect(tasks) => To::Expect(tasks),
        convert::MasterMessage::CreateVolume(volume) => To::CreateVolume(volume),
        convert::MasterMessage::DestroyVolume { number } => To::DestroyVolume { number },
        convert::MasterMessage::Ping { nonce } => To::Ping { nonce },
        convert::MasterMessage::Refused { message, is_final } => To::Refused { message, last: is_final },
    };
    Ok((epoch, message))
}

/// A failed verb of the runtime, for the engine.
pub(crate) fn runtime_failure(error: &runtime::RuntimeError) -> engine::Failure {
    let kind = match error.kind {
        RuntimeErrorKind::NotFound => engine::FailureKind::NotFound,
        RuntimeErrorKind::AlreadyExists => engine::FailureKind::AlreadyExists,
        RuntimeErrorKind::Unavailable => engine::FailureKind::Temporary,
        RuntimeErrorKind::Invalid | RuntimeErrorKind::ImageUnavailable | RuntimeErrorKind::Internal => {
            engine::FailureKind::Permanent
        }
    };
    engine::Failure { kind, message: error.to_string() }
}

/// A failed verb of the network, for the engine.
pub(crate) fn network_failure(error: &network::NetworkError) -> engine::Failure {
    engine::Failure { kind: engine::FailureKind::Permanent, message: error.to_string() }
}

/// How a container ended, for the engine.
pub(crate) fn exit(exit: runtime::Exit) -> engine::Exit {
    let cause = match exit.cause {
        runtime::ExitCause::Code(code) => engine::ExitCause::Code(code),
        runtime::ExitCause::Signal(signal) => engine::ExitCause::Signal(signal),
        runtime::ExitCause::OutOfMemory => engine::ExitCause::OutOfMemory,
        runtime::ExitCause::Unknown => engine::ExitCause::Unknown,
    };
    engine::Exit { cause, peak_memory_bytes: exit.peak_memory_bytes }
}

/// A listed container, for the engine.
pub(crate) fn seen(container: runtime::ContainerInfo) -> engine::SeenContainer {
    let status = match container.status {
        runtime::ContainerStatus::Created { pid } => engine::SeenStatus::Created { pid },
        runtime::ContainerStatus::Running { pid } => engine::SeenStatus::Running { pid },
        runtime::ContainerStatus::Ended => engine::SeenStatus::Ended,
    };
    let is_ours = container.labels.contains_key(engine::LABEL_TASK);
    engine::SeenContainer { id: container.id, is_ours, status }
}

/// What one container wants of the network.
pub(crate) fn attach_request(container: String, ports: &[PortMapping]) -> network::AttachRequest {
    let ports = ports.iter().map(|port| network::PublishedPort {
        host_port: port.host_port,
        container_port: port.container_port,
        protocol: match port.protocol {
            Protocol::Tcp => network::Protocol::Tcp,
            Protocol::Udp => network::Protocol::Udp,
        },
    });
    network::AttachRequest { container_id: container, ports: ports.collect() }
}

/// When to ask the registry.
pub(crate) fn pull_policy(policy: PullPolicy) -> runtime::PullPolicy {
    match policy {
        PullPolicy::Always => runtime::PullPolicy::Always,
        PullPolicy::Missing => runtime::PullPolicy::Missing,
        PullPolicy::Never => runtime::PullPolicy::Never,
    }
}
