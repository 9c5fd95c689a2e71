//! The fake runtime against the conformance suite, and its own ways to be steered.

// The helpers of tests are tests too: a broken step ends them with its error.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proffer_agent_runtime::conformance::{self, Behaviour, Fixture};
use proffer_agent_runtime::fake::{FakeRuntime, OnTerminate, SCRIPT_LABEL, Script};
use proffer_agent_runtime::{
    ContainerRequest, ContainerRuntime, ContainerStatus, ExitCause, ProgressSink, PullPolicy, RuntimeErrorKind,
};

struct FakeFixture {
    runtime: FakeRuntime,
    logs: PathBuf,
}

impl Fixture for FakeFixture {
    fn request(&self, id: &str, behaviour: Behaviour) -> ContainerRequest {
        let image = match behaviour {
            Behaviour::Exit(code) => format!("exit:{code}"),
            Behaviour::ExitSoon(code) => format!("exit-soon:{code}"),
            Behaviour::PrintAndRun => "print:1".into(),
            Behaviour::HonourTerminate => "polite:1".into(),
            Behaviour::IgnoreTerminate => "stubborn:1".into(),
            Behaviour::EatMemory => "hungry:1".into(),
            Behaviour::MissingCommand => "no-command:1".into(),
            Behaviour::Shell(text) => panic!("the fake runs no shell: {text}"),
        };
        ContainerRequest { id: id.into(), image, log_dir: self.logs.join(id), ..ContainerRequest::default() }
    }

    fn reconnect(&self) -> Arc<dyn ContainerRuntime> {
        Arc::new(self.runtime.clone())
    }

    fn missing_image(&self) -> String {
        "registry.example/missing:1".into()
    }
}

fn silent() -> ProgressSink {
    Arc::new(|_| {})
}

async fn scripted() -> FakeRuntime {
    let fake = FakeRuntime::new();
    for code in [0, 3, 5, 7, 8, 42, 127, 255] {
        fake.script(&format!("exit:{code}"), Script::exit(code, Duration::ZERO));
        fake.script(&format!("exit-soon:{code}"), Script::exit(code, Duration::from_millis(200)));
    }
    fake.script("print:1", Script::forever().print("out 1\n", "err 1\n"));
    let polite = OnTerminate::Exit { code: 9, after: Duration::from_millis(10) };
    fake.script("polite:1", Script::forever().on_terminate(polite).print("ready\n", ""));
    fake.script("stubborn:1", Script::ignore_terminate().print("ready\n", ""));
    fake.script("hungry:1", Script::out_of_memory(Duration::from_millis(10)));
    fake.script("no-command:1", Script::fail_create(RuntimeErrorKind::Invalid, "command not found"));
    for image in ["print:1", "polite:1", "stubborn:1", "hungry:1", "no-command:1"] {
        fake.ensure_image(image, PullPolicy::Missing, silent()).await.unwrap();
    }
    for code in [0, 3, 5, 7, 8, 42, 127, 255] {
        fake.ensure_image(&format!("exit:{code}"), PullPolicy::Missing, silent()).await.unwrap();
        fake.ensure_image(&format!("exit-soon:{code}"), PullPolicy::Missing, silent()).await.unwrap();
    }
    fake
}

#[tokio::test]
async fn the_fake_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = scripted().await;
    let fixture = FakeFixture { runtime: runtime.clone(), logs: dir.path().to_owned() };
    conformance::run(&runtime, &fixture).await;
}

async fn running(fake: &FakeRuntime, id: &str, script: &str) -> ContainerRequest {
    fake.ensure_image("web", PullPolicy::Missing, silent()).await.unwrap();
    let labels = [(SCRIPT_LABEL.to_owned(), script.to_owned())].into();
    let request = ContainerRequest { id: id.into(), image: "web".into(), labels, ..ContainerRequest::default() };
    fake.create(&request).await.unwrap();
    fake.start(id).await.unwrap();
    request
}

#[tokio::test]
async fn containers_can_be_ended_and_lost_from_outside() {
    let fake = FakeRuntime::new();
    running(&fake, "a", "run").await;
    running(&fake, "b", "run").await;
    assert!(fake.end("a", ExitCause::Signal(9)));
    assert!(!fake.end("a", ExitCause::Code(0)), "it has ended");
    assert!(fake.lose("b"));
    assert_eq!(fake.wait("a").await.unwrap().cause, ExitCause::Signal(9));
    assert_eq!(fake.wait("b").await.unwrap().cause, ExitCause::Unknown);
    assert_eq!(fake.list().await.unwrap()[0].status, ContainerStatus::Ended);
}

#[tokio::test(start_paused = true)]
async fn scripted_times_follow_tokios_clock() {
    let fake = FakeRuntime::new();
    running(&fake, "slow", "exit=4 after_ms=3600000").await;
    assert_eq!(fake.wait("slow").await.unwrap().cause, ExitCause::Code(4));
}

#[tokio::test(start_paused = true)]
async fn an_outage_holds_waiters_until_it_is_over() {
    let fake = FakeRuntime::new();
    running(&fake, "a", "exit=1 after_ms=10").await;
    fake.set_down(true);
    assert_eq!(fake.list().await.unwrap_err().kind, RuntimeErrorKind::Unavailable);
    let waited = tokio::time::timeout(Duration::from_secs(60), fake.wait("a")).await;
    assert!(waited.is_err(), "nothing answers while the runtime is down");
    fake.set_down(false);
    assert_eq!(fake.wait("a").await.unwrap().cause, ExitCause::Code(1));
}

#[tokio::test]
async fn requests_and_signals_are_remembered() {
    let fake = FakeRuntime::new();
    let request = running(&fake, "a", "ignore_term").await;
    fake.signal("a", 15).await.unwrap();
    fake.signal("a", 9).await.unwrap();
    assert_eq!(fake.signals("a"), [15, 9]);
    assert_eq!(fake.created(), [request]);
}

#[tokio::test]
async fn images_can_be_gone() {
    let fake = FakeRuntime::new();
    fake.without_image("web");
    let error = fake.ensure_image("web", PullPolicy::Missing, silent()).await.unwrap_err();
    assert_eq!(error.kind, RuntimeErrorKind::ImageUnavailable);
}
