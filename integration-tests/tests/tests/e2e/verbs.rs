//! What operators set for roles and agents shows in what runs where, on one real cluster: placement and the smallest offer
//! of a role, a window that only deactivates, a reservation that refines another, one that is ended by force with its
//! volume, the figures of a quota. All of it is there after a kill -9 of the master.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use crate::common::PATIENCE;
use proffer_integration_harness::{Cluster, ClusterOptions, wait_for};
use serde_json::{Value, json};

/// Ends at once when told to.
const SLEEP: &str = "trap 'exit 0' TERM; sleep 3600 & wait";

/// Runs one task of 100 thousandths of a CPU in a role, which does nothing, and says on which host it runs.
fn run(cluster: &Cluster, role: &str, name: &str) -> String {
    begin(cluster, role, name);
    host_of(cluster, name)
}

fn begin(cluster: &Cluster, role: &str, name: &str) {
    let text = format!(
        "version: 1\njobs:\n  {name}:\n    image: hello:latest\n    command: [\"/bin/sh\", \"-c\", \"{SLEEP}\"]\n    role: {role}\n    \
         resources: {{ cpus: 0.1, memory: 16MiB }}\n"
    );
    let file = cluster.file(&format!("{name}.yaml"), &text);
    wait_for("the job to be taken", PATIENCE, || {
        let taken = cluster.proffer(&["job", "run", "--detach", "-f", &file]);
        if taken.status.success() { Ok(()) } else { Err(taken.told()) }
    });
}

fn host_of(cluster: &Cluster, name: &str) -> String {
    wait_for(&format!("{name} to run"), PATIENCE, || {
        let job = cluster.try_json(&["job", "status", name])?;
        let attempt = &job["attempts"][0];
        let is_running = attempt["status"]["state"] == "RUNNING";
        if is_running { Ok(attempt["hostname"].as_str().unwrap().to_owned()) } else { Err(job.to_string()) }
    })
}

/// Ends a job, and waits until its task has.
fn end(cluster: &Cluster, name: &str) {
    wait_for("the job to be cancelled", PATIENCE, || cluster.try_json(&["job", "cancel", name]));
    wait_for(&format!("the end of {name}"), PATIENCE, || {
        let job = cluster.try_json(&["job", "status", name])?;
        if job["state"] == "CANCELLED" { Ok(()) } else { Err(job.to_string()) }
    });
}

fn refused(cluster: &Cluster, line: &[&str]) -> String {
    let answer = cluster.proffer(line);
    assert!(!answer.status.success(), "{line:?}: {answer:?}");
    answer.told()
}

#[test]
fn what_operators_set_shows_in_what_runs_where() {
    let cluster = Cluster::start_with(ClusterOptions {
        agents: 3,
        roles: vec!["tight", "wide", "eng/web"],
        agent_resources: Some("cpus=1,memory=256MiB,disk=200MiB"),
        ..ClusterOptions::default()
    });
    a_role_packs_or_spreads(&cluster);
    a_window_that_deactivates_ends_nothing(&cluster);
    the_smallest_offer_of_a_role_counts(&cluster);
    reservations_are_refined_and_ended_by_force(&cluster);
    let before = settings(&cluster);
    figures_of_a_quota_follow_the_use(&cluster, &before);
}

/// Three tasks of a role that packs share a host, three of one that spreads have one each; so do the next two once the
/// first role spreads too: what was there before counts.
fn a_role_packs_or_spreads(cluster: &Cluster) {
    cluster.ok(&["roles", "set", "tight", "--placement", "pack"]);
    cluster.ok(&["roles", "set", "wide", "--placement", "spread:@hostname"]);
    let told = refused(cluster, &["roles", "set", "wide", "--placement", "spraed:@zone"]);
    assert!(told.contains("--placement") && told.contains("spread:ATTRIBUTE"), "{told}");
    let tight: Vec<String> = (1..=3).map(|number| run(cluster, "tight", &format!("tight-{number}"))).collect();
    assert!(tight.iter().all(|host| *host == tight[0]), "packed: {tight:?}");
    let wide: BTreeSet<String> = (1..=3).map(|number| run(cluster, "wide", &format!("wide-{number}"))).collect();
    assert_eq!(wide.len(), 3, "spread: {wide:?}");
    cluster.ok(&["roles", "set", "tight", "--placement", "spread:@hostname"]);
    let more: BTreeSet<String> = (4..=5).map(|number| run(cluster, "tight", &format!("tight-{number}"))).collect();
    assert!(more.len() == 2 && !more.contains(&tight[0]), "{more:?} beside {tight:?}");
    for name in ["tight-4", "tight-5", "wide-1", "wide-2", "wide-3"] {
        end(cluster, name);
    }
}

fn mode(cluster: &Cluster, host: &str) -> Value {
    let agents = cluster.json(&["agents"]);
    agents.as_array().unwrap().iter().find(|agent| agent["hostname"] == host).unwrap()["mode"].clone()
}

/// On the host that packing would choose.
fn a_window_that_deactivates_ends_nothing(cluster: &Cluster) {
    cluster.ok(&["roles", "set", "tight", "--placement", "pack"]);
    let host = host_of(cluster, "tight-1");
    let line = ["maintenance", "add", &host, "--start", "now", "--duration", "1h", "--deactivate"];
    let window = cluster.json(&line)["window_id"].as_str().unwrap().to_owned();
    wait_for("the agent to be deactivated", PATIENCE, || match mode(cluster, &host) {
        Value::String(mode) if mode == "DEACTIVATED" => Ok(()),
        other => Err(other),
    });
    let planned = cluster.json(&["maintenance", "ls"]);
    assert_eq!((&planned[0]["action"], &planned[0]["state"]), (&"DEACTIVATE".into(), &"OPEN".into()), "{planned}");
    assert_eq!(planned[0]["inverse_offers"], json!([]), "nobody is asked to leave");
    assert_ne!(run(cluster, "tight", "elsewhere"), host);
    for name in ["tight-1", "tight-2", "tight-3"] {
        assert_eq!(host_of(cluster, name), host, "it runs on");
    }
    end(cluster, "elsewhere");
    cluster.ok(&["maintenance", "remove", &window]);
    assert_eq!(mode(cluster, &host), "ACTIVE");
    assert_eq!(run(cluster, "tight", "back"), host);
    end(cluster, "back");
}

/// More than any agent has is not to be had; with no least amount the same task starts.
fn the_smallest_offer_of_a_role_counts(cluster: &Cluster) {
    cluster.ok(&["roles", "set", "wide", "--min-offer", "cpus=2"]);
    begin(cluster, "wide", "patient");
    wait_for("the reason", PATIENCE, || {
        let told = cluster.ok(&["why", "patient"]);
        if told.contains("3 agents: less is free than the smallest offer") { Ok(()) } else { Err(told) }
    });
    let roles = cluster.json(&["roles", "ls"]);
    let wide = roles.as_array().unwrap().iter().find(|role| role["role"] == "wide").unwrap();
    assert_eq!(wide["policy"]["min_offer"]["cpus_milli"], 2_000, "{wide}");
    cluster.ok(&["roles", "set", "wide", "--min-offer", "none"]);
    host_of(cluster, "patient");
    end(cluster, "patient");
}

/// What is reserved on an agent: CPUs by role.
fn reserved(cluster: &Cluster, agent: &str) -> BTreeMap<String, u64> {
    let all = cluster.json(&["reservations"]);
    let of_agent = all.as_array().unwrap().iter().filter(|one| one["hostname"] == agent);
    let pair = |one: &Value| {
        (one["role"].as_str().unwrap().to_owned(), one["resources"]["cpus_milli"].as_u64().unwrap_or_default())
    };
    of_agent.map(pair).collect()
}

fn reservations_are_refined_and_ended_by_force(cluster: &Cluster) {
    let of = |pairs: &[(&str, u64)]| -> BTreeMap<String, u64> {
        pairs.iter().map(|(role, cpus)| ((*role).to_owned(), *cpus)).collect()
    };
    // All that the other two have is eng's; what is refined is the only room for a task of eng/web.
    cluster.ok(&["reserve", "agent-1", "--role", "eng", "--resources", "cpus=0.6,memory=64MiB,disk=100MiB"]);
    let told =
        refused(cluster, &["reserve", "agent-1", "--role", "eng/web", "--from", "eng", "--resources", "cpus=0.7"]);
    assert!(told.contains("resources: ") && told.contains("0.1"), "{told}");
    let told = refused(cluster, &["reserve", "agent-1", "--role", "ops", "--from", "eng", "--resources", "cpus=0.1"]);
    assert!(told.contains("from_role") || told.contains("below"), "{told}");
    cluster.ok(&["reserve", "agent-1", "--role", "eng/web", "--from", "eng", "--resources", "cpus=0.4,memory=32MiB"]);
    assert_eq!(reserved(cluster, "agent-1"), of(&[("eng", 200), ("eng/web", 400)]));
    let all = cluster.json(&["reservations"]);
    let refined = all.as_array().unwrap().iter().find(|one| one["role"] == "eng/web").unwrap();
    assert_eq!(refined["refines"], json!(["eng"]), "{all}");
    cluster.ok(&["unreserve", "agent-1", "--role", "eng/web", "--resources", "cpus=0.3,memory=32MiB"]);
    assert_eq!(reserved(cluster, "agent-1"), of(&[("eng", 500), ("eng/web", 100)]), "back to where it came from");

    cluster.ok(&["volumes", "create", "agent-1", "db", "--role", "eng", "--size", "80MiB", "--wait"]);
    let directory = cluster.data_dir().join("agent-1").join("volumes").join("eng").join("db");
    assert!(directory.is_dir());
    let line = ["unreserve", "agent-1", "--role", "eng", "--resources", "disk=100MiB"];
    let told = refused(cluster, &line);
    assert!(told.contains("rest on it: db") && told.contains("--force"), "{told}");
    assert!(directory.is_dir());
    cluster.ok(&[&line[..], &["--force"]].concat());
    wait_for("the volume to be gone", PATIENCE, || {
        let left = cluster.json(&["volumes", "ls"]);
        if left == json!([]) && !directory.exists() { Ok(()) } else { Err(left) }
    });
    let all = cluster.json(&["reservations"]);
    assert!(all.as_array().unwrap().iter().all(|one| one["resources"]["disk_bytes"] == 0), "{all}");
}

/// What operators have set: policies and reservations.
fn settings(cluster: &Cluster) -> Value {
    let roles = cluster.json(&["roles"]);
    let policies: BTreeMap<&str, &Value> =
        roles.as_array().unwrap().iter().map(|role| (role["role"].as_str().unwrap(), &role["policy"])).collect();
    json!({ "policies": policies, "reservations": cluster.json(&["reservations"]) })
}

/// Used and reserved thousandths of a CPU, as `quota show` says.
fn shown(cluster: &Cluster, role: &str) -> Result<(u64, u64), String> {
    let view = cluster.try_json(&["quota", "show", role])?;
    let cpus = |kind: &str| view[kind]["cpus_milli"].as_u64().ok_or_else(|| view.to_string());
    Ok((cpus("allocated")?, cpus("reserved")?))
}

fn figures_of_a_quota_follow_the_use(cluster: &Cluster, before: &Value) {
    let told = refused(cluster, &["quota", "show", "tight"]);
    assert!(told.contains("role tight has no quota") && told.contains("proffer quota set tight"), "{told}");
    cluster.ok(&["quota", "set", "tight", "--guarantee", "cpus=0.3", "--limit", "cpus=0.4"]);
    cluster.ok(&["quota", "set", "eng", "--limit", "cpus=1"]);
    assert_eq!(shown(cluster, "tight").unwrap(), (300, 0));
    run(cluster, "tight", "fourth");
    assert_eq!(shown(cluster, "tight").unwrap(), (400, 0));
    begin(cluster, "tight", "fifth");
    wait_for("the reason", PATIENCE, || {
        let told = cluster.ok(&["why", "fifth"]);
        if told.contains("quota of tight reached") { Ok(()) } else { Err(told) }
    });
    assert_eq!(shown(cluster, "eng").unwrap(), (0, 600), "what is reserved for it and below it");

    for line in [
        &["roles", "set", "tight", "--placement", "first", "--min-offer", "cpus=0.2"][..],
        &["quota", "set", "tight", "--limit", "cpus=0.5"],
        &["quota", "remove", "eng"],
        &["weights", "set", "tight=3"],
    ] {
        cluster.ok(&[line, &["--dry-run"]].concat());
    }
    // A role that nobody has may be set beforehand, and is told: it may be misspelt.
    for line in [&["weights", "set", "egn=3"][..], &["quota", "set", "egn", "--limit", "cpus=1"]] {
        let told = cluster.ok(&[line, &["--dry-run"]].concat());
        assert!(told.contains("egn") && told.contains("no framework is in it yet"), "{told}");
    }
    assert_eq!(cluster.json(&["weights", "ls"]), json!([]), "nothing was done");
    assert_eq!(&settings(cluster), before);

    cluster.kill_9("master");
    wait_for("the figures of the new master", PATIENCE, || {
        let now = (shown(cluster, "tight")?, shown(cluster, "eng")?);
        if now == ((400, 0), (0, 600)) { Ok(()) } else { Err(format!("{now:?}")) }
    });
    assert_eq!(&settings(cluster), before);
    // The next of the role starts exactly when one ends.
    end(cluster, "fourth");
    host_of(cluster, "fifth");
    assert_eq!(shown(cluster, "tight").unwrap(), (400, 0));
    for name in ["tight-1", "tight-2", "tight-3", "fifth"] {
        end(cluster, name);
    }
    assert_eq!(shown(cluster, "tight").unwrap(), (0, 0));
    let table = cluster.ok(&["quota", "show", "tight"]);
    assert!(table.contains("0.3 cpus") && table.contains("0.4 cpus"), "{table}");
}
