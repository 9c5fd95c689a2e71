//! A master that stops ends the open sessions itself, with a reason, and does not wait for its peers.

use std::time::Duration;

use proffer_master_server::RawConfig;
use proffer_proto_wire::operator;
use tempfile::tempdir;
use tonic::Code;

use crate::support::{Agent, Cluster, Framework, soon};

#[tokio::test(flavor = "multi_thread")]
async fn open_sessions_are_ended_with_a_reason() {
    let dir = tempdir().unwrap();
    // With that long to drain, only a master that ends its sessions itself is done before the test gives up.
    let drain_ms = Some(Duration::from_secs(3_600).as_millis() as u64);
    let raw = RawConfig { data_dir: dir.path().to_owned(), drain_ms, ..RawConfig::default() };
    let cluster = Cluster::start_with(raw).await;
    let silent = Framework::open(&cluster).await;
    let framework = Framework::subscribe(&cluster, "web").await;
    let agent = Agent::attach(&cluster, "one").await;
    let mut watch = cluster.operator().watch(operator::WatchRequest::default()).await.unwrap().into_inner();
    let Cluster { handle } = cluster;
    let stopping = tokio::spawn(handle.shutdown());
    let watched = async {
        loop {
            match watch.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(status) => return Err(status),
            }
        }
    };
    for end in [silent.end().await.1, framework.end().await.1, agent.end().await, soon("a watch", watched).await] {
        let status = end.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("stopping"), "{}", status.message());
    }
    soon("the master's end", stopping).await.unwrap().unwrap();
    // Everything is let go of: another master can take over at once.
    Cluster::start(dir.path()).await.assert_serves().await;
}
