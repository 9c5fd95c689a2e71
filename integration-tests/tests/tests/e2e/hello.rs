//! The example framework as its reader runs it: a real master offers, a real container runs to its end.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::PATIENCE;
use proffer_integration_harness::{Cluster, binary, wait_for};

#[test]
fn the_example_runs_a_container_to_its_end() {
    let cluster = Cluster::start();
    let hello = binary("hello", "proffer-example-hello");
    let output = cluster.run(&hello, &["hello:latest", "/bin/echo", "hi", "there"]);
    assert!(output.status.success(), "{output:?}");
    let task = output.stdout.split(' ').next().unwrap().to_owned();
    let states: Vec<&str> = output.stdout.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    assert_eq!(states.last(), Some(&"FINISHED"), "{output:?}");
    assert!(states.contains(&"RUNNING"), "{output:?}");
    assert_eq!(cluster.ok(&["logs", &task]), "hi there\n");

    // It keeps its name: the second run is the same framework, and sees its own task fail.
    let output = cluster.run(&hello, &["hello:latest", "/bin/false"]);
    assert!(output.stdout.contains(" is FAILED "), "{output:?}");
    let hellos = || {
        let all = cluster.json(&["frameworks"]);
        all.as_array().unwrap().iter().filter(|f| f["name"] == "hello").cloned().collect::<Vec<_>>()
    };
    wait_for("the framework to have left", PATIENCE, || {
        let now = hellos();
        let has_left = now.len() <= 1 && now.iter().all(|f| f["connected"] == false && f["tasks_active"] == 0);
        if has_left { Ok(()) } else { Err(now) }
    });
}
