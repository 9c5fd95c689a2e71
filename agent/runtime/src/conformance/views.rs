//! Cases about what can be seen from outside: logs, lists, images, use of resources, a second driver.

use std::time::Instant;

use super::{Behaviour, POLL, STEP_TIMEOUT, Suite, file_holds, must, must_fail};
use crate::{ContainerStatus, ExitCause, PullPolicy, RuntimeErrorKind};

pub(super) async fn logs(suite: &Suite<'_>) {
    let request = suite.launch("talker", Behaviour::PrintAndRun).await;
    file_holds(&request.log_dir.join("stdout.log"), "out 1\n").await;
    file_holds(&request.log_dir.join("stderr.log"), "err 1\n").await;
    suite.signal("talker", 9).await;
    suite.wait("talker").await;
    suite.delete("talker").await;
    let read = |name: &str| std::fs::read_to_string(request.log_dir.join(name)).unwrap_or_default();
    assert_eq!(read("stdout.log"), "out 1\n", "after the end");
    assert_eq!(read("stderr.log"), "err 1\n", "after the end");
}

pub(super) async fn list(suite: &Suite<'_>) {
    for id in ["b", "a"] {
        let mut request = suite.fixture.request(id, Behaviour::PrintAndRun);
        request.labels.insert("task".into(), format!("task of {id}"));
        suite.launch_request(&request).await;
    }
    suite.signal("a", 9).await;
    suite.wait("a").await;
    let listed = must("list", suite.runtime.list().await);
    let ids: Vec<_> = listed.iter().map(|container| container.id.as_str()).collect();
    assert_eq!(ids, ["a", "b"], "ordered by id");
    assert_eq!(listed[0].status, ContainerStatus::Ended);
    assert!(matches!(listed[1].status, ContainerStatus::Running { pid } if pid > 0));
    assert_eq!(listed[1].labels.get("task").map(String::as_str), Some("task of b"));
    assert!(listed.iter().flat_map(|container| container.labels.keys()).all(|key| !key.contains("runtime/")));
    suite.delete("a").await;
    suite.delete("b").await;
}

pub(super) async fn images(suite: &Suite<'_>) {
    let reference = suite.fixture.request("any", Behaviour::Exit(0)).image;
    let silent: crate::ProgressSink = std::sync::Arc::new(|_| {});
    let image = must("ensure", suite.runtime.ensure_image(&reference, PullPolicy::Never, silent).await);
    assert!(image.digest.starts_with("sha256:") && image.size_bytes > 0, "{image:?}");
    let images = must("images", suite.runtime.images().await);
    assert!(images.contains(&image), "{images:?}");
    assert!(images.is_sorted_by_key(|image| image.reference.clone()));
}

pub(super) async fn stats(suite: &Suite<'_>) {
    suite.launch("busy", Behaviour::PrintAndRun).await;
    let deadline = Instant::now() + STEP_TIMEOUT;
    let stats = loop {
        let stats = must("stats", suite.runtime.stats("busy").await);
        if stats.cpu_ns > 0 {
            break stats;
        }
        assert!(Instant::now() < deadline, "no CPU time is ever counted: {stats:?}");
        tokio::time::sleep(POLL).await;
    };
    assert!(stats.pids >= 1 && stats.memory_bytes > 0, "{stats:?}");
    assert!(stats.memory_peak_bytes >= stats.memory_bytes, "{stats:?}");
    suite.signal("busy", 9).await;
    suite.wait("busy").await;
    suite.delete("busy").await;
    must_fail("stats of a deleted one", suite.runtime.stats("busy").await, RuntimeErrorKind::NotFound);
}

pub(super) async fn reconnect(suite: &Suite<'_>) {
    suite.launch("before", Behaviour::Exit(7)).await;
    suite.wait("before").await;
    suite.launch("during", Behaviour::ExitSoon(8)).await;
    let second = suite.fixture.reconnect();
    let listed = must("list", second.list().await);
    assert_eq!(listed.iter().map(|container| container.id.as_str()).collect::<Vec<_>>(), ["before", "during"]);
    assert_eq!(must("wait", second.wait("before").await).cause, ExitCause::Code(7));
    assert_eq!(must("wait", second.wait("during").await).cause, ExitCause::Code(8));
    must("delete", second.delete("before").await);
    must("delete", second.delete("during").await);
    assert!(must("list", suite.runtime.list().await).is_empty());
}
