//! Who does not read is cut off with a reason; others do not notice.

use proffer_proto_wire::scheduler::error::Kind;
use proffer_proto_wire::scheduler::{self, call, event};
use tempfile::tempdir;
use tonic::Code;

use crate::support::{Agent, Cluster, Framework};
use crate::words::{info, subscribe};

/// Far more answers than fit in the queue of a stream and the window of its connection.
const CALLS: usize = 20_000;

/// Makes calls that are answered without ever reading an answer.
async fn does_not_read(call: impl Fn() -> call::Call) {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let channel = cluster.endpoint().initial_stream_window_size(65_535).connect_lazy();
    let mut slow = Framework::open_on(channel).await;
    slow.join(info("", "slow")).await;
    for _ in 0..CALLS {
        if !slow.try_say(call()).await {
            break;
        }
    }
    // Others are served while it is stuck.
    let _agent = Agent::attach(&cluster, "one").await;
    let mut other = Framework::subscribe(&cluster, "other").await;
    other.demand_anything().await;
    other.offer().await;

    let (events, end) = slow.end().await;
    match events.last() {
        Some(event::Event::Error(error)) => {
            assert_eq!((error.kind(), error.fatal), (Kind::TooSlow, true), "{}", error.message);
        }
        other => panic!("the last word is {other:?}"),
    }
    assert!(events.len() < CALLS, "{}", events.len());
    assert_eq!(end.unwrap_err().code(), Code::ResourceExhausted);
    drop(other);
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_does_not_read_events_is_cut_off() {
    does_not_read(|| call::Call::InverseReply(scheduler::InverseReply::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_does_not_read_errors_is_cut_off() {
    does_not_read(|| subscribe(info("", "slow"))).await;
}
