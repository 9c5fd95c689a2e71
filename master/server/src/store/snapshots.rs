//! Snapshots and moves, from every store to every other.

use std::path::Path;

use proffer_integration_harness::Etcd;
use proffer_master_engine::registry::Operation;

use super::suite::{agent, framework, task};
use super::*;

fn filled(store: &mut dyn Store, count: usize) {
    store.load().unwrap();
    let mut all = vec![Operation::PutAgent(Box::new(agent(1))), Operation::PutFramework(framework(1))];
    all.extend((0..count).map(|at| Operation::PutTask(Box::new(task(1, &format!("t-{at}"))))));
    store.commit(&all).unwrap();
}

fn disk(dir: &Path) -> DiskStore {
    DiskStore::open(dir).unwrap()
}

fn etcd_store(etcd: &Etcd) -> EtcdStore {
    let endpoints = vec![etcd.address().parse().unwrap()];
    let patience = EtcdOptions::DEFAULT_PATIENCE;
    EtcdStore::open(&EtcdOptions { endpoints, prefix: "/proffer".into(), patience }).unwrap()
}

#[test]
fn what_one_store_holds_goes_whole_through_a_file_into_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let etcd = Etcd::start();
    let mut source = disk(&dir.path().join("source"));
    assert_eq!(source.look().unwrap(), None);
    filled(&mut source, 1_000);
    let contents = source.look().unwrap().unwrap();
    assert_eq!((contents.epoch, source.look().unwrap().unwrap().epoch), (Epoch(1), Epoch(1)), "looking begins nothing");
    let file = dir.path().join("one.snapshot");
    write_snapshot(&file, &contents).unwrap();
    let told = write_snapshot(&file, &contents).unwrap_err();
    assert!(matches!(told, SnapshotError::Exists(_)), "{told}");
    let read = read_snapshot(&file).unwrap();
    assert_eq!(read, contents);

    let others: [Box<dyn Backup>; 3] =
        [Box::new(MemoryStore::default()), Box::new(disk(&dir.path().join("other"))), Box::new(etcd_store(&etcd))];
    for mut other in others {
        assert_eq!(other.look().unwrap(), None);
        filled(other.as_mut(), 3);
        other.commit(&[Operation::PutTask(Box::new(task(1, "of-before")))]).unwrap();
        other.replace(&read).unwrap();
        assert_eq!(other.look().unwrap().unwrap(), contents, "{}", std::any::type_name_of_val(&other));
        let loaded = other.load().unwrap();
        assert_eq!((loaded.epoch, &loaded.registry), (Epoch(2), &contents.registry));
        assert_eq!(loaded.cluster, contents.cluster);
        other.commit(&[Operation::DeleteTask(task(1, "t-0").key)]).unwrap();
        assert_eq!(other.look().unwrap().unwrap().registry.tasks.len(), 999);
    }
    assert_eq!(etcd_store(&etcd).load().unwrap().registry.tasks.len(), 999);
}

#[test]
fn a_master_that_writes_is_out_when_its_store_is_replaced() {
    let etcd = Etcd::start();
    let (mut master, mut restore) = (etcd_store(&etcd), etcd_store(&etcd));
    filled(&mut master, 5);
    let contents = restore.look().unwrap().unwrap();
    restore.replace(&contents).unwrap();
    let told = master.commit(&[Operation::DeleteAgent(agent(1).id)]).unwrap_err();
    assert!(matches!(told, StoreError::Superseded { .. }), "{told}");
    assert_eq!(restore.look().unwrap().unwrap(), contents);
}

#[test]
fn a_file_that_was_changed_anywhere_is_refused_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = MemoryStore::default();
    filled(&mut store, 3);
    let file = dir.path().join("s");
    write_snapshot(&file, &store.look().unwrap().unwrap()).unwrap();
    let whole = std::fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&file, &changed).unwrap();
        let told = read_snapshot(&file).unwrap_err().to_string();
        assert!(told.contains(&file.display().to_string()), "byte {at}: {told}");
        std::fs::write(&file, &whole[..at]).unwrap();
        assert!(read_snapshot(&file).is_err(), "cut at {at}");
    }
    let newer = String::from_utf8(whole).unwrap().replacen("\"version\":1", "\"version\":2", 1);
    std::fs::write(&file, newer).unwrap();
    assert!(matches!(read_snapshot(&file).unwrap_err(), SnapshotError::Newer { found: 2, .. }));
}

#[test]
fn a_file_whose_contents_were_moved_says_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = disk(dir.path());
    filled(&mut store, 1);
    store.mark_moved("etcd 127.0.0.1:2379, prefix /proffer").unwrap();
    drop(store);
    let loaded = disk(dir.path()).load().unwrap_err();
    let looked = disk(dir.path()).look().unwrap_err();
    for told in [loaded, looked] {
        assert!(told.to_string().contains("was moved to etcd 127.0.0.1:2379"), "{told}");
    }
}

#[test]
fn nothing_is_put_in_the_place_of_something_unless_it_is_forced() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = MemoryStore::default();
    filled(&mut source, 3);
    let contents = source.look().unwrap().unwrap();
    let mut target = disk(dir.path());
    filled(&mut target, 7);
    (0..4).for_each(|_| drop(target.load().unwrap()));
    let told = restore(&mut target, "here", contents.clone(), false).unwrap_err().to_string();
    assert!(told.contains("here is not empty: it holds 1 agents, 1 frameworks and 7 tasks"), "{told}");
    assert_eq!(target.look().unwrap().unwrap().registry.tasks.len(), 7);
    restore(&mut target, "here", contents.clone(), true).unwrap();
    let loaded = target.load().unwrap();
    assert_eq!(loaded.registry, contents.registry);
    assert!(loaded.epoch.0 > 1_000, "behind all that agents can have seen: {:?}", loaded.epoch);
}

#[test]
fn a_move_takes_everything_once_and_goes_on_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let etcd = Etcd::start();
    let mut target = etcd_store(&etcd);
    let mut source = disk(dir.path());
    let told = move_from_disk(&mut source, "there", &mut target, "here").unwrap_err().to_string();
    assert!(told.contains("there holds nothing"), "{told}");
    filled(&mut source, 400);
    let contents = source.look().unwrap().unwrap();
    // Broken off between the copy and the mark.
    target.replace(&contents).unwrap();
    assert_eq!(move_from_disk(&mut source, "there", &mut target, "here").unwrap(), contents);
    assert!(matches!(source.load().unwrap_err(), StoreError::Moved { .. }));
    let loaded = target.load().unwrap();
    assert_eq!((loaded.epoch, loaded.registry), (Epoch(2), contents.registry), "the epoch goes on");
    let mut other = disk(&dir.path().join("other"));
    filled(&mut other, 1);
    let told = move_from_disk(&mut other, "other", &mut target, "here").unwrap_err();
    assert!(matches!(told, TransferError::NotEmpty { tasks: 400, .. }), "{told}");
    assert_eq!(other.load().unwrap().registry.tasks.len(), 1, "it may still be used");
}
