//! The example as a user runs it: the real program against a master that says what this test tells it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Stdio;

use proffer_sdk::model::{AgentId, ClusterId, Epoch, Offer, OfferId};
use proffer_sdk::session::{Call, MasterEvent};
use proffer_sdk::{
    Bytes, FrameworkId, MilliCpus, Resources, Role, TaskSource, TaskSpec, TaskState, TaskStatus, UnixMillis,
};
use proffer_testkit::{Calls, FakeMaster, FakeSession, PATIENCE};
use tokio::process::{Child, Command};

fn hello(master: &FakeMaster) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hello"));
    command.args(["busybox", "echo", "hello"]).env("PROFFER_MASTER", master.address.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

async fn launched(session: &mut FakeSession) -> TaskSpec {
    session.expect("subscribe").await;
    session
        .say(MasterEvent::Subscribed {
            framework: FrameworkId::numbered(1, 1),
            epoch: Epoch(1),
            heartbeat_interval_ms: 5_000,
            cluster: ClusterId::new("test").unwrap(),
        })
        .await;
    session.expect("reconcile everything").await;
    session.expect("demand 1 x 0.1 cpus, 32MiB memory").await;
    let offer = Offer {
        id: OfferId::numbered(1, 1),
        agent: AgentId::numbered(1, 1),
        hostname: "host-1".into(),
        role: Role::default_role(),
        resources: Resources::new(MilliCpus(2_000), Bytes::mib(1_024)),
        attributes: Vec::new(),
        expires_in_ms: 30_000,
        region: String::new(),
        zone: String::new(),
        agent_address: "127.0.0.1".into(),
        unavailability: None,
        is_optimistic: false,
        reserved: Vec::new(),
        volumes: Vec::new(),
    };
    session.say(MasterEvent::Offers(vec![offer])).await;
    let Calls(calls) = Calls(vec![session.hear().await]);
    session.expect("demand nothing").await;
    Calls(calls).launched()[0].clone()
}

#[tokio::test]
async fn it_runs_one_container_to_its_end() {
    let mut master = FakeMaster::start().await;
    let child = hello(&master);
    let mut session = master.session().await;
    let task = launched(&mut session).await;
    assert_eq!((task.container.image.as_str(), task.container.args.join(" ")), ("busybox", "echo hello".to_owned()));
    for (seq, state) in [(1, TaskState::Running), (2, TaskState::Finished)] {
        let (id, agent) = (task.id.clone(), Some(AgentId::numbered(1, 1)));
        let status = TaskStatus { seq, ..TaskStatus::new(id, agent, state, TaskSource::Agent, UnixMillis(0)) };
        session.say(MasterEvent::Status(vec![status])).await;
        assert!(matches!(session.hear().await, Call::Acknowledge(list) if list[0].seq == seq));
    }
    session.hear_end().await;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it did not end").unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, format!("{0} is RUNNING \n{0} is FINISHED \n", task.id));
}

#[tokio::test]
async fn it_says_what_is_wrong_with_an_address() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hello"));
    let output = command.env("PROFFER_MASTER", "localhost").output().await.unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: master address \"localhost\" has no port; write localhost:5050"), "{said}");
}

#[test]
fn it_fits_on_a_screen() {
    let source = include_str!("../src/main.rs");
    assert!(source.lines().count() <= 35, "the example must stay within 35 lines");
    assert!(!source.contains("unwrap()") && !source.contains("expect("), "an author needs no unwrap");
}
