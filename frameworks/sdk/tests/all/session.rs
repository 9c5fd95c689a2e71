//! The session engine: what a scheduler gets, what the master gets, and what is stored in between.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::common::{Recorder, hello, subscribed};
use proffer_sdk::session::{Call, End, ErrorKind, MasterEvent, Session, SessionInput, Stored, UnknownFramework};
use proffer_sdk::store::{MemoryStore, Store, StoreOp};
use proffer_sdk::{
    DeclineKind, DeclineReason, Demand, Event, FrameworkConfig, Moment, Now, TaskId, TaskReason, TaskSource, TaskState,
    TaskStatus, UnixMillis,
};
use proffer_testkit::{TestDriver, agent};

fn id(text: &str) -> TaskId {
    TaskId::new(text).unwrap()
}

#[test]
fn demand_and_offers_wait_for_reconciliation() {
    let mut driver = TestDriver::new(Recorder::new(|event, cx| {
        if let Event::Started { .. } = event {
            cx.set_demand(Demand::of(&hello("hello-1"), 1));
        }
        Ok(())
    }));
    driver.connect().assert(&["subscribe", "reconcile everything", "demand 1 x 0.1 cpus, 32MiB memory"]);
    driver.offers([agent("a1")]);
    driver.disconnect();
    let events = ["started", "connected F1-1 new", "reconciled", "offers O1-1", "disconnected"];
    assert_eq!(driver.scheduler().log(), events);
}

#[test]
fn an_offer_is_used_and_its_rest_is_given_back() {
    let mut driver = TestDriver::new(Recorder::new(|event, _| {
        if let Event::Offers(mut offers) = event {
            offers[0].launch(hello("hello-1"))?;
            offers[0].launch(hello("hello-2"))?;
            offers.remove(1).decline(DeclineReason::new(DeclineKind::Spread));
        }
        Ok(())
    }));
    driver.connect();
    let calls = driver.offers([agent("a1"), agent("a2"), agent("a3")]);
    calls.assert(&[
        "launch hello-1 on a1 with 0.1 cpus, 32MiB memory",
        "launch hello-2 on a1 with 0.1 cpus, 32MiB memory",
        "decline O1-2: spread",
        "decline O1-3: no demand",
    ]);
    let Call::Accept(accept) = calls.0.iter().find(|call| matches!(call, Call::Accept(_))).unwrap() else { panic!() };
    assert_eq!(accept.leftover.kind, DeclineKind::Leftover);
}

#[test]
fn a_launch_is_stored_before_it_leaves_and_forgotten_after_its_end() {
    let mut driver = TestDriver::new(Recorder::launching(["hello-1"]));
    driver.connect();
    driver.offers([agent("a1")]);
    assert!(driver.store().load().unwrap().contains_key("sdk/task/hello-1"));
    driver.status("hello-1", TaskState::Running);
    driver.status("hello-1", TaskState::Finished).assert(&["acknowledge hello-1 #2"]);
    assert!(!driver.store().load().unwrap().contains_key("sdk/task/hello-1"));
}

#[test]
fn a_duplicate_is_acknowledged_and_not_handled_again() {
    let mut driver = TestDriver::new(Recorder::launching(["hello-1"]));
    driver.connect();
    driver.offers([agent("a1")]);
    let status = driver.next_status("hello-1", TaskState::Running);
    for _ in 0..3 {
        driver.master(MasterEvent::Status(vec![status.clone()])).assert(&["acknowledge hello-1 #1"]);
    }
    let end = driver.next_status("hello-1", TaskState::Failed);
    for _ in 0..3 {
        driver.master(MasterEvent::Status(vec![end.clone()])).assert(&["acknowledge hello-1 #2"]);
    }
    driver.master(MasterEvent::Status(vec![status])).assert(&["acknowledge hello-1 #1"]);
    let log = driver.scheduler().log().join("\n");
    assert_eq!(log.matches("hello-1 RUNNING").count(), 1);
    assert_eq!(log.matches("hello-1 FAILED").count(), 1);
}

#[test]
fn nothing_of_a_failed_turn_is_stored_sent_or_acknowledged() {
    let mut driver = TestDriver::new(Recorder::new(|event, cx| match event {
        Event::Offers(mut offers) => offers[0].launch(hello("hello-1")).map(|_| ()).map_err(Into::into),
        Event::Status(status) if status.state == TaskState::Running => {
            cx.store("progress", "half");
            cx.kill(status.task, None);
            Err("the disk is on fire".into())
        }
        _ => Ok(()),
    }));
    driver.connect();
    driver.offers([agent("a1")]);
    driver.status("hello-1", TaskState::Starting).assert(&["acknowledge hello-1 #1"]);
    driver.status("hello-1", TaskState::Running).assert(&[]);
    assert!(!driver.store().load().unwrap().contains_key("app/progress"));
    assert!(matches!(driver.end(), Some(End::Scheduler(error)) if error.to_string() == "the disk is on fire"));
    driver.status("hello-1", TaskState::Failed).assert(&[]);
}

#[test]
fn kills_are_sent_again_until_the_task_has_ended() {
    let mut driver = TestDriver::new(Recorder::launching(["hello-1"]));
    driver.connect();
    driver.offers([agent("a1")]);
    driver.status("hello-1", TaskState::Running);
    driver.with(|_, cx| cx.kill(id("hello-1"), None)).1.assert(&["kill hello-1"]);
    driver.advance(4_999).assert(&[]);
    driver.advance(1).assert(&["kill hello-1"]);
    driver.advance(10_000).assert(&["kill hello-1"]);
    driver.disconnect();
    driver.connect().assert(&["subscribe as F1-1", "reconcile everything", "reconcile hello-1", "kill hello-1"]);
    let mut driver = driver.restart(Recorder::new(|_, _| Ok(())));
    driver.connect().assert(&["subscribe as F1-1", "reconcile everything", "reconcile hello-1", "kill hello-1"]);
    driver.status("hello-1", TaskState::Killed);
    driver.advance(120_000).assert(&[]);
}

#[test]
fn a_launch_and_its_kill_in_one_turn_leave_in_this_order() {
    let mut driver = TestDriver::new(Recorder::new(|event, cx| {
        if let Event::Offers(mut offers) = event {
            cx.kill(id("hello-1"), None);
            offers[0].launch(hello("hello-1"))?;
        }
        Ok(())
    }));
    driver.connect();
    driver.offers([agent("a1")]).assert(&["launch hello-1 *", "kill hello-1"]);
}

#[test]
fn after_a_restart_the_identity_is_the_same_and_tasks_are_asked_for() {
    let mut driver = TestDriver::new(Recorder::launching(["hello-1", "hello-2"]));
    driver.connect();
    driver.offers([agent("a1")]);
    driver.status("hello-1", TaskState::Running);
    driver.with(|_, cx| cx.store("note", "kept"));
    let mut driver = driver.restart(Recorder::new(|_, _| Ok(())));
    driver.connect().assert(&["subscribe as F1-1", "reconcile everything", "reconcile hello-1, hello-2"]);
    let events = [
        "started note=kept",
        "connected F1-1",
        "hello-1 RUNNING RECONCILIATION",
        "hello-2 STAGING RECONCILIATION",
        "reconciled",
    ];
    assert_eq!(driver.scheduler().log(), events);
}

#[test]
fn a_task_the_master_does_not_know_has_ended() {
    let mut driver = TestDriver::new(Recorder::launching(["hello-1", "hello-2"]));
    driver.connect();
    driver.offers([agent("a1")]);
    driver.status("hello-1", TaskState::Running);
    // Another cluster: the same store, and a master that has never heard of these tasks.
    let mut driver = TestDriver::with_store(Recorder::new(|_, _| Ok(())), driver.store());
    driver.connect();
    let log = driver.scheduler().log();
    assert!(log.contains(&"hello-1 GONE TASK_UNKNOWN".to_owned()), "{log:?}");
    assert!(log.contains(&"hello-2 DROPPED TASK_UNKNOWN".to_owned()), "{log:?}");
    assert_eq!(log.last().map(String::as_str), Some("reconciled"));
    assert!(driver.store().load().unwrap().keys().all(|key| !key.starts_with("sdk/task/")));
}

#[test]
fn a_launch_on_a_void_offer_is_dropped_and_reported() {
    let mut driver = TestDriver::new(Recorder::hoarding());
    driver.connect();
    driver.offers([agent("a1"), agent("a2")]);
    driver.rescind(1).assert(&[]);
    let (_, calls) = driver.with(|recorder, _| {
        for (mut offer, name) in recorder.held.drain(..).zip(["hello-1", "hello-2"]) {
            offer.launch(hello(name)).unwrap();
        }
    });
    calls.assert(&["launch hello-2 on a2 *"]);
    assert_eq!(driver.scheduler().log().last().unwrap(), "hello-1 DROPPED INVALID_OFFERS");
}

#[test]
fn offers_of_an_earlier_connection_are_void() {
    let mut driver = TestDriver::new(Recorder::hoarding());
    driver.connect();
    driver.offers([agent("a1")]);
    driver.disconnect();
    driver.connect();
    driver.with(|recorder, _| recorder.held.clear()).1.assert(&[]);
}

#[test]
fn an_id_is_launched_once_only() {
    let mut driver = TestDriver::new(Recorder::launching(["hello-1", "hello-1"]));
    driver.connect();
    driver.offers([agent("a1")]).assert(&["launch hello-1 on a1 *"]);
    let last = driver.scheduler().log().last().cloned().unwrap();
    assert!(last.starts_with("error task hello-1 was not launched: its id was used before"), "{last}");
}

#[test]
fn times_asked_for_come_once_each_and_in_time() {
    let mut driver = TestDriver::new(Recorder::new(|event, cx| {
        if let Event::Started { .. } = event {
            cx.wake_after(1_000);
            cx.wake_after(3_000);
        }
        Ok(())
    }));
    driver.advance(999);
    assert_eq!(driver.scheduler().log().len(), 1);
    driver.advance(1);
    assert_eq!(driver.scheduler().log().len(), 2);
    driver.advance(60_000);
    assert_eq!(driver.scheduler().log(), ["started", "wake", "wake"]);
}

#[test]
fn a_silent_master_is_left_after_three_heartbeats() {
    let mut session = session();
    let at = |ms| Now { mono: Moment(ms), unix: UnixMillis(ms) };
    let _ = session.handle(at(0), SessionInput::Start);
    let _ = session.handle(at(0), SessionInput::Opened);
    let _ = session.handle(at(1_000), SessionInput::Master(subscribed("F1-1", 2_000)));
    assert_eq!(session.next_deadline(), Some(Moment(7_000)));
    let _ = session.handle(at(6_000), SessionInput::Master(MasterEvent::Heartbeat));
    assert!(session.handle(at(7_000), SessionInput::Tick).is_going_on());
    assert!(!session.handle(at(12_000), SessionInput::Tick).is_going_on());
}

#[test]
fn refusals_that_cannot_be_helped_end_the_run() {
    for kind in [ErrorKind::Superseded, ErrorKind::Removed, ErrorKind::Forbidden, ErrorKind::Invalid] {
        let mut driver = TestDriver::new(Recorder::new(|_, _| Ok(())));
        driver.connect();
        let message = "no".to_owned();
        driver.master(MasterEvent::Error { kind, message, is_fatal: true });
        assert!(matches!(driver.end(), Some(End::Refused { kind: k, .. }) if *k == kind), "{kind:?}");
    }
    let mut driver = TestDriver::new(Recorder::new(|_, _| Ok(())));
    driver.connect();
    driver.master(MasterEvent::Error { kind: ErrorKind::Invalid, message: "bad field".into(), is_fatal: false });
    assert!(driver.end().is_none());
    assert_eq!(driver.scheduler().log().last().unwrap(), "error bad field");
}

#[test]
fn a_master_that_lost_its_state_gets_the_framework_anew() {
    let mut driver = TestDriver::new(Recorder::launching(["hello-1"]));
    driver.connect();
    driver.offers([agent("a1")]);
    driver.status("hello-1", TaskState::Running);
    let refusal = || MasterEvent::Error {
        kind: ErrorKind::UnknownFramework,
        message: "never heard of it".into(),
        is_fatal: true,
    };
    driver.master(refusal());
    assert!(driver.end().is_none());
    assert_eq!(driver.scheduler().log().last().unwrap(), "hello-1 GONE FRAMEWORK_REMOVED");
    assert!(driver.store().load().unwrap().is_empty());
    driver.disconnect();
    driver.connect().assert(&["subscribe", "reconcile everything"]);

    let mut stopping = session().on_unknown_framework(UnknownFramework::Stop);
    let _ = stopping.handle(Now::default(), SessionInput::Opened);
    let frame = stopping.handle(Now::default(), SessionInput::Master(refusal()));
    assert!(!frame.is_going_on() && frame.changes().is_empty());
}

#[test]
fn a_master_that_does_not_answer_holds_offers_up_for_half_a_minute_only() {
    let mut store = MemoryStore::new();
    let value = br#"{"agent":"a1","is_confirmed":true,"kill":null}"#.to_vec();
    store.commit(&[StoreOp::Put { key: "sdk/task/old-1".into(), value }]).unwrap();
    let info = FrameworkConfig::new("test").framework_info().unwrap();
    let recorder = Recorder::new(|_, _| Ok(()));
    let mut session = Session::new(info, recorder, store.load().unwrap()).unwrap();
    let at = |ms| Now { mono: Moment(ms), unix: UnixMillis(ms) };
    let _ = session.handle(at(0), SessionInput::Start);
    let _ = session.handle(at(0), SessionInput::Opened);
    let _ = session.handle(at(0), SessionInput::Master(subscribed("F1-1", 10_000)));
    let _ = session.handle(at(29_999), SessionInput::Tick);
    assert_eq!(session.scheduler().log().last().unwrap(), "connected F1-1 new");
    let _ = session.handle(at(30_000), SessionInput::Tick);
    assert_eq!(session.scheduler().log().last().unwrap(), "reconciled without old-1");
}

#[test]
fn teardown_forgets_everything_of_the_framework() {
    let mut driver = TestDriver::new(Recorder::launching(["hello-1"]));
    driver.connect();
    driver.offers([agent("a1")]);
    driver.with(|_, cx| cx.teardown()).1.assert(&["teardown"]);
    assert!(matches!(driver.end(), Some(End::TornDown)));
    assert!(driver.store().load().unwrap().is_empty());
}

#[test]
fn an_unknown_task_that_runs_is_adopted() {
    let mut driver = TestDriver::new(Recorder::new(|_, _| Ok(())));
    driver.connect();
    driver.status_because("stray-1", TaskState::Running, TaskReason::AgentReturned);
    let (known, _) = driver.with(|_, cx| cx.task(&id("stray-1")).cloned());
    assert_eq!(known.unwrap().state, TaskState::Running);
}

#[test]
fn damaged_state_is_refused_with_its_key() {
    let mut store = MemoryStore::new();
    store.commit(&[StoreOp::Put { key: "sdk/identity".into(), value: b"{".to_vec() }]).unwrap();
    let info = FrameworkConfig::new("test").framework_info().unwrap();
    let error = Session::new(info, Recorder::new(|_, _| Ok(())), store.load().unwrap()).unwrap_err();
    assert!(error.to_string().contains("\"sdk/identity\" is damaged"), "{error}");
}

fn session() -> Session<Recorder> {
    let info = FrameworkConfig::new("test").framework_info().unwrap();
    Session::new(info, Recorder::new(|_, _| Ok(())), Default::default()).unwrap()
}

#[test]
fn what_no_master_takes_never_leaves() {
    let mut driver = TestDriver::new(Recorder::new(|event, cx| {
        if let Event::Offers(mut offers) = event {
            let mut wrong = hello("wrong-1");
            wrong.container.working_dir = "relative".into();
            let mut worse = wrong.clone();
            worse.id = id("wrong-2");
            offers[0].launch(hello("hello-1"))?;
            offers[0].launch(wrong)?;
            offers[0].launch_group(vec![hello("hello-2"), worse])?;
            cx.set_demand(Demand::of(&hello("hello-3"), 1).only_where("", "x"));
        }
        Ok(())
    }));
    driver.connect();
    driver.offers([agent("a1")]).assert(&["launch hello-1 on a1 *"]);
    let log = driver.scheduler().log();
    let end = ["wrong-1 ERROR TASK_INVALID", "wrong-2 ERROR TASK_INVALID", "hello-2 DROPPED TASK_INVALID"];
    assert_eq!(log[4..7], end, "{log:?}");
    assert!(log[7].starts_with("error the demand was not stated: items[0].constraints[0].subject"), "{log:?}");
}

#[test]
fn calls_wait_in_their_order_when_the_master_says_they_come_too_fast() {
    let mut session = session();
    let at = |ms| Now { mono: Moment(ms), unix: UnixMillis(ms) };
    let sent = |frame: proffer_sdk::session::SessionFrame| frame.into_after(Stored::after_commit()).send;
    let _ = session.handle(at(0), SessionInput::Start);
    let _ = session.handle(at(0), SessionInput::Opened);
    let _ = session.handle(at(0), SessionInput::Master(subscribed("F1-1", 60_000)));
    let too_fast = MasterEvent::TooFast { retry_after_ms: 500, message: "calls come faster".into() };
    assert!(sent(session.handle(at(10), SessionInput::Master(too_fast.clone()))).is_empty());
    let (_, frame) = session.with(at(20), |_, cx| cx.reconcile());
    assert!(sent(frame).is_empty(), "it waits");
    let (_, frame) = session.with(at(30), |_, cx| cx.set_demand(Demand::of(&hello("hello-1"), 1)));
    assert!(sent(frame).is_empty(), "this too");
    let (_, frame) = session.with(at(40), |_, cx| cx.reconcile());
    assert!(sent(frame).is_empty());
    let (_, frame) = session.with(at(50), |_, cx| cx.set_demand(Demand::of(&hello("hello-1"), 2)));
    assert!(sent(frame).is_empty(), "the demand of before it is of no use any more");
    for seq in 1..=3 {
        let status = TaskStatus::new(id("other"), None, TaskState::Running, TaskSource::Agent, UnixMillis(1));
        let status = TaskStatus { seq, ..status };
        assert!(sent(session.handle(at(60), SessionInput::Master(MasterEvent::Status(vec![status])))).is_empty());
    }
    assert_eq!(session.next_deadline(), Some(Moment(510)));
    let calls = sent(session.handle(at(510), SessionInput::Tick));
    let [Call::Reconcile(_), Call::Reconcile(_), Call::Demand(demand), Call::Acknowledge(list)] = calls.as_slice()
    else {
        panic!("{calls:?}")
    };
    assert_eq!((demand.items[0].count, list.len()), (Some(2), 3));
    // What waits for a stream that is gone is not said on the next one.
    let _ = session.handle(at(600), SessionInput::Master(too_fast));
    let (_, frame) = session.with(at(610), |_, cx| cx.reconcile());
    assert!(sent(frame).is_empty());
    let _ = session.handle(at(620), SessionInput::Closed);
    let calls = sent(session.handle(at(630), SessionInput::Opened));
    assert!(matches!(calls.as_slice(), [Call::Subscribe { .. }]), "{calls:?}");
}
