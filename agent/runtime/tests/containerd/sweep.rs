//! What is left when a driver dies in the middle of its work, and that the next one finds it.

use std::time::Duration;

use containerd_client::services::v1::DeleteContainerRequest;
use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::tonic::Request;
use proffer_agent_runtime::{ContainerRuntime, ContainerStatus};

use crate::support::{Stage, eventually, pid_of};

/// Command lines of the processes that name this text, with their process ids.
fn processes(text: &str) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(text) {
            found.push((process.file_name().to_str().unwrap().parse().unwrap(), command));
        }
    }
    found
}

/// Removes a record behind the driver's back.
async fn forget(stage: &Stage, id: &str) {
    let channel = containerd_client::connect(stage.daemon.socket()).await.unwrap();
    let mut request = Request::new(DeleteContainerRequest { id: id.to_owned() });
    request.metadata_mut().insert("containerd-namespace", stage.namespace.parse().unwrap());
    ContainersClient::new(channel).delete(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_containerd_forgot_is_swept_and_the_rest_goes_on() {
    let mut stage = Stage::start("sweep").await;
    let runtime = stage.runtime();
    for id in ["kept", "lost", "lost-too"] {
        runtime.create(&stage.shell(id, "exec sleep 1000")).await.unwrap();
        runtime.start(id).await.unwrap();
    }
    let lost = pid_of(&runtime, "lost").await;
    forget(&stage, "lost").await;
    // A daemon that starts anew drops the bundle of the second one, but not its shim.
    forget(&stage, "lost-too").await;
    stage.daemon.crash().unwrap();
    stage.daemon.restart().await.unwrap();
    assert_eq!(processes(&format!("-namespace {}", stage.namespace)).len(), 3, "all shims are there");

    // The next driver, as a started agent makes it.
    let runtime = stage.runtime();
    assert_eq!(runtime.sweep().await.unwrap(), 2);
    let process = format!("/proc/{lost}");
    eventually("its process is reaped", async || !std::path::Path::new(&process).exists()).await;
    let shims = processes(&format!("-namespace {}", stage.namespace));
    assert!(shims.len() == 1 && shims[0].1.contains("-id kept "), "{shims:?}");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&format!("{}/lost", stage.namespace)), "no root file system stays mounted");
    let listed = runtime.list().await.unwrap();
    assert!(listed.len() == 1 && matches!(listed[0].status, ContainerStatus::Running { .. }), "{listed:?}");

    assert_eq!(runtime.sweep().await.unwrap(), 0, "nothing is left to do");
    // The ids are free again.
    runtime.create(&stage.shell("lost", "exit 3")).await.unwrap();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_cut_off_anywhere_is_finished_by_the_next_driver() {
    let stage = Stage::start("cut").await;
    for round in 0..12_u64 {
        let id = format!("c{round}");
        let runtime = stage.runtime();
        runtime.create(&stage.shell(&id, "exec sleep 1000")).await.unwrap();
        runtime.start(&id).await.unwrap();
        // Dropping the driver in the middle closes its connection, as the kernel does for a killed agent.
        let _ = tokio::time::timeout(Duration::from_millis(round * 4), runtime.delete(&id)).await;
        drop(runtime);

        let runtime = stage.runtime();
        runtime.sweep().await.unwrap();
        for container in runtime.list().await.unwrap() {
            runtime.delete(&container.id).await.unwrap();
        }
        let left = processes(&format!("-namespace {} -id {id} ", stage.namespace));
        assert!(left.is_empty(), "round {round}: {left:?}");
    }
    stage.stop().await;
}
