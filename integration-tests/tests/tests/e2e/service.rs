//! A service as its owner meets it: what dies is replaced, scaling up and down, output of what runs and of
//! what has ended, removal.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use crate::common::{Instance, PATIENCE, ended, running, try_running};
use proffer_integration_harness::{Cluster, http_get, kill_9, wait_for};

const STACK: &str = r#"
version: 1
services:
  web:
    image: hello:latest
    command: ["/bin/sh", "-c"]
    args: ['echo "started $PROFFER_TASK_ID"; echo "hello from $PROFFER_TASK_ID" > /www/index.html; exec httpd -f -p 8080 -h /www']
    instances: 3
    resources: { cpus: 0.1, memory: 32MiB }
    ports: [{ name: http, container: 8080 }]
    stop_grace: 1s
"#;

/// A replacement is there within two seconds on an idle machine; this leaves room for a loaded one.
const REPLACED: Duration = Duration::from_secs(15);

#[test]
fn a_service_is_kept_running_scaled_and_removed() {
    let cluster = Cluster::start();
    let namespace = cluster.flags("agent-1").namespace;
    let file = cluster.file("stack.yaml", STACK);
    let changes = cluster.json(&["apply", "-f", &file]);
    assert_eq!((&changes[0]["change"], &changes[0]["instances_after"]), (&"created".into(), &3.into()), "{changes}");
    let unchanged = cluster.json(&["apply", "-f", &file]);
    assert_eq!(unchanged[0]["change"], "unchanged", "{unchanged}");

    let killed = what_dies_is_replaced(&cluster);
    output_can_be_read(&cluster, &killed);
    scaling_goes_up_and_down(&cluster, &namespace);
    removal_ends_everything(&cluster, &namespace);
}

/// kill -9 of a container's process; returns the instance that it was.
fn what_dies_is_replaced(cluster: &Cluster) -> Instance {
    let before = running(cluster, "web", 3);
    let victim = before[1].clone();
    let started = Instant::now();
    kill_9(victim.pid);
    let replacement = wait_for("a replacement", REPLACED, || {
        let now = try_running(cluster, "web")?;
        let new = now.iter().find(|i| i.slot == victim.slot && i.task_id != victim.task_id);
        new.cloned().filter(|_| now.len() == 3).ok_or_else(|| format!("{now:#?}"))
    });
    println!("replaced after {} ms", started.elapsed().as_millis());
    assert_eq!(replacement.answer(), format!("hello from {}\n", replacement.task_id));
    let others = |all: &[Instance]| all.iter().filter(|i| i.slot != victim.slot).cloned().collect::<Vec<_>>();
    assert_eq!(others(&running(cluster, "web", 3)), others(&before), "the others were left alone");
    let status = ended(cluster, &victim.task_id);
    assert_eq!((&status["state"], &status["signal"]), (&"FAILED".into(), &9.into()), "{status}");
    let ps = cluster.json(&["ps", "web"]);
    let restarts: Vec<&serde_json::Value> =
        ps[0]["instances"].as_array().unwrap().iter().map(|i| &i["restarts"]).collect();
    assert_eq!(restarts, [0, 1, 0], "{ps}");
    victim
}

/// Of a running task, of one that has ended, of all of a service.
fn output_can_be_read(cluster: &Cluster, killed: &Instance) {
    let instances = running(cluster, "web", 3);
    for task in [&instances[0].task_id, &killed.task_id] {
        assert_eq!(cluster.ok(&["logs", task]), format!("started {task}\n"), "output of {task}");
    }
    let all = cluster.ok(&["logs", "web"]);
    for instance in &instances {
        let line = format!("web.{} | started {}", instance.slot, instance.task_id);
        assert!(all.lines().any(|l| l == line), "{line:?} is not in {all}");
    }
    let nobody = cluster.proffer(&["logs", "nobody"]);
    assert!(!nobody.status.success() && nobody.told().contains("\"nobody\""), "{nobody:?}");
}

fn scaling_goes_up_and_down(cluster: &Cluster, namespace: &str) {
    let three = running(cluster, "web", 3);
    let changes = cluster.json(&["scale", "web", "10"]);
    assert_eq!(changes[0]["instances_after"], 10, "{changes}");
    let ten = running(cluster, "web", 10);
    assert!(three.iter().all(|instance| ten.contains(instance)), "scaling up left the first three alone");
    ten.iter().for_each(|instance| assert!(!instance.answer().is_empty()));
    assert_eq!(cluster.containers(namespace).len(), 10);

    cluster.ok(&["scale", "web", "3"]);
    let left = running(cluster, "web", 3);
    assert!(left.iter().all(|instance| ten.contains(instance)), "scaling down restarts nothing: {left:#?}");
    containers_become(cluster, namespace, 3);
    for gone in ten.iter().filter(|instance| !left.contains(instance)) {
        assert_eq!(ended(cluster, &gone.task_id)["state"], "KILLED", "{}", gone.task_id);
        assert!(http_get(&gone.published, "/").is_err(), "{} answers still", gone.task_id);
    }
    let too_many = cluster.proffer(&["scale", "web", "10001"]);
    assert!(!too_many.status.success() && too_many.told().contains("10000"), "{too_many:?}");
}

fn removal_ends_everything(cluster: &Cluster, namespace: &str) {
    let removed = cluster.json(&["rm", "web"]);
    assert_eq!(removed["instances"], 3, "{removed}");
    assert_eq!(cluster.json(&["ps"]), serde_json::json!([]));
    containers_become(cluster, namespace, 0);
    assert_eq!(cluster.json(&["tasks"]), serde_json::json!([]));
    let again = cluster.proffer(&["rm", "web"]);
    assert!(!again.status.success() && again.told().contains("web"), "{again:?}");
}

fn containers_become(cluster: &Cluster, namespace: &str, count: usize) {
    wait_for(&format!("{count} containers in containerd"), PATIENCE, || {
        let now = cluster.containers(namespace);
        if now.len() == count { Ok(()) } else { Err(now) }
    });
}
