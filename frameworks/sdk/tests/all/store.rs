//! One suite for every store.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use proffer_sdk::store::{FileStore, MemoryStore, Store, StoreError, StoreOp};

fn put(key: &str, value: &str) -> StoreOp {
    StoreOp::Put { key: key.into(), value: value.into() }
}

fn remove(key: &str) -> StoreOp {
    StoreOp::Remove { key: key.into() }
}

fn entries(list: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    list.iter().map(|(key, value)| (key.to_string(), value.as_bytes().to_vec())).collect()
}

/// `open` opens the same store again and again, each time after the one before was dropped.
fn suite<S: Store>(open: impl Fn() -> S) {
    assert_eq!(open().load().unwrap(), BTreeMap::new());
    open().commit(&[]).unwrap();
    open().commit(&[put("b", "1"), put("a", "2"), put("c/d", "3")]).unwrap();
    assert_eq!(open().load().unwrap(), entries(&[("a", "2"), ("b", "1"), ("c/d", "3")]));
    let mut store = open();
    store.commit(&[put("a", "4"), remove("a"), put("a", "5"), remove("b"), remove("not there")]).unwrap();
    assert_eq!(store.load().unwrap(), entries(&[("a", "5"), ("c/d", "3")]));
    store.commit(&[put("", ""), put("é", "\u{0}")]).unwrap();
    drop(store);
    assert_eq!(open().load().unwrap(), entries(&[("", ""), ("a", "5"), ("c/d", "3"), ("é", "\u{0}")]));
}

#[test]
fn the_memory_store_keeps_the_rules() {
    let store = MemoryStore::new();
    suite(|| store.clone());
}

#[test]
fn the_file_store_keeps_the_rules() {
    let directory = tempfile::tempdir().unwrap();
    suite(|| FileStore::open(directory.path().join("deep/state.redb")).unwrap());
}

#[test]
fn a_file_in_use_or_no_state_is_refused_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let _first = FileStore::open(&path).unwrap();
    let error = FileStore::open(&path).unwrap_err();
    assert!(matches!(&error, StoreError::Open { .. }) && error.to_string().contains("state.redb"), "{error}");
    let junk = directory.path().join("junk");
    std::fs::write(&junk, "not a database at all").unwrap();
    assert!(matches!(FileStore::open(&junk), Err(StoreError::Open { .. })));
}
