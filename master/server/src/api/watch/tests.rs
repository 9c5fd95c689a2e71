//! Watchers that do not read.

use std::sync::Arc;

use futures_util::StreamExt;
use proffer_proto_model::{AgentId, ClusterId, Epoch, UnixMillis};
use proffer_proto_transport::Shutdown;
use tokio::sync::mpsc;
use tonic::Code;

use super::super::OwnerLink;
use super::*;
use crate::queue::queue;
use crate::read_models::ReadModels;
use crate::store::suite;

fn api() -> OperatorApi {
    let readers = Arc::new(ReadModels::new(ClusterId::new("c").unwrap(), Epoch(1), UnixMillis(0)));
    let owner = OwnerLink::new(mpsc::channel(1).0, Shutdown::default());
    OperatorApi { owner, readers }
}

// The clock is virtual and goes on by itself while everybody waits.
#[tokio::test(start_paused = true)]
async fn a_watcher_that_is_stuck_is_cut_off_and_told_why() {
    let api = api();
    for number in 0..2 * WATCH_QUEUE {
        api.readers.apply(Change::Task(Box::new(suite::task(1, &format!("t{number}")))));
    }
    let (to, events) = queue(WATCH_QUEUE);
    let status = api.watch_into(&to, Kinds::all()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    // Nothing is kept for it but the reason.
    let left: Vec<_> = events.collect().await;
    assert_eq!(left.len(), 1);
    let told = left[0].as_ref().unwrap_err();
    assert_eq!((told.code(), told.message()), (Code::ResourceExhausted, status.message()));
    assert!(told.message().contains("not read for 10 s"), "{}", told.message());
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_goes_away_ends_its_watch_at_once() {
    let api = api();
    for number in 0..2 * WATCH_QUEUE {
        api.readers.apply(Change::Task(Box::new(suite::task(1, &format!("t{number}")))));
    }
    let (to, mut events) = queue(WATCH_QUEUE);
    let began = tokio::time::Instant::now();
    let reads_one = async {
        let first = events.next().await;
        drop(events);
        first
    };
    let (ended, first) = tokio::join!(api.watch_into(&to, Kinds::all()), reads_one);
    assert!(first.is_some_and(|event| event.is_ok()));
    assert_eq!(ended.unwrap_err().code(), Code::Cancelled);
    assert_eq!(began.elapsed(), Duration::ZERO, "it waited for the clock");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_lags_behind_the_changes_is_told_how_far() {
    let api = api();
    let (to, mut events) = queue(WATCH_QUEUE);
    let changes = async {
        // The empty snapshot has come: the watch listens.
        assert!(events.next().await.is_some());
        for number in 0..10_000 {
            api.readers.apply(Change::Task(Box::new(suite::task(1, &format!("t{number}")))));
        }
        events
    };
    let (ended, _events) = tokio::join!(api.watch_into(&to, Kinds::all()), changes);
    let status = ended.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("missed"), "{}", status.message());
}

#[tokio::test]
async fn only_what_was_asked_for_is_told() {
    let api = api();
    api.readers.apply(Change::Task(Box::new(suite::task(1, "before"))));
    let asked = wire::WatchRequest { kinds: vec![Kind::Task.into()], changes_only: true };
    let (to, mut events) = queue(WATCH_QUEUE);
    let watch = api.watch_into(&to, Kinds::try_from(asked).unwrap());
    let hears = async {
        let first = events.next().await.unwrap().unwrap().event;
        assert_eq!(first, Some(Event::SnapshotEnd(wire::SnapshotEnd {})));
        api.readers.apply(Change::AgentRemoved(AgentId::new("A1-1").unwrap()));
        api.readers.apply(Change::Task(Box::new(suite::task(1, "after"))));
        let Some(Event::Task(task)) = events.next().await.unwrap().unwrap().event else { panic!("a task comes") };
        assert_eq!(task.spec.unwrap().task_id, "after");
    };
    tokio::select! {
        ended = watch => panic!("{ended:?}"),
        () = hears => {}
    }
}

#[test]
fn an_unknown_kind_is_refused() {
    for number in [0, 99] {
        let asked = wire::WatchRequest { kinds: vec![Kind::Task.into(), number], changes_only: false };
        let status = Kinds::try_from(asked).unwrap_err();
        assert!(status.message().starts_with("kinds[1] is "), "{}", status.message());
    }
}
