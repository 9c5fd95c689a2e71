//! Three masters on an etcd of three members: one leads, the others show the way and take over; what runs goes on.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::time::Instant;

use proffer_integration_harness::{Cluster, ClusterOptions, Etcd, binary, http_get, wait_for, wait_until};

use crate::common::{PATIENCE, running, sleepers};

fn start(etcd: &[Etcd], agent_flags: &[&str]) -> Cluster {
    Cluster::start_with(ClusterOptions {
        masters: 3,
        etcd: Some(Etcd::addresses(etcd)),
        agent_resources: Some("cpus=8,memory=16GiB"),
        agent_flags: agent_flags.iter().map(|flag| (*flag).to_owned()).collect(),
        ..ClusterOptions::default()
    })
}

/// The one master that says that it leads: its name and address.
fn leader(cluster: &Cluster) -> (String, String) {
    wait_for("a master to lead", PATIENCE, || {
        let mut all = cluster.masters().into_iter().filter(|(_, address)| leads(address) == Some(true));
        let first = all.next().ok_or("nobody leads")?;
        assert_eq!(all.next(), None, "besides {first:?}");
        Ok::<_, &str>(first)
    })
}

/// What a master says of itself; nothing when it does not answer.
fn leads(address: &str) -> Option<bool> {
    metric(address, "proffer_master_leads").map(|value| value == 1.0)
}

fn metric(address: &str, name: &str) -> Option<f64> {
    let text = http_get(address, "/metrics").ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn apply(cluster: &Cluster, instances: u32) {
    wait_for("the file to be applied", PATIENCE, || {
        let file = cluster.file("web.yaml", &sleepers(instances, ""));
        let answer = cluster.proffer(&["apply", "--no-wait", "-f", &file]);
        if answer.status.success() { Ok(()) } else { Err(answer.told()) }
    });
}

fn epoch(cluster: &Cluster) -> f64 {
    metric(&leader(cluster).1, "proffer_master_epoch").expect("the leader tells its epoch")
}

#[test]
fn the_next_master_takes_over_and_everything_that_runs_goes_on() {
    let etcd = Etcd::start_three();
    let cluster = start(&etcd, &[]);
    apply(&cluster, 3);
    let before = running(&cluster, "web", 3);

    // Whoever is asked shows the way: the command line follows it, a browser is sent there.
    let (first, first_address) = leader(&cluster);
    for (name, address) in cluster.masters().into_iter().filter(|(name, _)| *name != first) {
        let listed = cluster.run(binary("proffer", "proffer"), &["--master", &address, "agents"]);
        assert!(listed.status.success() && listed.stdout.contains("agent-1"), "{name}: {listed:?}");
        let page = http_get(&address, "/roles?x=1").expect_err("it is no page of its own");
        assert!(page.contains("307") || page.contains("the leader is"), "{page}");
        assert_eq!(http_get(&address, "/healthz").as_deref(), Ok("ok\n"));
        assert!(cluster.log(&name).contains("waits to be elected"));
    }

    let (mut leading, mut address, mut last) = (first, first_address, epoch(&cluster));
    for round in 0..2 {
        let paused = cluster.pause();
        let begun = Instant::now();
        paused.kill_9(&leading);
        let (next, next_address) = leader(&cluster);
        eprintln!("round {round}: {next} leads {} ms after {leading} was killed", begun.elapsed().as_millis());
        assert_ne!((&next, &next_address), (&leading, &address));
        drop(paused);
        assert_eq!(running(&cluster, "web", 3), before, "nothing was started again");
        let now = epoch(&cluster);
        assert!(now > last, "{now} after {last}");
        (leading, address, last) = (next, next_address, now);
    }
    apply(&cluster, 4);
    let more = running(&cluster, "web", 4);
    assert!(before.iter().all(|instance| more.contains(instance)), "{before:#?} {more:#?}");
}

#[test]
fn a_leader_that_slept_past_its_lease_does_nothing_when_it_wakes() {
    let etcd = Etcd::start_three();
    let cluster = start(&etcd, &[]);
    apply(&cluster, 2);
    let before = running(&cluster, "web", 2);
    let (old, old_address) = leader(&cluster);
    let frozen = cluster.frozen(&old);
    let (new, new_address) = wait_for("another one to lead", PATIENCE, || {
        let found = cluster.masters().into_iter().find(|(name, address)| *name != old && leads(address) == Some(true));
        found.ok_or("nobody else leads")
    });
    apply(&cluster, 3);
    let three = running(&cluster, "web", 3);
    assert!(before.iter().all(|instance| three.contains(instance)));
    drop(frozen);
    wait_until("the old one to follow", PATIENCE, || leads(&old_address) == Some(false));
    assert_eq!(leader(&cluster), (new, new_address));
    assert_eq!(running(&cluster, "web", 3), three);
    apply(&cluster, 2);
    running(&cluster, "web", 2);
    let log = cluster.log(&old);
    assert!(log.contains("has lost its lease") || log.contains("does not lead any more"), "{log}");
}

#[test]
fn all_of_200_tasks_are_accounted_for_when_the_leader_of_etcd_is_killed() {
    let mut etcd = Etcd::start_three();
    let cluster = start(&etcd, &["--runtime", "fake"]);
    let stack = sleepers(200, "").replace("cpus: 0.1, memory: 32MiB", "cpus: 0.01, memory: 8MiB");
    let file = cluster.file("many.yaml", &stack);
    cluster.ok(&["apply", "--no-wait", "-f", &file]);
    let leads = Etcd::leader(&etcd);
    let is_under_way =
        || cluster.try_json(&["tasks"]).is_ok_and(|tasks| tasks.as_array().is_some_and(|all| !all.is_empty()));
    wait_until("the first tasks to be launched", PATIENCE, is_under_way);
    etcd[leads].kill();
    let all = running(&cluster, "web", 200);
    let tasks: std::collections::BTreeSet<_> = all.iter().map(|instance| &instance.task_id).collect();
    assert_eq!(tasks.len(), 200);
    // Nothing runs that the master does not know, and each task is known once.
    let known = cluster.json(&["tasks", "--all"]);
    let known = known.as_array().expect("a list");
    let running = known.iter().filter(|task| task["status"]["state"] == "RUNNING").count();
    assert_eq!(running, 200, "{} tasks in all", known.len());
    etcd[leads].run();
    let (leading, _) = leader(&cluster);
    cluster.kill_9(&leading);
    wait_for("the same 200 on the next leader", PATIENCE, || {
        let now = crate::common::try_running(&cluster, "web")?;
        if now == all { Ok(()) } else { Err(format!("{} run", now.len())) }
    });
}
