//! "Why is it not starting?" has an answer on a real cluster, in plain words and as JSON, and none is needed once it runs.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::PATIENCE;
use proffer_integration_harness::{Cluster, wait_for};

fn stack(rule: &str) -> String {
    format!(
        r#"
version: 1
services:
  web:
    image: hello:latest
    command: ["/bin/sh", "-c", "sleep 1000"]
    instances: 1
    resources: {{ cpus: 0.1, memory: 32MiB }}
    stop_grace: 1s
    constraints: [{rule}]
"#
    )
}

#[test]
fn a_service_that_waits_is_told_what_stands_against_it() {
    let cluster = Cluster::start();
    cluster.ok(&["apply", "--no-wait", "-f", &cluster.file("waits.yaml", &stack(r#""@zone == nowhere""#))]);
    let told = wait_for("the reason", PATIENCE, || {
        let told = cluster.ok(&["why", "web"]);
        if told.contains("zone is not nowhere") { Ok(told) } else { Err(told) }
    });
    println!("{told}");
    assert!(told.contains("service web: 0 of 1 instances run"), "{told}");
    let why = cluster.json(&["why", "web"]);
    let group = &why["wants"][0]["groups"][0];
    assert_eq!((&group["obstacle"], &group["constraint"]), (&"CONSTRAINT_NOT_MET".into(), &"@zone == nowhere".into()));

    cluster.ok(&["apply", "-f", &cluster.file("runs.yaml", &stack(""))]);
    wait_for("nothing to stand against it", PATIENCE, || {
        let told = cluster.ok(&["why", "web"]);
        if told.contains("nothing stands against it") { Ok(()) } else { Err(told) }
    });
    let nobody = cluster.proffer(&["why", "wbe"]);
    assert!(!nobody.status.success() && nobody.told().contains("did you mean \"web\""), "{nobody:?}");
}
