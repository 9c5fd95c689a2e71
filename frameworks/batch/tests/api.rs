//! The framework as a process: its API over the wire, its state over a restart, against a master that a test plays.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::wire_spec;
use proffer_batch::{BatchHandle, BatchServer, Config};
use proffer_proto_wire::batch as wire;
use proffer_sdk::model::{self, Accept, ClusterId, Epoch, Operation};
use proffer_sdk::session::{Call, MasterEvent};
use proffer_sdk::{
    AgentId, Bytes, FrameworkId, MilliCpus, OfferId, Resources, Role, TaskId, TaskReason, TaskSource, TaskState,
    TaskStatus, UnixMillis,
};
use proffer_testkit::{FakeMaster, FakeSession, PATIENCE};
use tonic::Code;
use tonic::transport::Channel;
use wire::batch_client::BatchClient;

async fn start(master: &FakeMaster, dir: &tempfile::TempDir) -> (BatchHandle, BatchClient<Channel>) {
    let (masters, listen) = (vec![master.address.to_string()], "127.0.0.1:0".to_owned());
    let handle = BatchServer::start(Config { masters, listen, roles: Vec::new(), data_dir: dir.path().join("batch") })
        .await
        .unwrap();
    let client = BatchClient::connect(handle.api_address.clone()).await.unwrap();
    (handle, client)
}

async fn subscribe(master: &mut FakeMaster) -> FakeSession {
    let session = master.session().await;
    let (framework, cluster) = (FrameworkId::numbered(1, 1), ClusterId::new("test").unwrap());
    let subscribed = MasterEvent::Subscribed { framework, epoch: Epoch(1), heartbeat_interval_ms: 5_000, cluster };
    session.say(subscribed).await;
    session
}

async fn offer(session: &FakeSession, number: u64) {
    let offer = model::Offer {
        id: OfferId::numbered(1, number),
        agent: AgentId::new("a1").unwrap(),
        hostname: "node-1".into(),
        role: Role::default_role(),
        resources: Resources::new(MilliCpus(4_000), Bytes::mib(4_096)),
        attributes: Vec::new(),
        expires_in_ms: 30_000,
        region: String::new(),
        zone: String::new(),
        agent_address: "127.0.0.1".into(),
        unavailability: None,
        is_optimistic: false,
        reserved: Vec::new(),
        volumes: Vec::new(),
    };
    session.say(MasterEvent::Offers(vec![offer])).await;
}

/// The ids of the next launches; what is said in between is passed over.
async fn launched(session: &mut FakeSession) -> Vec<String> {
    loop {
        if let Call::Accept(Accept { operations, .. }) = session.hear().await {
            let tasks = operations.iter().flat_map(|operation| match operation {
                Operation::Launch { tasks } => tasks.clone(),
                _ => Vec::new(),
            });
            return tasks.map(|launch| launch.task.id.to_string()).collect();
        }
    }
}

async fn status(session: &FakeSession, task: &str, state: TaskState, reason: TaskReason) {
    let (task, agent) = (TaskId::new(task).unwrap(), AgentId::new("a1").ok());
    let status = TaskStatus::new(task, agent, state, TaskSource::Agent, UnixMillis(1)).because(reason, "");
    session.say(MasterEvent::Status(vec![TaskStatus { seq: 1, ..status }])).await;
}

async fn run(client: &mut BatchClient<Channel>, spec: wire::JobSpec) -> Result<String, tonic::Status> {
    client.run(wire::RunRequest { job: Some(spec) }).await.map(|answer| answer.into_inner().job_id)
}

#[tokio::test]
async fn a_job_is_run_and_watched_to_its_end() {
    let (mut master, dir) = (FakeMaster::start().await, tempfile::tempdir().unwrap());
    let (mut handle, mut client) = start(&master, &dir).await;
    let mut session = subscribe(&mut master).await;
    assert_eq!(run(&mut client, wire_spec("sum", 2, 2, 1)).await.unwrap(), "sum-1");
    let watched = client.watch(wire::WatchRequest { job_id: "sum".into() }).await.unwrap();
    let mut watched = watched.into_inner();
    let first = watched.message().await.unwrap().unwrap();
    assert_eq!((first.state(), first.waiting), (wire::JobState::Active, 2));

    offer(&session, 1).await;
    assert_eq!(launched(&mut session).await, ["sum-1.0.1", "sum-1.1.1"]);
    status(&session, "sum-1.0.1", TaskState::Failed, TaskReason::Exited).await;
    status(&session, "sum-1.1.1", TaskState::Finished, TaskReason::None).await;
    // The demand comes again once the back-off is over.
    loop {
        if matches!(session.hear().await, Call::Demand(demand) if !demand.items.is_empty()) {
            break;
        }
    }
    offer(&session, 2).await;
    assert_eq!(launched(&mut session).await, ["sum-1.0.2"]);
    status(&session, "sum-1.0.2", TaskState::Finished, TaskReason::None).await;

    let mut last = first;
    while let Some(job) = tokio::time::timeout(PATIENCE, watched.message()).await.unwrap().unwrap() {
        last = job;
    }
    assert_eq!((last.state(), last.succeeded, last.retried), (wire::JobState::Succeeded, 2, 1));
    let attempts: Vec<_> = last.attempts.iter().map(|a| (a.index, a.number, a.hostname.as_str())).collect();
    assert_eq!(attempts, [(0, 1, "node-1"), (0, 2, "node-1"), (1, 1, "node-1")]);
    let listed = client.list(wire::ListRequest {}).await.unwrap().into_inner().jobs;
    assert_eq!((listed.len(), listed[0].attempts.len()), (1, 0));
    handle.shutdown();
    tokio::time::timeout(PATIENCE, handle.wait()).await.unwrap().unwrap();
}

#[tokio::test]
async fn state_survives_a_restart_without_any_master() {
    let (mut master, dir) = (FakeMaster::start().await, tempfile::tempdir().unwrap());
    let (mut handle, mut client) = start(&master, &dir).await;
    let mut session = subscribe(&mut master).await;
    run(&mut client, wire_spec("a", 3, 1, 1)).await.unwrap();
    offer(&session, 1).await;
    assert_eq!(launched(&mut session).await, ["a-1.0.1"]);
    handle.shutdown();
    drop(session);
    master.kill().await;
    tokio::time::timeout(PATIENCE, handle.wait()).await.unwrap().unwrap();

    let nobody = FakeMaster::start().await;
    let (_handle, mut client) = start(&nobody, &dir).await;
    let job = client.get(wire::GetRequest { job_id: "a-1".into() }).await.unwrap().into_inner();
    assert_eq!((job.running, job.waiting, job.attempts.len()), (1, 2, 1));
    let killed = client.cancel(wire::CancelRequest { job_id: "a".into() }).await.unwrap().into_inner().killed;
    assert_eq!(killed, 1);
    let job = client.get(wire::GetRequest { job_id: "a".into() }).await.unwrap().into_inner();
    assert_eq!(job.state(), wire::JobState::Cancelling);
}

#[tokio::test]
async fn bad_requests_are_refused_with_the_place_and_the_fix() {
    let (master, dir) = (FakeMaster::start().await, tempfile::tempdir().unwrap());
    let (_handle, mut client) = start(&master, &dir).await;
    let unknown = client.get(wire::GetRequest { job_id: "nix".into() }).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (Code::NotFound, "no job \"nix\"; there are no jobs"));
    run(&mut client, wire_spec("a", 1, 1, 0)).await.unwrap();
    let unknown = client.cancel(wire::CancelRequest { job_id: "nix".into() }).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (Code::NotFound, "no job \"nix\"; the jobs are a-1"));
    let taken = run(&mut client, wire_spec("a", 1, 1, 0)).await.unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists);
    let wrong = run(&mut client, wire_spec("b", 0, 0, 0)).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert!(wrong.message().contains("job.completions is 0; it must be 1 to 1000000"), "{}", wrong.message());
    assert!(wrong.message().contains("job.parallelism is 0"), "{}", wrong.message());
    let mut huge = wire_spec("b", 1, 1, 0);
    huge.container.as_mut().unwrap().args = vec!["x".repeat(30_000); 10];
    assert_eq!(run(&mut client, huge).await.unwrap_err().code(), Code::InvalidArgument);
    let missing = client.run(wire::RunRequest { job: None }).await.unwrap_err();
    assert_eq!(missing.message(), "job is missing; set it");
    let missing = client.get(wire::GetRequest { job_id: String::new() }).await.unwrap_err();
    assert_eq!(missing.code(), Code::InvalidArgument);
}
