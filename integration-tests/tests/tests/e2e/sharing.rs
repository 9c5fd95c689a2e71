//! Weights and quotas on a real cluster: two services in two roles want all of it, and each gets its part, also from a
//! new master.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::{PATIENCE, try_running};
use proffer_integration_harness::{Cluster, ClusterOptions, wait_for};

/// Instances of which the cluster holds exactly as many.
const ALL: u64 = 8;

fn stack(cpus: &str) -> String {
    let service = |name: &str, role: &str| {
        format!(
            "  {name}:\n    image: hello:latest\n    command: [\"/bin/sh\", \"-c\", \"sleep 1000\"]\n    \
             instances: {ALL}\n    role: {role}\n    resources: {{ cpus: {cpus}, memory: 16MiB }}\n    stop_grace: 1s\n"
        )
    };
    format!("version: 1\nservices:\n{}{}", service("shop", "web"), service("report", "ops/daily"))
}

/// Waits until so many instances of the two services run.
fn instances_become(cluster: &Cluster, shop: usize, report: usize) {
    wait_for(&format!("{shop} of shop and {report} of report"), PATIENCE, || {
        let now = (try_running(cluster, "shop")?.len(), try_running(cluster, "report")?.len());
        if now == (shop, report) { Ok(()) } else { Err(format!("{now:?}")) }
    });
}

/// Scales a service as soon as its framework is there.
fn scale(cluster: &Cluster, service: &str, instances: u64) {
    wait_for(&format!("{service} to be scaled"), PATIENCE, || {
        let scaled = cluster.proffer(&["scale", "--no-wait", service, &instances.to_string()]);
        if scaled.status.success() { Ok(()) } else { Err(scaled.told()) }
    });
}

#[test]
fn roles_get_their_part_by_weight_and_quota() {
    let roles = vec!["web", "ops/daily"];
    let mut cluster = Cluster::start_with(ClusterOptions { roles, ..ClusterOptions::default() });
    let each = cluster.json(&["agents"])[0]["total"]["cpus_milli"].as_u64().unwrap() / ALL;
    let cpus = |instances: u64| format!("{}", (instances * each) as f64 / 1_000.0);

    cluster.ok(&["weights", "set", "web=3", "ops=1"]);
    let weights = cluster.json(&["weights", "ls"]);
    assert!(weights.as_array().unwrap().iter().any(|w| w["role"] == "web" && w["weight_milli"] == 3_000), "{weights}");
    cluster.ok(&["apply", "--no-wait", "-f", &cluster.file("stack.yaml", &stack(&cpus(1)))]);
    instances_become(&cluster, 6, 2);

    let limit = format!("cpus={}", cpus(4));
    let refused = cluster.proffer(&["quota", "set", "web", "--limit", &limit]);
    assert!(!refused.status.success() && refused.told().contains("force it"), "{refused:?}");
    cluster.ok(&["quota", "set", "web", "--limit", &limit, "--force"]);
    instances_become(&cluster, 6, 2);
    let quotas = cluster.json(&["quota", "ls"]);
    assert_eq!((quotas.as_array().unwrap().len(), &quotas[0]["role"]), (1, &"web".into()), "{quotas}");
    assert_eq!(quotas[0]["allocated"]["cpus_milli"], 6 * each, "more than the limit until some end: {quotas}");
    // Nothing is taken back; what ends is not started again.
    scale(&cluster, "shop", 3);
    instances_become(&cluster, 3, 5);
    scale(&cluster, "report", 2);
    instances_become(&cluster, 3, 2);

    cluster.kill_9("master");
    scale(&cluster, "shop", ALL);
    wait_for("the reason", PATIENCE, || {
        let told = cluster.ok(&["why", "shop"]);
        if told.contains("quota of web") { Ok(()) } else { Err(told) }
    });
    instances_become(&cluster, 4, 2);

    // Two instances' worth is free, of which one is promised to somebody else.
    let promise = format!("cpus={}", cpus(1));
    cluster.ok(&["quota", "set", "night", "--guarantee", &promise]);
    scale(&cluster, "report", ALL);
    instances_become(&cluster, 4, 3);
    cluster.kill_dev();
    cluster.run_dev();
    instances_become(&cluster, 4, 3);
    cluster.ok(&["quota", "remove", "night"]);
    instances_become(&cluster, 4, 4);
}
