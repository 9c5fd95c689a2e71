//! Reservations on a real cluster: what is reserved is kept from other roles' tasks, also by a new master, and is theirs
//! again when the reservation ends.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::{PATIENCE, running};
use proffer_integration_harness::{Cluster, ClusterOptions, wait_for};

const STACK: &str = r#"
version: 1
services:
  big:
    image: hello:latest
    command: ["/bin/sh", "-c", "sleep 1000"]
    instances: 1
    resources: { cpus: 1.5, memory: 32MiB }
    stop_grace: 1s
"#;

#[test]
fn what_is_reserved_waits_for_its_role() {
    let cluster = Cluster::start();
    let agent = cluster.json(&["agents"])[0]["agent_id"].as_str().unwrap().to_owned();
    let all = cluster.json(&["reserve", &agent, "--role", "eng", "--resources", "cpus=1,memory=64MiB"]);
    assert_eq!((&all[0]["role"], &all[0]["is_static"]), (&"eng".into(), &false.into()), "{all}");
    let too_much = cluster.proffer(&["reserve", &agent, "--role", "eng", "--resources", "cpus=1000"]);
    assert!(!too_much.status.success() && too_much.told().contains("resources: "), "{too_much:?}");

    cluster.ok(&["apply", "--no-wait", "-f", &cluster.file("big.yaml", STACK)]);
    wait_for("the reason", PATIENCE, || {
        let told = cluster.ok(&["why", "big"]);
        if told.contains("reserved for other roles") { Ok(()) } else { Err(told) }
    });
    cluster.ok(&["unreserve", &agent, "--role", "eng", "--resources", "cpus=1,memory=64MiB"]);
    wait_for("the service to run", PATIENCE, || {
        let told = cluster.ok(&["why", "big"]);
        if told.contains("nothing stands against it") { Ok(()) } else { Err(told) }
    });
    assert_eq!(cluster.json(&["reservations"]), serde_json::json!([]));
}

/// A service that asks for one CPU in a role.
fn one_cpu(name: &str, role: &str) -> String {
    format!(
        "version: 1\nservices:\n  {name}:\n    image: hello:latest\n    command: [\"/bin/sh\", \"-c\", \"sleep 1000\"]\n    \
         role: {role}\n    resources: {{ cpus: 1, memory: 32MiB }}\n    stop_grace: 1s\n"
    )
}

#[test]
fn what_a_file_reserves_is_for_its_role_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kept.txt");
    std::fs::write(&file, "# for the engineers\n\neng:cpus=1.5,memory=64MiB tier=gold owner=ada\nops:memory=16MiB\n")
        .unwrap();
    let flag = format!("--reserve-file={}", file.display());
    // Two CPUs in all: what is not reserved is too little for a task of one.
    let agent_flags = vec![flag.clone()];
    let agent_resources = Some("cpus=2,memory=512MiB");
    let options =
        ClusterOptions { roles: vec!["other", "eng/web"], agent_resources, agent_flags, ..ClusterOptions::default() };
    let cluster = Cluster::start_with(options);
    let reserved = cluster.json(&["reservations"]);
    let told: Vec<_> =
        reserved.as_array().unwrap().iter().map(|r| (&r["role"], &r["is_static"], &r["labels"])).collect();
    let gold = serde_json::json!({"owner": "ada", "tier": "gold"});
    assert_eq!(told, [(&"eng".into(), &true.into(), &gold), (&"ops".into(), &true.into(), &serde_json::json!({}))]);
    assert_eq!(reserved[0]["resources"]["cpus_milli"], 1_500, "{reserved}");
    let table = cluster.ok(&["reservations"]);
    assert!(table.contains("owner=ada") && table.contains("tier=gold"), "{table}");
    let agent = cluster.json(&["agents"])[0]["agent_id"].as_str().unwrap().to_owned();
    let refused = cluster.proffer(&["unreserve", &agent, "--role", "eng", "--resources", "cpus=1"]);
    assert!(!refused.status.success(), "no call undoes it: {}", refused.told());

    let apply = |name: &str, role: &str| {
        cluster.ok(&["apply", "--no-wait", "-f", &cluster.file(&format!("{name}.yaml"), &one_cpu(name, role))]);
    };
    apply("shop", "eng/web");
    running(&cluster, "shop", 1);
    apply("aside", "other");
    wait_for("the reason", PATIENCE, || {
        let told = cluster.ok(&["why", "aside"]);
        if told.contains("reserved for other roles") || told.contains("short") { Ok(()) } else { Err(told) }
    });
    cluster.ok(&["scale", "shop", "0"]);
    wait_for("the reason, with all of it free", PATIENCE, || {
        let told = cluster.ok(&["why", "aside"]);
        if told.contains("reserved for other roles") { Ok(()) } else { Err(told) }
    });

    std::fs::write(&file, "eng:cpus=1\n\nops:cpu=1\n").unwrap();
    let mut second = vec!["dev", "--data-dir"];
    let elsewhere = dir.path().join("data").to_string_lossy().into_owned();
    let passed = format!("--agent-flag={flag}");
    second.extend([elsewhere.as_str(), passed.as_str()]);
    for line in [vec!["agent", flag.as_str()], second] {
        let told = cluster.proffer(&line);
        let text = told.told();
        let is_named = text.contains("--reserve-file") && text.contains("kept.txt:3: ") && text.contains("\"cpus\"?");
        assert!(!told.status.success() && is_named, "{text}");
    }
}
