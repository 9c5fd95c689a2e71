//! An agent of three is emptied: what runs there moves, and comes back only when the agent is offered again.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::{Instance, PATIENCE, ended, running, try_running};
use proffer_integration_harness::{Cluster, ClusterOptions, kill_9, wait_for};
use serde_json::Value;

const STACK: &str = r#"
version: 1
services:
  web:
    image: hello:latest
    command: ["/bin/sh", "-c", "trap 'sleep 60' TERM; while true; do sleep 0.1; done"]
    instances: 6
    resources: { cpus: 0.1, memory: 32MiB }
    stop_grace: 2m
"#;

#[test]
fn a_drained_agent_is_emptied_in_bounded_time_and_offered_again_when_asked() {
    let cluster = Cluster::start_with(ClusterOptions { agents: 3, ..ClusterOptions::default() });
    let file = cluster.file("stack.yaml", STACK);
    cluster.ok(&["apply", "-f", &file]);
    let before = running(&cluster, "web", 6);
    let host = before[0].hostname.clone();
    let moved: Vec<&Instance> = before.iter().filter(|i| i.hostname == host).collect();

    let drained = cluster.json(&["drain", &host, "--grace", "1s", "--wait"]);
    assert_eq!((&drained["mode"], &drained["tasks_active"]), (&"DRAINED".into(), &0.into()), "{drained}");
    let after = wait_for("six instances on two agents", PATIENCE, || {
        let now = try_running(&cluster, "web")?;
        let is_there = now.len() == 6 && now.iter().all(|instance| instance.hostname != host);
        if is_there { Ok(now) } else { Err(format!("{now:#?}")) }
    });
    let stayed = before.iter().filter(|i| i.hostname != host);
    assert!(stayed.clone().all(|instance| after.contains(instance)), "nothing else was touched: {after:#?}");
    for instance in &moved {
        let status = ended(&cluster, &instance.task_id);
        assert_eq!((&status["state"], &status["reason"]), (&"KILLED".into(), &"AGENT_DRAINING".into()), "{status}");
    }
    it_stays_so_over_a_restart_of_the_master(&cluster, &host);

    let told = refused(&cluster, &["drain", "cancel", &host]);
    assert!(told.contains("proffer agents reactivate"), "{told}");
    cluster.ok(&["agents", "reactivate", &host]);
    cluster.ok(&["scale", "web", "9"]);
    running(&cluster, "web", 9);
    wait_for("an instance on the agent that is back", PATIENCE, || {
        let now = try_running(&cluster, "web")?;
        if now.iter().any(|instance| instance.hostname == host) { Ok(()) } else { Err(format!("{now:#?}")) }
    });
    a_drain_can_be_cancelled(&cluster, &host);
    let told = refused(&cluster, &["drain", "nobody"]);
    assert!(told.contains("there is no agent \"nobody\"") && told.contains("proffer agents"), "{told}");
}

fn mode(cluster: &Cluster, host: &str) -> Result<Value, String> {
    let agents = cluster.try_json(&["agents"])?;
    let all = agents.as_array().ok_or("no list")?;
    all.iter().find(|agent| agent["hostname"] == host).map(|a| a["mode"].clone()).ok_or(agents.to_string())
}

fn refused(cluster: &Cluster, line: &[&str]) -> String {
    let answer = cluster.proffer(line);
    assert!(!answer.status.success(), "{line:?}: {answer:?}");
    answer.told()
}

fn it_stays_so_over_a_restart_of_the_master(cluster: &Cluster, host: &str) {
    let before = cluster.json(&["agents"]);
    kill_9(cluster.pid("master"));
    wait_for("the agents to be back", PATIENCE, || {
        let agents = cluster.try_json(&["agents"])?;
        let all = agents.as_array().ok_or("no list")?;
        if all.iter().all(|agent| agent["state"] == "ATTACHED") { Ok(()) } else { Err(agents.to_string()) }
    });
    assert_eq!(mode(cluster, host).unwrap(), "DRAINED", "before: {before}");
    wait_for("the frameworks to be back", PATIENCE, || try_running(cluster, "web").map(drop));
}

/// With the whole grace of two minutes a drain takes long enough to be cancelled for sure.
fn a_drain_can_be_cancelled(cluster: &Cluster, host: &str) {
    cluster.ok(&["drain", host]);
    assert_eq!(mode(cluster, host).unwrap(), "DRAINING");
    let told = refused(cluster, &["agents", "reactivate", host]);
    assert!(told.contains("proffer drain cancel"), "{told}");
    cluster.ok(&["drain", "cancel", host]);
    assert_eq!(mode(cluster, host).unwrap(), "ACTIVE");
}
