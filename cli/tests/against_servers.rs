//! The real binary against servers that answer over real gRPC with what the test says.
#![allow(clippy::unwrap_used)]

use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proffer_proto_transport::{Shutdown, bind, serve};
use proffer_proto_wire::agent::agent_host_server::{AgentHost, AgentHostServer};
use proffer_proto_wire::agent::{self, LogStream};
use proffer_proto_wire::batch::batch_server::{Batch, BatchServer};
use proffer_proto_wire::operator::agent::Mode;
use proffer_proto_wire::operator::cluster_event::Event;
use proffer_proto_wire::operator::operator_server::{Operator, OperatorServer};
use proffer_proto_wire::operator::watch_request::Kind;
use proffer_proto_wire::operator::{self, AgentState};
use proffer_proto_wire::scheduler::FrameworkInfo;
use proffer_proto_wire::service::services_server::{Services, ServicesServer};
use proffer_proto_wire::service::{self, Change, change};
use proffer_proto_wire::{batch, common, scheduler};
use tokio_stream::{Iter, iter};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

type Answer<T> = Result<Response<T>, Status>;
type Items<T> = Iter<std::vec::IntoIter<Result<T, Status>>>;

/// Master, service framework and agent in one, on one port.
#[derive(Clone, Default)]
struct World {
    address: String,
    has_service_framework: bool,
    imported_bytes: Arc<Mutex<usize>>,
    /// How often services were listed, when each time shows another moment of `web`'s life.
    lists: Option<Arc<AtomicUsize>>,
    jobs: Arc<Mutex<Vec<String>>>,
    reserved: Arc<Mutex<Option<operator::ReserveRequest>>>,
    /// Volumes as they were asked for; each look makes one that is being made ready, and forgets one that is destroyed.
    volumes: Arc<Mutex<Vec<common::Volume>>>,
    /// What operators asked for.
    asked: Arc<Mutex<Vec<String>>>,
    is_drained: Arc<AtomicBool>,
    windows: Arc<Mutex<Vec<operator::MaintenanceWindow>>>,
    /// There is also `db`, which waits for zone b.
    has_waiting: bool,
}

fn reserved(request: &operator::ReserveRequest) -> common::Reserved {
    let operator::ReserveRequest { role, from_role, resources, labels, .. } = request.clone();
    common::Reserved {
        role,
        refines: vec![from_role],
        resources,
        labels,
        is_static: false,
        owner_framework_id: String::new(),
    }
}

fn status(state: common::TaskState, reason: common::TaskReason) -> common::TaskStatus {
    common::TaskStatus {
        task_id: "web-0".into(),
        agent_id: "A1-1".into(),
        state: state.into(),
        reason: reason.into(),
        source: common::TaskSource::Agent.into(),
        message: "evil \u{1b}[31m name".into(),
        ..Default::default()
    }
}

fn web() -> service::Service {
    let status = status(common::TaskState::Running, common::TaskReason::Unspecified);
    let instance =
        service::Instance { task_id: "web-0".into(), version: 1, status: Some(status), ..Default::default() };
    let spec = service::ServiceSpec { name: "web".into(), instances: 1, ..Default::default() };
    service::Service { spec: Some(spec), version: 1, instances: vec![instance], ..Default::default() }
}

fn zone_b() -> common::Constraint {
    let equals = common::constraint::Operator::Equals;
    common::Constraint { subject: "@zone".into(), operator: equals.into(), value: "b".into() }
}

/// A service with an instance that waits, and one that pauses after a failure.
fn db() -> service::Service {
    let waits = service::Instance::default();
    let failed =
        service::Instance { slot: 1, restarts: 3, last_failure: "exit code 2".into(), ..service::Instance::default() };
    let in_a_minute = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() + 60_000;
    let failed = service::Instance { back_off_until_unix_ms: in_a_minute.try_into().unwrap(), ..failed };
    let spec = service::ServiceSpec {
        name: "db".into(),
        instances: 2,
        resources: Some(common::Resources { cpus_milli: 1000, ..Default::default() }),
        constraints: vec![zone_b()],
        ..Default::default()
    };
    service::Service { spec: Some(spec), version: 1, instances: vec![waits, failed], ..Default::default() }
}

/// Two shapes are wanted; the second one is that of `db`.
fn why_items() -> Vec<operator::WhyItem> {
    let item = |cpus_milli, constraints| scheduler::DemandItem {
        role: "default".into(),
        shape: Some(common::Resources { cpus_milli, ..Default::default() }),
        count: 1,
        constraints,
        ..Default::default()
    };
    let group = |agents, message: &str| operator::WhyGroup {
        obstacle: operator::why_group::Obstacle::ConstraintNotMet.into(),
        agents,
        hostnames: vec!["host-1".into(), "evil \u{1b}[31m".into()],
        message: message.into(),
        constraint: Some(zone_b()),
        ..Default::default()
    };
    let of = |item, groups| operator::WhyItem { item: Some(item), groups, ..Default::default() };
    vec![
        of(item(9000, vec![]), vec![group(3, "3 agents: of no interest for db")]),
        of(item(1000, vec![zone_b()]), vec![group(12, "12 agents: zone is not b")]),
    ]
}

impl World {
    fn look_at_volumes(&self) -> Vec<common::Volume> {
        use common::volume::State;
        let mut volumes = self.volumes.lock().unwrap();
        let told = volumes.clone();
        volumes.retain(|volume| volume.state() != State::Destroying);
        for volume in volumes.iter_mut() {
            let is_broken = volume.volume_id == "broken";
            volume.set_state(if is_broken { State::Lost } else { State::Ready });
            volume.message = if is_broken { "cannot make /x: disk full".to_owned() } else { String::new() };
        }
        told
    }
}

/// A request to leave host-1 that was declined.
fn declined(start_unix_ms: u64) -> operator::InverseOfferRecord {
    let offer = scheduler::InverseOffer {
        inverse_offer_id: "V1-1".into(),
        agent_id: "A1-1".into(),
        hostname: "host-1".into(),
        cause: scheduler::inverse_offer::Cause::Maintenance.into(),
        task_ids: vec!["web-0".into()],
        start_unix_ms,
        ..Default::default()
    };
    operator::InverseOfferRecord {
        inverse_offer: Some(offer),
        framework_name: "web".into(),
        answer: operator::inverse_offer_record::Answer::Declined.into(),
        message: "a training runs".into(),
        ..Default::default()
    }
}

#[tonic::async_trait]
impl Operator for World {
    type WatchStream = Items<operator::ClusterEvent>;

    async fn get_cluster(&self, _: Request<operator::GetClusterRequest>) -> Answer<operator::Cluster> {
        Ok(Response::new(operator::Cluster::default()))
    }

    async fn list_agents(&self, _: Request<operator::ListAgentsRequest>) -> Answer<operator::ListAgentsResponse> {
        let is_drained = self.is_drained.load(Ordering::SeqCst);
        let agent = operator::Agent {
            mode: if is_drained { Mode::Drained } else { Mode::Active }.into(),
            agent_id: "A1-1".into(),
            hostname: "host-1".into(),
            api_address: self.address.clone(),
            state: AgentState::Attached.into(),
            reservations: self.reserved.lock().unwrap().iter().map(reserved).collect(),
            volumes: self.look_at_volumes(),
            total: Some(common::Resources { cpus_milli: 4000, memory_bytes: 8 << 30, ..Default::default() }),
            ..Default::default()
        };
        Ok(Response::new(operator::ListAgentsResponse { agents: vec![agent] }))
    }

    async fn list_frameworks(
        &self,
        _: Request<operator::ListFrameworksRequest>,
    ) -> Answer<operator::ListFrameworksResponse> {
        let info = FrameworkInfo { name: "service".into(), api_address: self.address.clone(), ..Default::default() };
        let service = operator::Framework { info: Some(info), connected: true, ..Default::default() };
        let mut batch = service.clone();
        batch.info.as_mut().unwrap().name = "batch".into();
        let frameworks = if self.has_service_framework { vec![service, batch] } else { Vec::new() };
        Ok(Response::new(operator::ListFrameworksResponse { frameworks }))
    }

    async fn list_offers(&self, _: Request<operator::ListOffersRequest>) -> Answer<operator::ListOffersResponse> {
        Ok(Response::new(operator::ListOffersResponse::default()))
    }

    async fn list_tasks(&self, _: Request<operator::ListTasksRequest>) -> Answer<operator::ListTasksResponse> {
        let spec = common::TaskSpec { task_id: "web-0".into(), name: "web".into(), ..Default::default() };
        let task = operator::Task {
            agent_id: "A1-1".into(),
            spec: Some(spec),
            status: Some(status(common::TaskState::Failed, common::TaskReason::OutOfMemory)),
            ..Default::default()
        };
        let mut later = task.clone();
        later.spec.as_mut().unwrap().task_id = "web-1".into();
        Ok(Response::new(operator::ListTasksResponse { tasks: vec![task, later] }))
    }

    async fn teardown_framework(
        &self,
        _: Request<operator::TeardownFrameworkRequest>,
    ) -> Answer<operator::TeardownFrameworkResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn reserve(&self, request: Request<operator::ReserveRequest>) -> Answer<operator::ReserveResponse> {
        *self.reserved.lock().unwrap() = Some(request.into_inner());
        Ok(Response::new(operator::ReserveResponse::default()))
    }

    async fn unreserve(&self, request: Request<operator::UnreserveRequest>) -> Answer<operator::UnreserveResponse> {
        let role = request.into_inner().role;
        Err(Status::invalid_argument(format!(
            "role: nothing is reserved for {role} on A1-1; `proffer reservations` shows what is where"
        )))
    }

    async fn create_volume(
        &self,
        request: Request<operator::CreateVolumeRequest>,
    ) -> Answer<operator::CreateVolumeResponse> {
        let operator::CreateVolumeRequest { volume_id, role, size_bytes, .. } = request.into_inner();
        let state = common::volume::State::Creating.into();
        let volume = common::Volume {
            volume_id,
            role,
            size_bytes,
            state,
            used_by: vec!["F1-1/db.0".into()],
            ..Default::default()
        };
        self.volumes.lock().unwrap().push(volume);
        Ok(Response::new(operator::CreateVolumeResponse::default()))
    }

    async fn destroy_volume(
        &self,
        request: Request<operator::DestroyVolumeRequest>,
    ) -> Answer<operator::DestroyVolumeResponse> {
        let wanted = request.into_inner().volume_id;
        let mut volumes = self.volumes.lock().unwrap();
        let Some(volume) = volumes.iter_mut().find(|volume| volume.volume_id == wanted) else {
            return Err(Status::invalid_argument(format!("volume_id: A1-1 has no volume {wanted}")));
        };
        volume.set_state(common::volume::State::Destroying);
        Ok(Response::new(operator::DestroyVolumeResponse::default()))
    }

    async fn list_roles(&self, _: Request<operator::ListRolesRequest>) -> Answer<operator::ListRolesResponse> {
        let amount = |cpus_milli| Some(common::Resources { cpus_milli, ..Default::default() });
        let limit = common::ResourceLimit { cpus_milli: Some(4_000), gpus: Some(0), ..Default::default() };
        let eng = operator::Role {
            role: "eng".into(),
            weight_milli: 2_000,
            quota: Some(common::Quota { guarantee: amount(1_000), limit: Some(limit) }),
            allocated: amount(1_500),
            tasks_active: 3,
            share_millionths: 375_000,
            policy: Some(operator::RolePolicy { placement: Some("pack".into()), min_offer: amount(500), offers: 2 }),
            ..Default::default()
        };
        let service = operator::RoleFramework { framework_id: "F1-1".into(), name: "service".into() };
        let web = operator::Role {
            role: "eng/web".into(),
            weight_milli: 1_000,
            frameworks: vec![service],
            ..Default::default()
        };
        Ok(Response::new(operator::ListRolesResponse { roles: vec![eng, web] }))
    }

    async fn set_weights(&self, request: Request<operator::SetWeightsRequest>) -> Answer<operator::SetWeightsResponse> {
        self.asked.lock().unwrap().push(format!("{:?}", request.into_inner()));
        let notes = vec!["role ops/web: no framework is in it yet; did you mean eng/web?".to_owned()];
        Ok(Response::new(operator::SetWeightsResponse { notes }))
    }

    async fn set_quota(&self, request: Request<operator::SetQuotaRequest>) -> Answer<operator::SetQuotaResponse> {
        let request = request.into_inner();
        if !request.force {
            return Err(Status::invalid_argument("limit of role eng: its tasks hold more; or force it"));
        }
        self.asked.lock().unwrap().push(format!("{request:?}"));
        Ok(Response::new(operator::SetQuotaResponse::default()))
    }

    async fn set_role_policy(
        &self,
        request: Request<operator::SetRolePolicyRequest>,
    ) -> Answer<operator::SetRolePolicyResponse> {
        self.asked.lock().unwrap().push(format!("{:?}", request.into_inner()));
        Ok(Response::new(operator::SetRolePolicyResponse::default()))
    }

    async fn remove_quota(
        &self,
        request: Request<operator::RemoveQuotaRequest>,
    ) -> Answer<operator::RemoveQuotaResponse> {
        match request.into_inner().role.as_str() {
            "eng" => Ok(Response::new(operator::RemoveQuotaResponse {})),
            other => Err(Status::not_found(format!("role {other} has no quota"))),
        }
    }

    async fn drain_agent(&self, _: Request<operator::DrainAgentRequest>) -> Answer<operator::DrainAgentResponse> {
        self.is_drained.store(true, Ordering::SeqCst);
        Ok(Response::new(operator::DrainAgentResponse::default()))
    }

    async fn cancel_drain(&self, _: Request<operator::CancelDrainRequest>) -> Answer<operator::CancelDrainResponse> {
        Err(Status::invalid_argument("no drain is under way"))
    }

    async fn deactivate_agent(
        &self,
        _: Request<operator::DeactivateAgentRequest>,
    ) -> Answer<operator::DeactivateAgentResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn reactivate_agent(
        &self,
        _: Request<operator::ReactivateAgentRequest>,
    ) -> Answer<operator::ReactivateAgentResponse> {
        self.is_drained.store(false, Ordering::SeqCst);
        Ok(Response::new(operator::ReactivateAgentResponse::default()))
    }

    async fn mark_agent_gone(
        &self,
        _: Request<operator::MarkAgentGoneRequest>,
    ) -> Answer<operator::MarkAgentGoneResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn watch(&self, request: Request<operator::WatchRequest>) -> Answer<Self::WatchStream> {
        let agent = operator::Agent { agent_id: "A1-1".into(), hostname: "host-1".into(), ..Default::default() };
        let shortage = Some(common::Resources { memory_bytes: 64 << 20, ..Default::default() });
        let kind = scheduler::decline_reason::Kind::ResourcesShort.into();
        let offer = scheduler::Offer {
            offer_id: "O1-1".into(),
            agent_id: "A1-1".into(),
            hostname: "host-1".into(),
            role: "eng".into(),
            resources: Some(common::Resources::default()),
            ..Default::default()
        };
        let declined = operator::OfferRecord {
            offer: Some(offer),
            framework_name: "web".into(),
            outcome: operator::offer_record::Outcome::Declined.into(),
            held_ms: 12,
            decline_reason: Some(scheduler::DeclineReason { kind, shortage, ..Default::default() }),
            ..Default::default()
        };
        let end = Event::SnapshotEnd(operator::SnapshotEnd {});
        let with_volumes = |agent: &operator::Agent| {
            Event::Agent(operator::Agent { volumes: self.look_at_volumes(), ..agent.clone() })
        };
        let events = match request.into_inner().kinds.first() {
            None => vec![Event::Agent(agent), end],
            Some(kind) if *kind == Kind::Agent as i32 => {
                vec![with_volumes(&agent), end, with_volumes(&agent), with_volumes(&agent)]
            }
            Some(_) => vec![end, Event::Offer(declined)],
        };
        let mut index = 0;
        let mut numbered = |event| {
            index += 1;
            Ok(operator::ClusterEvent { index, event: Some(event) })
        };
        let mut items: Vec<_> = events.into_iter().map(&mut numbered).collect();
        items.push(Err(Status::resource_exhausted("this watch was not read for 10 s; watch again")));
        Ok(Response::new(iter(items)))
    }

    async fn schedule_maintenance(
        &self,
        request: Request<operator::ScheduleMaintenanceRequest>,
    ) -> Answer<operator::MaintenanceWindow> {
        let operator::ScheduleMaintenanceRequest { agent_ids, start_unix_ms, duration_ms, .. } = request.into_inner();
        let window_id = "M1-1".to_owned();
        let window =
            operator::MaintenanceWindow { window_id, agent_ids, start_unix_ms, duration_ms, ..Default::default() };
        let window = operator::MaintenanceWindow { inverse_offers: vec![declined(start_unix_ms)], ..window };
        self.windows.lock().unwrap().push(window.clone());
        Ok(Response::new(window))
    }

    async fn list_maintenance(
        &self,
        _: Request<operator::ListMaintenanceRequest>,
    ) -> Answer<operator::ListMaintenanceResponse> {
        Ok(Response::new(operator::ListMaintenanceResponse { windows: self.windows.lock().unwrap().clone() }))
    }

    async fn list_inverse_offers(
        &self,
        _: Request<operator::ListInverseOffersRequest>,
    ) -> Answer<operator::ListInverseOffersResponse> {
        Ok(Response::new(operator::ListInverseOffersResponse { open: vec![declined(1)], history: Vec::new() }))
    }

    async fn remove_maintenance(
        &self,
        _: Request<operator::RemoveMaintenanceRequest>,
    ) -> Answer<operator::RemoveMaintenanceResponse> {
        Err(Status::not_found("there is no window M9-9"))
    }

    async fn why(&self, request: Request<operator::WhyRequest>) -> Answer<operator::WhyResponse> {
        let operator::WhyRequest { name, .. } = request.into_inner();
        let task = (name == "web-0").then(|| operator::Task {
            framework_name: "service".into(),
            hostname: "host-1".into(),
            spec: Some(common::TaskSpec { task_id: name.clone(), ..Default::default() }),
            status: Some(status(common::TaskState::Failed, common::TaskReason::OutOfMemory)),
            ..Default::default()
        });
        if task.is_none() && !matches!(name.as_str(), "" | "service") {
            return Err(Status::not_found(format!("name: there is no task and no framework {name:?}")));
        }
        let declined = operator::AnswerCount {
            outcome: operator::offer_record::Outcome::Declined.into(),
            decline_reason: scheduler::decline_reason::Kind::Spread.into(),
            count: 7,
            ..Default::default()
        };
        Ok(Response::new(operator::WhyResponse {
            framework_id: "F1-1".into(),
            framework_name: "service".into(),
            connected: true,
            agents: 12,
            items: why_items(),
            counts: vec![declined],
            task,
            ..Default::default()
        }))
    }
}

#[tonic::async_trait]
impl Services for World {
    type WatchStream = Items<service::Service>;

    async fn apply(&self, request: Request<service::ApplyRequest>) -> Answer<service::ApplyResponse> {
        let created = |spec: service::ServiceSpec| Change {
            service: spec.name,
            kind: change::Kind::Created.into(),
            instances_before: 0,
            instances_after: spec.instances,
        };
        let changes = request.into_inner().services.into_iter().map(created).collect();
        Ok(Response::new(service::ApplyResponse { changes }))
    }

    async fn scale(&self, request: Request<service::ScaleRequest>) -> Answer<service::ScaleResponse> {
        Err(Status::not_found(format!("there is no service {:?}", request.into_inner().service)))
    }

    async fn remove(&self, _: Request<service::RemoveRequest>) -> Answer<service::RemoveResponse> {
        Ok(Response::new(service::RemoveResponse { instances: 1 }))
    }

    async fn list(&self, _: Request<service::ListRequest>) -> Answer<service::ListResponse> {
        let mut web = web();
        let moment = self.lists.as_ref().map_or(0, |lists| lists.fetch_add(1, Ordering::SeqCst));
        if moment > 0 {
            web.instances.push(service::Instance { slot: 1, task_id: "web-1".into(), ..web.instances[0].clone() });
        }
        // Then it is removed.
        let mut services = if moment > 2 { Vec::new() } else { vec![web] };
        services.extend(self.has_waiting.then(db));
        Ok(Response::new(service::ListResponse { services }))
    }

    async fn watch(&self, _: Request<service::WatchRequest>) -> Answer<Self::WatchStream> {
        let waiting = service::Service { instances: Vec::new(), ..web() };
        Ok(Response::new(iter(vec![Ok(waiting), Ok(web())])))
    }
}

#[tonic::async_trait]
impl Batch for World {
    type WatchStream = Items<batch::Job>;

    async fn run(&self, request: Request<batch::RunRequest>) -> Answer<batch::RunResponse> {
        let name = request.into_inner().job.unwrap().name;
        self.jobs.lock().unwrap().push(name.clone());
        Ok(Response::new(batch::RunResponse { job_id: format!("{name}-1") }))
    }

    async fn list(&self, _: Request<batch::ListRequest>) -> Answer<batch::ListResponse> {
        Ok(Response::new(batch::ListResponse::default()))
    }

    async fn get(&self, request: Request<batch::GetRequest>) -> Answer<batch::Job> {
        let name = request.into_inner().job_id;
        match self.jobs.lock().unwrap().contains(&name) {
            true => Ok(Response::new(batch::Job { job_id: format!("{name}-1"), ..Default::default() })),
            false => Err(Status::not_found("no such job")),
        }
    }

    async fn cancel(&self, _: Request<batch::CancelRequest>) -> Answer<batch::CancelResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn watch(&self, _: Request<batch::WatchRequest>) -> Answer<Self::WatchStream> {
        Err(Status::unimplemented("not here"))
    }
}

#[tonic::async_trait]
impl AgentHost for World {
    type LogsStream = Items<agent::LogChunk>;
    type ImportImageStream = Items<agent::ImageProgress>;
    type PullImageStream = Items<agent::ImageProgress>;

    async fn logs(&self, _: Request<agent::LogsRequest>) -> Answer<Self::LogsStream> {
        let chunk = |stream: LogStream, data: &[u8]| Ok(agent::LogChunk { stream: stream.into(), data: data.into() });
        Ok(Response::new(iter(vec![chunk(LogStream::Stdout, b"to out\n"), chunk(LogStream::Stderr, b"to err\n")])))
    }

    async fn import_image(&self, chunks: Request<Streaming<agent::ImageChunk>>) -> Answer<Self::ImportImageStream> {
        let mut chunks = chunks.into_inner();
        while let Some(chunk) = chunks.message().await? {
            *self.imported_bytes.lock().unwrap() += chunk.data.len();
        }
        let image = agent::Image { reference: "hello:latest".into(), digest: "sha256:abc".into(), size_bytes: 1 << 20 };
        let done = agent::ImageProgress { step: "done".into(), images: vec![image], ..Default::default() };
        Ok(Response::new(iter(vec![Ok(done)])))
    }

    async fn pull_image(&self, _: Request<agent::PullImageRequest>) -> Answer<Self::PullImageStream> {
        Err(Status::unavailable("the registry does not answer"))
    }

    async fn list_images(&self, _: Request<agent::ListImagesRequest>) -> Answer<agent::ListImagesResponse> {
        Ok(Response::new(agent::ListImagesResponse::default()))
    }
}

async fn world(has_service_framework: bool) -> (World, Shutdown) {
    serve_world(World { has_service_framework, ..World::default() }).await
}

async fn serve_world(world: World) -> (World, Shutdown) {
    let (listener, address) = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let world = World { address: address.to_string(), ..world };
    let routes = Routes::new(OperatorServer::new(world.clone()))
        .add_service(ServicesServer::new(world.clone()))
        .add_service(BatchServer::new(world.clone()))
        .add_service(AgentHostServer::new(world.clone()));
    let shutdown = Shutdown::default();
    tokio::spawn(serve(listener, routes, axum::Router::new(), shutdown.clone()));
    (world, shutdown)
}

async fn proffer(world: &World, line: &[&str]) -> (bool, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_proffer"));
    // An address where nobody is comes first: the next one must be asked.
    command.args(line).env("PROFFER_MASTER", format!("127.0.0.1:1,{}", world.address)).kill_on_drop(true);
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn lists_are_tables_for_people_and_json_for_programs() {
    let (world, _shutdown) = world(true).await;
    let (is_good, out, err) = proffer(&world, &["ps"]).await;
    assert!(is_good && out.contains("web.0") && out.contains("RUNNING"), "{out}{err}");
    assert!(!out.contains('\u{1b}') && out.contains("\\u{1b}[31m"), "escapes are made visible: {out:?}");
    let (_, out, _) = proffer(&world, &["tasks", "-o", "json"]).await;
    let tasks: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&tasks[0]["task_id"], &tasks[0]["status"]["reason"]), (&"web-0".into(), &"OOM".into()));
    let (_, out, _) = proffer(&world, &["agents"]).await;
    assert!(out.contains("host-1") && out.contains("4 cpus, 8GiB memory"), "{out}");
    let (_, out, _) = proffer(&world, &["offers"]).await;
    assert_eq!(out, "no offers: nobody wants anything\n");
}

#[tokio::test]
async fn events_are_lines_and_the_end_of_the_stream_is_an_error() {
    let (world, _shutdown) = world(true).await;
    let (is_good, out, err) = proffer(&world, &["events"]).await;
    assert!(is_good && out.starts_with("agent      host-1 (A1-1)") && out.lines().count() == 1, "{out}{err}");
    let (_, out, _) = proffer(&world, &["events", "-o", "json"]).await;
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["index"], &lines[0]["agent"]["hostname"]), (&1.into(), &"host-1".into()));
    assert!(lines[1]["snapshot_end"].is_object(), "{out}");
    let (is_good, out, err) = proffer(&world, &["offers", "--watch"]).await;
    assert!(out.starts_with("offer      O1-1 DECLINED after 12 ms: short of 64MiB memory"), "{out}");
    assert!(!is_good && err.contains("cannot watch the cluster"), "{err}");
}

#[tokio::test]
async fn an_agent_is_drained_by_its_host_name_and_told_what_it_is() {
    let (world, _shutdown) = world(true).await;
    let (is_good, out, err) = proffer(&world, &["drain", "host-1", "--grace", "5m", "--wait"]).await;
    assert!(is_good && out.contains("agent A1-1 (host-1) is DRAINED"), "{out}{err}");
    let (_, out, _) = proffer(&world, &["agents", "-o", "json"]).await;
    let agents: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&agents[0]["mode"], &agents[0]["state"]), (&"DRAINED".into(), &"ATTACHED".into()));
    let (is_good, _, err) = proffer(&world, &["drain", "cancel", "host-1"]).await;
    assert!(!is_good && err.contains("no drain is under way"), "{err}");
    let (is_good, out, err) = proffer(&world, &["agents", "reactivate", "A1-1"]).await;
    assert!(is_good && out.contains("is ATTACHED"), "{out}{err}");
    for line in [&["drain", "host-9"][..], &["agents", "gone", "A9-9"]] {
        let (is_good, _, err) = proffer(&world, line).await;
        assert!(!is_good && err.contains("there is no agent"), "{line:?}: {err}");
    }
}

#[tokio::test]
async fn maintenance_is_planned_by_host_name_and_shown_with_its_time() {
    let (world, _shutdown) = world(true).await;
    let (_, out, _) = proffer(&world, &["maintenance", "ls"]).await;
    assert_eq!(out, "no maintenance is planned\n");
    let line = ["maintenance", "add", "host-1", "--start", "2100-01-01T00:00:00Z", "--duration", "90m"];
    let (is_good, out, err) = proffer(&world, &line).await;
    assert!(is_good && out.contains("window M1-1 of host-1: from 2100-01-01T00:00:00Z for 90m"), "{out}{err}");
    let (_, out, _) = proffer(&world, &["maintenance", "ls", "-o", "json"]).await;
    let windows: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&windows[0]["state"], &windows[0]["agent_ids"][0]), (&"PLANNED".into(), &"A1-1".into()));
    let asked = &windows[0]["inverse_offers"][0];
    assert_eq!((&asked["answer"], &asked["cause"]), (&"DECLINED".into(), &"MAINTENANCE".into()));
    let (_, out, _) = proffer(&world, &["maintenance", "ls"]).await;
    assert!(out.contains("1 declined") && out.contains("a training runs"), "{out}");
    let (_, out, _) = proffer(&world, &["maintenance", "requests", "--history", "5"]).await;
    assert!(out.contains("V1-1") && out.contains("OPEN") && out.contains("a training runs"), "{out}");
    let table: [(&[&str], &str); 3] = [
        (&["maintenance", "remove", "M9-9"], "there is no window M9-9"),
        (&["maintenance", "add", "host-9", "--start", "now", "--duration", "1h"], "there is no agent \"host-9\""),
        (&["maintenance", "add", "host-1", "--start", "soon", "--duration", "1h"], "a time from now as 2h"),
    ];
    for (line, told) in table {
        let (is_good, _, err) = proffer(&world, line).await;
        assert!(!is_good && err.contains(told), "{line:?}: {err}");
    }
}

#[tokio::test]
async fn apply_waits_until_everything_runs() {
    let (world, _shutdown) = world(true).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.yaml");
    std::fs::write(&file, "version: 1\nservices:\n  web: {image: hello}\n").unwrap();
    let (is_good, out, err) = proffer(&world, &["apply", "-f", file.to_str().unwrap()]).await;
    assert!(is_good && out.contains("created") && out.contains("0 -> 1"), "{out}{err}");
}

#[tokio::test]
async fn output_and_images_go_the_way_of_the_agents() {
    let (world, _shutdown) = world(true).await;
    let (is_good, out, err) = proffer(&world, &["logs", "web"]).await;
    assert_eq!((is_good, out.as_str(), err.as_str()), (true, "to out\n", "to err\n"));

    let folder = tempfile::tempdir().unwrap();
    let tar = folder.path().join("hello.tar");
    std::fs::write(&tar, vec![7; 600_000]).unwrap();
    let (is_good, out, err) = proffer(&world, &["image", "import", tar.to_str().unwrap()]).await;
    assert!(is_good && out.contains("hello:latest") && out.contains("1MiB"), "{out}{err}");
    assert_eq!(*world.imported_bytes.lock().unwrap(), 600_000);
}

#[tokio::test]
async fn following_a_service_finds_the_instances_that_start_later_and_ends_with_it() {
    let world = World { has_service_framework: true, lists: Some(Arc::default()), ..World::default() };
    let (world, _shutdown) = serve_world(world).await;
    let (is_good, out, err) = proffer(&world, &["logs", "-f", "web"]).await;
    assert_eq!((is_good, out.as_str()), (true, "web.0 | to out\nweb.1 | to out\n"), "each once: {err}");
    assert!(world.lists.unwrap().load(Ordering::SeqCst) > 3, "it was looked for until it was gone");
}

#[tokio::test]
async fn apply_starts_the_jobs_of_a_file_once() {
    let (world, _shutdown) = world(true).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.yaml");
    let apply = |text: &'static str, more: &'static [&'static str]| {
        std::fs::write(&file, text).unwrap();
        let line: Vec<String> =
            ["apply", "-f", file.to_str().unwrap()].iter().chain(more).map(|word| (*word).to_owned()).collect();
        let world = world.clone();
        async move { proffer(&world, &line.iter().map(String::as_str).collect::<Vec<_>>()).await }
    };
    let mixed = "version: 1\nservices:\n  web: {image: hello}\njobs:\n  sums: {image: hello, completions: 4}\n";
    let (is_good, out, err) = apply(mixed, &["--dry-run"]).await;
    assert!(is_good && out.contains("job sums would be started: 4 tasks"), "{out}{err}");
    assert!(world.jobs.lock().unwrap().is_empty());
    let (is_good, out, err) = apply(mixed, &[]).await;
    assert!(is_good && out.contains("created") && out.contains("proffer job status sums-1"), "{out}{err}");
    let (is_good, out, err) = apply("version: 1\njobs:\n  sums: {image: hello}\n", &[]).await;
    assert!(is_good && out.contains("left alone") && out.contains("proffer job run -f"), "{out}{err}");
    assert_eq!(*world.jobs.lock().unwrap(), ["sums"], "once");
    let (_, out, _) = apply(mixed, &["-o", "json"]).await;
    let applied: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&applied[0]["service"], &applied[1]["job"]), (&"web".into(), &"sums".into()));
    let (is_good, _, err) = apply("version: 1\n", &[]).await;
    assert!(!is_good && err.contains("neither services nor jobs"), "{err}");
}

#[tokio::test]
async fn roles_weights_and_quotas_are_shown_and_set() {
    let (world, _shutdown) = world(true).await;
    let (is_good, out, err) = proffer(&world, &["roles"]).await;
    assert!(is_good, "{err}");
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0],
        ["ROLE", "WEIGHT", "SHARE", "TASKS", "USED", "OFFERED", "GUARANTEE", "LIMIT", "POLICY", "FRAMEWORKS"]
    );
    assert_eq!(
        lines[1].join(" "),
        "eng 2 37.5% 3 1.5 cpus nothing 1 cpus 4 cpus, 0 gpus pack, at least 0.5 cpus, optimistic -"
    );
    assert_eq!(lines[2].join(" "), "eng/web 1 0.0% 0 nothing nothing - - - service");
    let (_, out, _) = proffer(&world, &["roles", "-o", "json"]).await;
    let roles: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(roles[0]["limit"], serde_json::json!({"cpus_milli": 4_000, "gpus": 0}));
    assert_eq!((&roles[0]["weight_milli"], &roles[1]["frameworks"][0]["name"]), (&2_000.into(), &"service".into()));

    let (_, out, _) = proffer(&world, &["weights", "list"]).await;
    assert!(out.contains("eng") && !out.contains("eng/web"), "{out}");
    let (is_good, out, err) = proffer(&world, &["weights", "set", "eng=2", "ops/web=0.5"]).await;
    assert!(is_good, "{err}");
    let note = "role ops/web: no framework is in it yet; did you mean eng/web?\n";
    assert_eq!(out, format!("role eng has the weight 2\nrole ops/web has the weight 0.5\n{note}"));
    let (_, out, _) = proffer(&world, &["quota", "ls"]).await;
    assert!(out.contains("4 cpus, 0 gpus") && !out.contains("eng/web"), "{out}");
    let line = ["quota", "set", "eng", "--guarantee", "cpus=1", "--limit", "memory=2GiB", "--force"];
    let (is_good, out, err) = proffer(&world, &line).await;
    assert!(is_good, "{err}");
    assert_eq!(out, "role eng is promised 1 cpus and limited to 2GiB memory\n");
    let line =
        ["roles", "set", "eng", "--placement", "spread:@zone", "--min-offer", "cpus=500m", "--offers", "optimistic"];
    let (is_good, out, err) = proffer(&world, &line).await;
    assert!(is_good, "{err}");
    assert_eq!(out, "role eng is offered what is free by spread:@zone, at least 0.5 cpus, to all at once\n");
    let line = ["roles", "set", "ops", "--placement", "default", "--min-offer", "default", "--dry-run"];
    let (is_good, out, err) = proffer(&world, &line).await;
    assert!(is_good, "{err}");
    assert!(out.starts_with("role ops would be offered what is free placed as the whole cluster, "), "{out}");
    let (_, out, _) = proffer(&world, &["quota", "remove", "eng", "--dry-run"]).await;
    assert_eq!(out, "the quota of role eng would be removed\n");
    let asked = world.asked.lock().unwrap().join("\n");
    assert!(asked.contains("weight_milli: 500") && asked.contains("memory_bytes: Some(2147483648)"), "{asked}");
    assert!(asked.contains("placement: Some(\"spread:@zone\")") && asked.contains("reset_min_offer: true"), "{asked}");

    let table: [(&[&str], &str); 4] = [
        (&["quota", "set", "eng", "--limit", "cpus=1"], "its tasks hold more"),
        (&["quota", "show", "eng/web"], "proffer quota set eng/web"),
        (&["quota", "show", "egn"], "there is no role egn"),
        (&["quota", "remove", "egn"], "role egn has no quota"),
    ];
    for (line, told) in table {
        let (is_good, _, err) = proffer(&world, line).await;
        assert!(!is_good && err.contains(told), "{line:?}: {err}");
    }
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let (without, _first) = world(false).await;
    let (is_good, _, err) = proffer(&without, &["ps"]).await;
    assert!(!is_good && err.contains("start it with `proffer service`"), "{err}");
    let (with, _second) = world(true).await;
    let table: [(&[&str], &str); 5] = [
        (&["scale", "wbe", "3"], "there is no service \"wbe\""),
        (&["logs", "nothing"], "proffer tasks --all"),
        (&["image", "import", "/nowhere.tar"], "cannot read /nowhere.tar"),
        (&["image", "pull", "hello"], "the registry does not answer"),
        (&["image", "ls", "--agent", "x"], "there is no agent \"x\""),
    ];
    for (line, told) in table {
        let (is_good, _, err) = proffer(&with, line).await;
        assert!(!is_good && err.contains(told), "{line:?}: {err}");
    }
}

#[tokio::test]
async fn why_tells_what_stands_against_a_service_in_plain_words_and_as_json() {
    let world = World { has_service_framework: true, has_waiting: true, ..World::default() };
    let (world, _shutdown) = serve_world(world).await;
    let (is_good, out, err) = proffer(&world, &["why", "db"]).await;
    assert!(is_good, "{err}");
    let told = [
        "service db: 0 of 2 instances run",
        "db.0 waits for an offer",
        "db.1 is not started again for 60s more, as it failed",
        "its last failure, of 3: exit code 2",
        "asks for 1 times 1 cpus where @zone == b, in role default:",
        "12 agents: zone is not b (evil \\u{1b}[31m, host-1, ...)",
        "its answers since the master started: 7 declined (enough on this agent)",
    ];
    for line in told {
        assert!(out.contains(line), "{line:?} is missing:\n{out}");
    }
    assert!(!out.contains("of no interest"), "only what is wanted for it:\n{out}");
    assert!(!out.contains('\u{1b}'), "escapes are made visible: {out:?}");

    let (_, out, _) = proffer(&world, &["why", "db", "-o", "json"]).await;
    let why: serde_json::Value = serde_json::from_str(&out).unwrap();
    let group = &why["wants"][0]["groups"][0];
    assert_eq!((&group["obstacle"], &group["agents"]), (&"CONSTRAINT_NOT_MET".into(), &12.into()));
    assert_eq!((&group["constraint"], &why["service"]["name"]), (&"@zone == b".into(), &"db".into()));

    let (_, out, _) = proffer(&world, &["why", "web"]).await;
    assert_eq!(out, "service web: 1 of 1 instances run\nnothing stands against it\n");
}

#[tokio::test]
async fn why_tells_of_tasks_jobs_and_frameworks_and_of_what_is_near_a_misspelt_name() {
    let (world, _shutdown) = world(true).await;
    let (_, out, err) = proffer(&world, &["why", "web-0"]).await;
    assert!(out.contains("task web-0 of service is FAILED (OOM) on host-1"), "{out}{err}");
    assert!(out.contains("never started again"), "{out}");
    let (_, out, err) = proffer(&world, &["why", "service"]).await;
    assert!(out.contains("3 agents: of no interest for db") && out.contains("12 agents"), "all it wants: {out}{err}");
    world.jobs.lock().unwrap().push("sums".into());
    let (_, out, err) = proffer(&world, &["why", "sums"]).await;
    assert!(out.contains("job sums-1 is UNKNOWN: 0 of 0 tasks succeeded"), "{out}{err}");
    let (is_good, _, err) = proffer(&world, &["why", "wbe"]).await;
    assert!(!is_good && err.contains("there is no service, job, task or framework \"wbe\""), "{err}");
    assert!(err.contains("did you mean \"web\"?"), "{err}");
    let (is_good, _, err) = proffer(&world, &["why", "x", "--framework", "nobody"]).await;
    assert!(!is_good && err.contains("there is no framework \"nobody\""), "{err}");
}

#[tokio::test]
async fn an_agent_is_reserved_by_its_host_name_and_wrong_words_are_told() {
    let (world, _shutdown) = world(false).await;
    let amounts = ["--resources", "cpus=2,memory=4GiB"];
    let words =
        [&["reserve", "host-1", "--role", "eng/web", "--from", "eng", "--label", "tier=gold"], &amounts[..]].concat();
    let (is_good, out, err) = proffer(&world, &words).await;
    assert!(is_good && out.contains("eng/web") && out.contains("tier=gold") && out.contains("calls"), "{out}{err}");
    let asked = world.reserved.lock().unwrap().clone().unwrap();
    assert_eq!((asked.agent_id.as_str(), asked.from_role.as_str()), ("A1-1", "eng"));
    assert_eq!(asked.resources.unwrap().cpus_milli, 2_000);
    let (_, out, _) = proffer(&world, &["reservations", "-o", "json"]).await;
    let all: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&all[0]["role"], &all[0]["refines"][0]), (&"eng/web".into(), &"eng".into()));
    for (words, told) in [
        (vec!["reserve", "nobody", "--role", "eng"], "there is no agent \"nobody\""),
        (vec!["reserve", "host-1", "--role", "/eng"], "role: "),
        (vec!["unreserve", "host-1", "--role", "ops"], "nothing is reserved for ops on A1-1"),
    ] {
        let (is_good, _, err) = proffer(&world, &[&words[..], &amounts[..]].concat()).await;
        assert!(!is_good && err.contains(told), "{words:?}: {err}");
    }
}

#[tokio::test]
async fn a_volume_is_made_shown_and_destroyed_and_wrong_words_are_told() {
    let (world, _shutdown) = world(false).await;
    let words = ["volumes", "create", "host-1", "data", "--role", "eng", "--size", "10GiB", "--wait"];
    let (is_good, out, err) = proffer(&world, &words).await;
    assert!(is_good && out.contains("READY") && out.contains("10GiB") && out.contains("F1-1/db.0"), "{out}{err}");
    let (_, out, _) = proffer(&world, &["volumes", "ls", "-o", "json"]).await;
    let all: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&all[0]["volume_id"], &all[0]["size_bytes"]), (&"data".into(), &(10u64 << 30).into()), "{all}");
    for (words, told) in [
        (&["create", "nobody", "data", "--role", "eng", "--size", "1GiB"][..], "there is no agent \"nobody\""),
        (&["create", "host-1", "a/b", "--role", "eng", "--size", "1GiB"], "holds '/'"),
        (&["create", "host-1", "b", "--role", "eng", "--size", "0"], "at least 1 byte"),
        (&["create", "host-1", "b", "--role", "eng", "--size", "1gb"], "did you mean"),
        (&["destroy", "host-1", "b", "--role", "eng"], "A1-1 has no volume b"),
    ] {
        let (is_good, _, err) = proffer(&world, &[&["volumes"], words].concat()).await;
        assert!(!is_good && err.contains(told), "{words:?}: {err}");
    }
    let (is_good, out, err) =
        proffer(&world, &["volumes", "destroy", "host-1", "data", "--role", "eng", "--wait"]).await;
    assert!(is_good && out.contains("there are no volumes"), "{out}{err}");
    let words = ["volumes", "create", "host-1", "broken", "--role", "eng", "--size", "10GiB", "--wait"];
    let (is_good, _, err) = proffer(&world, &words).await;
    assert!(!is_good && err.contains("not made: cannot make /x: disk full") && err.contains("destroy it"), "{err}");
    let (_, out, _) = proffer(&world, &["volumes", "ls"]).await;
    assert!(out.contains("LOST: cannot make /x: disk full"), "{out}");
}
