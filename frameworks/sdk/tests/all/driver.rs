//! The driver against a real gRPC server: identity, reconnects, acknowledgements, reconciliation, handles.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Recorder, hello, subscribed};
use proffer_sdk::model::{self, AgentId, OfferId, PortSet};
use proffer_sdk::session::{ErrorKind, MasterEvent};
use proffer_sdk::store::{MemoryStore, Store, StoreError, StoreOp};
use proffer_sdk::{
    Bytes, Demand, Driver, DriverError, Event, FrameworkConfig, Handle, MilliCpus, Resources, Role, TaskId, TaskReason,
    TaskSource, TaskState, TaskStatus, UnixMillis,
};
use proffer_testkit::{FakeMaster, FakeSession, PATIENCE};
use tokio::task::JoinHandle;

type Run = JoinHandle<Result<(), DriverError>>;

fn start(master: &FakeMaster, store: MemoryStore, recorder: Recorder) -> (Handle<Recorder>, Run) {
    let config = FrameworkConfig::new("test").master(master.address.to_string());
    let driver = Driver::new(config).store(store);
    (driver.handle(), tokio::spawn(driver.run(recorder)))
}

async fn ended(run: Run) -> Result<(), DriverError> {
    tokio::time::timeout(PATIENCE, run).await.expect("the run did not end").unwrap()
}

fn offer(name: &str) -> model::Offer {
    let mut resources = Resources::new(MilliCpus(1_000), Bytes::mib(1_024));
    resources.ports = PortSet::EMPTY;
    model::Offer {
        id: OfferId::new(name).unwrap(),
        agent: AgentId::new("a1").unwrap(),
        hostname: "a1".into(),
        role: Role::default_role(),
        resources,
        attributes: Vec::new(),
        expires_in_ms: 30_000,
        region: String::new(),
        zone: String::new(),
        agent_address: "127.0.0.1".into(),
        unavailability: None,
        is_optimistic: false,
        reserved: Vec::new(),
        volumes: Vec::new(),
    }
}

fn status(task: &str, state: TaskState, seq: u64) -> TaskStatus {
    let (task, agent) = (TaskId::new(task).unwrap(), AgentId::new("a1").ok());
    TaskStatus { seq, ..TaskStatus::new(task, agent, state, TaskSource::Agent, UnixMillis(0)) }
}

/// Wants one task, launches it on the first offer, and stops when it has ended.
fn one_shot() -> Recorder {
    Recorder::new(|event, cx| {
        match event {
            Event::Started { stored } if !stored.contains_key("launched") => {
                cx.set_demand(Demand::of(&hello("hello-1"), 1))
            }
            Event::Offers(mut offers) => {
                offers[0].launch(hello("hello-1"))?;
                cx.store("launched", "yes");
                cx.set_demand(Demand::none());
            }
            Event::Status(status) if status.state.is_terminal() => cx.stop(),
            _ => {}
        }
        Ok(())
    })
}

async fn subscribe_and_launch(session: &mut FakeSession) {
    session.expect("subscribe").await;
    session.say(subscribed("F1-7", 1_000)).await;
    session.expect("reconcile everything").await;
    session.expect("demand 1 x 0.1 cpus, 32MiB memory").await;
    session.say(MasterEvent::Offers(vec![offer("O1-1")])).await;
    session.expect("launch hello-1 on a1 with 0.1 cpus, 32MiB memory").await;
    session.expect("demand nothing").await;
}

#[tokio::test]
async fn a_task_runs_to_its_end_and_the_run_ends_with_everything_said() {
    let mut master = FakeMaster::start().await;
    let (_, run) = start(&master, MemoryStore::new(), one_shot());
    let mut session = master.session().await;
    subscribe_and_launch(&mut session).await;
    session.say(MasterEvent::Status(vec![status("hello-1", TaskState::Running, 1)])).await;
    session.expect_acknowledgement("hello-1", 1).await;
    session.say(MasterEvent::Status(vec![status("hello-1", TaskState::Finished, 2)])).await;
    session.expect_acknowledgement("hello-1", 2).await;
    session.hear_end().await;
    ended(run).await.unwrap();
}

#[tokio::test]
async fn a_lost_master_is_found_again_with_the_same_id_and_tasks_are_reconciled() {
    let mut master = FakeMaster::start().await;
    let (handle, run) = start(&master, MemoryStore::new(), one_shot());
    let mut session = master.session().await;
    subscribe_and_launch(&mut session).await;
    let address = master.address;
    master.kill().await;
    let mut master = FakeMaster::start_at(address).await;
    let mut session = master.session().await;
    session.expect("subscribe as F1-7").await;
    session.say(subscribed("F1-7", 1_000)).await;
    session.expect("reconcile everything").await;
    session.expect("reconcile hello-1").await;
    let answer = TaskStatus { source: TaskSource::Master, ..status("hello-1", TaskState::Running, 0) };
    session.say(MasterEvent::Status(vec![answer.because(TaskReason::Reconciliation, "")])).await;
    session.say(MasterEvent::Status(vec![status("hello-1", TaskState::Running, 1)])).await;
    session.expect_acknowledgement("hello-1", 1).await;
    let log = handle.with(|recorder, _| recorder.log().to_vec()).await.unwrap();
    let end = ["disconnected", "connected F1-7", "hello-1 RUNNING RECONCILIATION", "reconciled", "hello-1 RUNNING"];
    assert_eq!(log[log.len() - end.len()..], end);
    handle.stop().await;
    drop(session);
    ended(run).await.unwrap();
}

#[tokio::test]
async fn a_restarted_framework_comes_back_as_itself() {
    let mut master = FakeMaster::start().await;
    let store = MemoryStore::new();
    let (_, run) = start(&master, store.clone(), one_shot());
    let mut session = master.session().await;
    subscribe_and_launch(&mut session).await;
    run.abort();
    let (handle, run) = start(&master, store, one_shot());
    let mut session = master.session().await;
    session.expect("subscribe as F1-7").await;
    session.say(subscribed("F1-7", 1_000)).await;
    session.expect("reconcile everything").await;
    session.expect("reconcile hello-1").await;
    session.say(MasterEvent::Status(vec![status("hello-1", TaskState::Finished, 2)])).await;
    session.expect_acknowledgement("hello-1", 2).await;
    session.hear_end().await;
    ended(run).await.unwrap();
    assert!(handle.with(|_, _| ()).await.is_err(), "nothing can be asked of a run that has ended");
}

#[tokio::test]
async fn a_silent_master_is_left_for_the_next_one() {
    let mut silent = FakeMaster::start().await;
    let mut lively = FakeMaster::start().await;
    let config = FrameworkConfig::new("test").master(silent.address.to_string()).master(lively.address.to_string());
    let driver = Driver::new(config);
    let handle = driver.handle();
    let run = tokio::spawn(driver.run(Recorder::new(|_, _| Ok(()))));
    let mut session = silent.session().await;
    session.expect("subscribe").await;
    session.say(subscribed("F1-7", 200)).await;
    session.expect("reconcile everything").await;
    let mut other = lively.session().await;
    other.expect("subscribe as F1-7").await;
    session.hear_end().await;
    handle.stop().await;
    other.hear_end().await;
    ended(run).await.unwrap();
}

#[tokio::test]
async fn refusals_end_the_run_with_what_to_do() {
    for (kind, text) in [
        (ErrorKind::Superseded, "run only one"),
        (ErrorKind::Removed, "delete its state"),
        (ErrorKind::Forbidden, "refused this framework"),
    ] {
        let mut master = FakeMaster::start().await;
        let (_, run) = start(&master, MemoryStore::new(), one_shot());
        let mut session = master.session().await;
        session.expect("subscribe").await;
        session.say(MasterEvent::Error { kind, message: "because".into(), is_fatal: true }).await;
        session.hear_end().await;
        let error = ended(run).await.unwrap_err().to_string();
        assert!(error.contains(text) && error.contains("because"), "{error}");
    }
}

#[tokio::test]
async fn a_handle_answers_after_the_commit_and_works_without_a_master() {
    let store = MemoryStore::new();
    let driver = Driver::new(FrameworkConfig::new("test").master("127.0.0.1:1")).store(store.clone());
    let handle = driver.handle();
    let run = tokio::spawn(driver.run(Recorder::new(|_, _| Ok(()))));
    let asked = handle.with(|recorder, cx| {
        cx.store("apps/web", "3 instances");
        recorder.log().len()
    });
    assert_eq!(asked.await, Ok(1));
    let stored = store.clone().load().unwrap();
    assert_eq!(stored.get("app/apps/web").map(Vec::as_slice), Some("3 instances".as_bytes()));
    handle.stop().await;
    ended(run).await.unwrap();
}

/// Fails from the moment the switch is on.
struct Failing(MemoryStore, Arc<AtomicBool>);

impl Store for Failing {
    fn load(&mut self) -> Result<std::collections::BTreeMap<String, Vec<u8>>, StoreError> {
        self.0.load()
    }

    fn commit(&mut self, ops: &[StoreOp]) -> Result<(), StoreError> {
        match self.1.load(Ordering::SeqCst) {
            true => Err(StoreError::Write { message: "no space left".into() }),
            false => self.0.commit(ops),
        }
    }
}

#[tokio::test]
async fn nothing_leaves_when_it_cannot_be_stored() {
    let mut master = FakeMaster::start().await;
    let is_full = Arc::new(AtomicBool::new(false));
    let config = FrameworkConfig::new("test").master(master.address.to_string());
    let driver = Driver::new(config).store(Failing(MemoryStore::new(), is_full.clone()));
    let handle = driver.handle();
    let run = tokio::spawn(driver.run(one_shot()));
    let mut session = master.session().await;
    session.expect("subscribe").await;
    session.say(subscribed("F1-7", 1_000)).await;
    session.expect("reconcile everything").await;
    session.expect("demand 1 x 0.1 cpus, 32MiB memory").await;
    is_full.store(true, Ordering::SeqCst);
    session.say(MasterEvent::Offers(vec![offer("O1-1")])).await;
    session.hear_end().await;
    let error = ended(run).await.unwrap_err();
    assert!(matches!(error, DriverError::Store(StoreError::Write { .. })), "{error}");
    assert!(handle.with(|_, _| ()).await.is_err());
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_before_anything_connects() {
    for (config, text) in [
        (FrameworkConfig::new(""), "is empty"),
        (FrameworkConfig::new("a b"), "only a-z"),
        (FrameworkConfig::new("a").role("/eng"), "empty part"),
        (FrameworkConfig::new("a").role("eng").role("eng"), "named twice"),
        (FrameworkConfig::new("a").master("localhost"), "localhost:5050"),
        (FrameworkConfig::new("a").master("localhost:70000"), "65535"),
        (FrameworkConfig::new("a").failover_timeout_ms(u64::MAX), "too long"),
    ] {
        let error = Driver::new(config).run(Recorder::new(|_, _| Ok(()))).await.unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
}
