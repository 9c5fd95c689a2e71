//! Cases about how containers end.

use super::{Behaviour, Suite, must};
use crate::ExitCause;

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

pub(super) async fn exit_codes(suite: &Suite<'_>) {
    for code in [0, 42, 127, 255] {
        let id = format!("exit-{code}");
        suite.launch(&id, Behaviour::Exit(code)).await;
        let exit = suite.wait(&id).await;
        assert_eq!(exit.cause, ExitCause::Code(code));
        assert!(exit.ended_unix_ms > 1_600_000_000_000, "time of the end: {}", exit.ended_unix_ms);
        suite.delete(&id).await;
    }
}

pub(super) async fn wait_twice(suite: &Suite<'_>) {
    suite.launch("wait", Behaviour::ExitSoon(3)).await;
    let (first, second) = tokio::join!(suite.wait("wait"), suite.wait("wait"));
    assert_eq!(first, second);
    assert_eq!(first.cause, ExitCause::Code(3));
    assert_eq!(suite.wait("wait").await, first, "waiting after the end");
    suite.delete("wait").await;
}

pub(super) async fn terminate_honoured(suite: &Suite<'_>) {
    let request = suite.launch("polite", Behaviour::HonourTerminate).await;
    super::file_holds(&request.log_dir.join("stdout.log"), "ready").await;
    suite.signal("polite", SIGTERM).await;
    assert_eq!(suite.wait("polite").await.cause, ExitCause::Code(9));
    let late = suite.runtime.signal("polite", SIGTERM).await;
    super::must_fail("signal after the end", late, crate::RuntimeErrorKind::NotFound);
    suite.delete("polite").await;
}

pub(super) async fn terminate_ignored(suite: &Suite<'_>) {
    let request = suite.launch("stubborn", Behaviour::IgnoreTerminate).await;
    super::file_holds(&request.log_dir.join("stdout.log"), "ready").await;
    suite.signal("stubborn", SIGTERM).await;
    let waited = tokio::time::timeout(std::time::Duration::from_millis(300), suite.runtime.wait("stubborn")).await;
    assert!(waited.is_err(), "it ended on SIGTERM: {waited:?}");
    suite.signal("stubborn", SIGKILL).await;
    assert_eq!(suite.wait("stubborn").await.cause, ExitCause::Signal(9));
    suite.delete("stubborn").await;
}

pub(super) async fn out_of_memory(suite: &Suite<'_>) {
    const LIMIT_BYTES: u64 = 64 * 1024 * 1024;
    let mut request = suite.fixture.request("hungry", Behaviour::EatMemory);
    request.limits.memory_limit_bytes = Some(LIMIT_BYTES);
    suite.launch_request(&request).await;
    let exit = suite.wait("hungry").await;
    assert_eq!(exit.cause, ExitCause::OutOfMemory);
    let peak = exit.peak_memory_bytes.unwrap_or_default();
    assert!((LIMIT_BYTES / 2..=LIMIT_BYTES).contains(&peak), "peak memory: {peak}");
    assert_eq!(must("wait", suite.runtime.wait("hungry").await), exit, "waiting again");
    suite.delete("hungry").await;
}
