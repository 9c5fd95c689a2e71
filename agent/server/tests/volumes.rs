//! Volumes on disk: made before a task sees them, kept over everything but their destruction, and then gone.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests may fail the test like tests do

mod support;

use std::path::PathBuf;

use proffer_agent_engine::container_id;
use proffer_agent_runtime::{ExitCause, Mount as RuntimeMount};
use proffer_proto_model::convert::{AgentMessage, MasterMessage};
use proffer_proto_model::task::{Mount, MountSource};
use proffer_proto_model::{Bytes, HeldState, Role, TaskReason, TaskSpec, TaskState, Volume, VolumeId, VolumeReport};
use support::master::{Session, key};
use support::{Place, spec};

fn volume(number: u64) -> Volume {
    let (id, role) = (VolumeId::new("db").unwrap(), Role::new("eng/web").unwrap());
    Volume { number, id, role, size: Bytes::mib(1) }
}

fn using(task: &str) -> TaskSpec {
    let mut spec = spec(task);
    let source = MountSource::Volume { id: volume(1).id, role: Some(volume(1).role), read_only: false };
    spec.container.mounts = vec![Mount { target: "/data".to_owned(), source }];
    spec
}

fn directory(place: &Place) -> PathBuf {
    place.data_dir().join("volumes").join("eng+web").join("db")
}

/// Waits for what the agent says of a volume.
async fn told(session: &mut Session, number: u64, is_ready: bool) {
    loop {
        let report = VolumeReport { number, is_ready, message: String::new(), is_tried_again: false };
        if session.next().await == AgentMessage::Volumes(vec![report]) {
            return;
        }
    }
}

#[tokio::test]
async fn data_outlives_tasks_and_agents_and_goes_with_the_volume() {
    let place = Place::new().await;
    let agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    session.say(MasterMessage::CreateVolume(volume(1))).await;
    session.launch(using("a")).await;
    session.until("a", TaskState::Running).await;
    let request = place.request(&container_id(&key("a")));
    let expected = RuntimeMount::Bind { source: directory(&place), target: "/data".into(), read_only: false };
    assert_eq!(request.mounts, [expected]);
    std::fs::write(directory(&place).join("row"), "1").unwrap();

    agent.kill().await;
    let agent = place.start().await;
    let (mut session, attach) = place.master.attach().await;
    assert_eq!((&attach.volumes[0].volume, attach.volumes[0].state), (&volume(1), HeldState::Ready));
    session.say(MasterMessage::DestroyVolume { number: 1 }).await;
    session.say(MasterMessage::CreateVolume(volume(2))).await;
    session.say(MasterMessage::Ping { nonce: 1 }).await;
    while session.next().await != (AgentMessage::Pong { nonce: 1 }) {}
    assert!(directory(&place).join("row").exists(), "not under a task");
    agent.kill().await;

    let _agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    place.runtime.end(&container_id(&key("a")), ExitCause::Code(0));
    told(&mut session, 1, false).await;
    told(&mut session, 2, true).await;
    assert_eq!(std::fs::read_dir(directory(&place)).unwrap().count(), 0, "a new volume of that name is empty");
}

#[tokio::test]
async fn a_task_is_never_given_an_empty_directory_in_place_of_lost_data() {
    let place = Place::new().await;
    let _agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    session.say(MasterMessage::CreateVolume(volume(1))).await;
    told(&mut session, 1, true).await;
    std::fs::remove_dir_all(directory(&place)).unwrap();
    session.launch(using("a")).await;
    let failed = session.until("a", TaskState::Failed).await;
    assert_eq!(failed.reason, TaskReason::ContainerLaunchFailed);
    assert!(failed.message.contains("its data is lost"), "{}", failed.message);
    assert!(!directory(&place).exists());
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_fails_the_task_and_not_the_agent() {
    let place = Place::new().await;
    let _agent = place.start().await;
    std::fs::write(place.data_dir().join("volumes"), "in the way").unwrap();
    let (mut session, _) = place.master.attach().await;
    session.say(MasterMessage::CreateVolume(volume(1))).await;
    session.launch(using("a")).await;
    let failed = session.until("a", TaskState::Failed).await;
    assert!(failed.message.contains("volume db could not be made"), "{}", failed.message);
    std::fs::remove_file(place.data_dir().join("volumes")).unwrap();
    session.say(MasterMessage::DestroyVolume { number: 1 }).await;
    told(&mut session, 1, false).await;
}
