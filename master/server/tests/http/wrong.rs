//! Every call of operators, asked wrongly: each answer names the field, what is wrong with it, and what to do.

use proffer_proto_wire::common::Resources;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, amount, hostile_agent};

const GIB: u64 = 1 << 30;

/// Path, body, kind, field, a piece of what is wrong, a piece of what to do.
type Case = (&'static str, Value, &'static str, &'static str, &'static str, &'static str);

fn of_agents() -> Vec<Case> {
    vec![
        ("agents/A9-9/drain", json!({}), "not_found", "agent_id", "no agent A9-9", "`proffer agents`"),
        ("agents/A1-1/drain", json!({"max_grace_ms": 1e11}), "invalid", "max_grace_ms", "24 h", "leave it out"),
        ("agents/a%20b/drain", json!({}), "invalid", "agent_id", "holds ' '", "are allowed"),
        ("agents/../drain", json!({}), "not_found", "", "nothing under this path", "openapi"),
        ("agents/A1-1/cancel-drain", json!({}), "invalid", "agent_id", "no drain is under way", "`proffer drain A1-1`"),
        ("agents/A9-9/deactivate", json!({}), "not_found", "agent_id", "no agent A9-9", "`proffer agents`"),
        ("agents/A9-9/reactivate", json!({}), "not_found", "agent_id", "no agent A9-9", "`proffer agents`"),
        ("agents/A9-9/gone", json!({}), "not_found", "agent_id", "no agent A9-9", "`proffer agents`"),
    ]
}

fn of_reservations() -> Vec<Case> {
    let amount = |cpus: i64| json!({"cpus_milli": cpus});
    let reserve = |cpus| json!({"role": "eng", "resources": amount(cpus)});
    let refine = |role: &str, from: &str, cpus| json!({"role": role, "from_role": from, "resources": amount(cpus)});
    let to = |cpus: i64, role: &str| json!({"role": role, "resources": amount(cpus)});
    vec![
        ("agents/A9-9/reserve", reserve(1), "not_found", "agent_id", "no agent A9-9", "`proffer agents`"),
        ("agents/A1-1/reserve", json!({}), "invalid", "role", "missing", "set it"),
        ("agents/A1-1/reserve", json!({"role": "eng"}), "invalid", "resources", "missing", "set it"),
        ("agents/A1-1/reserve", reserve(0), "invalid", "resources", "nothing is named", "cpus=2"),
        ("agents/A1-1/reserve", reserve(-1), "invalid", "resources.cpus_milli", "is -1", "0 or more"),
        ("agents/A1-1/reserve", reserve(9_000), "invalid", "resources", "it has 4 cpus", "another agent"),
        (
            "agents/A1-1/reserve",
            reserve(3_500),
            "invalid",
            "resources",
            "lacks 1.5 cpus: 2 cpus",
            "end tasks there (`proffer tasks`, `proffer drain A1-1`) or reservations (`proffer reservations`)",
        ),
        ("agents/A1-1/reserve", refine("ops", "eng", 1), "invalid", "role", "not lie below eng", "such as eng/web"),
        ("agents/A1-1/reserve", refine("ops/a", "ops", 1), "invalid", "from_role", "for ops on A1-1", "for ops first"),
        ("agents/A1-1/reserve", refine("eng/a", "eng", 3_000), "invalid", "resources", "2 cpus", "more for eng"),
        ("agents/A9-9/unreserve", to(1, "eng"), "not_found", "agent_id", "no agent A9-9", "`proffer agents`"),
        ("agents/A1-1/unreserve", to(0, "eng"), "invalid", "resources", "nothing is named", "name an amount"),
        (
            "agents/A1-1/unreserve",
            to(1, "ops"),
            "invalid",
            "role",
            "nothing is reserved for ops on A1-1, there it is reserved for eng, flags",
            "`proffer reservations`",
        ),
        ("agents/A1-1/unreserve", to(3_000, "eng"), "invalid", "resources", "lacks 1 cpus: 2 cpus", "at most that"),
        ("agents/A1-1/unreserve", to(1, "flags"), "invalid", "role", "own flags", "another --reserve"),
        (
            "agents/A1-1/unreserve",
            json!({"role": "eng", "resources": {"disk_bytes": 10 * GIB}}),
            "invalid",
            "resources",
            "volumes rest on it: db",
            "--force",
        ),
    ]
}

fn of_volumes() -> Vec<Case> {
    let volume = |id: &str, role: &str, size: u64| json!({"volume_id": id, "role": role, "size_bytes": size});
    vec![
        ("agents/A9-9/volumes", volume("a", "eng", 1), "not_found", "agent_id", "no agent A9-9", "`proffer agents`"),
        ("agents/A1-1/volumes", volume("", "eng", 1), "invalid", "volume_id", "empty", "give the id"),
        ("agents/A1-1/volumes", volume("..", "eng", 1), "invalid", "volume_id", "must not be", "another name"),
        ("agents/A1-1/volumes", volume("a", "", 1), "invalid", "role", "missing", "set it"),
        ("agents/A1-1/volumes", volume("a", "eng", 0), "invalid", "size_bytes", "is 0", "at least 1"),
        ("agents/A1-1/volumes", volume("db", "eng", 1), "invalid", "volume_id", "already", "choose another"),
        (
            "agents/A1-1/volumes",
            volume("a", "ops", 1),
            "invalid",
            "role",
            "nothing is reserved",
            "`proffer reserve A1-1",
        ),
        ("agents/A1-1/volumes", volume("a", "eng", 90 * GIB), "invalid", "size_bytes", "more than the 9GiB", "smaller"),
        ("agents/A9-9/volumes/db/destroy", json!({"role": "eng"}), "not_found", "agent_id", "A9-9", "`proffer agents`"),
        ("agents/A1-1/volumes/x/destroy", json!({"role": "eng"}), "invalid", "volume_id", "no volume x", "volumes ls"),
    ]
}

fn of_windows() -> Vec<Case> {
    let window =
        |agents: &[&str], start: u64, ms: u64| json!({"agent_ids": agents, "start_unix_ms": start, "duration_ms": ms});
    vec![
        ("maintenance", window(&[], 0, 1), "invalid", "agent_ids", "none", "at least one agent"),
        ("maintenance", window(&["A1-1", "A1-1"], 0, 1), "invalid", "agent_ids", "twice", "each once"),
        ("maintenance", window(&["A9-9"], 0, 1), "not_found", "agent_ids", "no agent A9-9", "`proffer agents`"),
        ("maintenance", window(&["a b"], 0, 1), "invalid", "agent_ids[0]", "holds ' '", "are allowed"),
        ("maintenance", window(&["A1-1"], 1, 1), "invalid", "start_unix_ms", "ago", "a time to come"),
        ("maintenance", window(&["A1-1"], u64::MAX, 1), "invalid", "start_unix_ms", "five years", "an earlier time"),
        ("maintenance", window(&["A1-1"], 0, 0), "invalid", "duration_ms", "nothing", "at most 366 days"),
        (
            "maintenance",
            json!({"agent_ids": ["A1-1"], "duration_ms": 1, "deactivate_only": true, "max_grace_ms": 1}),
            "invalid",
            "max_grace_ms",
            "nothing is ended",
            "leave one of them out",
        ),
        ("maintenance/M9-9/remove", json!({}), "not_found", "window_id", "no window M9-9", "`proffer maintenance ls`"),
    ]
}

fn of_roles() -> Vec<Case> {
    let limit = |cpus: i64| json!({"quota": {"limit": {"cpus_milli": cpus}}});
    let promise = |cpus: i64| json!({"quota": {"guarantee": {"cpus_milli": cpus}}});
    let of = |bound: &str, amounts: Value| json!({"quota": {bound: amounts}});
    let weight = |milli: Value| json!({"weights": [{"role": "eng", "weight_milli": milli}]});
    let weights = |all: &[(&str, u32)]| {
        let each: Vec<Value> = all.iter().map(|(role, milli)| json!({"role": role, "weight_milli": milli})).collect();
        json!({ "weights": each })
    };
    vec![
        ("weights", weights(&[]), "invalid", "weights", "none is given", "name a role"),
        ("weights", weights(&[("eng", 0)]), "invalid", "weights[0].weight_milli", "is not a weight", "give 0.001"),
        ("weights", weight(json!(-1)), "invalid", "weights[0].weight_milli", "is -1", "0 to 4294967295"),
        ("weights", weight(json!("NaN")), "invalid", "weights[0].weight_milli", "is \"NaN\"", "a whole number"),
        ("weights", weight(json!(1e300)), "invalid", "weights[0].weight_milli", "is 1e+300", "0 to 4294967295"),
        ("weights", weight(json!(1.5)), "invalid", "weights[0].weight_milli", "is 1.5", "a whole number"),
        ("weights", json!({"weights": {"eng": 2}}), "invalid", "weights", "is {\"eng\":2}", "give a list"),
        ("weights", json!({"weights": [2]}), "invalid", "weights[0]", "is 2", "give an object"),
        ("weights", weight(json!(1_000_000_001)), "invalid", "weights[0].weight_milli", "is not a weight", "1000000"),
        ("weights", weights(&[("/", 1)]), "invalid", "weights[0].role", "role", "eng/web"),
        ("weights", weights(&[("eng", 1), ("eng", 2)]), "invalid", "weights", "twice", "give it once"),
        ("roles/eng/quota", json!({}), "invalid", "quota", "promises and limits nothing", "give a guarantee"),
        ("roles/eng/quota", limit(-1), "invalid", "quota.limit.cpus_milli", "is -1", "0 or more"),
        (
            "roles/eng/quota",
            of("limit", json!({"cpus_milli": "inf"})),
            "invalid",
            "quota.limit.cpus_milli",
            "inf",
            "whole",
        ),
        (
            "roles/eng/quota",
            of("limit", json!({"memory_bytes": -1})),
            "invalid",
            "quota.limit.memory_bytes",
            "is -1",
            "0 to 18446744073709551615",
        ),
        (
            "roles/eng/quota",
            of("guarantee", json!({"disk_bytes": "NaN"})),
            "invalid",
            "quota.guarantee.disk_bytes",
            "is \"NaN\"",
            "a whole number",
        ),
        (
            "roles/eng/quota",
            of("limit", json!({"cpu_milli": 1})),
            "invalid",
            "quota.limit.cpu_milli",
            "is not known",
            "use cpus_milli, memory_bytes",
        ),
        (
            "roles/eng/quota",
            of("limit", json!({"scalars_milli": {"gpu mem": -1}})),
            "invalid",
            "quota.limit.scalars_milli",
            "is -1",
            "0 or more",
        ),
        ("roles/eng/policy", json!({"offers": "SOMETIMES"}), "invalid", "offers", "is \"SOMETIMES\"", "OPTIMISTIC"),
        ("roles/eng/policy", json!({"placement": 7}), "invalid", "placement", "is 7", "give a text"),
        ("roles/eng/policy", json!({"dry_run": "no"}), "invalid", "dry_run", "is \"no\"", "true or false"),
        ("roles/eng/quota", limit(1_000), "invalid", "quota.limit", "hold 2 cpus now", "raise the limit"),
        ("roles/eng/quota", promise(99_000), "invalid", "quota.guarantee", "the cluster has 4 cpus", "add agents"),
        ("roles/eng%2Fweb/quota", promise(1), "invalid", "quota.guarantee", "eng itself", "raise the guarantee of eng"),
        ("roles/nobody/remove-quota", json!({}), "not_found", "role", "nobody has no quota", "`proffer quota list`"),
        (
            "roles/eng/policy",
            json!({}),
            "invalid",
            "placement",
            "nothing of role eng is to be changed",
            "give a placement",
        ),
        ("roles/eng/policy", json!({"placement": "x"}), "invalid", "placement", "no placement policy", "write first"),
        (
            "roles/eng/policy",
            json!({"min_offer": {"ports": [{"begin": 1, "end": 2}]}}),
            "invalid",
            "min_offer",
            "ports",
            "name countable kinds",
        ),
        (
            "roles/eng/policy",
            json!({"min_offer": {}, "reset_min_offer": true}),
            "invalid",
            "reset_min_offer",
            "given too",
            "one of them",
        ),
        (
            "frameworks/F9-9/teardown",
            json!({}),
            "not_found",
            "framework_id",
            "no framework \"F9-9\"",
            "proffer frameworks",
        ),
    ]
}

fn reads() -> Vec<(&'static str, &'static str, &'static str, &'static str, &'static str)> {
    vec![
        ("why/nobody", "not_found", "name", "no task and no framework", "lists of tasks"),
        ("why/web?framework_id=a%20b", "invalid", "framework_id", "holds ' '", "are allowed"),
        ("why/web?role=/", "invalid", "role", "has an empty part", "eng/web"),
        ("events?kinds=UNSPECIFIED", "invalid", "kinds", "UNSPECIFIED", "use one of AGENT"),
    ]
}

/// Asserts the answer's words; gives what is wrong with them.
pub fn defect(answer: &str, kind: &str, field: &str, what: &str, fix: &str) -> Option<String> {
    let Ok(problem) = serde_json::from_str::<Value>(answer) else { return Some(answer.to_owned()) };
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    let is_right = text("kind") == kind
        && text("field").starts_with(field)
        && text("message").contains(what)
        && text("fix").contains(fix)
        && !text("fix").is_empty();
    (!is_right).then(|| problem.to_string())
}

#[tokio::test]
async fn every_refusal_of_an_operators_call_names_the_field_the_defect_and_the_way_out() {
    let world = World::start().await;
    let mut info = hostile_agent();
    info.resources.as_mut().unwrap().disk_bytes = 100 * GIB;
    let reserved = proffer_proto_wire::common::StaticReservation {
        role: "flags".into(),
        resources: Some(Resources { gpus: 0, ..amount(0, 64) }),
        ..Default::default()
    };
    info.reservations = vec![reserved];
    let _agent = world.agent(info).await;
    world.page_with("/agents", &["A1-1"]).await;
    let post = async |path: &str, body: &Value| {
        let url = world.url(&format!("/v1/{path}"));
        let answer = world.http.request(Method::POST, url).json(body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let made = [
        ("agents/A1-1/reserve", json!({"role": "eng", "resources": {"cpus_milli": 2_000, "disk_bytes": 10 * GIB}})),
        ("agents/A1-1/volumes", json!({"role": "eng", "volume_id": "db", "size_bytes": GIB})),
    ];
    for (path, body) in made {
        let (status, told) = post(path, &body).await;
        assert_eq!(status, 200, "{path}: {told}");
    }
    let before = world.page("/v1/agents").await;

    let mut wrong = Vec::new();
    for (path, body, kind, field, what, fix) in
        [of_agents(), of_reservations(), of_volumes(), of_windows(), of_roles()].concat()
    {
        let (status, told) = post(path, &body).await;
        assert!(!status.is_success(), "{path} {body} was accepted: {told}");
        wrong.extend(defect(&told, kind, field, what, fix).map(|told| format!("{path} {body}: {told}")));
    }
    for (path, kind, field, what, fix) in reads() {
        let answer = world.get(&format!("/v1/{path}")).await;
        wrong.extend(defect(&answer.body, kind, field, what, fix).map(|told| format!("{path}: {told}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(world.page("/v1/agents").await, before, "nothing has changed");
}
