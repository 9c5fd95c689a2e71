//! Tasks on a whole agent, with a scripted master and a runtime in memory.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests may fail the test like tests do

mod support;

use proffer_agent_engine::container_id;
use std::sync::Arc;

use proffer_agent_runtime::fake::Script;
use proffer_agent_runtime::{ExitCause, RuntimeErrorKind};
use proffer_agent_server::Agent;
use proffer_proto_model::task::{NetworkMode, PortMapping};
use proffer_proto_model::{Bytes, MilliCpus, Resources, TaskReason, TaskState};
use support::master::key;
use support::pulls::{ENDLESS, EndlessPulls};
use support::{Place, spec, until};

#[tokio::test]
async fn a_task_runs_and_ends_and_its_container_is_removed() {
    let place = Place::new().await;
    let agent = place.start().await;
    let (mut session, attach) = place.master.attach().await;
    assert_eq!((attach.incarnation, attach.tasks.len()), (1, 0));
    assert_eq!(attach.agent.resources.cpus, MilliCpus(4_000));
    assert_eq!(attach.agent.api_address, agent.api_address().to_string());

    let mut wanted = spec("a");
    wanted.container.network = NetworkMode::Bridge;
    wanted.container.ports = vec![PortMapping {
        name: "http".to_owned(),
        container_port: 80,
        host_port: 31_000,
        protocol: Default::default(),
    }];
    session.launch(wanted).await;
    let running = session.until("a", TaskState::Running).await.container.unwrap();
    assert_eq!((running.pid, running.address.as_str()), (100_001, "10.9.8.7"));
    let id = container_id(&key("a"));
    let request = place.request(&id);
    assert!(request.env.contains(&("PORT".to_owned(), "80".to_owned())), "{:?}", request.env);
    assert!(request.log_dir.starts_with(place.data_dir()));

    place.runtime.end(&id, ExitCause::Code(3));
    let ended = session.until("a", TaskState::Failed).await;
    assert_eq!((ended.reason, ended.exit_code), (TaskReason::Exited, Some(3)));
    until("the container to be removed", || place.containers().is_empty()).await;
    until("its network to be removed", || place.network.attached.lock().unwrap().is_empty()).await;
    agent.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_task_that_does_not_obey_is_forced_to_end() {
    let place = Place::new().await;
    place.runtime.script("busybox:1", Script::ignore_terminate());
    let _agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    session.launch(spec("a")).await;
    session.until("a", TaskState::Running).await;
    session.kill("a").await;
    session.until("a", TaskState::Killing).await;
    let killed = session.until("a", TaskState::Killed).await;
    assert_eq!((killed.reason, killed.signal), (TaskReason::KillRequested, Some(9)));
}

#[tokio::test]
async fn a_kill_during_a_pull_ends_the_pull_and_makes_room_for_others() {
    let place = Place::new().await;
    let runtime = Arc::new(EndlessPulls(place.runtime.as_ref().clone()));
    let _agent = Agent::start(place.config(), runtime, place.network.clone()).await.unwrap();
    let (mut session, _) = place.master.attach().await;
    // More than are pulled at a time.
    let names: Vec<String> = (0..8).map(|number| format!("endless{number}")).collect();
    for name in &names {
        let mut endless = spec(name);
        endless.container.image = ENDLESS.to_owned();
        session.launch(endless).await;
    }
    session.launch(spec("a")).await;
    session.until_all(&names, TaskState::Starting).await;
    for name in &names {
        session.kill(name).await;
    }
    session.until("a", TaskState::Running).await;
}

#[tokio::test]
async fn a_runtime_that_is_away_for_a_while_fails_no_task() {
    let place = Place::new().await;
    let _agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    session.launch(spec("before")).await;
    session.until("before", TaskState::Running).await;
    place.runtime.set_down(true);
    session.launch(spec("during")).await;
    session.until("during", TaskState::Starting).await;
    session.launch(spec("unwanted")).await;
    session.until("unwanted", TaskState::Starting).await;
    session.kill("unwanted").await;
    assert_eq!(session.until("unwanted", TaskState::Killed).await.reason, TaskReason::KilledDuringLaunch);
    place.runtime.set_down(false);
    session.until("during", TaskState::Running).await;
    place.runtime.end(&container_id(&key("before")), ExitCause::Code(0));
    session.until("before", TaskState::Finished).await;
}

#[tokio::test]
async fn what_cannot_run_fails_with_the_cause() {
    let place = Place::new().await;
    let _agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    let mut missing = spec("missing");
    missing.container.image = "missing:1".to_owned();
    place.runtime.without_image("missing:1");
    let mut command = spec("command");
    let script = Script::fail_create(RuntimeErrorKind::Invalid, "sh: not found in the image");
    command.container.image = "broken:1".to_owned();
    place.runtime.script("broken:1", script);
    let mut large = spec("large");
    large.resources = Resources::new(MilliCpus(100), Bytes::mib(5_000));
    let table = [
        (missing, TaskState::Failed, TaskReason::ImageUnavailable, "no such image"),
        (command, TaskState::Failed, TaskReason::ContainerLaunchFailed, "not found in the image"),
        (large, TaskState::Dropped, TaskReason::ResourcesExceeded, "lacks"),
    ];
    for (wanted, state, reason, told) in table {
        let task = wanted.id.to_string();
        session.launch(wanted).await;
        let status = session.until(&task, state).await;
        assert_eq!(status.reason, reason);
        assert!(status.message.contains(told), "{}", status.message);
    }
    until("nothing to be left", || place.containers().is_empty()).await;
}

#[tokio::test]
async fn hundreds_of_tasks_at_once_all_run_and_all_end() {
    const COUNT: usize = 300;
    let place = Place::new().await;
    let mut config = place.config();
    config.resources.cpus = Some(MilliCpus(100 * COUNT as u64));
    config.resources.memory = Some(Bytes::mib(32 * COUNT as u64));
    let _agent = Agent::start(config, place.runtime.clone(), place.network.clone()).await.unwrap();
    let (mut session, _) = place.master.attach().await;
    let names: Vec<String> = (0..COUNT).map(|number| format!("t{number}")).collect();
    for name in &names {
        session.launch(spec(name)).await;
    }
    session.until_all(&names, TaskState::Running).await;
    assert_eq!(place.containers().len(), COUNT);
    for name in &names {
        session.kill(name).await;
    }
    session.until_all(&names, TaskState::Killed).await;
    until("all containers to be removed", || place.containers().is_empty()).await;
}
