//! Frameworks that hang or flood, over real gRPC: told, slowed down, and of no harm to the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proffer_master_server::RawConfig;
use proffer_proto_wire::common;
use proffer_proto_wire::scheduler::{self, call, error, event};

use crate::support::{Cluster, Framework, soon};

/// A cluster in a folder of its own, with settings beside that.
async fn cluster(raw: RawConfig) -> (tempfile::TempDir, Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start_with(RawConfig { data_dir: folder.path().to_owned(), ..raw }).await;
    (folder, cluster)
}

fn reconcile() -> call::Call {
    let tasks = vec![scheduler::ReconcileTask { task_id: "none".to_owned(), agent_id: String::new() }];
    call::Call::Reconcile(scheduler::Reconcile { tasks })
}

#[tokio::test]
async fn whoever_calls_too_fast_is_told_and_waits_and_loses_nothing() {
    let raw = RawConfig { calls_per_second: Some(100), call_burst: Some(20), ..RawConfig::default() };
    let (_folder, cluster) = cluster(raw).await;
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
    let (_folder, cluster) = cluster(RawConfig { offer_timeout_ms: Some(500), ..RawConfig::default() }).await;
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

/// As large as a demand may be; each round has regular expressions of its own.
fn huge_demand(round: usize) -> call::Call {
    let rule = |number: usize| common::Constraint {
        subject: "rack".to_owned(),
        operator: common::constraint::Operator::NotMatches.into(),
        value: format!(r"(?i)\w[a-z]{{9}}{round}-{}", number % 64),
    };
    let item = |number: usize| scheduler::DemandItem {
        role: "default".to_owned(),
        shape: Some(common::Resources { cpus_milli: 64_000 + number as i64, ..Default::default() }),
        count: 1,
        constraints: (0..32).map(|at| rule(number + at)).collect(),
        ..Default::default()
    };
    call::Call::Demand(scheduler::Demand { items: (0..1_000).map(item).collect() })
}

fn acknowledge(count: usize) -> call::Call {
    let one = |number: usize| scheduler::Acknowledgement {
        task_id: format!("none-{number}"),
        seq: 1,
        source: common::TaskSource::Agent.into(),
        ..Default::default()
    };
    call::Call::Acknowledge(scheduler::Acknowledge { acknowledgements: (0..count).map(one).collect() })
}

#[tokio::test]
async fn large_calls_are_paid_for_before_what_follows_is_heard() {
    let raw = RawConfig { calls_per_second: Some(10_000), call_burst: Some(100), ..RawConfig::default() };
    let (_folder, cluster) = cluster(raw).await;
    let mut framework = Framework::subscribe(&cluster, "huge").await;
    let begun = Instant::now();
    framework.say(huge_demand(0)).await;
    framework.say(acknowledge(10_000)).await;
    framework.say(reconcile()).await;
    let mut told = None;
    loop {
        match framework.next().await.unwrap().unwrap() {
            event::Event::Status(_) => break,
            event::Event::Error(error) => {
                told.get_or_insert(error);
            }
            _ => {}
        }
    }
    // 10 + 3,300 for the items and rules, 1,280 for the expressions, 1,001 for the updates; 100 are there.
    assert!(begun.elapsed() >= Duration::from_millis(540), "{:?}", begun.elapsed());
    let told = told.expect("it is told");
    assert!(told.kind() == error::Kind::TooFast && told.retry_after_ms >= 400, "{told:?}");
    cluster.stop().await;
}

#[tokio::test]
async fn what_is_more_than_a_call_may_hold_is_refused_by_its_field_and_the_session_goes_on() {
    let (_folder, cluster) = cluster(RawConfig::default()).await;
    let mut framework = Framework::subscribe(&cluster, "huge").await;
    let items = vec![scheduler::DemandItem::default(); 1_001];
    let tasks = vec![scheduler::ReconcileTask { task_id: "a".to_owned(), ..Default::default() }; 10_001];
    let table = [
        (call::Call::Demand(scheduler::Demand { items: items.clone() }), "demand.items has 1001 entries"),
        (acknowledge(10_001), "acknowledge.acknowledgements has 10001 entries"),
        (call::Call::Reconcile(scheduler::Reconcile { tasks }), "reconcile.tasks has 10001 entries"),
        (
            call::Call::Accept(scheduler::Accept {
                offer_ids: vec!["o".to_owned()],
                operations: vec![scheduler::Operation::default(); 1_001],
                ..Default::default()
            }),
            "accept.operations has 1001 entries",
        ),
    ];
    for (call, expected) in table {
        framework.say(call).await;
        let told = framework.error().await;
        assert_eq!((told.kind(), told.fatal), (error::Kind::Invalid, false));
        assert!(told.message.contains(expected) && told.message.contains("leave some out"), "{told:?}");
    }
    framework.say(reconcile()).await;
    framework.status().await;
    // A subscription brings no more than that either.
    let other = Framework::open(&cluster).await;
    let demand = Some(scheduler::Demand { items });
    let framework = Some(crate::words::info("", "other"));
    other.say(call::Call::Subscribe(scheduler::Subscribe { framework, demand })).await;
    let (told, _) = other.end().await;
    assert!(format!("{told:?}").contains("subscribe.demand.items has 1001 entries"), "{told:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_states_the_largest_demands_without_end_leaves_the_others_served() {
    let (_folder, cluster) = cluster(RawConfig::default()).await;
    let mut huge = Framework::subscribe(&cluster, "huge").await;
    let calls = huge.calls();
    let talking = tokio::spawn(async move {
        for round in 0.. {
            for call in [huge_demand(round), acknowledge(10_000)] {
                if calls.send(scheduler::Call { call: Some(call) }).await.is_err() {
                    return;
                }
            }
        }
    });
    huge_is_told(&mut huge).await;
    let reading = tokio::spawn(async move { while huge.next().await.is_ok_and(|event| event.is_some()) {} });
    for _ in 0..5 {
        let served = Instant::now();
        cluster.assert_serves().await;
        assert!(served.elapsed() < Duration::from_secs(10), "{:?}", served.elapsed());
    }
    talking.abort();
    reading.abort();
    cluster.stop().await;
}

/// Its burst is used up.
async fn huge_is_told(huge: &mut Framework) {
    let told = soon("too fast", async {
        loop {
            if let event::Event::Error(error) = huge.next().await.unwrap().unwrap() {
                return error;
            }
        }
    });
    assert_eq!(told.await.kind(), error::Kind::TooFast);
}
