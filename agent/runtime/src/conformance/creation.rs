//! Cases about creating, starting and deleting, and about doing so twice or not at all.

use super::{Behaviour, Suite, must, must_fail};
use crate::{ContainerStatus, ExitCause, PullPolicy, RuntimeErrorKind};

pub(super) async fn missing_image(suite: &Suite<'_>) {
    let reference = suite.fixture.missing_image();
    let silent: crate::ProgressSink = std::sync::Arc::new(|_| {});
    let ensured = suite.runtime.ensure_image(&reference, PullPolicy::Never, silent.clone()).await;
    let error = must_fail("ensure, never pull", ensured, RuntimeErrorKind::NotFound);
    assert!(error.to_string().contains("proffer image import"), "{error}");

    let ensured = suite.runtime.ensure_image("Not A Reference", PullPolicy::Missing, silent).await;
    must_fail("ensure a bad reference", ensured, RuntimeErrorKind::Invalid);

    let mut request = suite.fixture.request("no-image", Behaviour::Exit(0));
    request.image = reference;
    must_fail("create", suite.runtime.create(&request).await, RuntimeErrorKind::NotFound);
    assert!(must("list", suite.runtime.list().await).is_empty());
}

pub(super) async fn missing_command(suite: &Suite<'_>) {
    let request = suite.fixture.request("no-command", Behaviour::MissingCommand);
    must_fail("create", suite.runtime.create(&request).await, RuntimeErrorKind::Invalid);
    let left = must("list", suite.runtime.list().await);
    assert!(left.is_empty(), "a failed create leaves nothing: {left:?}");
    // The id is free again.
    suite.launch("no-command", Behaviour::Exit(0)).await;
    assert_eq!(suite.wait("no-command").await.cause, ExitCause::Code(0));
    suite.delete("no-command").await;
}

pub(super) async fn bad_id(suite: &Suite<'_>) {
    let request = suite.fixture.request("fine", Behaviour::Exit(0));
    for id in ["", "../up", "a/b", "-x"] {
        let request = crate::ContainerRequest { id: id.to_owned(), ..request.clone() };
        must_fail(&format!("create {id:?}"), suite.runtime.create(&request).await, RuntimeErrorKind::Invalid);
    }
}

pub(super) async fn create_twice(suite: &Suite<'_>) {
    let request = suite.launch("twice", Behaviour::PrintAndRun).await;
    must_fail("create again", suite.runtime.create(&request).await, RuntimeErrorKind::AlreadyExists);
    let listed = must("list", suite.runtime.list().await);
    assert!(matches!(listed[0].status, ContainerStatus::Running { .. }), "the first one goes on: {listed:?}");
    suite.delete("twice").await;
}

pub(super) async fn start_twice(suite: &Suite<'_>) {
    suite.launch("start", Behaviour::PrintAndRun).await;
    must("start again", suite.runtime.start("start").await);
    suite.delete("start").await;
    suite.launch("start", Behaviour::Exit(5)).await;
    let exit = suite.wait("start").await;
    must("start after the end", suite.runtime.start("start").await);
    assert_eq!(suite.wait("start").await, exit);
    suite.delete("start").await;
}

pub(super) async fn delete_is_idempotent(suite: &Suite<'_>) {
    suite.delete("never-there").await;
    suite.launch("gone", Behaviour::IgnoreTerminate).await;
    suite.delete("gone").await;
    suite.delete("gone").await;
    assert!(must("list", suite.runtime.list().await).is_empty());
}

pub(super) async fn never_started(suite: &Suite<'_>) {
    let request = suite.fixture.request("idle", Behaviour::PrintAndRun);
    let created = must("create", suite.runtime.create(&request).await);
    let listed = must("list", suite.runtime.list().await);
    assert_eq!(listed[0].status, ContainerStatus::Created { pid: created.pid });
    let waited = tokio::time::timeout(std::time::Duration::from_millis(100), suite.runtime.wait("idle")).await;
    assert!(waited.is_err(), "what has not begun has not ended: {waited:?}");
    suite.delete("idle").await;
    assert!(must("list", suite.runtime.list().await).is_empty());
}

pub(super) async fn unknown_container(suite: &Suite<'_>) {
    must_fail("start", suite.runtime.start("nobody").await, RuntimeErrorKind::NotFound);
    must_fail("wait", suite.runtime.wait("nobody").await, RuntimeErrorKind::NotFound);
    must_fail("signal", suite.runtime.signal("nobody", 15).await, RuntimeErrorKind::NotFound);
    must_fail("kill", suite.runtime.signal("nobody", 9).await, RuntimeErrorKind::NotFound);
    must_fail("stats", suite.runtime.stats("nobody").await, RuntimeErrorKind::NotFound);
    must_fail("signal 0", suite.runtime.signal("nobody", 0).await, RuntimeErrorKind::Invalid);
}
