//! On a real etcd: what is committed is there whatever crashes, nobody but the holder writes, and nothing is ever half.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use etcd_client::Client;
use proffer_integration_harness::Etcd;
use proffer_master_engine::registry::Operation;

use super::super::suite::{agent, framework, keeps_what_was_committed, task};
use super::core::Crash;
use super::*;

fn options(etcd: &Etcd, prefix: &str) -> EtcdOptions {
    let endpoints = vec![etcd.address().parse().unwrap()];
    EtcdOptions { endpoints, prefix: prefix.to_owned(), patience: Duration::from_secs(20) }
}

fn open(etcd: &Etcd) -> EtcdStore {
    EtcdStore::open(&options(etcd, "/proffer")).unwrap()
}

fn tasks(count: usize, framework: u64) -> Vec<Operation> {
    (0..count).map(|at| Operation::PutTask(Box::new(task(framework, &format!("task-{at:05}"))))).collect()
}

/// Something is asked of etcd beside the store.
fn ask<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    etcd: &Etcd,
    work: impl FnOnce(Client) -> F + Send + 'static,
) -> T {
    let address = format!("http://{}", etcd.address());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move { work(Client::connect([address], None).await.unwrap()).await })
}

fn keys(etcd: &Etcd, prefix: &'static str) -> usize {
    ask(etcd, move |mut client| async move {
        let options = etcd_client::GetOptions::new().with_prefix().with_count_only();
        client.get(prefix, Some(options)).await.unwrap().count() as usize
    })
}

#[test]
fn etcd_keeps_what_was_committed() {
    let mut etcd = Etcd::start();
    let where_it_is = options(&etcd, "/proffer");
    let mut is_first = true;
    keeps_what_was_committed(|| {
        if !std::mem::take(&mut is_first) {
            etcd.kill();
            etcd.run();
        }
        Box::new(EtcdStore::open(&where_it_is).unwrap())
    });
    let other = EtcdStore::open(&options(&etcd, "/other")).unwrap().load().unwrap();
    assert_eq!((other.epoch.0, other.registry), (1, Default::default()), "each prefix is a cluster of its own");
}

#[test]
fn who_was_taken_over_from_writes_nothing_any_more() {
    let etcd = Etcd::start();
    let (mut old, mut new) = (open(&etcd), open(&etcd));
    assert_eq!(old.load().unwrap().epoch.0, 1);
    old.commit(&[Operation::PutAgent(Box::new(agent(1)))]).unwrap();
    let loaded = new.load().unwrap();
    assert_eq!((loaded.epoch.0, loaded.registry.agents.len()), (2, 1));
    for operations in [vec![Operation::PutAgent(Box::new(agent(2)))], tasks(1_000, 1)] {
        let told = old.commit(&operations).unwrap_err();
        assert!(matches!(&told, StoreError::Superseded { .. }), "{told}");
        assert!(told.to_string().contains("another master has taken over"), "{told}");
    }
    new.commit(&[Operation::PutAgent(Box::new(agent(3)))]).unwrap();
    let agents: Vec<_> = open(&etcd).load().unwrap().registry.agents.into_iter().map(|agent| agent.id).collect();
    assert_eq!(agents, [agent(1).id, agent(3).id]);
}

#[test]
fn two_that_start_at_once_get_epochs_of_their_own_and_one_of_them_writes() {
    let etcd = Etcd::start();
    let start = |_| {
        let place = options(&etcd, "/proffer");
        std::thread::spawn(move || {
            let mut store = EtcdStore::open(&place).unwrap();
            let epoch = store.load().map(|loaded| (loaded.epoch.0, loaded.cluster));
            (epoch, store)
        })
    };
    let mut all: Vec<_> = (0..4).map(start).collect::<Vec<_>>().into_iter().map(|s| s.join().unwrap()).collect();
    let last = all.iter().filter_map(|(epoch, _)| epoch.as_ref().ok()).map(|(epoch, _)| *epoch).max().unwrap();
    assert_eq!(last, 4, "each began one");
    let clusters: std::collections::BTreeSet<_> =
        all.iter().filter_map(|(e, _)| Some(e.as_ref().ok()?.1.clone())).collect();
    assert_eq!(clusters.len(), 1);
    for (epoch, store) in &mut all {
        let wrote = store.commit(&tasks(1, 1)).is_ok();
        assert_eq!(wrote, epoch.as_ref().is_ok_and(|(epoch, _)| *epoch == last));
    }
}

/// A commit of many requests is broken off after each of them in turn: the next load finds all of it or nothing.
#[test]
fn a_commit_in_parts_is_whole_or_not_at_all_wherever_it_is_broken_off() {
    let etcd = Etcd::start();
    let large = |text: char| {
        let mut all = tasks(300, 1);
        for operation in &mut all {
            let Operation::PutTask(record) = operation else { continue };
            record.spec.name = text.to_string().repeat(9_000);
        }
        [all, vec![Operation::DeleteAgent(agent(1).id), Operation::PutFramework(framework(1))]].concat()
    };
    let (mut seen_old, mut seen_new, mut after) = (0, 0, 0);
    loop {
        let prefix = format!("/broken-{after}");
        let place = options(&etcd, &prefix);
        let mut store = EtcdStore::open(&place).unwrap();
        store.load().unwrap();
        store
            .commit(&[vec![Operation::PutAgent(Box::new(agent(1)))], large('a')].concat())
            .unwrap_or_else(|e| panic!("{e}"));
        let mut core = store.core.take().unwrap();
        core.crash = Some(Crash::AfterWrites(after));
        store.core = Some(core);
        let is_done = store.commit(&large('b')).is_ok();
        drop(store);

        let looked = EtcdStore::open(&place).unwrap().look().unwrap().unwrap().registry;
        let mut next = EtcdStore::open(&place).unwrap();
        let found = next.load().unwrap().registry;
        assert_eq!(looked, found, "who only looks sees the same");
        let names: std::collections::BTreeSet<_> = found.tasks.iter().map(|t| t.spec.name[..1].to_owned()).collect();
        assert_eq!((names.len(), found.tasks.len()), (1, 300), "half of it after {after} requests");
        if names.contains("b") {
            seen_new += 1
        } else {
            seen_old += 1
        }
        assert!(!is_done || names.contains("b"));
        // What is left is left in no later load's way.
        next.commit(&tasks(1, 2)).unwrap();
        drop(next);
        let again = EtcdStore::open(&place).unwrap().load().unwrap().registry;
        assert_eq!(again.tasks.len(), 301);
        let staged = format!("{prefix}/staged/");
        assert_eq!(keys(&etcd, Box::leak(staged.into_boxed_str())), 0);
        if is_done {
            break;
        }
        after += 1;
    }
    assert!(seen_old >= 2 && seen_new >= 3, "{seen_old} before the commit, {seen_new} after it");
}

#[test]
fn a_write_whose_answer_is_lost_is_done_once() {
    let mut etcd = Etcd::start();
    let mut store = open(&etcd);
    store.load().unwrap();
    store.commit(&tasks(1, 1)).unwrap();
    // It is sent, and etcd dies before it answers or after.
    for round in 2..5 {
        etcd.pause();
        let writes = std::thread::spawn(move || {
            let result = store.commit(&tasks(1, round));
            (store, result)
        });
        std::thread::park_timeout(Duration::from_millis(300));
        if round == 3 {
            etcd.kill();
            etcd.run();
        } else {
            etcd.resume();
        }
        let (back, result) = writes.join().unwrap();
        store = back;
        result.unwrap();
    }
    store.commit(&tasks(1, 9)).unwrap();
    assert_eq!(open(&etcd).load().unwrap().registry.tasks.len(), 5);
}

#[test]
fn who_waits_in_vain_is_told_that_the_outcome_is_not_known() {
    let mut etcd = Etcd::start();
    let place = EtcdOptions { patience: Duration::from_secs(1), ..options(&etcd, "/proffer") };
    let mut store = EtcdStore::open(&place).unwrap();
    store.load().unwrap();
    etcd.kill();
    let told = store.commit(&tasks(1, 1)).unwrap_err();
    assert!(matches!(told, StoreError::Unknown { .. }), "{told}");
    let told = EtcdStore::open(&place).unwrap().load().unwrap_err();
    assert!(matches!(told, StoreError::Unreachable { .. }) && told.to_string().contains(etcd.address()), "{told}");
    etcd.run();
    assert!(EtcdStore::open(&place).unwrap().load().unwrap().registry.tasks.len() <= 1);
}

#[test]
fn what_is_read_in_pages_is_of_one_moment_also_when_old_ones_are_forgotten() {
    let etcd = Etcd::start();
    let mut store = open(&etcd);
    store.load().unwrap();
    store.commit(&tasks(1_700, 1)).unwrap();
    let compact = ask(&etcd, |mut client| async move {
        let now = client.get("x", None).await.unwrap().header().unwrap().revision();
        client.compact(now, None).await.is_ok()
    });
    assert!(compact);
    assert_eq!(store.look().unwrap().unwrap().registry.tasks.len(), 1_700);
    assert_eq!(open(&etcd).load().unwrap().registry.tasks.len(), 1_700);
}

#[test]
fn what_etcd_cannot_hold_any_more_is_told_with_the_way_out() {
    let etcd = Etcd::start_with(&["--quota-backend-bytes", "8000000"]);
    let mut store = open(&etcd);
    store.load().unwrap();
    let mut told = None;
    let mut done = 0;
    while told.is_none() && done < 100 {
        done += 1;
        // The same again: what was before stays until it is compacted away.
        told = store.commit(&tasks(500, 1)).err();
    }
    let told = told.unwrap();
    assert!(matches!(told, StoreError::Full { .. }) && told.to_string().contains("etcdctl alarm disarm"), "{told}");
    ask(&etcd, |mut client| async move {
        let now = client.get("x", None).await.unwrap().header().unwrap().revision();
        client.compact(now, Some(etcd_client::CompactionOptions::new().with_physical())).await.unwrap();
        client.defragment().await.unwrap();
        // As `etcdctl alarm disarm` does: each alarm by its member.
        let kind = etcd_client::AlarmType::Nospace;
        let all = client.alarm(etcd_client::AlarmAction::Get, kind, None).await.unwrap();
        for alarm in all.alarms() {
            let mut whose = etcd_client::AlarmOptions::new();
            whose.with_member(alarm.member_id());
            client.alarm(etcd_client::AlarmAction::Deactivate, kind, Some(whose)).await.unwrap();
        }
    });
    let mut again = open(&etcd);
    assert_eq!(again.load().unwrap().registry.tasks.len(), 500);
    again.commit(&tasks(1, 1_000)).unwrap();
}

#[test]
fn old_values_are_forgotten_as_it_goes_on() {
    let etcd = Etcd::start();
    let mut store = open(&etcd);
    store.load().unwrap();
    for _ in 0..1_001 {
        store.commit(&tasks(1, 1)).unwrap();
    }
    let is_forgotten = ask(&etcd, |mut client| async move {
        let early = etcd_client::GetOptions::new().with_revision(10);
        client.get("/proffer/meta", Some(early)).await.is_err()
    });
    assert!(is_forgotten);
    store.commit(&tasks(1, 2)).unwrap();
}

#[test]
fn what_another_program_wrote_is_refused_and_kept() {
    let etcd = Etcd::start();
    open(&etcd).load().unwrap();
    let put = |key: &'static str, value: &'static str| {
        ask(&etcd, move |mut client| async move { drop(client.put(key, value, None).await.unwrap()) });
    };
    put("/proffer/records/1/agents/A1-1", "{\"id\": 7}");
    let told = open(&etcd).load().unwrap_err().to_string();
    assert!(told.contains("agents/A1-1"), "{told}");
    put("/proffer/meta", "{\"schema\": 3, \"more\": 1}");
    let told = open(&etcd).load().unwrap_err();
    assert!(matches!(told, StoreError::Newer { found: 3, .. }), "{told}");
    put("/proffer/meta", "not ours");
    let told = open(&etcd).load().unwrap_err().to_string();
    assert!(told.contains("/proffer/meta"), "{told}");
    ask(&etcd, |mut client| async move { drop(client.delete("/proffer/meta", None).await.unwrap()) });
    let told = open(&etcd).load().unwrap_err().to_string();
    assert!(told.contains("/proffer/meta is missing"), "{told}");
}

#[test]
fn records_larger_than_etcd_takes_of_one_key_are_kept_in_parts_and_leave_none_behind() {
    let etcd = Etcd::start();
    let mut store = open(&etcd);
    store.load().unwrap();
    let named = |bytes: usize| {
        let mut large = task(1, "large");
        large.spec.name = "x".repeat(bytes);
        Operation::PutTask(Box::new(large))
    };
    let stored = || open(&etcd).look().unwrap().unwrap().registry.tasks[0].spec.name.len();
    let records = "/proffer/records/1/";
    for (bytes, parts) in [(3 << 20, 6), (9, 0), (2 << 20, 4), (5 << 20, 10)] {
        store.commit(&[named(bytes)]).unwrap();
        assert_eq!(stored(), bytes);
        // One key for the record itself; the last part holds what surrounds the name.
        assert_eq!(keys(&etcd, records), if parts == 0 { 1 } else { parts + 2 }, "{bytes} bytes");
        // The next holder knows which they are.
        store = open(&etcd);
        store.load().unwrap();
    }
    let Operation::PutTask(record) = named(1) else { return };
    store.commit(&[Operation::DeleteTask(record.key.clone())]).unwrap();
    assert_eq!(keys(&etcd, records), 0);
}
