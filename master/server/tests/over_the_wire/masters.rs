//! Two masters on one etcd, in this process: the one that follows says who leads, and leads as soon as the other one stops.

use std::path::Path;
use std::time::Duration;

use proffer_integration_harness::Etcd;
use proffer_master_server::RawConfig;
use proffer_master_server::store::EtcdOptions;
use proffer_proto_transport::leader_of;
use proffer_proto_wire::agent::agent_registry_client::AgentRegistryClient;
use proffer_proto_wire::operator;
use proffer_proto_wire::scheduler::scheduler_client::SchedulerClient;
use reqwest::redirect::Policy;

use crate::support::{Cluster, soon};

async fn start(dir: &Path, etcd: &Etcd) -> Cluster {
    let endpoints = vec![etcd.address().parse().unwrap()];
    let etcd = EtcdOptions { endpoints, prefix: "/two".to_owned(), patience: Duration::from_secs(5) };
    Cluster::start_with(RawConfig { data_dir: dir.to_owned(), etcd: Some(etcd), ..RawConfig::default() }).await
}

/// The epoch of a master that leads, or what it answers instead.
async fn epoch(cluster: &Cluster) -> Result<u64, tonic::Status> {
    Ok(cluster.operator().get_cluster(operator::GetClusterRequest {}).await?.into_inner().epoch)
}

async fn leads(cluster: &Cluster) -> u64 {
    let led = async {
        loop {
            match epoch(cluster).await {
                Ok(epoch) => return epoch,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    soon("a master to lead", led).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_shows_the_way_and_takes_over_at_once_from_one_that_stops() {
    let (dir, etcd) = (tempfile::tempdir().unwrap(), Etcd::start());
    let first = start(dir.path(), &etcd).await;
    assert_eq!(leads(&first).await, 1);
    let second = start(dir.path(), &etcd).await;
    let leader = first.handle.address().to_string();
    let told = async {
        loop {
            let status = epoch(&second).await.unwrap_err();
            if let Some(leader) = leader_of(&status) {
                return (leader.to_string(), status);
            }
        }
    };
    let (named, status) = soon("the leader's name", told).await;
    assert_eq!(named, leader);
    assert!(status.message().contains("does not lead; the leader is"), "{status}");

    // Streams of agents and frameworks are told the same.
    let refused = async {
        let channel = second.endpoint().connect_lazy();
        let agent = AgentRegistryClient::new(channel.clone()).attach(tokio_stream::pending()).await;
        let framework = SchedulerClient::new(channel).session(tokio_stream::pending()).await;
        (leader_of(&agent.unwrap_err()), leader_of(&framework.unwrap_err()))
    };
    let (agent, framework) = soon("both to be refused", refused).await;
    assert_eq!((agent.unwrap().to_string(), framework.unwrap().to_string()), (leader.clone(), leader.clone()));

    // Browsers and JSON, with the method and the question kept.
    let http = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let base = format!("http://{}", second.handle.address());
    for path in ["/", "/agents?x=1&y=%2F", "/v1/roles", "//evil.example/x"] {
        let answer = soon("an answer", http.post(format!("{base}{path}")).send()).await.unwrap();
        assert_eq!(answer.status().as_u16(), 307, "{path}");
        assert_eq!(answer.headers()["location"].to_str().unwrap(), format!("http://{leader}{path}"));
        assert_eq!(answer.headers()["proffer-leader"].to_str().unwrap(), leader);
    }
    let alive = soon("healthz", http.get(format!("{base}/healthz")).send()).await.unwrap();
    assert_eq!(alive.text().await.unwrap(), "ok\n");
    let metrics = soon("metrics", http.get(format!("{base}/metrics")).send()).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("proffer_master_leads 0"), "{metrics}");

    // Nothing but the lease of one that died would have to be waited for.
    first.stop().await;
    assert_eq!(leads(&second).await, 2);
    second.assert_serves().await;
    second.stop().await;
}
