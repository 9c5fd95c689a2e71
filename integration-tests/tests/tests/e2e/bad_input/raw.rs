//! Requests no proper client makes: half messages, bytes that are no protocol, ids nobody has.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use proffer_integration_harness::{Cluster, require};
use proffer_proto_wire::operator::TeardownFrameworkRequest;
use proffer_proto_wire::operator::operator_client::OperatorClient;
use proffer_proto_wire::scheduler::scheduler_client::SchedulerClient;
use proffer_proto_wire::scheduler::{Call, FrameworkInfo, Subscribe, call, event};
use tokio_stream::StreamExt;

/// Longer than any answer takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a body as a gRPC call of the server that has it; returns the status as text.
pub fn call(cluster: &Cluster, call: &str, body: &[u8]) -> String {
    require("curl", "curl");
    let path = cluster.scratch().join("body");
    std::fs::write(&path, body).unwrap();
    let server = match call.starts_with("proffer.service.") {
        true => api_address(cluster, "service"),
        false => format!("http://{}", cluster.master()),
    };
    let data = format!("@{}", path.display());
    let (url, kind) = (format!("{server}/{call}"), "content-type: application/grpc");
    let line = ["-s", "-D", "-", "--max-time", "30", "--http2-prior-knowledge", "-H", kind, "-H", "te: trailers"];
    let output = cluster.run("curl", &[&line[..], &["--data-binary", &data, &url]].concat());
    // In the head, or right behind the bytes of the body.
    let rest_after = |name: &str| output.stdout.rsplit_once(name).map(|(_, rest)| rest).unwrap_or_default();
    let line = |name: &str| rest_after(name).lines().next().unwrap_or_default().trim();
    let status = line("grpc-status:");
    assert_eq!(status, "3", "{call}: the caller's mistake is INVALID_ARGUMENT: {output:?}");
    decoded(line("grpc-message:"))
}

fn api_address(cluster: &Cluster, framework: &str) -> String {
    let all = cluster.json(&["frameworks"]);
    let found = all.as_array().unwrap().iter().find(|f| f["name"] == framework).unwrap();
    let address = found["api_address"].as_str().unwrap();
    if address.starts_with("http") { address.to_owned() } else { format!("http://{address}") }
}

/// Percent-encoded text.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let code = (byte == b'%').then(|| tail.get(..2)).flatten();
        match code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &tail[2..]).1,
            None => (bytes.push(byte), rest = tail).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends bytes, closes that side, and returns what comes until the server closes too.
pub fn send(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // A reset is one way to close.
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{bytes:?}: {error}"),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Comes as a framework of this id; returns the error that the master tells.
pub fn subscribe(address: &str, id: &str) -> String {
    let framework = FrameworkInfo {
        framework_id: id.to_owned(),
        name: "stranger".to_owned(),
        roles: vec!["default".to_owned()],
        ..FrameworkInfo::default()
    };
    let call = call::Call::Subscribe(Subscribe { framework: Some(framework), demand: None });
    block_on(async {
        let mut client = SchedulerClient::connect(format!("http://{address}")).await.unwrap();
        // The stream stays open, as a framework's does.
        let calls = tokio_stream::once(Call { call: Some(call) }).chain(tokio_stream::pending());
        let mut events = client.session(calls).await.unwrap().into_inner();
        let event = events.message().await.unwrap().and_then(|event| event.event);
        let Some(event::Event::Error(error)) = event else { panic!("{id:?} was not refused: {event:?}") };
        let next = events.message().await;
        assert!(!matches!(next, Ok(Some(_))), "the session of {id:?} goes on with {next:?}");
        error.message
    })
}

/// Removes a framework of this id; returns the error that the master tells.
pub fn teardown(address: &str, id: &str) -> String {
    block_on(async {
        let mut client = OperatorClient::connect(format!("http://{address}")).await.unwrap();
        let request = TeardownFrameworkRequest { framework_id: id.to_owned(), ..Default::default() };
        client.teardown_framework(request).await.expect_err("was not refused").message().to_owned()
    })
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("an answer in time") })
}
