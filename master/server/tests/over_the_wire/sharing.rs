//! The master's own rules of sharing: which kinds count, and who is offered agents with GPUs.

use proffer_master_server::{RawConfig, Sharing};
use proffer_proto_wire::common::Resources;
use proffer_proto_wire::operator::ListFrameworksRequest;
use proffer_proto_wire::scheduler::{Demand, DemandItem, call, event};

use crate::support::{Agent, Cluster, Framework, soon};
use crate::words::attach;

const DISK_BYTES: u64 = 10 << 30;

/// An agent with a disk and so many GPUs.
async fn attach_with(cluster: &Cluster, hostname: &str, gpus: u32) -> Agent {
    let mut request = attach(hostname);
    let resources = request.agent.as_mut().and_then(|agent| agent.resources.as_mut()).unwrap();
    (resources.disk_bytes, resources.gpus) = (DISK_BYTES, gpus);
    Agent::attach_with(cluster, request).await
}

async fn demand(framework: &Framework, shape: Option<Resources>) {
    let count = u32::from(shape.is_some());
    let item = DemandItem { role: "default".to_owned(), shape, count, ..Default::default() };
    framework.say(call::Call::Demand(Demand { items: vec![item] })).await;
}

async fn cluster_with(dir: &std::path::Path, sharing: Sharing) -> Cluster {
    Cluster::start_with(RawConfig { data_dir: dir.to_owned(), sharing, ..RawConfig::default() }).await
}

/// The share, in millionths, of a framework that is offered the cluster's one agent with a disk, half of the CPU.
async fn share_of_all_disk(sharing: Sharing) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster_with(dir.path(), sharing).await;
    let _agent = attach_with(&cluster, "one", 0).await;
    let mut framework = Framework::subscribe(&cluster, "hungry").await;
    let _other = Agent::attach(&cluster, "without-disk").await;
    demand(&framework, Some(Resources { cpus_milli: 400, disk_bytes: DISK_BYTES, ..Default::default() })).await;
    framework.offer().await;
    let id = framework.id.clone();
    // Offers are sent before readers are told of them.
    let share = soon("the framework's share", async {
        loop {
            let listed = cluster.operator().list_frameworks(ListFrameworksRequest::default()).await.unwrap();
            let mut listed = listed.into_inner().frameworks.into_iter();
            let found = listed.find(|f| f.info.as_ref().is_some_and(|info| info.framework_id == id));
            match found.map_or(0, |framework| framework.share_millionths) {
                0 => tokio::task::yield_now().await,
                share => return share,
            }
        }
    });
    let share = share.await;
    cluster.stop().await;
    share
}

#[tokio::test]
async fn kinds_that_are_excluded_count_for_no_share() {
    assert_eq!(share_of_all_disk(Sharing::default()).await, 1_000_000);
    let excluded_kinds = vec!["disk".to_owned()];
    assert_eq!(share_of_all_disk(Sharing { excluded_kinds, ..Sharing::default() }).await, 500_000);
}

/// The agents of which somebody who wants anything is offered something, until an offer of `last` comes.
async fn offered_until(framework: &mut Framework, last: &str) -> Vec<String> {
    let mut hosts = Vec::new();
    while !hosts.iter().any(|host| host == last) {
        let more = framework.wait_for("offers", |event| match event {
            event::Event::Offers(offers) => Some(offers.offers),
            _ => None,
        });
        hosts.extend(more.await.into_iter().map(|offer| offer.hostname));
    }
    hosts
}

#[tokio::test]
async fn agents_with_gpus_are_for_those_who_want_them_or_for_all() {
    for gpus_for_all in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let cluster = cluster_with(dir.path(), Sharing { gpus_for_all, ..Sharing::default() }).await;
        let _with = attach_with(&cluster, "with-gpus", 2).await;
        let mut plain = Framework::subscribe(&cluster, "plain").await;
        demand(&plain, None).await;
        // The agent with GPUs came first: if it were offered, it would be before this one.
        let _without = attach_with(&cluster, "without", 0).await;
        let hosts = offered_until(&mut plain, "without").await;
        assert_eq!(hosts.iter().any(|host| host == "with-gpus"), gpus_for_all, "{hosts:?}");
        if !gpus_for_all {
            let mut learner = Framework::subscribe(&cluster, "learner").await;
            demand(&learner, Some(Resources { cpus_milli: 100, gpus: 1, ..Default::default() })).await;
            assert_eq!(learner.offer().await.hostname, "with-gpus");
        }
        cluster.stop().await;
    }
}
