//! Reservations on a real cluster: what is reserved is kept from other roles' tasks, also by a new master, and is theirs
//! again when the reservation ends.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::PATIENCE;
use proffer_integration_harness::{Cluster, wait_for};

const STACK: &str = r#"
version: 1
services:
  big:
    image: hello:latest
    command: ["/bin/sh", "-c", "sleep 1000"]
    instances: 1
    resources: { cpus: 1.5, memory: 32MiB }
    stop_grace: 1s
"#;

#[test]
fn what_is_reserved_waits_for_its_role() {
    let cluster = Cluster::start();
    let agent = cluster.json(&["agents"])[0]["agent_id"].as_str().unwrap().to_owned();
    let all = cluster.json(&["reserve", &agent, "--role", "eng", "--resources", "cpus=1,memory=64MiB"]);
    assert_eq!((&all[0]["role"], &all[0]["is_static"]), (&"eng".into(), &false.into()), "{all}");
    let too_much = cluster.proffer(&["reserve", &agent, "--role", "eng", "--resources", "cpus=1000"]);
    assert!(!too_much.status.success() && too_much.told().contains("resources: "), "{too_much:?}");

    cluster.ok(&["apply", "--no-wait", "-f", &cluster.file("big.yaml", STACK)]);
    wait_for("the reason", PATIENCE, || {
        let told = cluster.ok(&["why", "big"]);
        if told.contains("reserved for other roles") { Ok(()) } else { Err(told) }
    });
    cluster.ok(&["unreserve", &agent, "--role", "eng", "--resources", "cpus=1,memory=64MiB"]);
    wait_for("the service to run", PATIENCE, || {
        let told = cluster.ok(&["why", "big"]);
        if told.contains("nothing stands against it") { Ok(()) } else { Err(told) }
    });
    assert_eq!(cluster.json(&["reservations"]), serde_json::json!([]));
}
