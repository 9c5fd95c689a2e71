//! What the end-to-end tests share: reading what `ps` says, waiting for services. Asserts nothing itself.
#![allow(dead_code, clippy::expect_used)] // Each test uses its share.

use std::time::Duration;

use proffer_integration_harness::{Cluster, http_get, wait_for};
use serde_json::Value;

/// How long anything may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A stack of one service, `web`, of small instances that do nothing; `more` are further lines of it.
pub fn sleepers(instances: u32, more: &str) -> String {
    format!(
        "version: 1\nservices:\n  web:\n    image: hello:latest\n    command: [\"/bin/sh\", \"-c\", \"sleep 1000\"]\n    \
         instances: {instances}\n    resources: {{ cpus: 0.1, memory: 32MiB }}\n    stop_grace: 1s\n{more}"
    )
}

/// One running instance of a service, as `ps` tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    pub slot: u64,
    pub task_id: String,
    pub container_id: String,
    pub pid: u32,
    pub hostname: String,
    pub address: String,
    /// `host:port` where its first published port answers; empty without one.
    pub published: String,
}

impl Instance {
    fn read(instance: &Value) -> Option<Self> {
        let status = &instance["status"];
        if status["state"] != "RUNNING" {
            return None;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let port = &status["ports"][0];
        Some(Self {
            slot: instance["slot"].as_u64()?,
            task_id: text(&instance["task_id"]),
            container_id: text(&status["container_id"]),
            pid: u32::try_from(status["pid"].as_u64()?).ok()?,
            hostname: text(&instance["hostname"]),
            address: text(&status["address"]),
            published: match port["host_port"].as_u64() {
                Some(number) => format!("{}:{number}", text(&port["host_address"])),
                None => String::new(),
            },
        })
    }

    /// Waits until a web server in it answers, and returns what it said.
    pub fn answer(&self) -> String {
        wait_for(&format!("{} to answer at {}", self.task_id, self.published), PATIENCE, || {
            http_get(&self.published, "/")
        })
    }
}

/// The running instances of a service, ordered by slot, or why they cannot be told.
pub fn try_running(cluster: &Cluster, service: &str) -> Result<Vec<Instance>, String> {
    let answer = cluster.try_json(&["ps", service])?;
    let instances = answer[0]["instances"].as_array().ok_or_else(|| format!("no instances in {answer}"))?;
    let mut running: Vec<Instance> = instances.iter().filter_map(Instance::read).collect();
    running.sort();
    Ok(running)
}

/// Waits until exactly this many instances run.
pub fn running(cluster: &Cluster, service: &str, count: usize) -> Vec<Instance> {
    wait_for(&format!("{count} instances of {service}"), PATIENCE, || {
        let running = try_running(cluster, service)?;
        if running.len() == count { Ok(running) } else { Err(format!("{running:?}")) }
    })
}

/// Waits until a task has ended, and returns its status.
pub fn ended(cluster: &Cluster, task_id: &str) -> Value {
    wait_for(&format!("the end of {task_id}"), PATIENCE, || {
        let tasks = cluster.try_json(&["tasks", "--all"])?;
        let task = tasks.as_array().and_then(|all| all.iter().find(|task| task["task_id"] == task_id).cloned());
        let task = task.ok_or_else(|| format!("no {task_id} in {tasks}"))?;
        let state = task["status"]["state"].as_str().unwrap_or_default();
        let is_over = ["FINISHED", "FAILED", "KILLED", "ERROR", "GONE", "GONE_BY_OPERATOR"].contains(&state);
        if is_over { Ok(task["status"].clone()) } else { Err(task.to_string()) }
    })
}
