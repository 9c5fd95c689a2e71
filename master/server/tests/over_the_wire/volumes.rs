//! Operators make and destroy volumes over the wire; frameworks see and mount them; a restart keeps them.

use proffer_proto_wire::agent::held_volume::State as Held;
use proffer_proto_wire::agent::{self, agent_message, master_message};
use proffer_proto_wire::common::volume::State;
use proffer_proto_wire::common::{self, Mount, Resources, TaskReason, TaskState};
use proffer_proto_wire::operator::cluster_event::Event;
use proffer_proto_wire::operator::{
    CreateVolumeRequest, DestroyVolumeRequest, ListAgentsRequest, ReserveRequest, UnreserveRequest,
};
use proffer_proto_wire::scheduler::{self, call, event};
use tempfile::tempdir;
use tonic::Code;

use crate::support::{Agent, Cluster, Framework, soon};
use crate::words::{attach, task};

const GIB: u64 = 1 << 30;

fn with_disk(hostname: &str) -> agent::AttachRequest {
    let mut request = attach(hostname);
    request.agent.as_mut().unwrap().resources.as_mut().unwrap().disk_bytes = 100 * GIB;
    request
}

fn disk(gibs: u64) -> Option<Resources> {
    Some(Resources { disk_bytes: gibs * GIB, ..Default::default() })
}

async fn volumes(cluster: &Cluster) -> Vec<(String, State, Vec<String>)> {
    let agents = soon("agents", cluster.operator().list_agents(ListAgentsRequest {})).await.unwrap();
    let volumes = agents.into_inner().agents.remove(0).volumes.into_iter();
    volumes.map(|volume| (volume.volume_id.clone(), volume.state(), volume.used_by)).collect()
}

async fn ordered(agent: &mut Agent) -> agent::AgentVolume {
    agent
        .wait_for("an order to make a volume", |order| match order {
            master_message::Message::CreateVolume(volume) => Some(volume),
            _ => None,
        })
        .await
}

async fn report(agent: &Agent, number: u64, is_ready: bool) {
    let reports = vec![agent::VolumeReport { number, is_ready, ..Default::default() }];
    agent.say(agent_message::Message::Volumes(agent::VolumeReports { reports })).await;
}

fn mounting(id: &str, volume: &str) -> common::TaskSpec {
    let mut task = task(id);
    let mount = Mount { target: "/data".to_owned(), volume_id: volume.to_owned(), ..Default::default() };
    task.container.as_mut().unwrap().mounts = vec![mount];
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_made_mounted_kept_over_a_restart_and_destroyed() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut agent = Agent::attach_with(&cluster, with_disk("one")).await;
    let (agent_id, cluster_id) = (agent.id.clone(), agent.cluster.clone());
    let (role, id) = ("default".to_owned(), agent_id.clone());
    let reserve = ReserveRequest { agent_id: id, role: role.clone(), resources: disk(10), ..Default::default() };
    soon("the reservation", cluster.operator().reserve(reserve)).await.unwrap();
    let create = CreateVolumeRequest {
        agent_id: agent_id.clone(),
        volume_id: "db".to_owned(),
        role: role.clone(),
        size_bytes: 4 * GIB,
        ..Default::default()
    };
    soon("the volume", cluster.operator().create_volume(create.clone())).await.unwrap();
    let made = ordered(&mut agent).await;
    assert_eq!((made.number, made.volume_id.as_str(), made.size_bytes), (1, "db", 4 * GIB));
    report(&agent, 1, true).await;

    let mut framework = Framework::subscribe(&cluster, "web").await;
    framework.demand_anything().await;
    let offer = framework.offer().await;
    assert_eq!((offer.volumes[0].volume_id.as_str(), offer.resources.as_ref().unwrap().disk_bytes), ("db", 96 * GIB));
    framework.launch(&offer, vec![mounting("t1", "db"), mounting("t2", "db")]).await;
    let launched = agent.launched().await.task.unwrap();
    assert_eq!(launched.container.unwrap().mounts[0].volume_role, "default", "the master says of which role it is");
    let refused = framework.status().await;
    assert_eq!((refused.state(), refused.reason()), (TaskState::Dropped, TaskReason::VolumeUnavailable));
    assert!(refused.message.contains("in use by task") && refused.message.contains("/t1"), "{}", refused.message);
    let destroy = DestroyVolumeRequest {
        agent_id: agent_id.clone(),
        volume_id: "db".to_owned(),
        role: role.clone(),
        ..Default::default()
    };
    let told = soon("a refusal", cluster.operator().destroy_volume(destroy.clone())).await.unwrap_err();
    assert_eq!(told.code(), Code::InvalidArgument);
    assert!(told.message().contains("/t1; end it first"), "{told}");
    assert_eq!(volumes(&cluster).await[0].2.len(), 1);
    drop((agent, framework));
    cluster.stop().await;

    let cluster = Cluster::start(dir.path()).await;
    assert_eq!(volumes(&cluster).await[0].1, State::Ready);
    let mut request = with_disk("one");
    request.agent.as_mut().unwrap().agent_id = agent_id.clone();
    let held = agent::HeldVolume { volume: Some(made), state: Held::Ready.into() };
    let request = agent::AttachRequest { cluster_id, volumes: vec![held], ..request };
    let mut agent = Agent::attach_with(&cluster, request).await;
    // The task never came: the agent says so, and nobody uses the volume any more.
    let mut status = common::TaskStatus { task_id: "t1".to_owned(), seq: 1, ..Default::default() };
    status.set_state(TaskState::Dropped);
    status.set_source(common::TaskSource::Agent);
    let update = agent::StatusUpdate {
        framework_id: "F1-1".to_owned(),
        status: Some(status),
        latest_state: TaskState::Dropped.into(),
    };
    agent.say(agent_message::Message::Updates(agent::StatusUpdates { updates: vec![update] })).await;
    cluster
        .watch_until("the volume to be free", |event| match event {
            Event::Agent(agent) => agent.volumes.iter().all(|volume| volume.used_by.is_empty()),
            _ => false,
        })
        .await;
    let unreserve = |force| UnreserveRequest {
        agent_id: agent_id.clone(),
        role: role.clone(),
        resources: disk(10),
        force,
        ..Default::default()
    };
    let told = soon("a refusal", cluster.operator().unreserve(unreserve(false))).await.unwrap_err();
    assert!(told.message().contains("volumes rest on it: db"), "{told}");
    soon("the end", cluster.operator().unreserve(unreserve(true))).await.unwrap();
    let number = agent
        .wait_for("an order to destroy the volume", |order| match order {
            master_message::Message::DestroyVolume(destroy) => Some(destroy.number),
            _ => None,
        })
        .await;
    assert_eq!((number, volumes(&cluster).await[0].1), (1, State::Destroying));
    report(&agent, 1, false).await;
    cluster
        .watch_until("the volume to be gone", |event| match event {
            Event::Agent(agent) => agent.volumes.is_empty(),
            _ => false,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_framework_reserves_makes_and_destroys_in_one_accept() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut agent = Agent::attach_with(&cluster, with_disk("one")).await;
    let mut framework = Framework::subscribe(&cluster, "web").await;
    framework.demand_anything().await;
    let offer = framework.offer().await;
    let (agent_id, role, volume_id) = (agent.id.clone(), "default".to_owned(), "db".to_owned());
    use scheduler::operation::Operation;
    let steps = [
        Operation::Reserve(scheduler::Reserve {
            agent_id: agent_id.clone(),
            role: role.clone(),
            resources: disk(5),
            ..Default::default()
        }),
        Operation::CreateVolume(scheduler::CreateVolume {
            agent_id: agent_id.clone(),
            volume_id: volume_id.clone(),
            role: role.clone(),
            size_bytes: 5 * GIB,
        }),
        Operation::Unreserve(scheduler::Unreserve {
            agent_id: agent_id.clone(),
            role: role.clone(),
            resources: disk(1),
        }),
        Operation::DestroyVolume(scheduler::DestroyVolume { agent_id, volume_id, role }),
    ];
    let operations = steps.into_iter().enumerate();
    let operations = operations
        .map(|(at, operation)| scheduler::Operation { operation_id: format!("op{at}"), operation: Some(operation) });
    let accept =
        scheduler::Accept { offer_ids: vec![offer.offer_id], operations: operations.collect(), ..Default::default() };
    framework.say(call::Call::Accept(accept)).await;
    use scheduler::operation_status::Outcome;
    let expected = [
        ("op0", Outcome::Done),
        ("op1", Outcome::Pending),
        ("op2", Outcome::Refused),
        ("op1", Outcome::Failed),
        ("op3", Outcome::Pending),
    ];
    for expected in expected {
        let told = operation(&mut framework).await;
        assert_eq!((told.operation_id.as_str(), told.outcome()), expected, "{}", told.message);
    }
    assert_eq!(ordered(&mut agent).await.number, 1);
    report(&agent, 1, false).await;
    let told = operation(&mut framework).await;
    assert_eq!((told.operation_id.as_str(), told.outcome()), ("op3", Outcome::Done), "the agent has removed it");
}

async fn operation(framework: &mut Framework) -> scheduler::OperationStatus {
    framework
        .wait_for("an outcome", |event| match event {
            event::Event::OperationStatus(status) => Some(status),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_framework_that_was_away_hears_from_the_next_master_what_became_of_its_volume() {
    use scheduler::operation_status::Outcome;
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut request = with_disk("one");
    let reserved = common::StaticReservation { role: "default".into(), resources: disk(9), ..Default::default() };
    request.agent.as_mut().unwrap().reservations = vec![reserved];
    let mut agent = Agent::attach_with(&cluster, request.clone()).await;
    let (agent_id, cluster_id) = (agent.id.clone(), agent.cluster.clone());
    let mut framework = Framework::subscribe(&cluster, "web").await;
    framework.demand_anything().await;
    let offer = framework.offer().await;
    let create = scheduler::CreateVolume {
        agent_id: agent_id.clone(),
        volume_id: "db".to_owned(),
        role: "default".to_owned(),
        size_bytes: GIB,
    };
    let create = scheduler::operation::Operation::CreateVolume(create);
    let operations = vec![scheduler::Operation { operation_id: "make".to_owned(), operation: Some(create) }];
    let accept = scheduler::Accept { offer_ids: vec![offer.offer_id], operations, ..Default::default() };
    framework.say(call::Call::Accept(accept)).await;
    assert_eq!(operation(&mut framework).await.outcome(), Outcome::Pending);
    let made = ordered(&mut agent).await;
    drop((agent, framework));
    cluster.stop().await;

    let cluster = Cluster::start(dir.path()).await;
    request.agent.as_mut().unwrap().agent_id = agent_id;
    let held = agent::HeldVolume { volume: Some(made), state: Held::Ready.into() };
    let request = agent::AttachRequest { cluster_id, volumes: vec![held], ..request };
    let _agent = Agent::attach_with(&cluster, request).await;
    cluster
        .watch_until("the volume to be there", |event| match event {
            Event::Agent(agent) => agent.volumes.iter().any(|volume| volume.state() == State::Ready),
            _ => false,
        })
        .await;
    let mut framework = Framework::subscribe(&cluster, "web").await;
    let told = operation(&mut framework).await;
    assert_eq!((told.operation_id.as_str(), told.outcome()), ("make", Outcome::Done));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_values_are_refused_with_their_field() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let agent = Agent::attach_with(&cluster, with_disk("one")).await;
    let good = CreateVolumeRequest {
        agent_id: agent.id.clone(),
        volume_id: "db".to_owned(),
        role: "eng".to_owned(),
        size_bytes: GIB,
        ..Default::default()
    };
    let wrong = |spoil: fn(&mut CreateVolumeRequest)| {
        let mut request = good.clone();
        spoil(&mut request);
        request
    };
    for (request, code, words) in [
        (wrong(|r| r.volume_id = "a/b".to_owned()), Code::InvalidArgument, "volume_id holds '/'"),
        (wrong(|r| r.volume_id = "..".to_owned()), Code::InvalidArgument, "volume_id must not be"),
        (wrong(|r| r.role = "/".to_owned()), Code::InvalidArgument, "role"),
        (wrong(|r| r.size_bytes = 0), Code::InvalidArgument, "size_bytes is 0"),
        (wrong(|r| r.agent_id = "A9-9".to_owned()), Code::NotFound, "there is no agent A9-9"),
        (wrong(|_| {}), Code::InvalidArgument, "role: nothing is reserved for eng"),
    ] {
        let told = soon("a refusal", cluster.operator().create_volume(request)).await.unwrap_err();
        assert_eq!(told.code(), code, "{told}");
        assert!(told.message().contains(words), "{words}: {told}");
    }
    let request = DestroyVolumeRequest {
        agent_id: agent.id.clone(),
        volume_id: "db".to_owned(),
        role: "eng".to_owned(),
        ..Default::default()
    };
    let told = soon("a refusal", cluster.operator().destroy_volume(request)).await.unwrap_err();
    assert!(told.message().contains("has no volume db of role eng"), "{told}");
}
