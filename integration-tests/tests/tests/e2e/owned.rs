//! Frameworks removed for good on a real cluster: their reservations and volumes end with them, the directories on the
//! agent's disk too, also when a kill -9 of the master comes between; what one leaves, and what operators made, stays.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::path::PathBuf;

use proffer_integration_harness::{Cluster, Follower, kill_9, wait_for, wait_until};
use proffer_sdk::{
    Bytes, Context, Demand, Driver, DriverError, Event, FrameworkConfig, Handled, Resources, Scheduler, Task, VolumeId,
};
use serde_json::Value;

use super::common::PATIENCE;

/// A day: what such a task ignores is not ended by force in a test.
const LONG_GRACE_MS: u64 = 86_400_000;

/// Reserves 100 MiB of disk, makes a volume of 64 of them, and runs a task that writes to it and does not end when told to.
struct Keeper {
    volume: &'static str,
    is_done: bool,
}

impl Scheduler for Keeper {
    fn on_event(&mut self, event: Event, cx: &mut Context<'_>) -> Handled {
        match event {
            Event::Started { .. } => cx.set_demand(Demand::anything()),
            Event::Offers(offers) => {
                for mut offer in offers {
                    if std::mem::replace(&mut self.is_done, true) {
                        continue;
                    }
                    cx.set_demand(Demand::none());
                    offer.reserve("reserve", Resources { disk: Bytes::mib(100), ..Resources::default() })?;
                    offer.create_volume("create", VolumeId::new(self.volume)?, Bytes::mib(64))?;
                    let script = "trap '' TERM; echo one > /data/rows; while :; do sleep 1; done";
                    let task = Task::new(self.volume).image("hello:latest").command(["/bin/sh", "-c", script]);
                    let task = task.cpus(0.1).memory_mib(32).kill_grace_ms(LONG_GRACE_MS);
                    offer.launch(task.volume(self.volume, "/data").build()?)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Runs a framework in role `eng` until its task has written, then removes it for good.
fn run_and_tear_down(cluster: &Cluster, volume: &'static str, leaves: bool) {
    let config = FrameworkConfig::new(volume).role("eng").master(cluster.master());
    let driver = Driver::new(if leaves { config.leaves_reservations() } else { config });
    let handle = driver.handle();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let running = runtime.spawn(driver.run(Keeper { volume, is_done: false }));
    wait_until("the task to write", PATIENCE, || directory(cluster, volume).join("rows").exists());
    runtime.block_on(async {
        handle.with(|_, cx| cx.teardown()).await.unwrap();
        running.await.unwrap().unwrap();
    });
}

fn directory(cluster: &Cluster, volume: &str) -> PathBuf {
    cluster.data_dir().join("agent-1").join("volumes").join("eng").join(volume)
}

/// The end of the one task that runs, which nothing else brings about.
fn end_task(cluster: &Cluster) {
    let running = cluster.containers(&cluster.flags("agent-1").namespace);
    assert_eq!(running.len(), 1, "{running:?}");
    running.into_values().for_each(kill_9);
}

/// Waits until the master has forgotten a framework.
fn wait_forgotten(cluster: &Cluster, name: &str) {
    wait_for(&format!("the end of {name}"), PATIENCE, || {
        let all = cluster.try_json(&["frameworks"])?;
        let is_there = all.as_array().unwrap().iter().any(|framework| framework["name"] == name);
        if is_there { Err(all.to_string()) } else { Ok(()) }
    });
}

/// Name and state of every volume.
fn volumes(cluster: &Cluster) -> Result<Vec<(String, String)>, String> {
    let all = cluster.try_json(&["volumes", "ls"])?;
    let text = |volume: &Value, name: &str| volume[name].as_str().unwrap_or_default().to_owned();
    Ok(all.as_array().unwrap().iter().map(|volume| (text(volume, "volume_id"), text(volume, "state"))).collect())
}

fn wait_volumes(cluster: &Cluster, names: &[&str]) {
    wait_for(&format!("the volumes {names:?}, all ready"), PATIENCE, || {
        let now = volumes(cluster)?;
        let is_it = now.iter().map(|(id, state)| (id.as_str(), state.as_str())).eq(names.iter().map(|n| (*n, "READY")));
        if is_it { Ok(()) } else { Err(format!("{now:?}")) }
    });
}

/// MiB that are reserved, in order; all of it of nobody.
fn reserved_mib(cluster: &Cluster) -> Vec<u64> {
    let all = cluster.json(&["reservations"]);
    let all = all.as_array().unwrap();
    assert!(all.iter().all(|one| one["role"] == "eng" && one["owner_framework_id"].is_null()), "{all:?}");
    let mut mib: Vec<u64> = all.iter().map(|one| one["resources"]["disk_bytes"].as_u64().unwrap() >> 20).collect();
    mib.sort_unstable();
    mib
}

#[test]
fn what_a_framework_had_goes_with_it_over_a_kill_9_and_the_rest_stays() {
    let cluster = Cluster::start();
    let agent = cluster.json(&["agents"])[0]["agent_id"].as_str().unwrap().to_owned();
    cluster.ok(&["reserve", &agent, "--role", "eng", "--resources", "disk=50MiB"]);
    cluster.ok(&["volumes", "create", &agent, "kept", "--role", "eng", "--size", "40MiB", "--wait"]);

    run_and_tear_down(&cluster, "left", true);
    end_task(&cluster);
    wait_forgotten(&cluster, "left");
    assert_eq!(reserved_mib(&cluster), [50, 100]);

    // Its own volume needs more than is left of the two that are there.
    run_and_tear_down(&cluster, "own", false);
    wait_until("the master to take its word", PATIENCE, || {
        let all = cluster.json(&["frameworks"]);
        all.as_array().unwrap().iter().any(|one| one["name"] == "own" && one["connected"] == false)
    });
    cluster.kill_9("master");
    // The task does not end by itself: nothing may have gone before it does.
    wait_volumes(&cluster, &["kept", "left", "own"]);
    assert!(directory(&cluster, "own").join("rows").exists());
    end_task(&cluster);
    wait_forgotten(&cluster, "own");
    wait_volumes(&cluster, &["kept", "left"]);
    assert!(!directory(&cluster, "own").exists(), "its data is gone from the disk");
    assert!(directory(&cluster, "kept").is_dir());
    assert_eq!(std::fs::read_to_string(directory(&cluster, "left").join("rows")).unwrap(), "one\n");
    assert_eq!(reserved_mib(&cluster), [50, 100]);

    an_operator_removes_a_framework(&cluster);
    wait_volumes(&cluster, &["kept", "left"]);
    assert_eq!(reserved_mib(&cluster), [50, 100]);
}

/// It connects and works; what an operator is told would end does end, the framework hears why, and its name is nobody's.
fn an_operator_removes_a_framework(cluster: &Cluster) {
    let nobody = cluster.proffer(&["frameworks", "teardown", "third"]);
    assert!(!nobody.status.success(), "{nobody:?}");
    assert!(nobody.told().contains("there is no framework \"third\"") && nobody.told().contains("proffer frameworks"));
    assert!(nobody.told().contains("none of that id or name was removed"), "{nobody:?}");
    let driver = Driver::new(FrameworkConfig::new("third").role("eng").master(cluster.master()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let running = runtime.spawn(driver.run(Keeper { volume: "third", is_done: false }));
    wait_until("the task to write", PATIENCE, || directory(cluster, "third").join("rows").exists());

    let told = cluster.ok(&["frameworks", "teardown", "third", "--dry-run"]);
    assert!(told.contains("(third) would be removed for good: 1 tasks would end"), "{told}");
    let view = cluster.json(&["frameworks", "teardown", "third"]);
    assert_eq!((&view["tasks_active"], &view["is_over"]), (&1.into(), &false.into()), "{view}");
    assert_eq!(view["volumes"], serde_json::json!(["eng/third"]), "{view}");
    let end = runtime.block_on(running).unwrap().unwrap_err();
    assert!(matches!(&end, DriverError::Removed { message } if message.contains("an operator removed")), "{end}");
    // The task has a day to end.
    let id = view["framework_id"].as_str().unwrap();
    let line = ["frameworks", "teardown", id, "--wait", "--timeout", "1s"];
    let waiting = cluster.proffer(&line);
    assert!(!waiting.status.success() && waiting.told().contains("have not ended yet"), "{waiting:?}");
    assert!(waiting.told().contains("1 tasks left"), "{waiting:?}");
    a_wait_goes_on_over_a_kill_9(cluster, id);
    wait_until("its data to be gone from the disk", PATIENCE, || !directory(cluster, "third").exists());

    // Again, by its id and by its name, also at the next master.
    cluster.kill_9("master");
    for wanted in [id, "third"] {
        let told = wait_for("the next master", PATIENCE, || {
            let again = cluster.proffer(&["frameworks", "teardown", wanted, "--wait"]);
            if again.status.success() { Ok(again.stdout) } else { Err(again.told()) }
        });
        assert!(told.contains(&format!("framework {id} (third) is gone already")), "{told}");
    }
    let view = cluster.json(&["frameworks", "teardown", "third", "--dry-run"]);
    assert_eq!((&view["was_gone"], &view["is_over"]), (&true.into(), &true.into()), "{view}");
    let never = cluster.proffer(&["frameworks", "teardown", "thirt"]);
    assert!(!never.status.success() && never.told().contains("there is no framework \"thirt\""), "{never:?}");
}

/// The master goes and comes back while a command waits; the command says so, and ends when the last task has.
fn a_wait_goes_on_over_a_kill_9(cluster: &Cluster, id: &str) {
    let mut waits = Follower::start(cluster, &["frameworks", "teardown", id, "--wait", "--timeout", "5m"]);
    let told = |waits: &Follower, words: &str| if waits.told().contains(words) { Ok(()) } else { Err(waits.told()) };
    wait_for("the wait to begin", PATIENCE, || told(&waits, "1 tasks left"));
    let paused = cluster.pause();
    paused.kill_9("master");
    wait_for("the command to notice", PATIENCE, || told(&waits, "the master does not answer; trying again"));
    drop(paused);
    wait_for("the next master", PATIENCE, || cluster.try_json(&["frameworks"]));
    end_task(cluster);
    let status = wait_for("the end of the wait", PATIENCE, || waits.ended().ok_or_else(|| waits.told()));
    let said = waits.said();
    assert!(status.success(), "{said} {}", waits.told());
    assert!(said.contains("is removed for good: 1 tasks have ended; with it goes the data of eng/third"), "{said}");
}
