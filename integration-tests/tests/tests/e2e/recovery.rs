//! What survives: kill -9 of every part, one after the other and all at once, never touches a container, and
//! `ps` agrees with containerd afterwards. What happened meanwhile is told.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::collections::BTreeMap;

use crate::common::{Instance, PATIENCE, ended, running, try_running};
use proffer_integration_harness::{Cluster, is_alive, kill_9, wait_for};

const STACK: &str = r#"
version: 1
services:
  web:
    image: hello:latest
    command: ["/bin/sh", "-c"]
    args: ['echo "hello from $PROFFER_TASK_ID" > /www/index.html; exec httpd -f -p 8080 -h /www']
    instances: 5
    resources: { cpus: 0.1, memory: 32MiB }
    ports: [{ name: http, container: 8080 }]
    stop_grace: 1s
"#;

const PARTS: [&str; 4] = ["master", "agent-1", "service", "batch"];

#[test]
fn containers_survive_the_death_of_everything_above_them() {
    let mut cluster = Cluster::start();
    let namespace = cluster.flags("agent-1").namespace;
    let file = cluster.file("stack.yaml", STACK);
    cluster.ok(&["apply", "-f", &file]);
    let before = running(&cluster, "web", 5);

    for part in PARTS {
        cluster.kill_9(part);
        same_as(&cluster, &namespace, &before, &format!("kill -9 of the {part}"));
    }
    let paused = cluster.pause();
    for part in PARTS {
        paused.kill_9(part);
    }
    assert!(before.iter().all(|instance| is_alive(instance.pid)), "a container ended with its agent");
    assert_eq!(before[0].answer(), format!("hello from {}\n", before[0].task_id), "with all parts dead");
    drop(paused);
    same_as(&cluster, &namespace, &before, "kill -9 of all at once");

    let daemon = cluster.containerd_pid();
    kill_9(daemon);
    wait_for("containerd to be started again", PATIENCE, || {
        if cluster.containerd_pid() != daemon { Ok(()) } else { Err("not yet") }
    });
    wait_for("containerd to answer", PATIENCE, || cluster.try_containers(&namespace).map(|_| ()));
    same_as(&cluster, &namespace, &before, "kill -9 of containerd");

    cluster.kill_dev();
    assert!(before.iter().all(|instance| is_alive(instance.pid)), "a container ended with proffer dev");
    cluster.run_dev();
    same_as(&cluster, &namespace, &before, "kill -9 of proffer dev");

    changes_go_on(&cluster);
    a_job_goes_on(&cluster);
    an_exit_while_the_agent_was_dead_is_told(&cluster);
    agreed(&cluster, &namespace, &running(&cluster, "web", 5));
}

/// The same containers run with the same pids, and everybody knows it.
fn same_as(cluster: &Cluster, namespace: &str, before: &[Instance], after: &str) {
    wait_for(&format!("the same instances after {after}"), PATIENCE, || {
        is_connected(cluster)?;
        let now = try_running(cluster, "web")?;
        if now == before { Ok(()) } else { Err(format!("{now:#?}")) }
    });
    agreed(cluster, namespace, before);
}

/// `ps`, `tasks` and containerd name the same containers and processes.
fn agreed(cluster: &Cluster, namespace: &str, instances: &[Instance]) {
    let told: BTreeMap<String, u32> = instances.iter().map(|i| (i.container_id.clone(), i.pid)).collect();
    assert_eq!(cluster.containers(namespace), told, "ps against containerd");
    let tasks = cluster.json(&["tasks"]);
    let pid = |task: &serde_json::Value| task["status"]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    let mut of_master: Vec<Option<u32>> = tasks.as_array().unwrap().iter().map(pid).collect();
    of_master.sort_unstable();
    let mut pids: Vec<Option<u32>> = told.values().map(|pid| Some(*pid)).collect();
    pids.sort_unstable();
    assert_eq!(of_master, pids, "tasks against containerd");
}

/// Agent attached, framework connected: not only old knowledge of a master that hears nobody.
fn is_connected(cluster: &Cluster) -> Result<(), String> {
    let agents = cluster.try_json(&["agents"])?;
    let frameworks = cluster.try_json(&["frameworks"])?;
    let service = frameworks.as_array().and_then(|all| all.iter().find(|f| f["name"] == "service").cloned());
    let is_there = agents[0]["state"] == "ATTACHED" && service.is_some_and(|f| f["connected"] == true);
    if is_there { Ok(()) } else { Err(format!("{agents} {frameworks}")) }
}

/// The recovered parts do not only know the past.
fn changes_go_on(cluster: &Cluster) {
    cluster.ok(&["scale", "web", "6"]);
    running(cluster, "web", 6);
    cluster.ok(&["scale", "web", "5"]);
    running(cluster, "web", 5);
}

/// A job that runs while everything dies keeps its attempts: nothing is run twice.
fn a_job_goes_on(cluster: &Cluster) {
    let line = ["job", "run", "--detach", "--image", "hello:latest", "--name", "wait", "--completions", "2"];
    let script = "until [ -e /tmp/go ]; do sleep 0.1; done; echo gone";
    let taken = cluster.json(&[&line[..], &["--memory", "32MiB", "--", "/bin/sh", "-c", script]].concat());
    let id = taken["job_id"].as_str().unwrap();
    let pids = || {
        wait_for("two running attempts with their processes", PATIENCE, || {
            let job = cluster.try_json(&["job", "status", id])?;
            let attempts = job["attempts"].as_array().ok_or("no attempts")?;
            let is_running = |attempt: &&serde_json::Value| attempt["status"]["state"] == "RUNNING";
            let pids: Vec<u64> =
                attempts.iter().filter(is_running).filter_map(|a| a["status"]["pid"].as_u64()).collect();
            if pids.len() == 2 { Ok(pids) } else { Err(job.to_string()) }
        })
    };
    let before = pids();
    let paused = cluster.pause();
    for part in PARTS {
        paused.kill_9(part);
    }
    drop(paused);
    assert_eq!(pids(), before, "the same processes");
    for pid in &before {
        std::fs::write(format!("/proc/{pid}/root/tmp/go"), "").unwrap();
    }
    let ended = wait_for("the end of the job", PATIENCE, || {
        let job = cluster.try_json(&["job", "status", id])?;
        if job["state"] != "ACTIVE" { Ok(job) } else { Err(job.to_string()) }
    });
    assert_eq!((&ended["state"], &ended["retried"]), (&"SUCCEEDED".into(), &0.into()), "{ended:#}");
    assert_eq!(ended["attempts"].as_array().unwrap().len(), 2, "{ended:#}");
}

/// A container that ended while nobody watched is reported as it ended, and replaced.
fn an_exit_while_the_agent_was_dead_is_told(cluster: &Cluster) {
    let victim = running(cluster, "web", 5)[2].clone();
    let paused = cluster.pause();
    paused.kill_9("agent-1");
    kill_9(victim.pid);
    drop(paused);
    let status = ended(cluster, &victim.task_id);
    assert_eq!((&status["state"], &status["signal"]), (&"FAILED".into(), &9.into()), "{status}");
    wait_for("a replacement", PATIENCE, || {
        let now = try_running(cluster, "web")?;
        let is_replaced = now.len() == 5 && now.iter().all(|instance| instance.task_id != victim.task_id);
        if is_replaced { Ok(()) } else { Err(format!("{now:#?}")) }
    });
}
