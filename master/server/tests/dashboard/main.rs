//! The dashboard as a browser meets it: real HTTP against a real master, with state made over gRPC.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kept;
mod world;

use std::time::Instant;

use futures_util::StreamExt;
use proffer_proto_wire::common;
use proffer_proto_wire::operator::operator_client::OperatorClient;
use proffer_proto_wire::operator::{GetClusterRequest, SetQuotaRequest};
use proffer_proto_wire::scheduler::{self, call, decline_reason, operation};
use world::{Agent, DEADLINE, Framework, World, amount, hostile_agent, wants};

const PAGES: [&str; 6] = ["/", "/offers", "/agents", "/frameworks", "/roles", "/tasks"];

/// One agent; one framework with a task, one declined, one accepted and one open offer. The words are attacks.
async fn small_state(world: &World) -> (Agent, Framework) {
    let mut agent = world.agent(hostile_agent()).await;
    let mut framework = world.framework("web", wants(2)).await;
    let declined = framework.offered().await;
    let reason = scheduler::DeclineReason {
        kind: decline_reason::Kind::ResourcesShort.into(),
        message: "<script>alert('decline')</script>".into(),
        shortage: Some(amount(1_500, 0)),
        constraint: None,
    };
    let filter = Some(scheduler::Filter { refuse_ms: Some(0) });
    let decline = scheduler::Decline { offer_ids: vec![declined], reason: Some(reason), filter };
    framework.say(call::Call::Decline(decline)).await;
    let accepted = framework.offered().await;
    let task = common::TaskSpec {
        task_id: "web.0.1".into(),
        name: "web".into(),
        container: Some(common::ContainerSpec {
            image: "<script>alert('image')</script>".into(),
            ..Default::default()
        }),
        resources: Some(amount(1_000, 512)),
        ..Default::default()
    };
    let launch = scheduler::TaskLaunch { agent_id: String::new(), task: Some(task), reserved_use: 0 };
    let launch = operation::Operation::Launch(scheduler::Launch { tasks: vec![launch] });
    let operation = scheduler::Operation { operation_id: String::new(), operation: Some(launch) };
    let accept =
        scheduler::Accept { offer_ids: vec![accepted], operations: vec![operation], filter, leftover_reason: None };
    framework.say(call::Call::Accept(accept)).await;
    let task = agent.launched().await;
    agent.tell(&task, common::TaskState::Running, "<script>alert('status')</script>").await;
    framework.say(call::Call::Demand(wants(1))).await;
    framework.offered().await;
    (agent, framework)
}

#[tokio::test]
async fn every_page_shows_a_small_state_and_grpc_answers_on_the_same_port() {
    let world = World::start().await;
    let (_agent, _framework) = small_state(&world).await;

    let tasks = world.page_with("/tasks", &["web.0.1", ">running</span>", "/agents/A1-1", "1 known"]).await;
    assert!(tasks.contains("<caption>Tasks</caption>") && tasks.contains("scope=\"col\""), "{tasks}");
    let offers = world.page_with("/offers", &["id=\"open-O1-", "1 open"]).await;
    for wanted in [">declined</span>", "short of 1.5 cpus", ">accepted</span>", "eng/web", "data-until="] {
        assert!(offers.contains(wanted), "no {wanted} in {offers}");
    }
    world.page_with("/agents", &["href=\"/agents/A1-1\"", ">attached</span>", "1 / 4", "512 MiB / 8 GiB"]).await;
    world.page_with("/agents/A1-1", &["web.0.1", "id=\"open-O1-", "127.0.0.1:5051"]).await;
    world.page_with("/frameworks", &["web", ">connected</span>", "1 × 1 cpus, 512MiB memory", "eng/web"]).await;
    world
        .page_with("/", &["CPU: 25% used, 75% offered", "<caption>Tasks by state</caption>", "id=\"state-running\""])
        .await;
    for filter in ["state=running", "state=active&framework=F1-1&agent=A1-1&page=1", "state=RUNNING"] {
        world.page_with(&format!("/tasks?{filter}"), &["web.0.1"]).await;
    }
    for filter in ["state=failed", "framework=F9-9", "agent=A9-9", "state=ended"] {
        let page = world.page_with(&format!("/tasks?{filter}"), &["No task fits this filter"]).await;
        assert!(!page.contains("web.0.1"), "{filter}: {page}");
    }
    assert_eq!(world.page("/healthz").await, "ok\n");

    let cluster = OperatorClient::new(world.channel()).get_cluster(GetClusterRequest {}).await.unwrap().into_inner();
    assert_eq!((cluster.agents_attached, cluster.frameworks_connected, cluster.tasks_active), (1, 1, 1));

    let limit = common::ResourceLimit { cpus_milli: Some(2_000), gpus: Some(0), ..Default::default() };
    let quota = common::Quota { guarantee: Some(amount(1_500, 512)), limit: Some(limit) };
    let set = SetQuotaRequest { role: "eng".into(), quota: Some(quota), force: false, dry_run: false };
    OperatorClient::new(world.channel()).set_quota(set).await.unwrap();
    let roles = world.page_with("/roles", &["id=\"role-eng\"", "id=\"role-eng/web\"", "class=\"depth-1\""]).await;
    for wanted in
        ["1 of at most 2, 1.5 promised", "512 MiB, 512 MiB promised", "0 of at most 0", "no quota", "CPU: 50% used"]
    {
        assert!(roles.contains(wanted), "no {wanted} in {roles}");
    }
}

#[tokio::test]
async fn hostile_words_are_shown_as_text() {
    let world = World::start().await;
    let (_agent, _framework) = small_state(&world).await;
    let seen = [
        ("/offers", vec!["host", "decline"]),
        ("/tasks", vec!["host", "image", "status"]),
        ("/agents", vec!["host", "attribute"]),
        ("/agents/A1-1", vec!["host", "attribute", "status"]),
        ("/frameworks", vec!["principal"]),
        ("/", vec!["host", "decline"]),
    ];
    for (path, words) in seen {
        let escaped: Vec<String> =
            words.iter().map(|word| format!("&#60;script&#62;alert(&#39;{word}&#39;)")).collect();
        let escaped: Vec<&str> = escaped.iter().map(String::as_str).collect();
        let page = world.page_with(path, &escaped).await;
        for attack in ["<script>alert", "<img/src", "<b>rack"] {
            assert!(!page.contains(attack), "{path} holds {attack}: {page}");
        }
    }
    let answer = world.get("/tasks?state=%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert_eq!(answer.status, 400);
    assert!(!answer.body.contains("<script>alert"), "{}", answer.body);
    let answer = world.get("/agents/%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert_eq!(answer.status, 404);
    assert!(!answer.body.contains("<script>alert"), "{}", answer.body);
}

#[tokio::test]
async fn an_empty_cluster_says_what_to_do() {
    let world = World::start().await;
    let told = [
        ("/", "proffer agent"),
        ("/offers", "No open offers"),
        ("/agents", "No agents yet"),
        ("/frameworks", "No frameworks yet"),
        ("/tasks", "proffer job run"),
    ];
    for (path, words) in told {
        let page = world.page(path).await;
        assert!(page.contains(words), "{path}: {page}");
        assert!(page.contains(&format!("<a href=\"{path}\" aria-current=\"page\">")), "{path} is not marked: {page}");
        assert_eq!(page.matches("aria-current").count(), 1, "{path}");
        assert!(page.contains("<noscript>") && page.contains("<html lang=\"en\">"), "{path}");
    }
}

#[tokio::test]
async fn wrong_questions_get_an_answer_that_says_what_is_wrong() {
    let world = World::start().await;
    let cases = [
        ("/nothing", 404, "no such page"),
        ("/assets/nothing.css", 404, "no such page"),
        ("/agents/A9-9", 404, "no agent"),
        ("/agents/a%20b", 404, "no agent"),
        ("/tasks?state=lost", 400, "unreachable"),
        ("/tasks?framework=a%20b", 400, "such as F1-1"),
        ("/tasks?agent=..", 400, "such as A1-1"),
        ("/tasks?page=0", 400, "1 or higher"),
        ("/tasks?page=18446744073709551616", 400, "1 or higher"),
        ("/tasks?state=running&state=failed", 400, "twice"),
        ("/tasks?sort=age", 400, "use state, framework, agent, page"),
        ("/offers?page=x", 400, "1 or higher"),
        ("/agents?x=1", 400, "use page"),
        ("/agents/A9-9?x=1", 400, "takes none"),
        ("/frameworks?page=-1", 400, "1 or higher"),
        ("/?x=1", 400, "takes none"),
        ("/events?seen=now", 400, "six numbers"),
        ("/tasks?page=999", 200, "No tasks yet"),
    ];
    for (path, status, words) in cases {
        let answer = world.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.body.contains(words), "{path} does not say {words:?}: {}", answer.body);
        assert!(answer.body.contains("<main"), "{path} is no page");
    }
    let answer = world.http.post(world.url("/offers")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 405);
    assert!(answer.headers().contains_key("allow"));
}

#[tokio::test]
async fn every_answer_is_closed_to_the_outside() {
    let world = World::start().await;
    let assets = ["/assets/dashboard.css", "/assets/dashboard.js", "/assets/icon.svg"];
    for path in PAGES.into_iter().chain(assets).chain(["/nothing", "/healthz", "/?x=1"]) {
        let answer = world.get(path).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        for rule in ["default-src 'none'", "style-src 'self'", "script-src 'self'", "connect-src 'self'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        let foreign = answer.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("http://") && !foreign.contains("https://"), "{path} names another place");
        assert!(!answer.body.contains("style=") && !answer.body.contains("onclick"), "{path} has inline code");
        let keeps = answer.headers["cache-control"].to_str().unwrap();
        assert_eq!(keeps.contains("immutable"), assets.contains(&path), "{path}: {keeps}");
    }
    for (path, kind) in assets.into_iter().zip(["text/css", "text/javascript", "image/svg+xml"]) {
        let answer = world.get(path).await;
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with(kind), "{path}");
    }
}

#[tokio::test]
async fn a_change_is_told_live_and_the_stream_ends_with_the_master() {
    let world = World::start().await;
    let page = world.page("/agents").await;
    let seen = page.split("data-seen=\"").nth(1).unwrap().split('"').next().unwrap();
    let answer = world.http.get(world.url(&format!("/events?seen={seen}"))).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut events = answer.bytes_stream();
    let _agent = world.agent(hostile_agent()).await;
    let mut told = String::new();
    while !told.contains("event: changed") {
        let chunk = tokio::time::timeout(DEADLINE, events.next()).await.expect("an event comes").unwrap().unwrap();
        told += std::str::from_utf8(&chunk).unwrap();
    }
    assert!(told.contains("data: agents") && told.contains("id: 1.1."), "{told}");
    world.page_with("/agents", &["A1-1"]).await;

    // Who comes back says what it has seen, and hears at once what it missed.
    let again = world.http.get(world.url("/events")).header("last-event-id", seen).send().await.unwrap();
    let mut again = again.bytes_stream();
    let mut missed = String::new();
    while !missed.contains("data: agents") {
        let chunk = tokio::time::timeout(DEADLINE, again.next()).await.expect("an event comes").unwrap().unwrap();
        missed += std::str::from_utf8(&chunk).unwrap();
    }

    let begun = Instant::now();
    world.master.shutdown().await.unwrap();
    let rest = tokio::time::timeout(DEADLINE, async { while let Some(Ok(_)) = events.next().await {} }).await;
    assert!(rest.is_ok() && begun.elapsed() < DEADLINE, "the stream must end with its master");
}

#[tokio::test]
async fn the_number_of_live_pages_is_bounded_and_a_place_is_free_again_after_a_page_left() {
    const MOST: usize = 128;
    let world = World::start().await;
    let mut open = Vec::new();
    for _ in 0..MOST {
        let answer = world.http.get(world.url("/events")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        open.push(answer);
    }
    let refused = world.get("/events").await;
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("live already"), "{}", refused.body);
    assert_eq!(world.get("/offers").await.status, 200, "pages themselves go on");
    let foreign = world.http.get(world.url("/events")).header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(foreign.status().as_u16(), 403, "other sites take no places");
    open.pop();
    let begun = Instant::now();
    while world.http.get(world.url("/events")).send().await.unwrap().status().as_u16() != 200 {
        assert!(begun.elapsed() < DEADLINE, "the place of a page that left is never free");
        tokio::task::yield_now().await;
    }
}
