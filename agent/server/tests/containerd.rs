//! A whole agent on a real containerd with a real bridge network. Needs root and
//! `apt-get install containerd runc busybox-static iptables`.
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests may fail the test like tests do

mod support;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proffer_agent_network::{BridgeConfig, BridgeNetwork, Subnet};
use proffer_agent_runtime::containerd::ContainerdRuntime;
use proffer_agent_runtime::containerd::private::PrivateContainerd;
use proffer_agent_runtime::image_builder::ImageBuilder;
use proffer_agent_runtime::{ContainerRuntime, is_logger_invocation, logger_main};
use proffer_agent_server::{Agent, Config, Handle, RawConfig};
use proffer_proto_model::task::{NetworkMode, PortMapping};
use proffer_proto_model::{Bytes, TaskReason, TaskSpec, TaskState};
use proffer_proto_transport::connect;
use proffer_proto_wire::agent as wire;
use proffer_proto_wire::agent::agent_host_client::AgentHostClient;
use support::master::{Master, Session};
use support::{soon, spec, until};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const IMAGE: &str = "proffer.test/box:1";
const TAG: &str = "agtst";
const PORT: u16 = 31_977;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if is_logger_invocation(&args) {
        return logger_main(&args);
    }
    if args.iter().any(|arg| arg == "--list") {
        println!("a_whole_agent_on_containerd: test");
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(a_whole_agent_on_containerd());
    println!("test a_whole_agent_on_containerd ... ok");
    ExitCode::SUCCESS
}

/// What stays when an agent is killed.
struct Stage {
    /// Dropped first: it cleans up in the directory.
    daemon: PrivateContainerd,
    directory: tempfile::TempDir,
    namespace: String,
    master: Master,
}

impl Stage {
    async fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("proffer-").tempdir().unwrap();
        let daemon = PrivateContainerd::start(directory.path().join("containerd")).await.unwrap();
        let namespace = format!("test-agent-{}", std::process::id());
        Self { directory, daemon, namespace, master: Master::start().await }
    }

    fn runtime(&self) -> ContainerdRuntime {
        let logger = std::env::current_exe().unwrap();
        ContainerdRuntime::new(self.daemon.config(&self.namespace, logger)).unwrap()
    }

    fn config(&self) -> Config {
        let raw = RawConfig {
            data_dir: self.directory.path().join("agent").to_string_lossy().into_owned(),
            listen: Some("127.0.0.1:0".to_owned()),
            masters: vec![self.master.address.to_string()],
            memory: Some("1GiB".to_owned()),
            ..RawConfig::default()
        };
        raw.validate().unwrap()
    }

    /// Starts an agent, with a network handle of its own as each process has.
    async fn start(&self) -> (Handle, Session, Arc<BridgeNetwork>) {
        let config = BridgeConfig {
            netns_dir: self.directory.path().join("netns"),
            ..BridgeConfig::new(TAG, Subnet::new(10, 88, 77).unwrap())
        };
        let network = Arc::new(BridgeNetwork::open(config).unwrap());
        let handle = Agent::start(self.config(), Arc::new(self.runtime()), network.clone()).await.unwrap();
        let (session, _) = self.master.attach().await;
        (handle, session, network)
    }
}

fn shell(task: &str, text: &str) -> TaskSpec {
    let mut spec = spec(task);
    spec.container.image = IMAGE.to_owned();
    spec.container.command = vec!["sh".to_owned(), "-c".to_owned(), text.to_owned()];
    spec.kill_policy.grace_ms = 2_000;
    spec
}

async fn a_whole_agent_on_containerd() {
    let stage = Stage::new().await;
    let (agent, mut session, network) = stage.start().await;
    import(&agent, stage.directory.path()).await;

    let begun = Instant::now();
    let mut web = shell("web", r#"echo hello; while true; do echo "hi from $PORT" | nc -l -p $PORT; done"#);
    web.container.network = NetworkMode::Bridge;
    web.container.ports = vec![PortMapping {
        name: "http".to_owned(),
        container_port: 80,
        host_port: PORT,
        protocol: Default::default(),
    }];
    session.launch(web).await;
    let running = session.until("web", TaskState::Running).await.container.unwrap();
    println!("launched in {:?}", begun.elapsed());
    assert_eq!(answer().await, "hi from 80\n");
    assert_eq!(logs(&agent, "web").await, "hello\n");
    ends(&mut session).await;
    let runtime = stage.runtime();
    soon("what has ended to be removed", async { while runtime.list().await.unwrap().len() > 1 {} }).await;

    kill(agent, session, network).await;
    let (agent, session, network) = stage.start().await;
    assert_eq!(answer().await, "hi from 80\n", "the adopted container answers");
    assert!(Path::new(&format!("/proc/{}", running.pid)).exists(), "the same process");
    assert_eq!(logs(&agent, "web").await, "hello\n");

    kill(agent, session, network).await;
    assert!(Command::new("kill").args(["-9", &running.pid.to_string()]).status().unwrap().success());
    let (agent, mut session, network) = stage.start().await;
    let failed = session.until("web", TaskState::Failed).await;
    assert_eq!((failed.reason, failed.signal), (TaskReason::Signalled, Some(9)), "{}", failed.message);
    session.launch(shell("left", "sleep 1000")).await;
    session.until("left", TaskState::Running).await;
    drop(session);
    agent.purge().await.unwrap();
    drop(network);
    assert!(stage.runtime().list().await.unwrap().is_empty());
    assert!(!Path::new("/sys/class/net").join(format!("pf-{TAG}")).exists(), "the bridge is gone");
    stage.daemon.stop().await.unwrap();
}

/// Ends the agent as a kill of its process would, which also ends its network's thread.
async fn kill(agent: Handle, session: Session, network: Arc<BridgeNetwork>) {
    agent.kill().await;
    drop(session);
    until("everything of the agent to be dropped", || Arc::strong_count(&network) == 1).await;
    Arc::into_inner(network).unwrap().close().await;
}

/// Each way to end, as the kernel and containerd really make it.
async fn ends(session: &mut Session) {
    session.launch(shell("three", "exit 3")).await;
    assert_eq!(session.until("three", TaskState::Failed).await.exit_code, Some(3));

    let mut hog = shell("hog", "exec tail -n 1 /dev/zero");
    hog.resources.memory = Bytes::mib(24);
    session.launch(hog).await;
    let failed = session.until("hog", TaskState::Failed).await;
    assert_eq!(failed.reason, TaskReason::OutOfMemory, "{}", failed.message);
    assert!(failed.message.contains("24MiB"), "{}", failed.message);

    let mut wrong = shell("wrong", "");
    wrong.container.command = vec!["no-such-program".to_owned()];
    session.launch(wrong).await;
    let failed = session.until("wrong", TaskState::Failed).await;
    assert_eq!(failed.reason, TaskReason::ContainerLaunchFailed);
    assert!(failed.message.contains("no-such-program"), "{}", failed.message);

    session.launch(shell("stubborn", "trap '' TERM; while true; do sleep 0.1; done")).await;
    session.until("stubborn", TaskState::Running).await;
    session.kill("stubborn").await;
    assert_eq!(session.until("stubborn", TaskState::Killed).await.signal, Some(9));
}

async fn import(agent: &Handle, directory: &Path) {
    let archive = directory.join("box.tar");
    ImageBuilder::busybox(IMAGE).unwrap().write(&archive).unwrap();
    let bytes = std::fs::read(&archive).unwrap();
    let chunks: Vec<_> = bytes.chunks(1 << 20).map(|data| wire::ImageChunk { data: data.to_vec() }).collect();
    let mut client = AgentHostClient::new(connect(&agent.api_address().into()).unwrap());
    let mut answers = client.import_image(tokio_stream::iter(chunks)).await.unwrap().into_inner();
    let mut last = None;
    while let Some(progress) = soon("the import", answers.message()).await.unwrap() {
        last = Some(progress);
    }
    assert_eq!(last.unwrap().images[0].reference, IMAGE);
}

async fn logs(agent: &Handle, task: &str) -> String {
    let mut client = AgentHostClient::new(connect(&agent.api_address().into()).unwrap());
    let request = wire::LogsRequest { task_id: task.to_owned(), ..wire::LogsRequest::default() };
    let mut stream = client.logs(request).await.unwrap().into_inner();
    let mut text = Vec::new();
    while let Some(chunk) = soon("output", stream.message()).await.unwrap() {
        text.extend(chunk.data);
    }
    String::from_utf8(text).unwrap()
}

/// What the published port answers; tried until the process listens.
async fn answer() -> String {
    soon("an answer", async {
        loop {
            let mut text = String::new();
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", PORT)).await
                && stream.read_to_string(&mut text).await.is_ok()
                && !text.is_empty()
            {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}
