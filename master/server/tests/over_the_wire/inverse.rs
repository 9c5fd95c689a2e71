//! Frameworks are asked over the wire to leave an agent, answer, and operators see what they said.

use proffer_proto_wire::operator::inverse_offer_record::Answer;
use proffer_proto_wire::operator::{
    InverseOfferRecord, ListInverseOffersRequest, ListMaintenanceRequest, RemoveMaintenanceRequest,
    ScheduleMaintenanceRequest, cluster_event,
};
use proffer_proto_wire::scheduler::inverse_offer::Cause;
use proffer_proto_wire::scheduler::rescind_inverse::End;
use proffer_proto_wire::scheduler::{Demand, InverseOffer, InverseReply, call, error, event};
use tempfile::tempdir;

use crate::support::{Agent, Cluster, Framework, soon};
use crate::words::task;

const HOUR_MS: u64 = 3_600_000;

async fn asked(framework: &mut Framework) -> InverseOffer {
    framework
        .wait_for("a request to leave", |event| match event {
            event::Event::InverseOffers(mut offers) => offers.inverse_offers.pop(),
            _ => None,
        })
        .await
}

async fn requests(cluster: &Cluster) -> (Vec<InverseOfferRecord>, Vec<InverseOfferRecord>) {
    let request = ListInverseOffersRequest { history: 10 };
    let answer = soon("requests", cluster.operator().list_inverse_offers(request)).await.unwrap().into_inner();
    (answer.open, answer.history)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_framework_with_tasks_is_asked_to_leave_and_its_answer_is_shown() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut agent = Agent::attach(&cluster, "one").await;
    let mut web = Framework::subscribe(&cluster, "web").await;
    let mut idle = Framework::subscribe(&cluster, "idle").await;
    web.demand_anything().await;
    let offer = web.offer().await;
    assert_eq!(offer.unavailability, None);
    // Before the launch: it must not be offered the rest.
    web.say(call::Call::Demand(Demand::default())).await;
    web.launch(&offer, vec![task("a")]).await;
    agent.launched().await;

    let agent_ids = vec![agent.id.clone()];
    let start = offer_time() + HOUR_MS / 2;
    let plan =
        ScheduleMaintenanceRequest { agent_ids, start_unix_ms: start, duration_ms: HOUR_MS, ..Default::default() };
    let window = soon("a window", cluster.operator().schedule_maintenance(plan)).await.unwrap().into_inner();
    let request = asked(&mut web).await;
    assert_eq!((request.agent_id.as_str(), request.hostname.as_str()), (agent.id.as_str(), "one"));
    assert_eq!((request.cause(), request.task_ids.as_slice()), (Cause::Maintenance, ["a".to_owned()].as_slice()));
    assert_eq!((request.start_unix_ms, request.duration_ms), (start, HOUR_MS));
    idle.demand_anything().await;
    let next = idle.offer().await;
    assert_eq!(next.unavailability.map(|planned| planned.start_unix_ms), Some(start), "offers say so too");

    let id = request.inverse_offer_id.clone();
    let mut watch = Framework::subscribe(&cluster, "witness").await;
    let reply = InverseReply {
        inverse_offer_ids: vec![id.clone()],
        accepted: false,
        message: "no other machine has its data".into(),
        ..Default::default()
    };
    web.say(call::Call::InverseReply(reply.clone())).await;
    cluster
        .watch_until("the answer", |event| {
            let cluster_event::Event::InverseOffer(record) = event else { return false };
            record.answer() == Answer::Declined && record.message.contains("data")
        })
        .await;
    let (open, history) = requests(&cluster).await;
    assert_eq!((open.len(), history.len()), (1, 0));
    assert_eq!((open[0].answer(), open[0].framework_name.as_str()), (Answer::Declined, "web"));
    let windows = soon("windows", cluster.operator().list_maintenance(ListMaintenanceRequest {})).await.unwrap();
    assert_eq!(windows.into_inner().windows[0].inverse_offers, open);

    watch.say(call::Call::InverseReply(reply.clone())).await;
    assert_eq!(watch.error().await.kind(), error::Kind::Forbidden, "it is of another framework");
    let nothing = InverseReply { inverse_offer_ids: vec![], ..reply.clone() };
    watch.say(call::Call::InverseReply(nothing)).await;
    let told = watch.error().await;
    assert!(told.kind() == error::Kind::Invalid && told.message.contains("inverse_offer_ids"), "{told:?}");

    let request = RemoveMaintenanceRequest { window_id: window.window_id, ..Default::default() };
    soon("the end of the window", cluster.operator().remove_maintenance(request)).await.unwrap();
    let end = web.wait_for("the end of the request", |event| match event {
        event::Event::RescindInverse(over) if over.inverse_offer_ids == [id.clone()] => Some(over.end()),
        _ => None,
    });
    assert_eq!(end.await, End::Cancelled);
    web.say(call::Call::InverseReply(reply)).await;
    assert_eq!(web.error().await.kind(), error::Kind::StaleInverseOffer);
    let (open, history) = requests(&cluster).await;
    assert_eq!((open.len(), history[0].end(), history[0].answer()), (0, End::Cancelled, Answer::Declined));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_master_asks_again_under_a_new_name() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut agent = Agent::attach(&cluster, "one").await;
    let mut web = Framework::subscribe(&cluster, "web").await;
    web.demand_anything().await;
    let offer = web.offer().await;
    web.launch(&offer, vec![task("a")]).await;
    agent.launched().await;
    let plan = ScheduleMaintenanceRequest {
        agent_ids: vec![agent.id.clone()],
        start_unix_ms: offer_time() + HOUR_MS / 2,
        duration_ms: HOUR_MS,
        ..Default::default()
    };
    soon("a window", cluster.operator().schedule_maintenance(plan)).await.unwrap();
    let first = asked(&mut web).await;
    drop((agent, web));
    cluster.stop().await;

    let cluster = Cluster::start(dir.path()).await;
    let mut web = Framework::subscribe(&cluster, "web").await;
    let again = asked(&mut web).await;
    assert_ne!(again.inverse_offer_id, first.inverse_offer_id);
    assert_eq!((again.agent_id, again.start_unix_ms), (first.agent_id, first.start_unix_ms));
}

/// Now, in wall-clock milliseconds since 1970.
fn offer_time() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
