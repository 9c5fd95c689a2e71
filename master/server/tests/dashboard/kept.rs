//! What is kept of an agent, on its page and in the list: reservations, volumes, planned windows.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use proffer_proto_wire::common::{self, Resources};
use proffer_proto_wire::operator::operator_client::OperatorClient;
use proffer_proto_wire::operator::{CreateVolumeRequest, ReserveRequest, ScheduleMaintenanceRequest};
use proffer_proto_wire::scheduler::{self, call, operation};

use crate::world::{World, amount, hostile_agent, wants};

const GIB: u64 = 1 << 30;
const HOUR_MS: u64 = 3_600_000;

fn in_hours(hours: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap() + hours * HOUR_MS
}

fn mounting(volume: &str) -> common::TaskSpec {
    let mount = common::Mount { target: "/data".into(), volume_id: volume.into(), ..Default::default() };
    let container = common::ContainerSpec { image: "db".into(), mounts: vec![mount], ..Default::default() };
    common::TaskSpec {
        task_id: "db.0.1".into(),
        name: "db".into(),
        container: Some(container),
        resources: Some(amount(1_000, 512)),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_agents_page_shows_reservations_volumes_with_their_users_and_windows_to_come() {
    let world = World::start().await;
    let mut info = hostile_agent();
    info.resources.as_mut().unwrap().disk_bytes = 100 * GIB;
    let mut agent = world.agent(info).await;
    world.page_with("/agents", &["A1-1"]).await;
    world.page_with("/agents/A1-1", &["Nothing of this agent is kept", "proffer reserve A1-1"]).await;

    let mut operator = OperatorClient::new(world.channel());
    let attack = "<script>alert('label')</script>".to_owned();
    let reserve = |role: &str, from: &str, resources: Resources| ReserveRequest {
        agent_id: "A1-1".into(),
        role: role.into(),
        from_role: from.into(),
        resources: Some(resources),
        labels: HashMap::from([("owner".to_owned(), attack.clone())]),
        dry_run: false,
    };
    let disk = Resources { disk_bytes: 50 * GIB, ..amount(2_000, 0) };
    operator.reserve(reserve("eng", "", disk)).await.unwrap();
    operator.reserve(reserve("eng/web", "eng", amount(500, 0))).await.unwrap();
    world.page_with("/agents/A1-1", &["No volumes here", "out of eng", ">50 GiB</td>", "a call"]).await;

    let create = CreateVolumeRequest {
        agent_id: "A1-1".into(),
        volume_id: "data".into(),
        role: "eng".into(),
        size_bytes: 4 * GIB,
        ..Default::default()
    };
    operator.create_volume(create).await.unwrap();
    world.page_with("/agents/A1-1", &[">creating</span>", ">4 GiB</td>", "nobody"]).await;
    agent.made(1).await;
    world.page_with("/agents/A1-1", &[">ready</span>"]).await;

    let mut framework = world.framework("web", wants(1)).await;
    let offer = framework.offered().await;
    let launch = scheduler::TaskLaunch { task: Some(mounting("data")), ..Default::default() };
    let launch = operation::Operation::Launch(scheduler::Launch { tasks: vec![launch] });
    let operations = vec![scheduler::Operation { operation: Some(launch), ..Default::default() }];
    let accept = scheduler::Accept { offer_ids: vec![offer], operations, ..Default::default() };
    framework.say(call::Call::Accept(accept)).await;
    agent.launched().await;
    world.page_with("/agents/A1-1", &["href=\"#task-F1-1/db.0.1\"", "id=\"task-F1-1/db.0.1\""]).await;

    for (start, deactivate_only) in [(in_hours(50), false), (in_hours(5), true)] {
        let agent_ids = vec!["A1-1".to_owned()];
        let request = ScheduleMaintenanceRequest {
            agent_ids,
            start_unix_ms: start,
            duration_ms: 2 * HOUR_MS,
            deactivate_only,
            ..Default::default()
        };
        operator.schedule_maintenance(request).await.unwrap();
    }
    let page = world.page_with("/agents/A1-1", &["id=\"window-M1-1\"", "id=\"window-M1-2\"", ">planned</span>"]).await;
    let places = ["id=\"window-M1-2\"", "no new work", "in 4 h", "2 h", "id=\"window-M1-1\"", "drained"];
    let at = places.map(|text| page.find(text).unwrap_or_else(|| panic!("no {text} in {page}")));
    assert!(at.is_sorted(), "the next window comes first: {page}");
    assert!(page.contains("&#60;script&#62;alert(&#39;label") && !page.contains("<script>alert"), "{page}");
    // The list says the next of both only.
    let list = world.page_with("/agents", &["no new work <time", "/agents/A1-1#windows"]).await;
    assert!(!list.contains("drained"), "{list}");

    operator
        .schedule_maintenance(ScheduleMaintenanceRequest {
            agent_ids: vec!["A1-1".to_owned()],
            duration_ms: HOUR_MS,
            deactivate_only: true,
            ..Default::default()
        })
        .await
        .unwrap();
    world.page_with("/agents", &["window ends <time", ">deactivated</span>"]).await;
    world.page_with("/agents/A1-1", &["id=\"window-M1-3\"", ">open</span>"]).await;
}
