//! Persistent volumes on real processes and disks: what a task wrote survives its end, kill -9 of agent and master, and is
//! seen by the next task; what is destroyed is gone from the disk; orders that a kill -9 interrupts are carried out once.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::path::PathBuf;

use crate::common::PATIENCE;
use proffer_integration_harness::{Cluster, wait_for};
use serde_json::Value;

/// Runs a script in a job with the volume mounted; gives the job as it ended.
fn run(cluster: &Cluster, name: &str, script: &str) -> Value {
    let id = begin(cluster, name, script);
    wait_for(&format!("the end of {name}"), PATIENCE, || {
        let job = cluster.try_json(&["job", "status", &id])?;
        if job["state"] != "ACTIVE" { Ok(job) } else { Err(job.to_string()) }
    })
}

fn begin(cluster: &Cluster, name: &str, script: &str) -> String {
    let file = format!(
        "version: 1\njobs:\n  {name}:\n    image: hello:latest\n    command: [\"/bin/sh\", \"-c\"]\n    \
         args: [{script:?}]\n    resources: {{ cpus: 0.1, memory: 32MiB }}\n    retries: 0\n    \
         mounts: [{{ target: /data, volume: db }}]\n"
    );
    let file = cluster.file(&format!("{name}.yaml"), &file);
    wait_for("the batch framework and the agent", PATIENCE, || {
        let (frameworks, agents) = (cluster.try_json(&["frameworks"])?, cluster.try_json(&["agents"])?);
        let batch = frameworks.as_array().and_then(|all| all.iter().find(|f| f["name"] == "batch").cloned());
        let is_there = batch.is_some_and(|f| f["connected"] == true) && agents[0]["state"] == "ATTACHED";
        if is_there { Ok(()) } else { Err(format!("{frameworks} {agents}")) }
    });
    let taken = cluster.json(&["job", "run", "--detach", "-f", &file]);
    taken["job_id"].as_str().unwrap_or_else(|| panic!("{taken}")).to_owned()
}

fn directory(cluster: &Cluster) -> PathBuf {
    cluster.data_dir().join("agent-1").join("volumes").join("default").join("db")
}

/// The volumes as the master lists them: name and state.
fn volumes(cluster: &Cluster) -> Result<Vec<(String, String)>, String> {
    let all = cluster.try_json(&["volumes", "ls"])?;
    let text = |volume: &Value, name: &str| volume[name].as_str().unwrap_or_default().to_owned();
    Ok(all.as_array().unwrap().iter().map(|volume| (text(volume, "volume_id"), text(volume, "state"))).collect())
}

fn until(cluster: &Cluster, expected: &[(&str, &str)]) {
    wait_for(&format!("the volumes to be {expected:?}"), PATIENCE, || {
        let now = volumes(cluster)?;
        let is_it = now.iter().map(|(id, state)| (id.as_str(), state.as_str())).eq(expected.iter().copied());
        if is_it { Ok(()) } else { Err(format!("{now:?}")) }
    });
}

#[test]
fn data_stays_until_its_volume_is_destroyed() {
    let cluster = Cluster::start();
    let agent = cluster.json(&["agents"])[0]["agent_id"].as_str().unwrap().to_owned();
    let create = ["volumes", "create", &agent, "db", "--role", "default", "--size", "64MiB"];
    let too_early = cluster.proffer(&create);
    assert!(!too_early.status.success() && too_early.told().contains("nothing is reserved"), "{too_early:?}");
    cluster.ok(&["reserve", &agent, "--role", "default", "--resources", "disk=100MiB"]);
    cluster.ok(&[&create[..], &["--wait"]].concat());
    until(&cluster, &[("db", "READY")]);

    let wrote = run(&cluster, "writer", "echo one > /data/rows");
    assert_eq!(wrote["state"], "SUCCEEDED", "{wrote:#}");
    cluster.kill_9("agent-1");
    cluster.kill_9("master");
    until(&cluster, &[("db", "READY")]);
    let read = run(&cluster, "reader", "grep -x one /data/rows && echo two >> /data/rows");
    assert_eq!(read["state"], "SUCCEEDED", "{read:#}");
    assert_eq!(std::fs::read_to_string(directory(&cluster).join("rows")).unwrap(), "one\ntwo\n");

    a_volume_in_use_is_kept(&cluster, &agent);
    orders_outlive_the_agent(&cluster, &agent);
}

fn a_volume_in_use_is_kept(cluster: &Cluster, agent: &str) {
    let id = begin(cluster, "holder", "sleep 1000");
    wait_for("the volume to be in use", PATIENCE, || {
        let all = cluster.try_json(&["volumes", "ls"])?;
        if all[0]["used_by"].as_array().is_some_and(|users| users.len() == 1) { Ok(()) } else { Err(all.to_string()) }
    });
    let destroy = ["volumes", "destroy", agent, "db", "--role", "default"];
    for words in [&destroy[..], &["unreserve", agent, "--role", "default", "--resources", "disk=100MiB", "--force"]] {
        let refused = cluster.proffer(words);
        assert!(!refused.status.success(), "{refused:?}");
        assert!(refused.told().contains("; end it first") || refused.told().contains("rest on it: db"), "{refused:?}");
    }
    cluster.ok(&["job", "cancel", &id]);
    wait_for("the volume to be free", PATIENCE, || {
        let all = cluster.try_json(&["volumes", "ls"])?;
        if all[0]["used_by"].as_array().is_some_and(Vec::is_empty) { Ok(()) } else { Err(all.to_string()) }
    });
    assert!(directory(cluster).join("rows").exists());
    cluster.ok(&[&destroy[..], &["--wait"]].concat());
    assert!(!directory(cluster).exists(), "its data is gone from the disk");
    until(cluster, &[]);
}

/// Gives an order as soon as the agent is attached.
fn order(cluster: &Cluster, words: &[&str]) {
    wait_for("the order to be taken", PATIENCE, || {
        let answer = cluster.proffer(words);
        let told = answer.told();
        assert!(answer.status.success() || told.contains("is not attached"), "{answer:?}");
        if answer.status.success() { Ok(()) } else { Err(told) }
    });
}

/// kill -9 right after the order: whatever the agent had not done is done by its next life.
fn orders_outlive_the_agent(cluster: &Cluster, agent: &str) {
    for round in 0..3 {
        order(cluster, &["volumes", "create", agent, "db", "--role", "default", "--size", "64MiB"]);
        cluster.kill_9("agent-1");
        until(cluster, &[("db", "READY")]);
        assert!(directory(cluster).is_dir(), "round {round}");
        std::fs::write(directory(cluster).join("rows"), "x").unwrap();
        order(cluster, &["volumes", "destroy", agent, "db", "--role", "default"]);
        cluster.kill_9("agent-1");
        until(cluster, &[]);
        assert!(!directory(cluster).exists(), "round {round}");
    }
}

#[test]
fn why_a_volume_is_not_made_is_shown_while_the_agent_goes_on_trying() {
    let cluster = Cluster::start();
    let agent = cluster.json(&["agents"])[0]["agent_id"].as_str().unwrap().to_owned();
    cluster.ok(&["reserve", &agent, "--role", "default", "--resources", "disk=100MiB"]);
    let of_role = directory(&cluster).parent().unwrap().to_owned();
    std::fs::create_dir_all(of_role.parent().unwrap()).unwrap();
    std::fs::write(&of_role, "in the way").unwrap();
    cluster.ok(&["volumes", "create", &agent, "db", "--role", "default", "--size", "64MiB"]);
    wait_for("the cause", PATIENCE, || {
        let told = cluster.ok(&["volumes", "ls"]);
        if told.contains("CREATING: cannot make ") && told.contains("volumes/default/db") { Ok(()) } else { Err(told) }
    });
    std::fs::remove_file(&of_role).unwrap();
    until(&cluster, &[("db", "READY")]);
    assert_eq!(cluster.json(&["volumes", "ls"])[0]["message"], "");
}
