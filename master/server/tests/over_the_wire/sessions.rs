//! The rules of sessions: Subscribe or Attach first and once, one identity has one stream, the newest wins.

use proffer_proto_wire::agent::{self, agent_message};
use proffer_proto_wire::scheduler::error::Kind;
use proffer_proto_wire::scheduler::{self, call};
use tempfile::tempdir;
use tonic::Code;

use crate::support::{Agent, Cluster, Framework};
use crate::words::{attach, info, subscribe};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_must_begin_with_subscribe() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut session = Framework::open(&cluster).await;
    session.say(call::Call::Teardown(scheduler::Teardown {})).await;
    let error = session.error().await;
    assert_eq!((error.kind(), error.fatal), (Kind::NotSubscribed, true));
    assert!(error.message.contains("must be Subscribe"), "{}", error.message);
    assert_eq!(session.end().await.1.unwrap_err().code(), Code::FailedPrecondition);
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_subscribe_is_refused_and_the_session_goes_on() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut session = Framework::subscribe(&cluster, "web").await;
    session.say(subscribe(info("", "web"))).await;
    let error = session.error().await;
    assert_eq!((error.kind(), error.fatal), (Kind::NotSubscribed, false));
    session.demand_anything().await;
    let _agent = Agent::attach(&cluster, "one").await;
    session.offer().await;
    drop(session);
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_framework_id_is_refused_for_good() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut session = Framework::open(&cluster).await;
    session.say(subscribe(info("no-such-framework", "web"))).await;
    let error = session.error().await;
    assert_eq!((error.kind(), error.fatal), (Kind::UnknownFramework, true));
    assert!(error.message.contains("no-such-framework"), "{}", error.message);
    let status = session.end().await.1.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, error.message.as_str()));
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_session_of_the_same_framework_takes_over() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let _agent = Agent::attach(&cluster, "one").await;
    let mut older = Framework::subscribe(&cluster, "web").await;
    let mut newer = Framework::open(&cluster).await;
    newer.join(info(&older.id, "web")).await;
    assert_eq!(newer.id, older.id);
    let error = older.error().await;
    assert_eq!((error.kind(), error.fatal), (Kind::Superseded, true));
    assert_eq!(older.end().await.1.unwrap_err().code(), Code::FailedPrecondition);
    newer.demand_anything().await;
    newer.offer().await;
    drop(newer);
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_principal_cannot_take_a_name() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let _owner = Framework::subscribe(&cluster, "web").await;
    let mut thief = Framework::open(&cluster).await;
    let stolen = scheduler::FrameworkInfo { principal: "thief".to_owned(), ..info("", "web") };
    thief.say(subscribe(stolen)).await;
    let error = thief.error().await;
    assert_eq!((error.kind(), error.fatal), (Kind::Forbidden, true));
    assert_eq!(thief.end().await.1.unwrap_err().code(), Code::PermissionDenied);
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_stream_must_begin_with_attach_and_only_once() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut stream = Agent::open(&cluster).await;
    stream.say(agent_message::Message::Pong(agent::Pong { nonce: 1 })).await;
    let refused = stream.refused().await;
    assert!(!refused.r#final && refused.message.contains("Attach"), "{}", refused.message);
    assert_eq!(stream.end().await.unwrap_err().code(), Code::FailedPrecondition);

    let mut stream = Agent::attach(&cluster, "one").await;
    stream.say(agent_message::Message::Attach(attach("one"))).await;
    let refused = stream.refused().await;
    assert!(refused.message.contains("attached already"), "{}", refused.message);
    assert_eq!(stream.end().await.unwrap_err().code(), Code::FailedPrecondition);
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_another_cluster_or_a_newer_epoch_are_refused() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let cases = [
        (agent::AttachRequest { cluster_id: "elsewhere".to_owned(), ..attach("one") }, true, "elsewhere"),
        (agent::AttachRequest { seen_epoch: 99, ..attach("one") }, false, "epoch 99"),
    ];
    for (request, is_final, told) in cases {
        let mut stream = Agent::open(&cluster).await;
        stream.say(agent_message::Message::Attach(request)).await;
        let refused = stream.refused().await;
        assert_eq!(refused.r#final, is_final);
        assert!(refused.message.contains(told), "{}", refused.message);
        assert_eq!(stream.end().await.unwrap_err().code(), Code::FailedPrecondition);
    }
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_stream_of_the_same_agent_takes_over() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let older = Agent::attach(&cluster, "one").await;
    let mut request = attach("one");
    request.agent.as_mut().unwrap().agent_id = older.id.clone();
    let request = agent::AttachRequest { cluster_id: older.cluster.clone(), incarnation: 2, ..request };
    let mut newer = Agent::attach_with(&cluster, request).await;
    assert_eq!(newer.id, older.id);
    older.end().await.unwrap_or_else(|status| assert_ne!(status.code(), Code::Unknown));
    let mut framework = Framework::subscribe(&cluster, "web").await;
    framework.demand_anything().await;
    let offer = framework.offer().await;
    assert_eq!(offer.agent_id, newer.id);
    framework.launch(&offer, vec![crate::words::task("t1")]).await;
    newer.launched().await;
    drop(framework);
    cluster.assert_serves().await;
}
