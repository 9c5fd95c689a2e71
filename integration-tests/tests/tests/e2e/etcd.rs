//! A registry in etcd on a real cluster: what runs goes on over kill -9 of master and etcd, a registry moves there from a
//! data directory with one command, and a snapshot brings back what was lost.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use crate::common::{PATIENCE, running, sleepers};
use proffer_integration_harness::{Cluster, ClusterOptions, Etcd, wait_for};

/// The flags of a master on this etcd.
fn flags(etcd: &Etcd) -> Vec<&'static str> {
    vec!["--etcd", etcd.address().to_owned().leak()]
}

fn apply(cluster: &Cluster, instances: u32) {
    wait_for("the file to be applied", PATIENCE, || {
        let answer =
            cluster.proffer(&["apply", "--no-wait", "-f", &cluster.file("web.yaml", &sleepers(instances, ""))]);
        if answer.status.success() { Ok(()) } else { Err(answer.told()) }
    });
}

#[test]
fn nothing_is_lost_when_master_or_etcd_are_killed() {
    let mut etcd = Etcd::start();
    let cluster = Cluster::start_with(ClusterOptions { master_flags: flags(&etcd), ..ClusterOptions::default() });
    assert!(!cluster.data_dir().join("master").join("master.redb").exists());
    apply(&cluster, 3);
    let before = running(&cluster, "web", 3);
    cluster.kill_9("master");
    assert_eq!(running(&cluster, "web", 3), before, "a new master knows all of it");
    etcd.kill();
    etcd.run();
    apply(&cluster, 5);
    let more = running(&cluster, "web", 5);
    assert!(before.iter().all(|instance| more.contains(instance)), "{before:#?} {more:#?}");

    // While the master runs.
    let file = cluster.scratch().join("now.snapshot").to_string_lossy().into_owned();
    let saved = cluster.json(&["snapshot", "save", &file, "--etcd", etcd.address()]);
    assert_eq!((&saved["agents"], &saved["frameworks"], &saved["tasks"]), (&1.into(), &2.into(), &5.into()), "{saved}");
    // Everything in etcd is lost, with all that was done since.
    apply(&cluster, 4);
    running(&cluster, "web", 4);
    let refused = cluster.proffer(&["snapshot", "restore", &file, "--etcd", etcd.address()]);
    assert!(!refused.status.success() && refused.told().contains("is not empty: it holds 1 agents"), "{refused:?}");
    cluster.ok(&["snapshot", "restore", &file, "--etcd", etcd.address(), "--force"]);
    // The master that ran is out with its next write; the one after it is taken by the agent, and things are as the
    // framework wants them.
    apply(&cluster, 2);
    running(&cluster, "web", 2);
    assert!(cluster.log("master").contains("another master has taken over"), "{}", cluster.log("master"));
}

#[test]
fn a_data_directory_moves_to_etcd_with_one_command() {
    let etcd = Etcd::start();
    let mut cluster = Cluster::start();
    apply(&cluster, 2);
    running(&cluster, "web", 2);
    let id = |cluster: &Cluster| cluster.json(&["agents"])[0]["agent_id"].clone();
    let agent = id(&cluster);
    let dir = cluster.data_dir().join("master").to_string_lossy().into_owned();
    let busy = cluster.proffer(&["snapshot", "move", "--data-dir", &dir, "--etcd", etcd.address()]);
    assert!(!busy.status.success() && busy.told().contains("is in use by another master"), "{busy:?}");
    cluster.stop();
    let moved = cluster.ok(&["snapshot", "move", "--data-dir", &dir, "--etcd", etcd.address()]);
    assert!(moved.contains("start masters with --etcd"), "{moved}");
    let old = cluster.proffer(&["master", "--data-dir", &dir, "--listen", "127.0.0.1:0"]);
    assert!(!old.status.success() && old.told().contains("was moved to etcd"), "{old:?}");
    cluster.set_master_flags(flags(&etcd));
    cluster.run_dev();
    running(&cluster, "web", 2);
    assert_eq!(id(&cluster), agent, "the same agent of the same cluster");
}
