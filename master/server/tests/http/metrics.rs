//! `/metrics` against what happened and against its documentation.

use std::collections::BTreeSet;

use proffer_proto_wire::common::{self, Resources};
use proffer_proto_wire::operator::operator_client::OperatorClient;
use proffer_proto_wire::operator::{
    CreateVolumeRequest, OfferMode, ReserveRequest, ScheduleMaintenanceRequest, SetRolePolicyRequest,
};
use proffer_proto_wire::scheduler::{self, Launch, Operation, TaskLaunch, call, decline_reason, operation};

use crate::world::{World, amount, hostile_agent, wants};

const DOC: &str = include_str!("../../../../docs/metrics.md");

/// Name and type of every metric on the page; counters by the name that is asked for.
fn written(page: &str) -> BTreeSet<(String, String)> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let named = types.map(|line| {
        let (name, kind) = line.split_once(' ').expect("name and type");
        let end = if kind == "counter" { "_total" } else { "" };
        (format!("{name}{end}"), kind.to_owned())
    });
    named.collect()
}

fn documented() -> BTreeSet<(String, String)> {
    let rows = DOC.lines().filter_map(|line| line.strip_prefix("| `proffer_"));
    let cells = rows.map(|row| {
        let mut cells = row.split('|').map(str::trim);
        let name = format!("proffer_{}", cells.next().expect("a name").trim_matches('`'));
        (name, cells.next().expect("a type").to_owned())
    });
    cells.collect()
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_one_is_there() {
    let world = World::start().await;
    let _agent = world.agent(hostile_agent()).await;
    let mut framework = world.framework("web", wants(1)).await;
    let declined = framework.offered().await;
    let reason = scheduler::DeclineReason {
        kind: decline_reason::Kind::ResourcesShort.into(),
        shortage: Some(amount(0, 64)),
        ..Default::default()
    };
    let filter = Some(scheduler::Filter { refuse_ms: Some(60_000) });
    let decline = scheduler::Decline { offer_ids: vec![declined], reason: Some(reason), filter };
    framework.say(call::Call::Decline(decline)).await;

    let ended =
        "proffer_master_offers_ended_total{framework=\"web\",outcome=\"declined\",reason=\"resources_short\"} 1";
    let wanted = [
        ended,
        "proffer_master_offers_sent_total{framework=\"web\"} 1",
        "proffer_master_offer_hold_seconds_count{outcome=\"declined\"} 1",
        "proffer_master_messages_received_total{peer=\"framework\",kind=\"decline\"} 1",
        "proffer_master_messages_sent_total{peer=\"framework\",kind=\"offers\"} 1",
        "proffer_master_agents{state=\"attached\"} 1",
        "proffer_master_frameworks{state=\"connected\"} 1",
        "proffer_master_cpus{use=\"total\"} 4",
        "proffer_master_sessions 2",
        "proffer_master_filters 1",
        "proffer_master_framework_tasks{framework=\"web\"} 0",
        "proffer_master_slow_readers_cut_off_total{peer=\"agent\"} 0",
        "proffer_master_outbox_limit{peer=\"framework\"} 1024",
        "proffer_master_outbox_longest{peer=\"agent\"} 0",
        "proffer_master_framework_outbox{framework=\"web\"} 0",
        "proffer_master_watchers 0",
        "# EOF",
    ];
    let page = world.page_with("/metrics", &wanted).await;
    assert_eq!(written(&page), documented());
}

#[tokio::test]
async fn what_operators_want_and_who_watches_is_counted() {
    let world = World::start().await;
    let _agent = world.agent(hostile_agent()).await;
    world.page_with("/metrics", &["proffer_master_agent_modes{mode=\"active\"} 1"]).await;
    let watching = world.http.get(world.url("/v1/events")).send().await.unwrap();
    let mut operator = OperatorClient::new(world.channel());
    let window = |start_unix_ms| ScheduleMaintenanceRequest {
        agent_ids: vec!["A1-1".into()],
        start_unix_ms,
        duration_ms: 1_000_000,
        deactivate_only: true,
        ..Default::default()
    };
    // At once, and in some days.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    for start in [0, u64::try_from(now.as_millis()).unwrap() + 200_000_000] {
        operator.schedule_maintenance(window(start)).await.unwrap();
    }
    let wanted = [
        "proffer_master_agent_modes{mode=\"active\"} 0",
        "proffer_master_agent_modes{mode=\"deactivated\"} 1",
        "proffer_master_maintenance_windows{state=\"open\"} 1",
        "proffer_master_maintenance_windows{state=\"planned\"} 1",
        "proffer_master_watchers 1",
    ];
    world.page_with("/metrics", &wanted).await;
    drop(watching);
    world.page_with("/metrics", &["proffer_master_watchers 0"]).await;
}

#[tokio::test]
async fn frameworks_cannot_make_more_series_than_the_bound() {
    let world = World::start().await;
    let mut frameworks = Vec::new();
    for number in 0..60 {
        frameworks.push(world.framework(&format!("f{number:02}"), wants(1)).await);
    }
    let page = world.page_with("/metrics", &["proffer_master_frameworks{state=\"connected\"} 60"]).await;
    let series = page.lines().filter(|line| line.starts_with("proffer_master_framework_tasks{")).count();
    assert_eq!(series, 51, "{page}");
    assert!(page.contains("proffer_master_framework_tasks{framework=\"other\"} 0"), "{page}");
}

#[tokio::test]
async fn volumes_and_reservations_are_counted_by_state_and_role() {
    const GIB: u64 = 1 << 30;
    let world = World::start().await;
    let mut info = hostile_agent();
    info.resources.as_mut().unwrap().disk_bytes = 100 * GIB;
    let agent = world.agent(info).await;
    world.page_with("/metrics", &["proffer_master_agents{state=\"attached\"} 1"]).await;
    let mut operator = OperatorClient::new(world.channel());
    let reserve = |role: &str, from: &str, resources| ReserveRequest {
        agent_id: "A1-1".into(),
        role: role.into(),
        from_role: from.into(),
        resources: Some(resources),
        ..Default::default()
    };
    operator.reserve(reserve("eng", "", Resources { disk_bytes: 10 * GIB, ..amount(2_000, 1) })).await.unwrap();
    operator.reserve(reserve("eng/web", "eng", amount(500, 0))).await.unwrap();
    for volume_id in ["a", "b"] {
        let (role, volume_id) = ("eng".to_owned(), volume_id.to_owned());
        let create =
            CreateVolumeRequest { agent_id: "A1-1".into(), volume_id, role, size_bytes: GIB, ..Default::default() };
        operator.create_volume(create).await.unwrap();
    }
    agent.made(1).await;
    let wanted = [
        "proffer_master_volumes{state=\"creating\"} 1",
        "proffer_master_volumes{state=\"ready\"} 1",
        "proffer_master_volumes{state=\"lost\"} 0",
        "proffer_master_volume_bytes{state=\"ready\"} 1073741824",
        "proffer_master_role_reserved_cpus{role=\"eng\"} 1.5",
        "proffer_master_role_reserved_cpus{role=\"eng/web\"} 0.5",
        "proffer_master_role_reserved_memory_bytes{role=\"eng\"} 1048576",
        "proffer_master_role_reserved_disk_bytes{role=\"eng\"} 10737418240",
        "proffer_master_role_reserved_gpus{role=\"eng\"} 0",
    ];
    world.page_with("/metrics", &wanted).await;
}

#[tokio::test]
async fn races_are_counted_for_who_wins_and_who_loses() {
    let world = World::start().await;
    let mut operator = OperatorClient::new(world.channel());
    let (role, offers) = ("eng/web".to_owned(), OfferMode::Optimistic.into());
    operator.set_role_policy(SetRolePolicyRequest { role, offers, ..Default::default() }).await.unwrap();
    let _agent = world.agent(hostile_agent()).await;
    let mut fast = world.framework("fast", wants(1)).await;
    let mut slow = world.framework("slow", wants(1)).await;
    let (used, _) = (fast.offered().await, slow.offered().await);
    let container = common::ContainerSpec { image: "app:1".into(), ..Default::default() };
    let task = common::TaskSpec {
        task_id: "one".into(),
        name: "one".into(),
        resources: Some(amount(1_000, 512)),
        container: Some(container),
        ..Default::default()
    };
    let launch = TaskLaunch { task: Some(task), ..Default::default() };
    let operation = operation::Operation::Launch(Launch { tasks: vec![launch] });
    let operations = vec![Operation { operation: Some(operation), ..Default::default() }];
    let accept = scheduler::Accept { offer_ids: vec![used], operations, ..Default::default() };
    fast.say(call::Call::Accept(accept)).await;
    let wanted = [
        "proffer_master_races_total{framework=\"fast\",result=\"won\"} 1",
        "proffer_master_races_total{framework=\"slow\",result=\"lost\"} 1",
        "proffer_master_races_total{framework=\"slow\",result=\"opened\"} 2",
    ];
    world.page_with("/metrics", &wanted).await;
}
