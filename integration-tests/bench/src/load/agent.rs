//! An agent without a machine: every task it is told to launch has finished at once.

use std::net::SocketAddr;

use proffer_proto_model::convert::{
    AgentMessage, AttachRequest, LaunchTask, MasterEnvelope, MasterMessage, StatusUpdate,
};
use proffer_proto_model::{AgentInfo, Epoch, Resources, TaskSource, TaskState, TaskStatus, UnixMillis};
use proffer_proto_transport::MAX_MESSAGE_BYTES;
use proffer_proto_wire::agent as wire;
use proffer_proto_wire::agent::agent_registry_client::AgentRegistryClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// Messages on their way to the master.
const QUEUE: usize = 256;

/// Attaches and serves until the stream ends.
pub async fn run(master: SocketAddr, number: usize, resources: Resources) {
    let endpoint = Endpoint::from_shared(format!("http://{master}")).expect("an address and a port make a URI");
    let mut client = AgentRegistryClient::new(endpoint.connect_lazy()).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (messages, queue) = mpsc::channel::<wire::AgentMessage>(QUEUE);
    messages.send(AgentMessage::Attach(Box::new(attach(number, resources))).into()).await.expect("the queue is empty");
    let mut orders = client.attach(ReceiverStream::new(queue)).await.expect("the master is there").into_inner();
    while let Ok(Some(order)) = orders.message().await {
        let MasterEnvelope { message, .. } = order.try_into().expect("a message of this version");
        let answer = match message {
            MasterMessage::Launch(tasks) => AgentMessage::Updates(tasks.into_iter().map(finished).collect()),
            MasterMessage::Ping { nonce } => AgentMessage::Pong { nonce },
            _ => continue,
        };
        if messages.send(answer.into()).await.is_err() {
            return;
        }
    }
}

fn attach(number: usize, resources: Resources) -> AttachRequest {
    let agent = AgentInfo {
        id: None,
        hostname: format!("agent-{number}"),
        api_address: "127.0.0.1:1".to_owned(),
        address: "127.0.0.1".to_owned(),
        resources,
        attributes: Vec::new(),
        region: String::new(),
        zone: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: "boot".to_owned(),
        reservations: Vec::new(),
    };
    let (tasks, volumes) = (Vec::new(), Vec::new());
    AttachRequest { agent, incarnation: 1, tasks, seen_epoch: Epoch(0), cluster: None, volumes }
}

fn finished(launch: LaunchTask) -> StatusUpdate {
    let state = TaskState::Finished;
    let status = TaskStatus::new(launch.spec.id, None, state, TaskSource::Agent, UnixMillis(1));
    StatusUpdate { framework: launch.framework, status: TaskStatus { seq: 1, ..status }, latest_state: state }
}
