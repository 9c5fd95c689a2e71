//! `/v1/` over real HTTP: what it tells, what it does, and what it refuses.

use futures_util::StreamExt;
use proffer_proto_wire::scheduler::{self, call, decline_reason};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::world::{Answer, DEADLINE, World, amount, hostile_agent, wants};

async fn ask(request: RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, headers, body: answer.text().await.unwrap() }
}

async fn json(world: &World, path: &str) -> Value {
    let answer = world.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    assert_eq!(answer.headers["content-type"], "application/json");
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test]
async fn lists_say_what_the_operator_api_says() {
    let world = World::start().await;
    let _agent = world.agent(hostile_agent()).await;
    let mut framework = world.framework("web", wants(1)).await;
    let offer = framework.offered().await;
    world.page_with("/v1/offers", &[&offer, "\"OUTSTANDING\""]).await;
    let reason = scheduler::DeclineReason {
        kind: decline_reason::Kind::ResourcesShort.into(),
        shortage: Some(amount(0, 64)),
        ..Default::default()
    };
    let filter = Some(scheduler::Filter { refuse_ms: Some(60_000) });
    let decline = scheduler::Decline { offer_ids: vec![offer.clone()], reason: Some(reason), filter };
    framework.say(call::Call::Decline(decline)).await;
    world.page_with("/v1/offers?history=1", &["\"DECLINED\""]).await;

    let offers = json(&world, "/v1/offers?history=10").await;
    let told = &offers["history"][0];
    assert_eq!(told["offer"]["offer_id"], json!(offer));
    assert_eq!(told["decline_reason"]["kind"], "RESOURCES_SHORT");
    assert_eq!(told["decline_reason"]["shortage"]["memory_bytes"], 64 << 20);
    assert_eq!(json(&world, "/v1/offers").await["history"], json!([]));
    let cluster = json(&world, "/v1/cluster").await;
    assert_eq!((&cluster["agents_attached"], &cluster["total"]["cpus_milli"]), (&json!(1), &json!(4_000)));
    let agents = json(&world, "/v1/agents").await;
    assert_eq!(agents["agents"][0]["state"], "ATTACHED");
    assert_eq!(agents["agents"][0]["hostname"], "<script>alert('host')</script>");
    let frameworks = json(&world, "/v1/frameworks").await;
    assert_eq!(frameworks["frameworks"][0]["info"]["name"], "web");
    assert_eq!(frameworks["frameworks"][0]["demand"]["items"][0]["count"], 1);
    assert_eq!(json(&world, "/v1/tasks?ended=true").await, json!({ "tasks": [] }));
}

#[tokio::test]
async fn a_framework_is_torn_down_once() {
    let world = World::start().await;
    let _framework = world.framework("web", wants(1)).await;
    world.page_with("/v1/frameworks", &["\"web\""]).await;
    let id = json(&world, "/v1/frameworks").await["frameworks"][0]["info"]["framework_id"].clone();
    let url = world.url(&format!("/v1/frameworks/{}/teardown", id.as_str().unwrap()));
    // Only asked, done, and done already.
    for (body, already) in [(json!({ "dry_run": true }), false), (json!({}), false), (json!({}), true)] {
        let answer = ask(world.http.post(&url).json(&body)).await;
        let told: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &told["name"]), (200, &json!("web")), "{told}");
        assert_eq!(told["consequences"]["already"], json!(already), "{body}: {told}");
    }
}

/// Request, expected status, kind, field and a piece of the message or fix.
type Bad = (RequestBuilder, u16, &'static str, Option<&'static str>, &'static str);

fn bad_reads(world: &World) -> Vec<Bad> {
    let get = |path: &str| world.http.get(world.url(path));
    vec![
        (get("/v1/nope"), 404, "not_found", None, "/v1/openapi.json"),
        (get("/v1"), 404, "not_found", None, "/v1/openapi.json"),
        (get("/v1/"), 404, "not_found", None, "nothing"),
        (get("/v1/frameworks/F1/teardown"), 405, "invalid", None, "Allow"),
        (world.http.delete(world.url("/v1/agents")), 405, "invalid", None, "Allow"),
        (world.http.put(world.url("/v1/openapi.json")), 405, "invalid", None, "Allow"),
        (get("/v1/agents?all=1"), 400, "invalid", Some("all"), "takes none"),
        (get("/v1/tasks?framwork=x"), 400, "invalid", Some("framwork"), "use framework_id, ended"),
        (get("/v1/tasks?ended=maybe"), 400, "invalid", Some("ended"), "true or false"),
        (get("/v1/tasks?ended=true&ended=true"), 400, "invalid", Some("ended"), "once"),
        (get("/v1/offers?history=-1"), 400, "invalid", Some("history"), "4294967295"),
        (get("/v1/offers?history=99999999999999999999"), 400, "invalid", Some("history"), "whole number"),
    ]
}

fn bad_changes(world: &World) -> Vec<Bad> {
    const JSON: &str = "application/json";
    let post = |path: &str| world.http.post(world.url(path));
    let body =
        |kind: &str, body: &str| post("/v1/frameworks/F1/teardown").header("content-type", kind).body(body.to_owned());
    let from = |name: &str, value: &str| post("/v1/frameworks/F1/teardown").header(name, value);
    vec![
        (body(JSON, "{"), 400, "invalid", None, "no JSON"),
        (body(JSON, "[]"), 400, "invalid", None, "no object"),
        (body(JSON, "{} x"), 400, "invalid", None, "no JSON"),
        (body(JSON, &"[".repeat(100_000)), 400, "invalid", None, "no JSON"),
        (body(JSON, r#"{"why":"x"}"#), 400, "invalid", None, "why"),
        (body(JSON, r#"{"framework_id":"F1"}"#), 400, "invalid", Some("framework_id"), "path alone"),
        (body("text/plain", "{}"), 415, "invalid", None, "application/json"),
        (body(JSON, &" ".repeat((1 << 20) + 1)), 413, "exhausted", None, "1048576"),
        (post("/v1/frameworks/F1/teardown?x=1"), 400, "invalid", Some("x"), "body"),
        (post("/v1/frameworks/%FF/teardown"), 400, "invalid", None, "UTF-8"),
        (post("/v1/frameworks/a%20b/teardown"), 404, "not_found", Some("framework_id"), "a b"),
        (
            post(&format!("/v1/frameworks/{}/teardown", "x".repeat(256))),
            400,
            "invalid",
            Some("framework_id"),
            "255 bytes",
        ),
        (post("/v1/frameworks/F9-9/teardown"), 404, "not_found", None, "F9-9"),
        (from("origin", "http://evil.example"), 403, "forbidden", None, "another place"),
        (from("sec-fetch-site", "cross-site"), 403, "forbidden", None, "another place"),
    ]
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_field_and_the_fix() {
    let world = World::start().await;
    for (request, status, kind, field, told) in bad_reads(&world).into_iter().chain(bad_changes(&world)) {
        let shown = format!("{request:?}");
        let answer = ask(request).await;
        assert_eq!(answer.status, status, "{shown}: {}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/json", "{shown}");
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(problem["kind"], kind, "{shown}: {problem}");
        if field.is_some() {
            assert_eq!(problem["field"].as_str(), field, "{shown}: {problem}");
        }
        let words = format!("{} {}", problem["message"], problem["fix"]);
        assert!(words.contains(told), "{shown}: {problem}");
    }
    let refused = ask(world.http.request(Method::PATCH, world.url("/v1/cluster"))).await;
    assert_eq!(refused.headers["allow"], "GET,HEAD");
    world.page("/v1/cluster").await;
}

/// Reads server-sent events until one holds `last`; gives id, name and data of each.
async fn events(world: &World, last: &str) -> Vec<(u64, String, Value)> {
    let answer = world.http.get(world.url("/v1/events")).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let (mut stream, mut text) = (answer.bytes_stream(), String::new());
    while !text.contains(last) || !text.ends_with("\n\n") {
        let piece = tokio::time::timeout(DEADLINE, stream.next()).await.expect("events come");
        text.push_str(std::str::from_utf8(&piece.unwrap().unwrap()).unwrap());
    }
    let field = |event: &str, name: &str| -> String {
        event.lines().find_map(|line| line.strip_prefix(name)).expect(name).trim().to_owned()
    };
    let told = text.split("\n\n").filter(|event| event.contains("data:"));
    told.map(|event| {
        let data = serde_json::from_str(&field(event, "data:")).unwrap();
        (field(event, "id:").parse().unwrap(), field(event, "event:"), data)
    })
    .collect()
}

#[tokio::test]
async fn events_are_a_snapshot_and_then_every_change() {
    let world = World::start().await;
    let _agent = world.agent(hostile_agent()).await;
    world.page_with("/v1/agents", &["ATTACHED"]).await;
    let later = async {
        let mut framework = world.framework("web", wants(1)).await;
        framework.offered().await;
        framework
    };
    let (told, _framework) = tokio::join!(events(&world, "OUTSTANDING"), later);
    let names: Vec<&str> = told.iter().map(|(_, name, _)| name.as_str()).collect();
    assert!(names.contains(&"snapshot_end") && names.contains(&"framework"), "{names:?}");
    assert_eq!(names[0], "agent");
    assert_eq!(told[0].2["agent"]["state"], "ATTACHED");
    let counted: Vec<u64> = told.iter().map(|(id, ..)| *id).collect();
    assert_eq!(counted, (1..=counted.len() as u64).collect::<Vec<_>>());
    let offer = told.iter().find(|(_, name, _)| name == "offer").unwrap();
    assert_eq!(offer.2["offer"]["framework_name"], "web");
}

#[tokio::test]
async fn event_streams_are_bounded() {
    let world = World::start().await;
    let mut open = Vec::new();
    for _ in 0..128 {
        let answer = world.http.get(world.url("/v1/events")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        open.push(answer);
    }
    let refused = world.get("/v1/events").await;
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert!(refused.body.contains("\"exhausted\""), "{}", refused.body);
    drop(open);
    // The places are free again as soon as the master has noticed.
    let begun = std::time::Instant::now();
    while world.http.get(world.url("/v1/events")).send().await.unwrap().status() != 200 {
        assert!(begun.elapsed() < DEADLINE, "no place became free");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_description_is_served_and_true() {
    let world = World::start().await;
    let document = json(&world, "/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    for (path, operations) in document["paths"].as_object().unwrap() {
        let Some(get) = operations.get("get") else { continue };
        if path.contains('{') || get["responses"]["200"]["content"].get("text/event-stream").is_some() {
            continue;
        }
        let answer = json(&world, path).await;
        let schema = get["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
        let schema = &document["components"]["schemas"][schema.rsplit('/').next().unwrap()];
        let described = schema["properties"].as_object().unwrap();
        for field in answer.as_object().unwrap().keys() {
            assert!(described.contains_key(field), "{path} answers {field}, which is not described");
        }
    }
}
