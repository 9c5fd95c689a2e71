//! A task that takes more memory than it may ends as FAILED with the reason OOM and its peak; its neighbour and
//! a task that is killed for another reason are not mistaken for it.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::{ended, running};
use proffer_integration_harness::{Cluster, kill_9};

const MIB: u64 = 1 << 20;

const NEIGHBOUR: &str = r#"
version: 1
services:
  quiet:
    image: hello:latest
    command: ["/bin/sleep", "3600"]
    resources: { cpus: 0.1, memory: 32MiB }
    stop_grace: 1s
"#;

/// Grows in memory without end: every round doubles the text.
const HOG: &str = "x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done";

#[test]
fn a_memory_hog_ends_with_the_reason_and_its_peak() {
    let cluster = Cluster::start();
    let file = cluster.file("quiet.yaml", NEIGHBOUR);
    cluster.ok(&["apply", "-f", &file]);
    let before = running(&cluster, "quiet", 1);

    let status = run(&cluster, "hog", HOG);
    assert_eq!((&status["state"], &status["reason"]), (&"FAILED".into(), &"OOM".into()), "{status:#}");
    let peak = status["peak_memory_bytes"].as_u64().unwrap_or_default();
    assert!((48 * MIB..=64 * MIB).contains(&peak), "peak of {peak} bytes: {status:#}");
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("64MiB") || message.contains("memory"), "{message:?} says what to do about it");

    assert_eq!(running(&cluster, "quiet", 1), before, "the neighbour was left alone");

    kill_9(before[0].pid);
    let status = ended(&cluster, &before[0].task_id);
    assert_eq!((&status["state"], &status["signal"]), (&"FAILED".into(), &9.into()), "{status:#}");
    assert_ne!(status["reason"], "OOM", "another kill is not taken for one: {status:#}");
}

/// Runs a script with 64 MiB and returns how its only attempt ended.
fn run(cluster: &Cluster, name: &str, script: &str) -> serde_json::Value {
    let line = ["job", "run", "--image", "hello:latest", "--name", name, "--memory", "64MiB"];
    let output = cluster.proffer(&[&line[..], &["--", "/bin/sh", "-c", script]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let job = cluster.json(&["job", "status", name]);
    assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job:#}");
    job["attempts"][0]["status"].clone()
}
