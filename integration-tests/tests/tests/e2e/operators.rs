//! What operators do to agents on a real cluster: deactivate, plan a window, see every change as an event.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::{PATIENCE, ended, running, sleepers, try_running};
use proffer_integration_harness::{Cluster, ClusterOptions, Follower, wait_for};
use serde_json::Value;

#[test]
fn operators_say_what_agents_are_for_and_see_what_follows() {
    let cluster = Cluster::start_with(ClusterOptions { agents: 2, ..ClusterOptions::default() });
    let all = Follower::start(&cluster, &["-o", "json", "events", "--follow"]);
    let people = Follower::start(&cluster, &["events", "--changes-only", "--kind", "agent,role"]);
    told(&all, "the end of the first part", |event| event.get("snapshot_end").is_some());
    cluster.ok(&["apply", "-f", &cluster.file("stack.yaml", &sleepers(4, ""))]);
    let before = running(&cluster, "web", 4);
    let host = before[0].hostname.clone();
    for kind in ["agent", "framework", "offer", "task", "role"] {
        told(&all, kind, |event| event.get(kind).is_some());
    }
    told(&all, "an offer that is accepted", |event| event["offer"]["outcome"] == "ACCEPTED");
    events_come_in_order(&all);

    a_deactivated_agent_keeps_what_it_has(&cluster, &all, &host);
    a_window_that_is_open_drains_and_its_end_gives_back(&cluster, &host);
    let lines = people.said();
    assert!(lines.lines().all(|line| line.starts_with("agent ") || line.starts_with("role ")), "{lines}");
    assert!(lines.contains(&format!("{host} (")) && lines.contains("DEACTIVATED"), "{lines}");
    let refused = cluster.proffer(&["events", "--kind", "agents"]);
    assert!(!refused.status.success() && refused.told().contains("inverse-offer"), "{refused:?}");
}

/// Waits until there was such an event.
fn told(events: &Follower, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, PATIENCE, || read(events).into_iter().find(|event| is_it(event)).ok_or_else(|| events.said()))
}

/// All events so far; a line that is still being written is left out.
fn read(events: &Follower) -> Vec<Value> {
    let said = events.said();
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn events_come_in_order(events: &Follower) {
    let all: Vec<u64> = read(events).iter().map(|event| event["index"].as_u64().unwrap()).collect();
    assert!(all.is_sorted(), "{all:?}");
}

fn a_deactivated_agent_keeps_what_it_has(cluster: &Cluster, events: &Follower, host: &str) {
    let before = try_running(cluster, "web").unwrap();
    cluster.ok(&["agents", "deactivate", host]);
    told(events, "the agent to be deactivated", |event| {
        event["agent"]["hostname"] == host && event["agent"]["mode"] == "DEACTIVATED"
    });
    cluster.kill_9("master");
    wait_for("the new master", PATIENCE, || cluster.try_json(&["scale", "--no-wait", "web", "7"]));
    let after = running(cluster, "web", 7);
    assert!(before.iter().all(|instance| after.contains(instance)), "{before:#?} {after:#?}");
    let new = after.iter().filter(|instance| !before.contains(instance));
    assert!(new.clone().all(|instance| instance.hostname != host), "{after:#?}");
    cluster.ok(&["scale", "web", "4"]);
    running(cluster, "web", 4);
    cluster.ok(&["agents", "reactivate", host]);
}

fn a_window_that_is_open_drains_and_its_end_gives_back(cluster: &Cluster, host: &str) {
    let events = Follower::start(cluster, &["-o", "json", "events", "--changes-only", "--kind", "agent,inverse-offer"]);
    let before = running(cluster, "web", 4);
    let line = ["maintenance", "add", host, "--start", "now", "--duration", "1h", "--grace", "1s"];
    let window = cluster.json(&line)["window_id"].as_str().unwrap().to_owned();
    let planned = cluster.json(&["maintenance", "ls"]);
    assert_eq!((&planned[0]["state"], &planned[0]["hostnames"][0]), (&"OPEN".into(), &host.into()), "{planned}");
    let again = cluster.proffer(&line);
    assert!(!again.status.success() && again.told().contains(&window), "{again:?}");
    told(&events, "the agent to be drained", |event| {
        event["agent"]["hostname"] == host && event["agent"]["mode"] == "DRAINED"
    });
    let after = wait_for("four instances elsewhere", PATIENCE, || {
        let now = try_running(cluster, "web")?;
        let is_there = now.len() == 4 && now.iter().all(|instance| instance.hostname != host);
        if is_there { Ok(now) } else { Err(format!("{now:#?}")) }
    });
    for left in before.iter().filter(|instance| !after.contains(instance)) {
        assert_eq!(ended(cluster, &left.task_id)["state"], "KILLED");
    }
    cluster.ok(&["maintenance", "remove", &window]);
    told(&events, "the agent to be offered again", |event| {
        event["agent"]["hostname"] == host && event["agent"]["mode"] == "ACTIVE"
    });
    assert_eq!(cluster.json(&["maintenance", "ls"]), serde_json::json!([]));
}
