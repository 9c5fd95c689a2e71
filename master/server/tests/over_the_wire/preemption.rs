//! A role takes back over the wire what it was promised: a request first, a kill after the notice.

use proffer_master_server::RawConfig;
use proffer_proto_wire::agent::master_message;
use proffer_proto_wire::common::{Quota, Resources, TaskReason, TaskSpec};
use proffer_proto_wire::operator::{SetQuotaRequest, WhyRequest};
use proffer_proto_wire::scheduler::inverse_offer::Cause;
use proffer_proto_wire::scheduler::{Demand, DemandItem, FrameworkInfo, call, event};
use tempfile::tempdir;

use crate::support::{Agent, Cluster, Framework, soon};
use crate::words::{info, task};

async fn join(cluster: &Cluster, role: &str) -> Framework {
    let mut framework = Framework::open(cluster).await;
    framework.join(FrameworkInfo { roles: vec![role.to_owned()], ..info("", role) }).await;
    framework
}

fn wants(role: &str, cpus_milli: i64, priority: i32) -> call::Call {
    let shape = Some(Resources { cpus_milli, memory_bytes: 64 << 20, ..Default::default() });
    let item = DemandItem { role: role.to_owned(), shape, count: 1, priority, ..Default::default() };
    call::Call::Demand(Demand { items: vec![item] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_is_kept_at_the_cost_of_work_that_matters_less() {
    let dir = tempdir().unwrap();
    let raw = RawConfig { data_dir: dir.path().to_owned(), preemption_notice_ms: Some(1_000), ..RawConfig::default() };
    let cluster = Cluster::start_with(raw).await;
    let mut agent = Agent::attach(&cluster, "one").await;
    let mut adhoc = join(&cluster, "adhoc").await;
    adhoc.say(wants("adhoc", 4_000, 0)).await;
    let offer = adhoc.offer().await;
    let resources = Some(Resources { cpus_milli: 4_000, memory_bytes: 64 << 20, ..Default::default() });
    adhoc.launch(&offer, vec![TaskSpec { resources, priority: -1, ..task("crawl") }]).await;
    agent.launched().await;

    let guarantee = Some(Resources { cpus_milli: 2_000, ..Default::default() });
    let quota = Some(Quota { guarantee, limit: None });
    let request = SetQuotaRequest { role: "prod".into(), quota, force: true, ..Default::default() };
    soon("a quota", cluster.operator().set_quota(request)).await.unwrap();
    let prod = join(&cluster, "prod").await;
    prod.say(wants("prod", 2_000, 0)).await;
    let asked = adhoc.wait_for("a request to leave", |event| match event {
        event::Event::InverseOffers(mut offers) => offers.inverse_offers.pop(),
        _ => None,
    });
    let asked = asked.await;
    assert_eq!((asked.cause(), asked.task_ids.as_slice()), (Cause::Preemption, ["crawl".to_owned()].as_slice()));
    assert!(asked.message.contains("role prod"), "{}", asked.message);
    let request = WhyRequest { name: "prod".into(), ..Default::default() };
    let why = soon("why", cluster.operator().why(request)).await.unwrap().into_inner();
    assert!(why.notes.iter().any(|note| note.contains("room for role prod is being taken back")), "{:?}", why.notes);
    let kill = agent.wait_for("a kill", |order| match order {
        master_message::Message::Kill(kill) => Some(kill),
        _ => None,
    });
    let kill = kill.await;
    assert_eq!((kill.task_id.as_str(), kill.reason()), ("crawl", TaskReason::Preempted));
}
