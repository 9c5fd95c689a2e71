//! A role that is short of its guarantee takes room back on a real cluster: from revocable work, first by asking, then by
//! ending it, never more than it is owed, and only where operators switched it on.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::{PATIENCE, ended, running, try_running};
use proffer_integration_harness::{Cluster, ClusterOptions, Follower, wait_for};

/// Instances of which the cluster holds exactly as many.
pub const ALL: u64 = 8;

/// A cluster of one agent with preemption, whose CPUs are divided into [`ALL`] equal parts.
pub struct Divided {
    pub cluster: Cluster,
    each: u64,
}

impl Divided {
    /// With services of the roles `spare` and `web`, and so long a notice.
    pub fn start(notice: &'static str) -> Self {
        let master_flags = vec!["--preemption", "--preemption-notice", notice];
        let options = ClusterOptions { roles: vec!["spare", "web"], master_flags, ..ClusterOptions::default() };
        let cluster = Cluster::start_with(options);
        let each = cluster.json(&["agents"])[0]["total"]["cpus_milli"].as_u64().unwrap() / ALL;
        Self { cluster, each }
    }

    /// `cpus=` of so many instances.
    pub fn cpus(&self, instances: u64) -> String {
        format!("cpus={}", (instances * self.each) as f64 / 1_000.0)
    }

    /// Applies a service of such instances; `more` are further lines of it.
    pub fn apply(&self, name: &str, role: &str, instances: u64, more: &str) {
        let cpus = self.cpus(1).replace('=', ": ");
        let text = format!(
            "version: 1\nservices:\n  {name}:\n    image: hello:latest\n    command: [\"/bin/sh\", \"-c\", \"sleep 1000\"]\n    \
             instances: {instances}\n    role: {role}\n    resources: {{ {cpus}, memory: 16MiB }}\n    stop_grace: 1s\n{more}"
        );
        self.cluster.ok(&["apply", "--no-wait", "-f", &self.cluster.file(&format!("{name}.yaml"), &text)]);
    }
}

#[test]
fn what_a_role_is_promised_is_taken_back_from_revocable_work() {
    let divided = Divided::start("1s");
    let cluster = &divided.cluster;
    divided.apply("firm", "spare", 2, "");
    let firm = running(cluster, "firm", 2);
    divided.apply("filler", "spare", ALL, "    revocable: true\n");
    let before = running(cluster, "filler", 6);

    let asked = Follower::start(cluster, &["-o", "json", "events", "--changes-only", "--kind", "inverse-offer"]);
    cluster.ok(&["quota", "set", "web", "--guarantee", &divided.cpus(3)]);
    divided.apply("shop", "web", 5, "");
    let shop = running(cluster, "shop", 3);
    let after = wait_for("three instances of the filler", PATIENCE, || {
        let now = try_running(cluster, "filler")?;
        if now.len() == 3 { Ok(now) } else { Err(format!("{now:?}")) }
    });
    let taken: Vec<_> = before.iter().filter(|instance| !after.contains(instance)).collect();
    assert_eq!(taken.len(), 3, "no more than is owed: {before:?} {after:?}");
    let preempted = taken.iter().filter(|i| ended(cluster, &i.task_id)["reason"] == "PREEMPTED").count();
    assert_eq!(preempted, 3, "{}", cluster.json(&["tasks", "--all"]));
    assert!(asked.said().contains("PREEMPTION"), "asked before: {}", asked.said());
    assert_eq!(try_running(cluster, "firm").unwrap(), firm, "what is not revocable stays");

    // What is beyond the promise waits, over a new master too.
    cluster.kill_9("master");
    wait_for("the reason", PATIENCE, || {
        let told = cluster.try_json(&["why", "shop"])?.to_string();
        if told.contains("short") { Ok(()) } else { Err(told) }
    });
    assert_eq!(running(cluster, "shop", 3), shop);
    assert_eq!((running(cluster, "filler", 3), running(cluster, "firm", 2)), (after, firm));
}
