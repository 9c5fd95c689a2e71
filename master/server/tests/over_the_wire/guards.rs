//! Frameworks that hang or flood, over real gRPC: told, slowed down, and of no harm to the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proffer_master_server::RawConfig;
use proffer_proto_wire::scheduler::{self, call, error, event};

use crate::support::{Cluster, Framework, soon};

fn reconcile() -> call::Call {
    let tasks = vec![scheduler::ReconcileTask { task_id: "none".to_owned(), agent_id: String::new() }];
    call::Call::Reconcile(scheduler::Reconcile { tasks })
}

#[tokio::test]
async fn whoever_calls_too_fast_is_told_and_waits_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let raw = RawConfig {
        data_dir: folder.path().to_owned(),
        calls_per_second: Some(100),
        call_burst: Some(20),
        ..RawConfig::default()
    };
    let cluster = Cluster::start_with(raw).await;
    let mut framework = Framework::subscribe(&cluster, "flood").await;
    let begun = Instant::now();
    for _ in 0..60 {
        framework.say(reconcile()).await;
    }
    let (mut answers, mut told) = (0, None);
    while answers < 60 {
        match framework.next().await.unwrap().unwrap() {
            event::Event::Status(status) => answers += status.statuses.len(),
            event::Event::Error(error) => told = Some(error),
            _ => {}
        }
    }
    // 10 of 20 tokens are left after the subscription, and 100 come each second.
    assert!(begun.elapsed() >= Duration::from_millis(450), "{:?}", begun.elapsed());
    let told = told.expect("it is told");
    assert_eq!((told.kind(), told.fatal), (error::Kind::TooFast, false));
    assert!(told.retry_after_ms >= 100 && told.message.contains("wait in their order"), "{told:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_and_a_flooding_framework_leave_the_others_served() {
    let folder = tempfile::tempdir().unwrap();
    let raw = RawConfig { data_dir: folder.path().to_owned(), offer_timeout_ms: Some(500), ..RawConfig::default() };
    let cluster = Cluster::start_with(raw).await;
    let hung = Framework::subscribe(&cluster, "hung").await;
    hung.demand_anything().await;
    let mut flood = Framework::subscribe(&cluster, "flood").await;
    let said = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&said);
    let calls = flood.calls();
    let talking = tokio::spawn(async move {
        while calls.send(scheduler::Call { call: Some(reconcile()) }).await.is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    // It reads what it is told, so that it is not cut off for that.
    let reading = tokio::spawn(async move { while flood.next().await.is_ok_and(|event| event.is_some()) {} });
    soon("the flood", async {
        while said.load(Ordering::Relaxed) < 10_500 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for _ in 0..5 {
        let served = Instant::now();
        cluster.assert_serves().await;
        assert!(served.elapsed() < Duration::from_secs(10), "{:?}", served.elapsed());
    }
    talking.abort();
    reading.abort();
    cluster.stop().await;
}
