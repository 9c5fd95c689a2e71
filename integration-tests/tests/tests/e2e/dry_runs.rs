//! Every change that is only asked about says what would come of it, and nothing changes. What is waited for goes on over a
//! kill -9 of the master.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use proffer_integration_harness::{Cluster, ClusterOptions, Follower, wait_for};
use serde_json::{Value, json};

use crate::common::{PATIENCE, running};

/// One instance that does not end when told to.
const STACK: &str = r#"
version: 1
services:
  web:
    image: hello:latest
    command: ["/bin/sh", "-c", "trap '' TERM; while true; do sleep 0.1; done"]
    instances: 1
    resources: { cpus: 0.1, memory: 32MiB }
    stop_grace: 10m
"#;

#[test]
fn a_dry_run_says_what_would_come_of_it_and_changes_nothing() {
    let cluster = Cluster::start_with(ClusterOptions { roles: vec!["default", "eng"], ..ClusterOptions::default() });
    let file = cluster.file("stack.yaml", STACK);
    cluster.ok(&["apply", "-f", &file]);
    running(&cluster, "web", 1);
    cluster.ok(&["reserve", "agent-1", "--role", "eng", "--resources", "disk=100MiB"]);
    cluster.ok(&["volumes", "create", "agent-1", "db", "--role", "eng", "--size", "40MiB", "--wait"]);
    let window = cluster.json(&["maintenance", "add", "agent-1", "--start", "48h", "--duration", "1h"]);
    let window = window["window_id"].as_str().unwrap().to_owned();
    let before = everything(&cluster);

    let forced = ["unreserve", "agent-1", "--role", "eng", "--resources", "disk=100MiB", "--force"];
    let table: [(&[&str], &[&str]); 13] = [
        (&["drain", "agent-1"], &["would be drained", "1 tasks would end"]),
        (&["drain", "agent-1", "--mark-gone", "--grace", "1s"], &["would be drained", "1 tasks would end"]),
        (&["agents", "deactivate", "agent-1"], &["would be deactivated"]),
        (&["agents", "reactivate", "agent-1"], &["that is so already, nothing would change"]),
        (&["agents", "gone", "agent-1"], &["removed for good", "1 tasks would end", "/eng/db would go"]),
        (&["maintenance", "add", "agent-1", "--start", "1h", "--duration", "1h"], &["planned", "1 tasks would end"]),
        (&["maintenance", "remove", &window], &["would be taken back"]),
        (&["reserve", "agent-1", "--role", "eng", "--resources", "cpus=0.1"], &["would be reserved on agent-1"]),
        (&["unreserve", "agent-1", "--role", "eng", "--resources", "disk=50MiB"], &["would be given back on agent-1"]),
        (&forced, &["would be given back", "/eng/db would go"]),
        (&["volumes", "create", "agent-1", "more", "--role", "eng", "--size", "9MiB"], &["more of eng would be made"]),
        (
            &["volumes", "destroy", "agent-1", "db", "--role", "eng"],
            &["db of eng would be destroyed", "/eng/db would go"],
        ),
        (&["frameworks", "teardown", "service"], &["would be removed for good: 1 tasks would end"]),
    ];
    for (line, words) in table {
        let told = cluster.ok(&[line, &["--dry-run"]].concat());
        assert!(words.iter().all(|word| told.contains(word)), "{line:?}: {told}");
    }
    let view = cluster.json(&["agents", "gone", "agent-1", "--dry-run"]);
    assert_eq!((&view["dry_run"], &view["tasks_ended"]), (&true.into(), &1.into()), "{view}");
    assert_eq!(view["volumes_destroyed"].as_array().unwrap().len(), 1, "{view}");
    // What would be refused is refused, with the same words.
    for (line, words) in [
        (&["drain", "cancel", "agent-1"][..], "no drain is under way"),
        (&["maintenance", "add", "agent-1", "--start", "48h", "--duration", "1m"], "at that time already"),
        (&["reserve", "agent-1", "--role", "eng", "--resources", "cpus=1000"], "resources: "),
        (&["volumes", "create", "agent-1", "db", "--role", "eng", "--size", "9MiB"], "has a volume db"),
        (&["frameworks", "teardown", "nobody"], "there is no framework \"nobody\""),
    ] {
        let dry = cluster.proffer(&[line, &["--dry-run"]].concat());
        assert!(!dry.status.success() && dry.told().contains(words), "{line:?}: {dry:?}");
    }
    assert_eq!(everything(&cluster), before, "nothing was done");
    a_drain_is_waited_for_over_a_kill_9(&cluster);
}

/// What operators can change.
fn everything(cluster: &Cluster) -> Value {
    let agents = cluster.json(&["agents"]);
    let pick = |agent: &Value| json!([agent["agent_id"], agent["mode"], agent["state"], agent["tasks_active"]]);
    let frameworks = cluster.json(&["frameworks"]);
    let ids = frameworks.as_array().unwrap().iter().map(|framework| framework["framework_id"].clone());
    json!({
        "agents": agents.as_array().unwrap().iter().map(pick).collect::<Vec<_>>(),
        "frameworks": ids.collect::<Vec<_>>(),
        "reservations": cluster.json(&["reservations"]),
        "volumes": cluster.json(&["volumes", "ls"]),
        "windows": cluster.json(&["maintenance", "ls"]),
    })
}

fn a_drain_is_waited_for_over_a_kill_9(cluster: &Cluster) {
    let mut waits = Follower::start(cluster, &["drain", "agent-1", "--wait", "--timeout", "5m"]);
    let told = |waits: &Follower, words: &str| if waits.told().contains(words) { Ok(()) } else { Err(waits.told()) };
    wait_for("the wait to begin", PATIENCE, || told(&waits, "agent-1: 1 tasks left"));
    let paused = cluster.pause();
    paused.kill_9("master");
    wait_for("the command to notice", PATIENCE, || told(&waits, "the master does not answer; trying again"));
    drop(paused);
    // The same again with other values: those count.
    wait_for("the next master", PATIENCE, || cluster.try_json(&["drain", "agent-1", "--grace", "1s"]));
    let status = wait_for("the end of the wait", PATIENCE, || waits.ended().ok_or_else(|| waits.told()));
    assert!(status.success() && waits.said().contains("DRAINED"), "{} {}", waits.said(), waits.told());
}
