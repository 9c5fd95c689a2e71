//! A maintenance window comes: instances leave its agent in time, each running elsewhere before it ends there.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::{PATIENCE, ended, running, sleepers, try_running};
use proffer_integration_harness::{Cluster, ClusterOptions, kill_9, wait_for};
use serde_json::Value;

#[test]
fn instances_leave_an_agent_before_its_window_and_operators_see_who_will() {
    let cluster = Cluster::start_with(ClusterOptions { agents: 2, ..ClusterOptions::default() });
    let file = cluster.file("stack.yaml", &sleepers(4, "    network: bridge\n"));
    cluster.ok(&["apply", "-f", &file]);
    let before = running(&cluster, "web", 4);
    let host = before[0].hostname.clone();
    let moved: Vec<_> = before.iter().filter(|instance| instance.hostname == host).collect();
    let line = ["maintenance", "add", &host, "--start", "45m", "--duration", "1h"];
    let window = cluster.json(&line);

    let mut fewest = before.len();
    let after = wait_for("four instances on the other agent", PATIENCE, || {
        let now = try_running(&cluster, "web")?;
        fewest = fewest.min(now.len());
        let is_there = now.len() == 4 && now.iter().all(|instance| instance.hostname != host);
        if is_there { Ok(now) } else { Err(format!("{now:#?}")) }
    });
    assert_eq!(fewest, 4, "each new one runs before an old one ends");
    let stayed = before.iter().filter(|instance| instance.hostname != host);
    assert!(stayed.clone().all(|instance| after.contains(instance)), "nothing else was touched: {after:#?}");
    for instance in &moved {
        assert_eq!(ended(&cluster, &instance.task_id)["reason"], "KILL_REQUESTED", "the service itself ended it");
    }
    let asked = wait_for("the end of the request", PATIENCE, || {
        let windows = cluster.try_json(&["maintenance", "ls"])?;
        let asked = windows[0]["inverse_offers"][0].clone();
        if asked["end"] == "LEFT" { Ok(asked) } else { Err(windows.to_string()) }
    });
    assert_eq!((&asked["answer"], &asked["framework"]), (&"ACCEPTED".into(), &"service".into()), "{asked}");
    assert_eq!(asked["message"], format!("moving {} instances", moved.len()), "{asked}");
    new_ones_stay_away(&cluster, &host);
    a_new_master_asks_again(&cluster, &after[0].hostname);
    cluster.ok(&["maintenance", "remove", window["window_id"].as_str().unwrap()]);
}

/// There is another agent that stays.
fn new_ones_stay_away(cluster: &Cluster, host: &str) {
    cluster.ok(&["scale", "web", "5"]);
    let now = running(cluster, "web", 5);
    assert!(now.iter().all(|instance| instance.hostname != host), "{now:#?}");
}

/// Both agents are left now: nobody can go anywhere, and the request stays open over a kill -9 of the master.
fn a_new_master_asks_again(cluster: &Cluster, host: &str) {
    let open = |name: &str| {
        wait_for(name, PATIENCE, || {
            let all: Value = cluster.try_json(&["maintenance", "requests"])?;
            let mut of_host = all.as_array().into_iter().flatten().filter(|one| one["hostname"] == host);
            let id = |one: &Value| one["inverse_offer_id"].as_str().map(str::to_owned);
            of_host.find(|one| one["answer"] == "ACCEPTED").and_then(id).ok_or(all.to_string())
        })
    };
    let window = cluster.json(&["maintenance", "add", host, "--start", "45m", "--duration", "1h"]);
    let first = open("a request");
    kill_9(cluster.pid("master"));
    let again = wait_for("the request of the next master", PATIENCE, || {
        let now = open("a request");
        if now != first { Ok(now) } else { Err(now) }
    });
    assert!(again.starts_with('V'), "{again}");
    cluster.ok(&["maintenance", "remove", window["window_id"].as_str().unwrap()]);
    running(cluster, "web", 5);
}
