//! One suite for every store, and what only a file can do wrong.

use std::fs;

use proffer_master_engine::registry::{
    AgentMode, AgentRecord, Drain, FrameworkRecord, Operation, RemovedRecord, RoleRecord, TaskRecord, WindowAction,
    WindowId, WindowRecord,
};
use proffer_proto_model::resources::{Bytes, MilliCpus};
use proffer_proto_model::{
    AgentId, AgentInfo, ClusterId, Epoch, FrameworkId, FrameworkInfo, Limit, Quota, Resources, Role, TaskId, TaskKey,
    TaskSource, TaskSpec, TaskState, TaskStatus, UnixMillis, Weight,
};

use super::*;

pub(crate) fn agent(number: u64) -> AgentRecord {
    let id = AgentId::numbered(1, number);
    let info = AgentInfo {
        id: Some(id.clone()),
        hostname: format!("host-{number}"),
        api_address: "127.0.0.1:5051".into(),
        address: "127.0.0.1".into(),
        resources: Resources::new(MilliCpus(4000), Bytes::mib(8192)),
        attributes: Vec::new(),
        region: String::new(),
        zone: String::new(),
        version: "0.1.0".into(),
        boot_id: "b".into(),
        reservations: Vec::new(),
    };
    AgentRecord {
        id,
        info,
        incarnation: 1,
        is_unreachable: false,
        mode: AgentMode::Active,
        pools: Vec::new(),
        last_pool: 0,
        volumes: Vec::new(),
        last_volume: 0,
    }
}

fn window(number: u64) -> WindowRecord {
    let agents = vec![AgentId::numbered(1, number)];
    let action = WindowAction::Drain { max_grace_ms: Some(5) };
    let id = WindowId(format!("M1-{number}"));
    WindowRecord { id, agents, start: UnixMillis(7), duration_ms: 8, action, taken: Some(Vec::new()) }
}

pub(crate) fn framework(number: u64) -> FrameworkRecord {
    let id = FrameworkId::numbered(1, number);
    let info = FrameworkInfo {
        id: Some(id.clone()),
        name: format!("framework-{number}"),
        principal: "default".into(),
        roles: vec![Role::default_role()],
        failover_timeout_ms: 1000,
        api_address: String::new(),
        labels: Default::default(),
        hostname: String::new(),
        placement: None,
        leaves_reservations: false,
    };
    FrameworkRecord { id, info, is_removing: false, untold: Vec::new() }
}

pub(crate) fn task(framework: u64, name: &str) -> TaskRecord {
    let id = TaskId::new(name).unwrap();
    let agent = AgentId::numbered(1, 1);
    TaskRecord {
        key: TaskKey { framework: FrameworkId::numbered(1, framework), task: id.clone() },
        agent: agent.clone(),
        role: Role::default_role(),
        spec: TaskSpec {
            id: id.clone(),
            name: name.to_owned(),
            container: Default::default(),
            resources: Resources::default(),
            limits: Default::default(),
            kill_policy: Default::default(),
            max_run_time_ms: None,
            labels: Default::default(),
            discovery_name: String::new(),
            data: vec![0, 255],
            priority: 0,
            is_revocable: false,
        },
        resources: Resources::default(),
        reserved: Vec::new(),
        status: TaskStatus::new(id, Some(agent), TaskState::Running, TaskSource::Agent, UnixMillis(5)),
        is_kill_requested: false,
        is_preempted: false,
        gang: None,
    }
}

fn role(name: &str, cpus: u64) -> RoleRecord {
    let limit = Limit { cpus: Some(MilliCpus(cpus)), ..Limit::default() };
    let weight = Weight::from_milli(500).unwrap();
    RoleRecord {
        role: Role::new(name).unwrap(),
        weight,
        quota: Quota { limit, ..Quota::default() },
        policy: Default::default(),
    }
}

fn removed(number: u64) -> RemovedRecord {
    RemovedRecord { id: FrameworkId::numbered(1, number), name: format!("was-{number}"), number: 100 - number }
}

/// What every store must do. `reopen` drops the store and opens the same state again.
pub(crate) fn keeps_what_was_committed(mut open: impl FnMut() -> Box<dyn Store>) {
    let mut store = open();
    let first = store.load().unwrap();
    assert_eq!((first.epoch, first.registry), (Epoch(1), Registry::default()));

    let puts = [
        Operation::PutAgent(Box::new(agent(1))),
        Operation::PutAgent(Box::new(agent(10))),
        Operation::PutAgent(Box::new(agent(2))),
        Operation::PutFramework(framework(1)),
        Operation::PutFramework(framework(10)),
        Operation::PutTask(Box::new(task(10, "a"))),
        Operation::PutTask(Box::new(task(1, "b"))),
        Operation::PutTask(Box::new(task(1, "a.b"))),
        Operation::PutTask(Box::new(task(1, "gone"))),
        Operation::PutWindow(window(1)),
        Operation::PutWindow(window(2)),
        Operation::PutRole(Box::new(role("eng/web", 2))),
        Operation::PutRole(Box::new(role("ops", 1))),
        Operation::PutRole(Box::new(role("eng", 1))),
        Operation::PutRemoved(removed(3)),
        Operation::PutRemoved(removed(10)),
        Operation::PutRemoved(removed(4)),
    ];
    store.commit(&puts).unwrap();
    // The same twice is the same as once.
    store.commit(&puts).unwrap();
    store.commit(&[]).unwrap();
    let gone = TaskKey { framework: FrameworkId::numbered(1, 1), task: TaskId::new("gone").unwrap() };
    let drain = Drain { since: UnixMillis(7), max_grace_ms: Some(3_000), mark_gone: true, was_deactivated: false };
    let changed = AgentRecord { is_unreachable: true, mode: AgentMode::Draining(drain), ..agent(1) };
    let more = [
        Operation::DeleteTask(gone.clone()),
        Operation::DeleteTask(gone),
        Operation::DeleteWindow(window(1).id),
        Operation::DeleteAgent(AgentId::numbered(1, 2)),
        Operation::DeleteFramework(FrameworkId::numbered(1, 9)),
        Operation::PutAgent(Box::new(changed.clone())),
        Operation::DeleteRole(Role::new("ops").unwrap()),
        Operation::PutRole(Box::new(role("eng", 3))),
        Operation::DeleteRemoved(removed(3).id),
    ];
    store.commit(&more).unwrap();
    drop(store);

    let again = open().load().unwrap();
    assert_eq!(again.cluster, first.cluster, "the cluster keeps its id");
    assert_eq!(again.epoch, Epoch(2), "every start has a higher epoch");
    assert_eq!(again.registry.agents, [changed, agent(10)]);
    assert_eq!(again.registry.frameworks, [framework(1), framework(10)]);
    let mut tasks = vec![task(1, "a.b"), task(1, "b"), task(10, "a")];
    tasks.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(again.registry.tasks, tasks);
    assert_eq!(again.registry.windows, [window(2)]);
    assert_eq!(again.registry.roles, [role("eng", 3), role("eng/web", 2)]);
    assert_eq!(again.registry.removed, [removed(10), removed(4)], "by id");
}

#[test]
fn memory_keeps_what_was_committed() {
    let store = MemoryStore::default();
    keeps_what_was_committed(|| Box::new(store.clone()));
}

#[test]
fn disk_keeps_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    keeps_what_was_committed(|| Box::new(DiskStore::open(&dir.path().join("deep/data")).unwrap()));
}

#[test]
fn every_new_cluster_has_an_id_of_its_own() {
    let ids: Vec<ClusterId> = (0..2).map(|_| MemoryStore::default().load().unwrap().cluster).collect();
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_second_master_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = DiskStore::open(dir.path()).unwrap();
    let told = DiskStore::open(dir.path()).unwrap_err().to_string();
    assert!(told.contains("master.redb is in use by another master") && told.contains("--data-dir"), "{told}");
}

#[test]
fn a_file_of_something_else_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.redb");
    for content in [b"not a database".to_vec(), vec![0u8; 100_000], vec![b'x'; 1 << 20]] {
        fs::write(&path, &content).unwrap();
        let error = DiskStore::open(dir.path()).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("master.redb cannot be read") && error.contains("backup"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), content, "the file is left as it was");
    }
}

#[test]
fn a_cut_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = DiskStore::open(dir.path()).unwrap();
    store.load().unwrap();
    let tasks: Vec<Operation> =
        (0..2_000).map(|n| Operation::PutTask(Box::new(task(1, &format!("task-{n}"))))).collect();
    store.commit(&tasks).unwrap();
    drop(store);
    let path = dir.path().join("master.redb");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let told = DiskStore::open(dir.path()).and_then(|mut store| store.load()).unwrap_err();
    assert!(matches!(told, StoreError::Corrupt { .. }), "{told}");
}

#[test]
fn a_record_that_cannot_be_understood_is_named() {
    let dir = tempfile::tempdir().unwrap();
    DiskStore::open(dir.path()).unwrap().load().unwrap();
    write_raw(dir.path(), "agents", "A1-1", b"{\"id\": 7}");
    let told = DiskStore::open(dir.path()).unwrap().load().unwrap_err().to_string();
    assert!(told.contains("table agents, key A1-1"), "{told}");
}

#[test]
fn agents_stored_before_modes_were_known_are_active() {
    let dir = tempfile::tempdir().unwrap();
    let mut old = serde_json::to_value(agent(1)).unwrap();
    old.as_object_mut().unwrap().remove("mode").unwrap();
    DiskStore::open(dir.path()).unwrap().load().unwrap();
    write_raw(dir.path(), "agents", "A1-1", old.to_string().as_bytes());
    let read = DiskStore::open(dir.path()).unwrap().load().unwrap().registry.agents;
    assert_eq!(read, [agent(1)]);
}

#[test]
fn a_newer_file_is_refused_and_its_epoch_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    DiskStore::open(dir.path()).unwrap().load().unwrap();
    write_raw(dir.path(), "meta", "schema_version", b"3");
    let told = DiskStore::open(dir.path()).unwrap().load().unwrap_err().to_string();
    assert!(told.contains("schema version 3") && told.contains("newer program"), "{told}");
    write_raw(dir.path(), "meta", "schema_version", b"2");
    assert_eq!(DiskStore::open(dir.path()).unwrap().load().unwrap().epoch, Epoch(2));
}

fn write_raw(dir: &std::path::Path, table: &str, key: &str, value: &[u8]) {
    let database = redb::Database::create(dir.join("master.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let definition: redb::TableDefinition<&str, &[u8]> = redb::TableDefinition::new(table);
    transaction.open_table(definition).unwrap().insert(key, value).unwrap();
    transaction.commit().unwrap();
}
