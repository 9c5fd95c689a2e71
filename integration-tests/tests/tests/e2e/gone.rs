//! Agents leave for good, emptied or not: their tasks end once and start elsewhere, and they are never let in again.
//! Offers can be watched meanwhile.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::{Instance, PATIENCE, ended, running, sleepers, try_running};
use proffer_integration_harness::{Cluster, ClusterOptions, Follower, wait_for};
use serde_json::Value;

#[test]
fn agents_that_are_gone_stay_away_and_their_work_goes_on_elsewhere() {
    let cluster = Cluster::start_with(ClusterOptions { agents: 3, ..ClusterOptions::default() });
    let watch = Follower::start(&cluster, &["offers", "--watch"]);
    cluster.ok(&["apply", "-f", &cluster.file("stack.yaml", &sleepers(6, ""))]);
    let before = running(&cluster, "web", 6);
    offers_are_shown(&cluster, &watch);

    let refused = cluster.proffer(&["agents", "gone", "nobody"]);
    assert!(!refused.status.success() && refused.told().contains("there is no agent \"nobody\""), "{refused:?}");
    let emptied = cluster.json(&["drain", "agent-1", "--mark-gone", "--wait"]);
    assert_eq!(emptied["mode"], "GONE", "{emptied}");
    let after = all_elsewhere(&cluster, &["agent-1"]);
    for instance in of(&before, "agent-1") {
        assert_eq!(ended(&cluster, &instance.task_id)["reason"], "AGENT_DRAINING");
    }
    let lost = of(&after, "agent-2");
    cluster.ok(&["agents", "gone", "agent-2"]);
    all_elsewhere(&cluster, &["agent-1", "agent-2"]);
    for instance in &lost {
        let status = ended(&cluster, &instance.task_id);
        assert_eq!(
            (&status["state"], &status["reason"]),
            (&"GONE_BY_OPERATOR".into(), &"AGENT_REMOVED".into()),
            "{status}"
        );
    }
    cluster.kill_9("master");
    wait_for("the third agent to be back", PATIENCE, || {
        let all = cluster.try_json(&["agents"])?;
        let attached = all.as_array().into_iter().flatten().filter(|agent| agent["state"] == "ATTACHED");
        let hosts: Vec<&Value> = attached.map(|agent| &agent["hostname"]).collect();
        if hosts == ["agent-3"] { Ok(()) } else { Err(all.to_string()) }
    });
    wait_for("an agent that is gone to be told what to do", PATIENCE, || {
        let said = cluster.log("agent-2");
        let is_told = said.contains("gone for good") && said.contains("empty its work directory");
        if is_told { Ok(()) } else { Err(said) }
    });
}

fn of(instances: &[Instance], host: &str) -> Vec<Instance> {
    instances.iter().filter(|instance| instance.hostname == host).cloned().collect()
}

fn all_elsewhere(cluster: &Cluster, gone: &[&str]) -> Vec<Instance> {
    wait_for("six instances elsewhere", PATIENCE, || {
        let now = try_running(cluster, "web")?;
        let stays = |instance: &Instance| !gone.contains(&instance.hostname.as_str());
        if now.len() == 6 && now.iter().all(stays) { Ok(now) } else { Err(format!("{now:#?}")) }
    })
}

fn offers_are_shown(cluster: &Cluster, watch: &Follower) {
    for outcome in [" OUTSTANDING", " ACCEPTED after"] {
        wait_for("the offers that are watched", PATIENCE, || {
            let said = watch.said();
            if said.contains(outcome) { Ok(()) } else { Err(said) }
        });
    }
    let lines = watch.said();
    assert!(lines.lines().all(|line| line.starts_with("offer ")), "{lines}");
    let offers = cluster.json(&["offers"]);
    let history = offers["history"].as_array().unwrap();
    let accepted: Vec<&Value> = history.iter().filter(|offer| offer["outcome"] == "ACCEPTED").collect();
    assert!(!accepted.is_empty(), "{offers}");
    assert!(accepted.iter().all(|offer| offer["framework"] == "service" && offer["role"] == "default"), "{offers}");
}
