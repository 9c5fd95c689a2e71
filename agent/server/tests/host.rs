//! What an agent serves itself: logs and images.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests may fail the test like tests do

mod support;

use std::io::Write;
use std::path::PathBuf;

use proffer_agent_engine::container_id;
use proffer_agent_runtime::ExitCause;
use proffer_agent_runtime::image_builder::ImageBuilder;
use proffer_agent_server::{Agent, Handle};
use proffer_proto_model::TaskState;
use proffer_proto_transport::connect;
use proffer_proto_wire::agent as wire;
use proffer_proto_wire::agent::agent_host_client::AgentHostClient;
use support::master::{Session, framework, key};
use support::{Place, soon, spec, until};
use tonic::transport::Channel;
use tonic::{Code, Streaming};

async fn running(place: &Place) -> (Handle, Session, AgentHostClient<Channel>) {
    let agent = place.start().await;
    let (mut session, _) = place.master.attach().await;
    session.launch(spec("a")).await;
    session.until("a", TaskState::Running).await;
    let client = AgentHostClient::new(connect(&agent.api_address().into()).unwrap());
    (agent, session, client)
}

fn write(place: &Place, file: &str, text: &str) {
    let directory: PathBuf = place.request(&container_id(&key("a"))).log_dir;
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(directory.join(file)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

async fn next(stream: &mut Streaming<wire::LogChunk>) -> Option<(wire::LogStream, String)> {
    let chunk = soon("output", stream.message()).await.unwrap()?;
    Some((chunk.stream(), String::from_utf8(chunk.data).unwrap()))
}

fn request() -> wire::LogsRequest {
    wire::LogsRequest { task_id: "a".to_owned(), ..wire::LogsRequest::default() }
}

#[tokio::test]
async fn logs_are_followed_to_the_end_and_read_after_it() {
    let place = Place::new().await;
    let (_agent, mut session, mut client) = running(&place).await;
    write(&place, "stdout.log", "one\n");
    let followed = wire::LogsRequest { follow: true, framework_id: framework().to_string(), ..request() };
    let mut stream = client.logs(followed).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some((wire::LogStream::Stdout, "one\n".to_owned())));
    write(&place, "stderr.log", "oops\n");
    assert_eq!(next(&mut stream).await, Some((wire::LogStream::Stderr, "oops\n".to_owned())));
    write(&place, "stdout.log", "two\n");
    place.runtime.end(&container_id(&key("a")), ExitCause::Code(0));
    assert_eq!(next(&mut stream).await, Some((wire::LogStream::Stdout, "two\n".to_owned())));
    assert_eq!(next(&mut stream).await, None, "the end of the task ends the stream");

    session.until("a", TaskState::Finished).await;
    let last = wire::LogsRequest { tail_lines: Some(1), stream: wire::LogStream::Stdout.into(), ..request() };
    let mut stream = client.logs(last).await.unwrap().into_inner();
    assert_eq!(next(&mut stream).await, Some((wire::LogStream::Stdout, "two\n".to_owned())));
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test]
async fn logs_of_forgotten_tasks_are_removed() {
    let place = Place::new().await;
    std::fs::create_dir_all(place.data_dir().join("tasks/pf-F1-1-forgotten/logs")).unwrap();
    let mut config = place.config();
    config.ended_kept = 1;
    let _agent = Agent::start(config, place.runtime.clone(), place.network.clone()).await.unwrap();
    assert_eq!(std::fs::read_dir(place.data_dir().join("tasks")).unwrap().count(), 0);
    let (mut session, _) = place.master.attach().await;
    for task in ["a", "b"] {
        session.launch(spec(task)).await;
        session.until(task, TaskState::Running).await;
        place.runtime.end(&container_id(&key(task)), ExitCause::Code(0));
        session.until(task, TaskState::Finished).await;
    }
    let logs = |task: &str| place.data_dir().join("tasks").join(container_id(&key(task)));
    until("the older logs to be removed", || !logs("a").exists()).await;
    assert!(logs("b").exists());
}

#[tokio::test]
async fn a_bad_request_for_logs_is_refused_with_the_field() {
    let place = Place::new().await;
    let (_agent, _session, mut client) = running(&place).await;
    let table = [
        (wire::LogsRequest { task_id: "b".to_owned(), ..request() }, Code::NotFound, "no task b"),
        (wire::LogsRequest { task_id: "../x".to_owned(), ..request() }, Code::InvalidArgument, "task_id"),
        (wire::LogsRequest { framework_id: "a b".to_owned(), ..request() }, Code::InvalidArgument, "framework_id"),
        (wire::LogsRequest { framework_id: "F9-9".to_owned(), ..request() }, Code::NotFound, "no task a"),
        (wire::LogsRequest { stream: 77, ..request() }, Code::InvalidArgument, "stream"),
    ];
    for (bad, code, told) in table {
        let status = client.logs(bad).await.unwrap_err();
        assert_eq!(status.code(), code, "{}", status.message());
        assert!(status.message().contains(told), "{}", status.message());
    }
}

#[tokio::test]
async fn an_agent_that_stops_does_not_wait_for_readers() {
    let place = Place::new().await;
    let (agent, session, mut client) = running(&place).await;
    let mut stream = client.logs(wire::LogsRequest { follow: true, ..request() }).await.unwrap().into_inner();
    drop(session);
    soon("the agent to stop", agent.shutdown()).await.unwrap();
    assert!(soon("the end of the stream", stream.message()).await.is_err());
}

async fn import(
    client: &mut AgentHostClient<Channel>,
    pieces: Vec<Vec<u8>>,
) -> Result<wire::ImageProgress, tonic::Status> {
    let chunks = pieces.into_iter().map(|data| wire::ImageChunk { data });
    let mut answers = client.import_image(tokio_stream::iter(chunks)).await?.into_inner();
    let mut last = wire::ImageProgress::default();
    while let Some(progress) = soon("progress", answers.message()).await? {
        last = progress;
    }
    Ok(last)
}

#[tokio::test]
async fn images_are_imported_pulled_and_listed() {
    let place = Place::new().await;
    let agent = place.start().await;
    let mut client = AgentHostClient::new(connect(&agent.api_address().into()).unwrap());
    let archive = place.data_dir().join("image.tar");
    ImageBuilder::empty("imported:1").file("big", 0o644, vec![7; 5 << 20]).uncompressed().write(&archive).unwrap();
    let bytes = std::fs::read(&archive).unwrap();
    let done = import(&mut client, bytes.chunks(1 << 20).map(<[u8]>::to_vec).collect()).await.unwrap();
    assert_eq!((done.step.as_str(), done.images[0].reference.as_str()), ("done", "docker.io/library/imported:1"));
    let listed = client.list_images(wire::ListImagesRequest {}).await.unwrap().into_inner();
    assert_eq!(listed.images, done.images);
    let temporary = place.data_dir().join("tmp");
    assert_eq!(std::fs::read_dir(temporary).unwrap().count(), 0, "no archive is left");

    let pulled = wire::PullImageRequest { reference: "busybox:1".to_owned() };
    let mut answers = client.pull_image(pulled).await.unwrap().into_inner();
    let mut steps = Vec::new();
    while let Some(progress) = soon("the image", answers.message()).await.unwrap() {
        steps.push(progress.step);
    }
    assert_eq!(steps, ["pulling", "done"]);
}

#[tokio::test]
async fn a_bad_archive_is_refused_with_what_to_do() {
    let place = Place::new().await;
    let agent = place.start().await;
    let mut client = AgentHostClient::new(connect(&agent.api_address().into()).unwrap());
    let table = [
        (vec![], "the archive is empty"),
        (vec![b"bad".to_vec()], "import"),
        (vec![vec![0; (1 << 20) + 1]], "at most 1048576"),
    ];
    for (pieces, told) in table {
        let status = import(&mut client, pieces).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(told), "{}", status.message());
    }
    place.runtime.without_image("missing:1");
    let missing = wire::PullImageRequest { reference: "missing:1".to_owned() };
    let mut answers = client.pull_image(missing).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::NotFound);
}
