//! The whole framework as a process runs it: its gRPC API on one side, a scripted master on the other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use proffer_proto_transport::{Address, connect};
use proffer_proto_wire::common;
use proffer_proto_wire::service::{self as wire, services_client::ServicesClient};
use proffer_sdk::model::{ClusterId, Epoch, Offer, PortRange};
use proffer_sdk::session::{Call, MasterEvent};
use proffer_sdk::{
    AgentId, Bytes, FrameworkId, MilliCpus, OfferId, PortSet, Resources, Role, TaskId, TaskSource, TaskState,
    TaskStatus, UnixMillis,
};
use proffer_service::{Config, ServiceHandle, ServiceServer};
use proffer_testkit::{FakeMaster, FakeSession, PATIENCE};
use tonic::Code;
use tonic::transport::Channel;

async fn start(master: &FakeMaster, data_dir: &Path) -> (ServiceHandle, ServicesClient<Channel>) {
    let masters = vec![master.address.to_string()];
    let config = Config { masters, listen: "127.0.0.1:0".to_owned(), roles: Vec::new(), data_dir: data_dir.to_owned() };
    let server = ServiceServer::start(config).await.unwrap();
    let channel = connect(&Address::from(server.api_address)).unwrap();
    (server, ServicesClient::new(channel))
}

async fn subscribe(session: &mut FakeSession) {
    assert!(matches!(session.hear().await, Call::Subscribe { .. }));
    session
        .say(MasterEvent::Subscribed {
            framework: FrameworkId::numbered(1, 1),
            epoch: Epoch(1),
            heartbeat_interval_ms: 60_000,
            cluster: ClusterId::new("test").unwrap(),
        })
        .await;
    assert!(matches!(session.hear().await, Call::Reconcile(_)));
}

fn spec(name: &str, instances: u32) -> wire::ServiceSpec {
    let container = common::ContainerSpec {
        image: "busybox".to_owned(),
        ports: vec![common::PortMapping { name: "http".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    wire::ServiceSpec { name: name.to_owned(), container: Some(container), instances, ..Default::default() }
}

fn apply(services: Vec<wire::ServiceSpec>) -> wire::ApplyRequest {
    wire::ApplyRequest { services, dry_run: false }
}

fn offer(number: u64) -> Offer {
    let mut resources = Resources::new(MilliCpus(1_000), Bytes::mib(1_024));
    resources.ports = PortSet::from(vec![PortRange { begin: 31_000, end: 31_009 }]);
    Offer {
        id: OfferId::numbered(1, number),
        agent: AgentId::new("A1-1").unwrap(),
        hostname: "host1".into(),
        role: Role::default_role(),
        resources,
        attributes: Vec::new(),
        expires_in_ms: 30_000,
        region: String::new(),
        zone: String::new(),
        agent_address: "127.0.0.1".into(),
        unavailability: None,
        is_optimistic: false,
        reserved: Vec::new(),
        volumes: Vec::new(),
    }
}

fn status(task: &str, state: TaskState, seq: u64) -> MasterEvent {
    let (task, agent) = (TaskId::new(task).unwrap(), AgentId::new("A1-1").ok());
    MasterEvent::Status(vec![TaskStatus {
        seq,
        ..TaskStatus::new(task, agent, state, TaskSource::Agent, UnixMillis(0))
    }])
}

async fn next(stream: &mut tonic::Streaming<wire::Service>) -> Result<wire::Service, tonic::Status> {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("nothing more was told");
    message.map(|service| service.expect("the stream ended"))
}

/// Waits until the service is as asked for.
async fn until(stream: &mut tonic::Streaming<wire::Service>, is_so: impl Fn(&wire::Service) -> bool) -> wire::Service {
    loop {
        let service = next(stream).await.unwrap();
        if is_so(&service) {
            return service;
        }
    }
}

#[tokio::test]
async fn a_service_is_applied_watched_kept_over_a_restart_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = FakeMaster::start().await;
    let (mut server, mut client) = start(&master, dir.path()).await;
    let mut session = master.session().await;
    subscribe(&mut session).await;

    let changes = client.apply(apply(vec![spec("web", 1)])).await.unwrap().into_inner().changes;
    assert_eq!(changes[0].kind(), wire::change::Kind::Created);
    let mut watch = client.watch(wire::WatchRequest { service: "web".into() }).await.unwrap().into_inner();
    assert!(next(&mut watch).await.unwrap().message.contains("waiting for an offer"));
    // The demand stated at the connection may come first; it is empty.
    loop {
        if matches!(session.hear().await, Call::Demand(demand) if !demand.items.is_empty()) {
            break;
        }
    }
    session.say(MasterEvent::Offers(vec![offer(1)])).await;
    session.expect("launch web.0.1 on A1-1 with 0.1 cpus, 32MiB memory, ports 31000").await;
    session.expect("demand nothing").await;
    session.say(status("web.0.1", TaskState::Running, 1)).await;
    session.expect_acknowledgement("web.0.1", 1).await;
    let service = until(&mut watch, |service| service.message.is_empty()).await;
    assert_eq!(service.instances[0].hostname, "host1");
    assert_eq!(service.instances[0].status.as_ref().unwrap().state(), common::TaskState::Running);
    drop(watch);

    server.shutdown().await;
    server.wait().await.unwrap();
    let (mut server, mut client) = start(&master, dir.path()).await;
    let listed = client.list(wire::ListRequest {}).await.unwrap().into_inner().services;
    assert_eq!(listed[0].instances[0].task_id, "web.0.1");

    let mut session = master.session().await;
    subscribe(&mut session).await;
    session.say(status("web.0.1", TaskState::Running, 0)).await;
    let mut watch = client.watch(wire::WatchRequest { service: "web".into() }).await.unwrap().into_inner();
    let removed = client.remove(wire::RemoveRequest { service: "web".into() }).await.unwrap().into_inner();
    assert_eq!(removed.instances, 1);
    until(&mut watch, |service| service.removing).await;
    loop {
        if matches!(session.hear().await, Call::Kill { .. }) {
            break;
        }
    }
    session.say(status("web.0.1", TaskState::Killed, 2)).await;
    let end = loop {
        if let Err(end) = next(&mut watch).await {
            break end;
        }
    };
    assert_eq!(end.code(), Code::NotFound);
    assert!(client.list(wire::ListRequest {}).await.unwrap().into_inner().services.is_empty());
    server.shutdown().await;
    server.wait().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_the_place_and_the_fix() {
    let dir = tempfile::tempdir().unwrap();
    let master = FakeMaster::start().await;
    let (mut server, mut client) = start(&master, dir.path()).await;
    client.apply(apply(vec![spec("web", 0)])).await.unwrap();

    let mut bad = spec("api", 1);
    bad.container.as_mut().unwrap().ports[0].container_port = 70_000;
    let refused = client.apply(apply(vec![spec("Web", 1), bad])).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let lines: Vec<&str> = refused.message().lines().collect();
    assert!(lines[0].starts_with("services[0].name is \"Web\"; use 1 to 63"), "{lines:?}");
    assert_eq!(lines[1], "services[1].container.ports[0].container_port is port 70000; ports are 1 to 65535");

    let cases = [
        (apply(Vec::new()), "services is empty"),
        (apply(vec![spec("a", 1), spec("a", 2)]), "services[1].name repeats \"a\""),
        (apply(vec![wire::ServiceSpec { role: "gold".into(), ..spec("a", 1) }]), "services[0].role is gold"),
    ];
    for (request, start) in cases {
        let refused = client.apply(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(start), "{}", refused.message());
    }
    let missing = client.scale(wire::ScaleRequest { service: "wbe".into(), instances: 1 }).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::NotFound, "there is no service \"wbe\"; known are web"));
    let missing = client.watch(wire::WatchRequest { service: "wbe".into() }).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    server.shutdown().await;
    server.wait().await.unwrap();
}
