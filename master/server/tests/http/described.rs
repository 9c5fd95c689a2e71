//! The description of `/v1/` is true: every path is asked, and every answer, with its numbers, words and nested fields, is
//! as `/v1/openapi.json` says.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use proffer_proto_wire::common;
use proffer_proto_wire::scheduler::{self, call, operation};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::world::{Agent, DEADLINE, Framework, World, amount, hostile_agent, wants};

const GIB: u64 = 1 << 30;

/// The document, what was asked, and what was wrong.
struct Described {
    document: Value,
    asked: BTreeSet<(String, String)>,
    wrong: Vec<String>,
}

impl Described {
    /// All that is not as the schema says.
    fn check(&mut self, schema: &Value, value: &Value, at: &str) {
        if let Some(name) = schema["$ref"].as_str() {
            let pointer = name.trim_start_matches('#').to_owned();
            let target = self.document.pointer(&pointer).cloned();
            return self.check(&target.unwrap_or_else(|| panic!("{name} leads nowhere")), value, at);
        }
        if !is_of_type(&schema["type"], value) {
            self.wrong.push(format!("{at} is {value}, described as {}", schema["type"]));
        }
        if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
            self.wrong.push(format!("{at} is {value}, which is none of {}", schema["enum"]));
        }
        let number = value.as_f64().unwrap_or_default();
        if schema["minimum"].as_f64().is_some_and(|least| number < least)
            || schema["maximum"].as_f64().is_some_and(|most| number > most)
        {
            self.wrong.push(format!("{at} is {value}, out of the bounds of {schema}"));
        }
        if let Value::Array(all) = value {
            all.iter()
                .enumerate()
                .for_each(|(index, one)| self.check(&schema["items"], one, &format!("{at}[{index}]")));
        }
        if let Value::Object(fields) = value {
            self.fields(schema, fields, at);
        }
    }

    fn fields(&mut self, schema: &Value, fields: &Map<String, Value>, at: &str) {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                self.wrong.push(format!("{at} has no {name}"));
            }
        }
        for (name, value) in fields {
            let at = format!("{at}.{name}");
            match schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
                Some(schema) => self.check(&schema.clone(), value, &at),
                None => self.wrong.push(format!("{at} is not described")),
            }
        }
    }

    /// Asks, and checks the answer by what is said of this path.
    async fn ask(&mut self, world: &World, verb: &str, path: &str, names: &[(&str, &str)], body: Option<Value>) {
        let mut url = world.url(path);
        let mut query = Vec::new();
        for (name, value) in names {
            match path.contains(&format!("{{{name}}}")) {
                true => url = url.replace(&format!("{{{name}}}"), value),
                false => query.push(format!("{name}={value}")),
            }
        }
        if !query.is_empty() {
            url = format!("{url}?{}", query.join("&"));
        }
        let method = if verb == "get" { Method::GET } else { Method::POST };
        let mut request = world.http.request(method, &url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{verb} {url}: {text}");
        let value = serde_json::from_str(&text).unwrap();
        let schema = self.schema(verb, path, "200", "application/json");
        self.check(&schema, &value, &format!("{verb} {path}"));
    }

    fn schema(&mut self, verb: &str, path: &str, status: &str, kind: &str) -> Value {
        self.asked.insert((verb.to_owned(), path.to_owned()));
        let schema = &self.document["paths"][path][verb]["responses"][status]["content"][kind]["schema"];
        assert!(schema.is_object(), "{verb} {path} answers {kind}, which is not described");
        schema.clone()
    }
}

fn is_of_type(described: &Value, value: &Value) -> bool {
    let is = |word: &Value| match word.as_str().unwrap_or_default() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => false,
    };
    match described {
        Value::Array(words) => words.iter().any(is),
        word => is(word),
    }
}

fn in_minutes(minutes: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap() + minutes * 60_000
}

/// An agent with a task of a framework that wants more.
async fn filled(world: &World) -> (Agent, Framework) {
    let mut info = hostile_agent();
    info.resources.as_mut().unwrap().disk_bytes = 100 * GIB;
    let mut agent = world.agent(info).await;
    let mut framework = world.framework("web", wants(9)).await;
    let offer = framework.offered().await;
    let container = common::ContainerSpec { image: "app:1".into(), ..Default::default() };
    let (task_id, resources) = ("one".to_owned(), Some(amount(1_000, 512)));
    let task =
        common::TaskSpec { task_id, resources, name: "one".into(), container: Some(container), ..Default::default() };
    let launch = scheduler::TaskLaunch { task: Some(task), ..Default::default() };
    let launch = operation::Operation::Launch(scheduler::Launch { tasks: vec![launch] });
    let operations = vec![scheduler::Operation { operation: Some(launch), ..Default::default() }];
    framework
        .say(call::Call::Accept(scheduler::Accept { offer_ids: vec![offer], operations, ..Default::default() }))
        .await;
    let launched = agent.launched().await;
    agent.tell(&launched, common::TaskState::Running, "it runs").await;
    world.page_with("/v1/tasks", &["\"RUNNING\""]).await;
    (agent, framework)
}

/// Everything that only reads.
async fn read_all(described: &mut Described, world: &World) {
    for path in ["cluster", "agents", "frameworks", "roles", "maintenance"] {
        described.ask(world, "get", &format!("/v1/{path}"), &[], None).await;
    }
    described.ask(world, "get", "/v1/offers", &[("history", "10")], None).await;
    described.ask(world, "get", "/v1/tasks", &[("ended", "true")], None).await;
    described.ask(world, "get", "/v1/inverse-offers", &[("history", "10")], None).await;
    described.ask(world, "get", "/v1/why/{name}", &[("name", "web")], None).await;
    let answer = world.get("/v1/why/nobody").await;
    let schema = described.schema("get", "/v1/why/{name}", "default", "application/json");
    described.check(&schema, &serde_json::from_str(&answer.body).unwrap(), "a problem");
}

/// The snapshot of all there is, event by event.
async fn read_events(described: &mut Described, world: &World) {
    let answer = world.http.get(world.url("/v1/events")).send().await.unwrap();
    let (mut stream, mut text) = (answer.bytes_stream(), String::new());
    while !text.contains("snapshot_end") || !text.ends_with("\n\n") {
        let piece = tokio::time::timeout(DEADLINE, stream.next()).await.expect("events come");
        text.push_str(std::str::from_utf8(&piece.unwrap().unwrap()).unwrap());
    }
    let schema = described.schema("get", "/v1/events", "200", "text/event-stream");
    for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
        described.check(&schema, &serde_json::from_str(data).unwrap(), "get /v1/events");
    }
}

#[tokio::test]
async fn every_answer_of_every_path_is_as_it_is_described() {
    let world = World::start().await;
    let document = serde_json::from_str(&world.page("/v1/openapi.json").await).unwrap();
    let mut described = Described { document, asked: BTreeSet::new(), wrong: Vec::new() };
    let (agent, _framework) = filled(&world).await;
    let amounts = json!({"cpus_milli": 1_000, "disk_bytes": 10 * GIB});
    let window = json!({"agent_ids": ["A1-1"], "start_unix_ms": in_minutes(30), "duration_ms": 60_000});
    let quota =
        json!({"quota": {"guarantee": {"cpus_milli": 500}, "limit": {"cpus_milli": 4_000, "scalars_milli": {"x": 5}}}});
    let policy = json!({"placement": "spread:@zone", "min_offer": {"cpus_milli": 10}, "offers": "OPTIMISTIC"});
    let (of_agent, of_role) = ([("agent_id", "A1-1")], [("role", "eng")]);
    let reserve = json!({"role": "eng", "resources": amounts, "labels": {"owner": "ada"}});
    let volume = json!({"role": "eng", "volume_id": "db", "size_bytes": GIB});
    for (path, names, body) in [
        ("agents/{agent_id}/reserve", &of_agent[..], reserve),
        ("agents/{agent_id}/volumes", &of_agent, volume),
        ("weights", &[], json!({"weights": [{"role": "ops", "weight_milli": 2_500}]})),
        ("roles/{role}/quota", &of_role, quota),
        ("roles/{role}/policy", &of_role, policy),
        ("maintenance", &[], window),
    ] {
        described.ask(&world, "post", &format!("/v1/{path}"), names, Some(body)).await;
    }
    agent.made(1).await;
    world.page_with("/v1/agents", &["\"READY\""]).await;
    read_all(&mut described, &world).await;
    read_events(&mut described, &world).await;

    let end = json!({"role": "eng", "resources": {"cpus_milli": 500}});
    for (path, names, body) in [
        (
            "agents/{agent_id}/volumes/{volume_id}/destroy",
            &[("agent_id", "A1-1"), ("volume_id", "db")][..],
            json!({"role": "eng"}),
        ),
        ("agents/{agent_id}/unreserve", &of_agent, end),
        ("agents/{agent_id}/deactivate", &of_agent, json!({})),
        ("agents/{agent_id}/reactivate", &of_agent, json!({})),
        ("agents/{agent_id}/drain", &of_agent, json!({"max_grace_ms": 1_000})),
        ("agents/{agent_id}/cancel-drain", &of_agent, json!({})),
        ("maintenance/{window_id}/remove", &[("window_id", "M1-1")], json!({})),
        ("roles/{role}/remove-quota", &of_role, json!({})),
        ("frameworks/{framework_id}/teardown", &[("framework_id", "F1-1")], json!({})),
    ] {
        described.ask(&world, "post", &format!("/v1/{path}"), names, Some(body)).await;
    }
    read_all(&mut described, &world).await;
    described.ask(&world, "post", "/v1/agents/{agent_id}/gone", &of_agent, None).await;

    let paths = described.document["paths"].as_object().unwrap().clone();
    let all = paths
        .iter()
        .flat_map(|(path, verbs)| verbs.as_object().unwrap().keys().map(|verb| (verb.clone(), path.clone())));
    let left: Vec<_> = all.filter(|path| !described.asked.contains(path)).collect();
    assert!(left.is_empty(), "nobody asked {left:?}: ask it here");
    assert!(described.wrong.is_empty(), "{}", described.wrong.join("\n"));
}
