//! Agents that are killed, stopped, purged, or lose their master.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests may fail the test like tests do

mod support;

use std::time::Duration;

use proffer_agent_engine::{LABEL_TASK, container_id};
use proffer_agent_runtime::ExitCause;
use proffer_agent_server::{Agent, AgentError};
use proffer_proto_model::convert::{AgentMessage, MasterMessage};
use proffer_proto_model::{AgentId, Epoch, TaskReason, TaskState};
use support::master::key;
use support::{Place, soon, spec, until};

#[tokio::test]
async fn a_killed_agent_adopts_its_container_and_says_nothing_new() {
    let place = Place::new().await;
    let agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    session.launch(spec("a")).await;
    session.until("a", TaskState::Running).await;
    // Until the confirmation is stored; otherwise RUNNING is rightly said again.
    session.say(MasterMessage::Ping { nonce: 1 }).await;
    assert_eq!(session.next().await, AgentMessage::Pong { nonce: 1 });
    agent.kill().await;
    place.intrude("pf-orphan", LABEL_TASK).await;
    place.intrude("not-ours", "other.label").await;

    let _agent = place.start().await;
    let (mut session, attach) = place.master.attach().await;
    assert_eq!((attach.incarnation, attach.tasks.len()), (2, 1));
    assert_eq!(attach.agent.id, Some(AgentId::new("A1-1").unwrap()));
    assert_eq!((attach.seen_epoch, attach.tasks[0].latest.state), (Epoch(1), TaskState::Running));
    assert_eq!(place.runtime.created().len(), 3, "made once, beside the two strangers");
    until("the orphan to be removed", || place.containers() == ["not-ours", &container_id(&key("a"))]).await;

    place.runtime.end(&container_id(&key("a")), ExitCause::Code(0));
    let finished = session.until("a", TaskState::Finished).await;
    assert_eq!(finished.seq, 3, "STARTING, RUNNING and then the end");
}

#[tokio::test]
async fn an_end_while_the_agent_was_away_is_reported_once() {
    let place = Place::new().await;
    let agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    session.launch(spec("a")).await;
    session.until("a", TaskState::Running).await;
    agent.kill().await;
    place.runtime.end(&container_id(&key("a")), ExitCause::OutOfMemory);
    let agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    let failed = session.until("a", TaskState::Failed).await;
    assert_eq!(failed.reason, TaskReason::OutOfMemory);
    assert!(failed.message.contains("32MiB"), "{}", failed.message);
    session.say(MasterMessage::Ping { nonce: 1 }).await;
    assert_eq!(session.next().await, AgentMessage::Pong { nonce: 1 });
    agent.kill().await;
    let _agent = place.start().await;
    let (mut session, attach) = place.master.attach().await;
    assert!(attach.tasks.is_empty());
    session.say(MasterMessage::Ping { nonce: 2 }).await;
    assert_eq!(session.next().await, AgentMessage::Pong { nonce: 2 }, "nothing is said again");
}

#[tokio::test]
async fn a_stopped_agent_says_goodbye_and_leaves_its_containers() {
    let place = Place::new().await;
    let agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    session.launch(spec("a")).await;
    session.until("a", TaskState::Running).await;
    let stopped = tokio::spawn(agent.shutdown());
    while session.next().await != AgentMessage::Detach {}
    drop(session);
    soon("the agent to stop", stopped).await.unwrap().unwrap();
    assert_eq!(place.containers().len(), 1);
}

#[tokio::test]
async fn a_purge_leaves_nothing_and_the_next_start_reports_the_end() {
    let place = Place::new().await;
    let agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    session.launch(spec("a")).await;
    session.until("a", TaskState::Running).await;
    drop(session);
    agent.purge().await.unwrap();
    assert!(place.containers().is_empty());
    assert!(*place.network.removed_all.lock().unwrap());
    let _agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    assert_eq!(session.until("a", TaskState::Failed).await.reason, TaskReason::ExitUnknown);
}

#[tokio::test]
async fn a_lost_master_is_found_again_and_gets_what_is_not_confirmed() {
    let place = Place::new().await;
    let agent = place.start().await;
    let (session, _) = place.master.attach().await;
    session.launch(spec("a")).await;
    until("the task to run", || place.containers().len() == 1).await;
    drop(session);
    let (mut session, attach) = place.master.attach().await;
    assert_eq!(attach.incarnation, 1, "the same process");
    assert_eq!(attach.tasks.len(), 1);
    assert_eq!(session.until("a", TaskState::Starting).await.seq, 1);
    assert_eq!(session.until("a", TaskState::Running).await.seq, 2);
    assert!(agent.attached().borrow().is_some());
}

#[tokio::test]
async fn a_list_of_masters_is_gone_through() {
    let place = Place::new().await;
    let mut config = place.config();
    // A port nobody listens on comes first.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config.masters.insert(0, nobody.into());
    let _agent = Agent::start(config, place.runtime.clone(), place.network.clone()).await.unwrap();
    place.master.attach().await;
}

#[tokio::test]
async fn a_master_that_says_nothing_is_left() {
    let place = Place::new().await;
    let mut config = place.config();
    config.timing.handshake_ms = 50;
    let _agent = Agent::start(config, place.runtime.clone(), place.network.clone()).await.unwrap();
    let silent = place.master.accept().await;
    place.master.attach().await;
    drop(silent);
}

#[tokio::test]
async fn a_refusal_for_good_ends_the_agent_but_not_its_containers() {
    let place = Place::new().await;
    let mut agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    session.launch(spec("a")).await;
    session.until("a", TaskState::Running).await;
    let message = "this agent was removed; give it a new data directory".to_owned();
    session.say(MasterMessage::Refused { message, is_final: true }).await;
    let error = soon("the agent to end", agent.ended()).await.unwrap_err();
    assert!(error.to_string().contains("was removed"), "{error}");
    assert_eq!(place.containers().len(), 1);
}

#[tokio::test]
async fn a_refusal_for_now_is_tried_again() {
    let place = Place::new().await;
    let _agent = place.start().await;
    let mut session = place.master.accept().await;
    session.next().await;
    session.say(MasterMessage::Refused { message: "not the leader".to_owned(), is_final: false }).await;
    place.master.attach().await;
}

#[tokio::test]
async fn two_agents_cannot_share_a_data_directory() {
    let place = Place::new().await;
    let _agent = place.start().await;
    let second = Agent::start(place.config(), place.runtime.clone(), place.network.clone()).await;
    let Err(AgentError::Store(error)) = second else { panic!("must be refused") };
    assert!(error.to_string().contains("another agent uses it"), "{error}");
}

#[tokio::test]
async fn a_damaged_checkpoint_is_refused_with_what_to_do() {
    let place = Place::new().await;
    std::fs::write(place.data_dir().join("agent.redb"), vec![7; 8_192]).unwrap();
    let error = Agent::start(place.config(), place.runtime.clone(), place.network.clone()).await.err().unwrap();
    assert!(error.to_string().contains("agent.redb"), "{error}");
}

#[tokio::test]
async fn an_address_in_use_is_refused_with_what_to_do() {
    let place = Place::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = place.config();
    config.listen = taken.local_addr().unwrap().into();
    let started = Agent::start(config, place.runtime.clone(), place.network.clone());
    let error = tokio::time::timeout(Duration::from_secs(10), started).await.unwrap().err().unwrap();
    assert!(error.to_string().contains("cannot listen on"), "{error}");
}

#[tokio::test]
async fn an_agent_that_no_master_would_take_does_not_start() {
    let place = Place::new().await;
    let mut config = place.config();
    config.hostname = Some("x".repeat(300));
    let error = Agent::start(config, place.runtime.clone(), place.network.clone()).await.err().unwrap();
    assert!(error.to_string().contains("hostname"), "{error}");
}
