//! Jobs that end: twenty tasks of which three fail once end well with every attempt told; a job that fails
//! for good says so; a cancelled one ends at once.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::PATIENCE;
use proffer_integration_harness::{Cluster, wait_for};
use serde_json::Value;

const SWEEP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/sweep-job.yaml");

#[test]
fn jobs_run_to_their_end() {
    let cluster = Cluster::start();
    failed_tasks_are_tried_again(&cluster);
    a_job_that_cannot_succeed_fails(&cluster);
    a_cancelled_job_ends(&cluster);
    nothing_is_left(&cluster);
}

fn failed_tasks_are_tried_again(cluster: &Cluster) {
    let told = cluster.ok(&["job", "run", "-f", SWEEP]);
    assert!(told.contains("20 of 20 tasks succeeded, 3 attempts retried, 0 failed for good"), "{told}");
    let job = cluster.json(&["job", "status", "sweep"]);
    let counts = ["succeeded", "failed", "retried", "running", "waiting"].map(|name| job[name].as_u64().unwrap());
    assert_eq!((&job["state"], counts), (&"SUCCEEDED".into(), [20, 0, 3, 0, 0]), "{job:#}");

    let attempts = job["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 23, "one result for each attempt");
    for index in 0..20 {
        let of_index: Vec<&Value> = attempts.iter().filter(|attempt| attempt["index"] == index).collect();
        let results: Vec<(u64, &Value, &Value)> = of_index
            .iter()
            .map(|a| (a["number"].as_u64().unwrap(), &a["status"]["state"], &a["status"]["exit_code"]))
            .collect();
        let (failed, finished, three, zero) = ("FAILED".into(), "FINISHED".into(), 3.into(), 0.into());
        if index < 3 {
            assert_eq!(results, [(1, &failed, &three), (2, &finished, &zero)], "task {index}");
        } else {
            assert_eq!(results, [(1, &finished, &zero)], "task {index}");
        }
    }
    let last = attempts.iter().find(|attempt| attempt["index"] == 19).unwrap();
    let output = cluster.ok(&["logs", last["task_id"].as_str().unwrap()]);
    assert_eq!(output, "task 19 is done\n");
}

fn a_job_that_cannot_succeed_fails(cluster: &Cluster) {
    let line = ["job", "run", "--image", "hello:latest", "--name", "bad", "--retries", "1", "--memory", "32MiB"];
    let output = cluster.proffer(&[&line[..], &["--", "/bin/sh", "-c", "exit 7"]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let job = cluster.json(&["job", "status", "bad"]);
    let codes: Vec<&Value> =
        job["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["status"]["exit_code"]).collect();
    assert_eq!((&job["state"], codes), (&"FAILED".into(), vec![&7.into(), &7.into()]), "{job:#}");
}

fn a_cancelled_job_ends(cluster: &Cluster) {
    let line = ["job", "run", "--detach", "--image", "hello:latest", "--name", "long", "--completions", "3"];
    let taken = cluster.json(&[&line[..], &["--memory", "32MiB", "--", "/bin/sleep", "3600"]].concat());
    let id = taken["job_id"].as_str().unwrap();
    wait_for("three running tasks", PATIENCE, || {
        let job = cluster.try_json(&["job", "status", id])?;
        if job["running"] == 3 { Ok(()) } else { Err(job.to_string()) }
    });
    let cancelled = cluster.json(&["job", "cancel", id]);
    assert_eq!(cancelled["killed"], 3, "{cancelled}");
    let job = wait_for("the job to be cancelled", PATIENCE, || {
        let job = cluster.try_json(&["job", "status", id])?;
        if job["state"] == "CANCELLED" { Ok(job) } else { Err(job.to_string()) }
    });
    let states: Vec<&Value> =
        job["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["status"]["state"]).collect();
    assert_eq!(states, vec!["KILLED"; 3], "{job:#}");
    let unknown = cluster.proffer(&["job", "cancel", "nobody"]);
    assert!(!unknown.status.success() && unknown.told().contains("nobody"), "{unknown:?}");
}

fn nothing_is_left(cluster: &Cluster) {
    let jobs = cluster.json(&["job", "ls"]);
    let states: Vec<&Value> = jobs.as_array().unwrap().iter().map(|job| &job["state"]).collect();
    assert_eq!(states.len(), 3, "{jobs}");
    assert_eq!(cluster.json(&["tasks"]), serde_json::json!([]), "tasks that go on after their jobs");
    assert!(cluster.containers(&cluster.flags("agent-1").namespace).is_empty());
}
