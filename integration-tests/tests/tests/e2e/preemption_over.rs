//! kill -9 of the master while it takes room back: between the request to leave and the kill. The next master asks anew,
//! gives the whole notice again, and takes what is owed and no more.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::collections::BTreeSet;

use proffer_integration_harness::{Cluster, Follower, wait_for};
use serde_json::Value;

use super::common::{PATIENCE, ended, running, try_running};
use super::preemption::{ALL, Divided};

/// What the shop is promised.
const OWED: usize = 3;

/// How long the filler has to leave; longer than a kill -9 takes to follow a request.
const NOTICE_MS: u64 = 5_000;

/// A request to leave.
#[derive(Debug)]
struct Asked {
    tasks: BTreeSet<String>,
    sent_unix_ms: u64,
    start_unix_ms: u64,
}

/// The requests of preemption that a follower has seen, in order.
fn asked(follower: &Follower) -> Vec<Asked> {
    let lines = follower.said();
    // The last line may be half written.
    let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let requests = events.map(|event| event["inverse_offer"].clone()).filter(|one| one["cause"] == "PREEMPTION");
    let number = |value: &Value| value.as_u64().unwrap();
    let read = |one: Value| Asked {
        tasks: one["task_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect(),
        sent_unix_ms: number(&one["sent_unix_ms"]),
        start_unix_ms: number(&one["start_unix_ms"]),
    };
    requests.map(read).collect()
}

fn wait_asked(follower: &Follower) -> Vec<Asked> {
    wait_for("a request to leave", PATIENCE, || {
        let asked = asked(follower);
        if asked.is_empty() { Err(follower.said()) } else { Ok(asked) }
    })
}

/// What the master that answers now has asked, and asks from now on.
fn follow(cluster: &Cluster) -> Follower {
    wait_for("the master to answer", PATIENCE, || cluster.try_json(&["agents"]));
    Follower::start(cluster, &["-o", "json", "events", "--follow", "--kind", "inverse-offer"])
}

#[test]
fn a_kill_9_between_request_and_kill_costs_nobody_more_than_is_owed() {
    let divided = Divided::start("5s");
    let cluster = &divided.cluster;
    divided.apply("filler", "spare", ALL, "    revocable: true\n");
    let before = running(cluster, "filler", ALL as usize);

    let first = follow(cluster);
    cluster.ok(&["quota", "set", "web", "--guarantee", &divided.cpus(OWED as u64)]);
    divided.apply("shop", "web", 5, "");
    wait_asked(&first);
    drop(first);
    cluster.kill_9("master");
    let second = follow(cluster);
    let again = wait_asked(&second);
    assert_eq!(running(cluster, "filler", ALL as usize), before, "nobody was ended by the master that only asked");
    assert!(again.iter().all(|one| one.start_unix_ms >= one.sent_unix_ms + NOTICE_MS), "the whole notice: {again:?}");

    running(cluster, "shop", OWED);
    let after = wait_for("the rest of the filler", PATIENCE, || {
        let now = try_running(cluster, "filler")?;
        if now.len() == before.len() - OWED { Ok(now) } else { Err(format!("{now:?}")) }
    });
    let taken: Vec<_> = before.iter().filter(|instance| !after.contains(instance)).collect();
    assert_eq!(taken.len(), OWED, "no more than is owed: {before:?} {after:?}");
    let asked = asked(&second);
    for instance in taken {
        let end = ended(cluster, &instance.task_id);
        assert_eq!(end["reason"], "PREEMPTED", "{end}");
        let of_it = asked.iter().find(|one| one.tasks.contains(&instance.task_id));
        let of_it = of_it.unwrap_or_else(|| panic!("{} was not asked: {asked:?}", instance.task_id));
        let at = end["unix_ms"].as_u64().unwrap();
        assert!(at >= of_it.start_unix_ms, "ended at {at}, before the notice had passed: {of_it:?}");
    }
    // What is beyond the promise waits.
    wait_for("the reason", PATIENCE, || {
        let told = cluster.try_json(&["why", "shop"])?.to_string();
        if told.contains("short") { Ok(()) } else { Err(told) }
    });
    assert_eq!((running(cluster, "shop", OWED).len(), running(cluster, "filler", 5)), (OWED, after));
}
