//! The containerd driver against a containerd of its own. Needs root, containerd, runc and busybox-static:
//! `apt-get install containerd runc busybox-static`.

mod support;

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
