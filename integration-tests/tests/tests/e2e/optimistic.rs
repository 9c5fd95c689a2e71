//! Optimistic offers on a real cluster: what becomes free is offered to services and jobs at once, the faster one has it,
//! and nothing is ever given twice, also from a new master.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::{PATIENCE, running};
use proffer_integration_harness::{Cluster, Follower, wait_for};

/// Tasks of which the cluster holds exactly as many.
const ALL: usize = 8;

fn stack(cpus: &str) -> String {
    let service = |name: &str, instances: usize| {
        format!(
            "  {name}:\n    image: hello:latest\n    command: [\"/bin/sh\", \"-c\", \"sleep 1000\"]\n    \
             instances: {instances}\n    resources: {{ cpus: {cpus}, memory: 16MiB }}\n    stop_grace: 1s\n"
        )
    };
    format!("version: 1\nservices:\n{}{}", service("first", ALL), service("second", 0))
}

/// Running tasks of the service that came second, and of the job. The master is asked: the frameworks count what they have
/// launched, also where the race for it is not over.
fn shares(cluster: &Cluster, job: &str) -> Result<(usize, usize), String> {
    let tasks = cluster.try_json(&["tasks"])?;
    let running = |whose: &str| {
        let is_one = |task: &&serde_json::Value| {
            let id = task["task_id"].as_str().unwrap_or_default();
            task["status"]["state"] == "RUNNING" && id.starts_with(whose)
        };
        tasks.as_array().map_or(0, |all| all.iter().filter(is_one).count())
    };
    Ok((running("second."), running(&format!("{job}."))))
}

/// All of the cluster is in use by the two, which the master believes as well.
fn the_cluster_is_full(cluster: &Cluster, job: &str) -> (usize, usize) {
    wait_for("service and job to fill the cluster", PATIENCE, || {
        let now = shares(cluster, job)?;
        assert!(now.0 + now.1 <= ALL, "more runs than there is room for: {now:?}");
        let used = cluster.try_json(&["agents"])?[0]["allocated"]["cpus_milli"].clone();
        let total = cluster.try_json(&["agents"])?[0]["total"]["cpus_milli"].clone();
        assert!(used.as_u64() <= total.as_u64(), "{used} of {total}");
        if now.0 + now.1 == ALL { Ok(now) } else { Err(format!("{now:?}")) }
    })
}

#[test]
fn the_faster_framework_has_what_both_were_offered() {
    let mut cluster = Cluster::start();
    cluster.ok(&["roles", "set", "default", "--offers", "optimistic"]);
    let each = cluster.json(&["agents"])[0]["total"]["cpus_milli"].as_u64().unwrap() / ALL as u64;
    let cpus = format!("{}", each as f64 / 1_000.0);
    cluster.ok(&["apply", "-f", &cluster.file("stack.yaml", &stack(&cpus))]);
    running(&cluster, "first", ALL);

    // Both wait for the same room.
    cluster.ok(&["scale", "--no-wait", "second", &ALL.to_string()]);
    let line = ["job", "run", "--detach", "--image", "hello:latest", "--name", "third", "--completions", "8"];
    let more = ["--cpus", &cpus, "--memory", "16MiB", "--", "/bin/sleep", "3600"];
    let job = cluster.json(&[&line[..], &more[..]].concat())["job_id"].as_str().unwrap().to_owned();
    for who in ["second", "third"] {
        wait_for(&format!("{who} to wait"), PATIENCE, || {
            let told = cluster.ok(&["why", who]);
            if told.contains("short") { Ok(()) } else { Err(told) }
        });
    }
    let offers = Follower::start(&cluster, &["-o", "json", "events", "--changes-only", "--kind", "offer"]);
    wait_for("a race that somebody lost", PATIENCE, || {
        // Who is faster differs; that both were offered the same does not.
        cluster.ok(&["scale", "--no-wait", "first", "0"]);
        let said = offers.said();
        if said.contains("lost race") { Ok(()) } else { Err(said) }
    });
    let before = the_cluster_is_full(&cluster, &job);
    cluster.kill_9("master");
    let modes = wait_for("the roles of the new master", PATIENCE, || cluster.try_json(&["roles"]));
    assert!(modes.to_string().to_lowercase().contains("optimistic"), "{modes}");
    assert_eq!(the_cluster_is_full(&cluster, &job), before, "nobody lost a task");
    // Its framework may be on its way to the new master still.
    wait_for("the job to be cancelled", PATIENCE, || {
        let told = cluster.proffer(&["job", "cancel", &job]);
        if told.status.success() { Ok(()) } else { Err(told.told()) }
    });
    running(&cluster, "second", ALL);
    cluster.stop();
}
