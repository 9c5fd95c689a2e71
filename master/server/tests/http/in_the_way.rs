//! What operators ask for that is right by itself and that something stands against: a volume in use, a window at the same
//! time. The answer says what that is and what to do with it.

use std::time::{SystemTime, UNIX_EPOCH};

use proffer_proto_wire::common;
use proffer_proto_wire::scheduler::{self, call, operation};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, amount, hostile_agent, wants};
use crate::wrong::defect;

const GIB: u64 = 1 << 30;
const HOUR_MS: u64 = 3_600_000;

fn tomorrow() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap() + 24 * HOUR_MS
}

fn mounting(volume: &str) -> common::TaskSpec {
    let mount = common::Mount { target: "/data".into(), volume_id: volume.into(), ..Default::default() };
    let container = common::ContainerSpec { image: "db".into(), mounts: vec![mount], ..Default::default() };
    let (task_id, name) = ("db.0.1".to_owned(), "db".to_owned());
    common::TaskSpec {
        task_id,
        name,
        container: Some(container),
        resources: Some(amount(1_000, 512)),
        ..Default::default()
    }
}

async fn post(world: &World, path: &str, body: &Value) -> (u16, String) {
    let answer = world.http.request(Method::POST, world.url(&format!("/v1/{path}"))).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn what_stands_in_the_way_is_named_with_what_to_do() {
    let world = World::start().await;
    let mut info = hostile_agent();
    info.resources.as_mut().unwrap().disk_bytes = 100 * GIB;
    let mut agent = world.agent(info).await;
    world.page_with("/agents", &["A1-1"]).await;
    let start = tomorrow();
    let window = |start: u64| json!({"agent_ids": ["A1-1"], "start_unix_ms": start, "duration_ms": 2 * HOUR_MS});
    let reserved = json!({"cpus_milli": 2_000, "disk_bytes": 10 * GIB});
    for (path, body) in [
        ("agents/A1-1/reserve", json!({"role": "eng", "resources": reserved})),
        ("agents/A1-1/volumes", json!({"role": "eng", "volume_id": "db", "size_bytes": GIB})),
        ("maintenance", window(start)),
    ] {
        let (status, told) = post(&world, path, &body).await;
        assert_eq!(status, 200, "{path}: {told}");
    }
    agent.made(1).await;
    world.page_with("/agents/A1-1", &[">ready</span>"]).await;
    let mut framework = world.framework("web", wants(1)).await;
    let offer = framework.offered().await;
    let launch = scheduler::TaskLaunch { task: Some(mounting("db")), ..Default::default() };
    let launch = operation::Operation::Launch(scheduler::Launch { tasks: vec![launch] });
    let operations = vec![scheduler::Operation { operation: Some(launch), ..Default::default() }];
    framework
        .say(call::Call::Accept(scheduler::Accept { offer_ids: vec![offer], operations, ..Default::default() }))
        .await;
    agent.launched().await;
    world.page_with("/agents/A1-1", &["id=\"task-F1-1/db.0.1\""]).await;
    let before = world.page("/v1/agents").await;

    let of_eng = |resources: Value| json!({"role": "eng", "resources": resources});
    let mut forced = of_eng(json!({"disk_bytes": 10 * GIB}));
    forced["force"] = json!(true);
    let cases = [
        (
            "agents/A1-1/volumes/db/destroy",
            json!({"role": "eng"}),
            "volume_id",
            "db is in use by task F1-1/db.0.1",
            "end it",
        ),
        ("agents/A1-1/unreserve", forced, "resources", "rest on it: db", "end the tasks that mount"),
        (
            "agents/A1-1/unreserve",
            of_eng(json!({"cpus_milli": 2_000})),
            "resources",
            "lacks 1 cpus",
            "end the tasks that use",
        ),
        ("maintenance", window(start), "agent_ids", "A1-1 is in window M1-1 at that time", "choose another time"),
        ("maintenance", window(start + HOUR_MS), "agent_ids", "A1-1 is in window M1-1", "take that one back"),
        ("maintenance", window(start - HOUR_MS), "agent_ids", "A1-1 is in window M1-1", "take that one back"),
        ("roles/eng/quota", json!({"quota": {"limit": {"cpus_milli": 500}}}), "quota.limit", "hold", "raise the limit"),
    ];
    let mut wrong = Vec::new();
    for (path, body, field, what, fix) in cases {
        let (status, told) = post(&world, path, &body).await;
        assert!(status >= 400, "{path} {body} was accepted: {told}");
        wrong.extend(defect(&told, "invalid", field, what, fix).map(|told| format!("{path} {body}: {told}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(world.page("/v1/agents").await, before, "nothing has changed");
    // Right after the first there is room.
    assert_eq!(post(&world, "maintenance", &window(start + 2 * HOUR_MS)).await.0, 200);
}
