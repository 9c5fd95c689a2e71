//! The containerd driver against containerds of its own. Needs root, containerd, runc, busybox-static and
//! docker-registry: `apt-get install containerd runc busybox-static docker-registry openssl`.

// The helpers of tests are tests too: a broken step ends them with its error.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod ends;
mod images;
mod locked;
mod outputs;
mod recovery;
mod registry;
mod support;
mod sweep;

use proffer_agent_runtime::conformance;
use support::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containerd_conforms() {
    let stage = Stage::start("conform").await;
    let runtime = stage.runtime();
    conformance::run(&runtime, &stage).await;
    conformance::inside(&runtime, &stage).await;
    stage.stop().await;
}
