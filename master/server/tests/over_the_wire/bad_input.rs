//! What no well-behaved peer sends: it is told what is wrong and where, its stream ends, and others go on.

use bytes::Bytes;
use proffer_proto_wire::agent::{self, master_message};
use proffer_proto_wire::common::TaskState;
use proffer_proto_wire::scheduler::error::Kind;
use proffer_proto_wire::scheduler::{self, call, event};
use tempfile::tempdir;
use tonic::Code;

use crate::raw::{RawStream, framed, head};
use crate::support::{Agent, Cluster, Framework};
use crate::words::{accept, attach, info, subscribe, task};

const SESSION: &str = "/proffer.scheduler.v1.Scheduler/Session";
const ATTACH: &str = "/proffer.agent.v1.AgentRegistry/Attach";

fn last_error(events: Vec<scheduler::Event>) -> scheduler::Error {
    match events.into_iter().last().and_then(|event| event.event) {
        Some(event::Event::Error(error)) => error,
        other => panic!("the last word is {other:?}"),
    }
}

fn last_refusal(orders: Vec<agent::MasterMessage>) -> agent::Refused {
    match orders.into_iter().last().and_then(|order| order.message) {
        Some(master_message::Message::Refused(refused)) => refused,
        other => panic!("the last word is {other:?}"),
    }
}

fn a_subscribe() -> Bytes {
    framed(&scheduler::Call { call: Some(subscribe(info("", "web"))) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_above_the_cap_is_answered_with_its_size_and_the_cap() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut session = Framework::subscribe(&cluster, "web").await;
    let message = "x".repeat(5 << 20);
    session.say(call::Call::InverseReply(scheduler::InverseReply { message, ..Default::default() })).await;
    let error = session.error().await;
    assert_eq!((error.kind(), error.fatal), (Kind::Invalid, true));
    assert!(error.message.contains("5242") && error.message.contains("4194304"), "{}", error.message);
    let status = session.end().await.1.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, error.message.as_str()));
    cluster.assert_serves().await;
}

/// Two bytes each on the wire, half a kilobyte each in memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_million_empty_tasks_is_refused_before_they_are_made() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let inside = |field: u8, bytes: Vec<u8>| {
        let mut message = vec![field << 3 | 2];
        prost::encode_length_delimiter(bytes.len(), &mut message).unwrap();
        message.extend(bytes);
        message
    };
    let tasks = [1 << 3 | 2, 0].repeat(1_000_000);
    // Call.accept.operations.launch.tasks
    let call = inside(4, inside(2, inside(2, tasks)));
    let mut message = head(call.len() as u32);
    message.extend_from_slice(&call);
    let mut stream = RawStream::open(&cluster, SESSION).await;
    stream.send(a_subscribe());
    stream.send(message.freeze());
    let (events, code, message) = stream.end::<scheduler::Event>().await;
    let error = last_error(events);
    assert_eq!((error.kind(), error.fatal), (Kind::Invalid, true));
    assert!(error.message.contains("more than 500000 fields"), "{}", error.message);
    assert_eq!(code, Code::ResourceExhausted as i32, "{message}");
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_call_are_answered_with_the_place() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    // Field 1, a message of two bytes in which field 1 is a message of 127 bytes that are not there.
    let nonsense: &[u8] = &[0x0a, 0x02, 0x0a, 0x7f];
    let mut bad = head(nonsense.len() as u32);
    bad.extend_from_slice(nonsense);
    let bad = bad.freeze();
    for first in [vec![bad.clone()], vec![a_subscribe(), bad]] {
        let mut stream = RawStream::open(&cluster, SESSION).await;
        for bytes in first {
            stream.send(bytes);
        }
        let (events, code, message) = stream.end::<scheduler::Event>().await;
        let error = last_error(events);
        assert_eq!((error.kind(), error.fatal), (Kind::Invalid, true));
        assert!(error.message.contains("Subscribe.framework"), "{}", error.message);
        assert_eq!(code, Code::InvalidArgument as i32, "{message}");
    }
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_cut_off_in_the_middle_is_told_as_such() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let whole = a_subscribe();
    for sent in [vec![whole.slice(..whole.len() - 3)], vec![whole.clone(), whole.slice(..2)]] {
        let mut stream = RawStream::open(&cluster, SESSION).await;
        for bytes in sent {
            stream.send(bytes);
        }
        stream.finish();
        let (events, code, _) = stream.end::<scheduler::Event>().await;
        let error = last_error(events);
        assert_eq!((error.kind(), error.fatal), (Kind::Invalid, true));
        assert!(error.message.contains("in the middle"), "{}", error.message);
        assert_eq!(code, Code::InvalidArgument as i32);
    }
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_breaks_off_does_no_harm() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    for method in [SESSION, ATTACH] {
        let mut stream = RawStream::open(&cluster, method).await;
        stream.send(head(1_000).freeze());
        // The connection is dropped here, in the middle of a message.
    }
    let mut stream = RawStream::open(&cluster, SESSION).await;
    stream.send(a_subscribe());
    cluster
        .watch_until("the framework", |event| {
            use proffer_proto_wire::operator::cluster_event::Event;
            matches!(event, Event::Framework(f) if f.connected)
        })
        .await;
    drop(stream);
    cluster
        .watch_until("the framework's end", |event| {
            use proffer_proto_wire::operator::cluster_event::Event;
            matches!(event, Event::Framework(f) if !f.connected)
        })
        .await;
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_refused_with_the_reason_before_its_stream_ends() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let whole = framed(&agent::AgentMessage { message: Some(agent::agent_message::Message::Attach(attach("one"))) });
    let mut nonsense = head(2);
    nonsense.extend_from_slice(&[0x0a, 0x7f]);
    let too_large = head(65 << 20).freeze();
    let cases = [
        (vec![nonsense.clone().freeze()], Code::InvalidArgument, "AgentMessage"),
        (vec![whole.clone(), nonsense.freeze()], Code::InvalidArgument, "AgentMessage"),
        (vec![too_large.clone()], Code::ResourceExhausted, "67108864"),
        (vec![whole.clone(), too_large], Code::ResourceExhausted, "67108864"),
        (vec![whole.slice(..9)], Code::InvalidArgument, "in the middle"),
    ];
    for (sent, expected, told) in cases {
        let mut stream = RawStream::open(&cluster, ATTACH).await;
        for bytes in sent {
            stream.send(bytes);
        }
        stream.finish();
        let (orders, code, message) = stream.end::<agent::MasterMessage>().await;
        let refused = last_refusal(orders);
        assert!(!refused.r#final && refused.message.contains(told), "{}", refused.message);
        assert_eq!(code, expected as i32, "{message}");
    }
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_the_field() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut session = Framework::open(&cluster).await;
    session.say(subscribe(info("", ""))).await;
    let error = session.error().await;
    assert_eq!((error.kind(), error.fatal), (Kind::Invalid, true));
    assert!(error.message.contains("subscribe.framework.name"), "{}", error.message);

    let mut session = Framework::subscribe(&cluster, "web").await;
    let item = scheduler::DemandItem { role: "NOT A ROLE".to_owned(), ..Default::default() };
    let items = vec![scheduler::DemandItem { role: "default".to_owned(), ..Default::default() }, item];
    let kill = scheduler::Kill { task_id: "..".to_owned(), ..Default::default() };
    let cases = [
        (call::Call::Demand(scheduler::Demand { items }), "demand.items[1].role"),
        (call::Call::Kill(kill), "kill.task_id"),
        (call::Call::Decline(scheduler::Decline::default()), "decline.offer_ids"),
    ];
    for (call, path) in cases {
        session.say(call).await;
        let error = session.error().await;
        assert_eq!((error.kind(), error.fatal), (Kind::Invalid, false));
        assert!(error.message.contains(path), "{}", error.message);
    }
    let mut stream = Agent::open(&cluster).await;
    let mut request = attach("one");
    request.agent.as_mut().unwrap().resources.as_mut().unwrap().ports[0].end = 70_000;
    stream.say(agent::agent_message::Message::Attach(request)).await;
    let refused = stream.refused().await;
    assert!(refused.message.contains("attach.agent.resources.ports[0]"), "{}", refused.message);
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_task_neither_stops_the_others_nor_keeps_the_offer() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let mut agent = Agent::attach(&cluster, "one").await;
    let mut session = Framework::subscribe(&cluster, "web").await;
    session.demand_anything().await;
    let offer = session.offer().await;
    let mut bad = task("bad");
    bad.container.as_mut().unwrap().mounts.push(proffer_proto_wire::common::Mount::default());
    session.launch(&offer, vec![bad, task("good")]).await;
    let status = session.status().await;
    assert_eq!((status.task_id.as_str(), status.state()), ("bad", TaskState::Error));
    assert!(status.message.contains("accept.operations[0].launch.tasks[0].task.container.mounts[0]"), "{status:?}");
    assert_eq!(agent.launched().await.task.unwrap().task_id, "good");
    session.offer().await;
    drop((session, agent));
    cluster.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accept_that_makes_no_sense_gives_its_offers_back() {
    let dir = tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await;
    let _agent = Agent::attach(&cluster, "one").await;
    let mut session = Framework::subscribe(&cluster, "web").await;
    session.demand_anything().await;
    let offer = session.offer().await;
    let call::Call::Accept(mut bad) = accept(&offer, vec![task("never")]) else { unreachable!() };
    bad.filter = Some(scheduler::Filter { refuse_ms: Some(u64::MAX) });
    session.say(call::Call::Accept(bad)).await;
    let status = session.status().await;
    assert_eq!((status.task_id.as_str(), status.state()), ("never", TaskState::Dropped));
    let error = session.error().await;
    assert_eq!((error.kind(), error.fatal), (Kind::Invalid, false));
    assert!(error.message.contains("accept.filter.refuse_ms"), "{}", error.message);
    // Another framework gets at once what was held.
    let mut other = Framework::subscribe(&cluster, "other").await;
    other.demand_anything().await;
    other.offer().await;
    drop((session, other));
    cluster.assert_serves().await;
}
