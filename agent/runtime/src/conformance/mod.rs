//! What every [`ContainerRuntime`] must do, as one suite that panics on the first difference.
//!
//! [`run`] holds for every runtime. [`inside`] looks from within the container, so it is for runtimes that run
//! real processes. A [`Fixture`] says how a behaviour is asked of the runtime under test.

mod creation;
mod ending;
mod inside;
mod views;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{ContainerRequest, ContainerRuntime, Exit, RuntimeError, RuntimeErrorKind};

/// Longest time for one step; generous, as machines under test are busy.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two looks at something that should change.
const POLL: Duration = Duration::from_millis(10);

/// What a container of the suite is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// Exits by itself at once with this code.
    Exit(u8),
    /// Exits by itself with this code after about half a second.
    ExitSoon(u8),
    /// Prints `out 1` to stdout and `err 1` to stderr, then runs until it is signalled.
    PrintAndRun,
    /// Runs until SIGTERM, which ends it with code 9.
    HonourTerminate,
    /// Runs on whatever it is sent; only SIGKILL ends it.
    IgnoreTerminate,
    /// Uses more memory than its limit of 64 MiB, which the suite sets.
    EatMemory,
    /// Names a command that does not exist.
    MissingCommand,
    /// Runs this shell text. Only asked for by [`inside`].
    Shell(String),
}

/// How to ask the runtime under test for a behaviour.
pub trait Fixture: Send + Sync {
    /// A request with this id. Its image is ready; its log directory is its own.
    fn request(&self, id: &str, behaviour: Behaviour) -> ContainerRequest;

    /// A second driver of the same runtime, as a restarted agent makes one.
    fn reconnect(&self) -> Arc<dyn ContainerRuntime>;

    /// Reference of an image that is neither present nor at any registry that answers.
    fn missing_image(&self) -> String;
}

/// Runs every case that holds for all runtimes. Leaves no container behind when it passes.
///
/// # Panics
/// On the first difference, with the name of the case.
pub async fn run(runtime: &dyn ContainerRuntime, fixture: &dyn Fixture) {
    let suite = Suite { runtime, fixture };
    case("exit codes", ending::exit_codes(&suite)).await;
    case("wait twice", ending::wait_twice(&suite)).await;
    case("logs", views::logs(&suite)).await;
    case("terminate honoured", ending::terminate_honoured(&suite)).await;
    case("terminate ignored", ending::terminate_ignored(&suite)).await;
    case("out of memory", ending::out_of_memory(&suite)).await;
    case("missing image", creation::missing_image(&suite)).await;
    case("missing command", creation::missing_command(&suite)).await;
    case("bad id", creation::bad_id(&suite)).await;
    case("create twice", creation::create_twice(&suite)).await;
    case("start twice", creation::start_twice(&suite)).await;
    case("delete", creation::delete_is_idempotent(&suite)).await;
    case("never started", creation::never_started(&suite)).await;
    case("unknown container", creation::unknown_container(&suite)).await;
    case("list", views::list(&suite)).await;
    case("images", views::images(&suite)).await;
    case("stats", views::stats(&suite)).await;
    case("reconnect", views::reconnect(&suite)).await;
}

/// Runs every case that looks from inside the container.
///
/// # Panics
/// On the first difference, with the name of the case.
pub async fn inside(runtime: &dyn ContainerRuntime, fixture: &dyn Fixture) {
    let suite = Suite { runtime, fixture };
    case("user", inside::user(&suite)).await;
    case("environment and directory", inside::environment(&suite)).await;
    case("privileges", inside::privileges(&suite)).await;
    case("limits", inside::limits(&suite)).await;
    case("mounts", inside::mounts(&suite)).await;
}

async fn case(name: &str, steps: impl Future<Output = ()>) {
    tracing::info!(case = name, "conformance case");
    // Twice the step time: a case that hangs is named instead of hanging the suite.
    match tokio::time::timeout(STEP_TIMEOUT * 2, steps).await {
        Ok(()) => {}
        Err(_) => panic!("conformance case {name:?} does not end"),
    }
}

/// The runtime under test with the steps that cases share.
struct Suite<'a> {
    runtime: &'a dyn ContainerRuntime,
    fixture: &'a dyn Fixture,
}

impl Suite<'_> {
    /// Creates and starts a container.
    async fn launch(&self, id: &str, behaviour: Behaviour) -> ContainerRequest {
        let request = self.fixture.request(id, behaviour);
        self.launch_request(&request).await;
        request
    }

    async fn launch_request(&self, request: &ContainerRequest) {
        let created = must("create", self.runtime.create(request).await);
        assert!(created.pid > 0, "{}: no process id", request.id);
        must("start", self.runtime.start(&request.id).await);
    }

    async fn wait(&self, id: &str) -> Exit {
        match tokio::time::timeout(STEP_TIMEOUT, self.runtime.wait(id)).await {
            Ok(exit) => must("wait", exit),
            Err(_) => panic!("{id} does not end"),
        }
    }

    async fn signal(&self, id: &str, signal: i32) {
        must("signal", self.runtime.signal(id, signal).await);
    }

    async fn delete(&self, id: &str) {
        must("delete", self.runtime.delete(id).await);
    }

    /// Runs a shell text to its end and gives back what it printed.
    async fn shell(&self, mut request: ContainerRequest, text: &str) -> String {
        let shell = self.fixture.request(&request.id, Behaviour::Shell(text.to_owned()));
        request.command = shell.command;
        request.args = shell.args;
        self.launch_request(&request).await;
        let exit = self.wait(&request.id).await;
        self.delete(&request.id).await;
        let read = |name: &str| std::fs::read_to_string(request.log_dir.join(name)).unwrap_or_default();
        assert_eq!(exit.cause, crate::ExitCause::Code(0), "{text}: {} {}", read("stdout.log"), read("stderr.log"));
        read("stdout.log")
    }
}

/// The value, or a panic that says which step failed.
fn must<T>(step: &str, outcome: Result<T, RuntimeError>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("{step} failed: {error}"),
    }
}

/// Checks that a step failed, and how.
fn must_fail<T>(step: &str, outcome: Result<T, RuntimeError>, kind: RuntimeErrorKind) -> RuntimeError {
    match outcome {
        Ok(_) => panic!("{step} succeeded; {kind:?} was expected"),
        Err(error) => {
            assert_eq!(error.kind, kind, "{step}: {error}");
            error
        }
    }
}

/// Waits until a file holds this text.
async fn file_holds(path: &Path, text: &str) {
    let deadline = Instant::now() + STEP_TIMEOUT;
    loop {
        let content = std::fs::read_to_string(path).unwrap_or_default();
        if content.contains(text) {
            return;
        }
        assert!(Instant::now() < deadline, "{} never holds {text:?}: {content:?}", path.display());
        tokio::time::sleep(POLL).await;
    }
}
