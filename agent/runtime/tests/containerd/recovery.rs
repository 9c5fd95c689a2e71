//! What survives crashes: of the daemon, of a shim, of the agent.

use std::path::PathBuf;

use proffer_agent_runtime::containerd::private::PrivateContainerd;
use proffer_agent_runtime::{ContainerRuntime, ContainerStatus, ExitCause, RuntimeErrorKind};

use crate::support::{Stage, assert_nothing_left, eventually, pid_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_goes_on_over_a_crash_of_containerd() {
    let mut stage = Stage::start("crash").await;
    let runtime = stage.runtime();
    let trigger = stage.directory.path().join("trigger");
    let mut request = stage.shell("long", "until [ -e /trigger/go ]; do sleep 0.05; done; exit 12");
    std::fs::create_dir(&trigger).unwrap();
    request.mounts.push(proffer_agent_runtime::Mount::Bind {
        source: trigger.clone(),
        target: "/trigger".into(),
        read_only: true,
    });
    runtime.create(&request).await.unwrap();
    runtime.start("long").await.unwrap();
    let waiting = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.wait("long").await }
    });

    stage.daemon.crash().unwrap();
    let error = runtime.list().await.unwrap_err();
    assert_eq!(error.kind, RuntimeErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("is it running?"), "{error}");
    assert!(!waiting.is_finished(), "an outage of containerd is no end of the container");
    stage.daemon.restart().await.unwrap();
    // The same driver works again by itself, and the container never noticed.
    let listed = runtime.list().await.unwrap();
    assert!(matches!(listed[0].status, ContainerStatus::Running { .. }), "{listed:?}");
    std::fs::write(trigger.join("go"), "").unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().cause, ExitCause::Code(12));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_while_containerd_was_down_is_reported_once_it_is_back() {
    let mut stage = Stage::start("down").await;
    let runtime = stage.runtime();
    runtime.create(&stage.shell("short", "exec sleep 1000")).await.unwrap();
    runtime.start("short").await.unwrap();
    let pid = pid_of(&runtime, "short").await;
    stage.daemon.crash().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("the process ends", async || !std::path::Path::new(&format!("/proc/{pid}")).exists()).await;
    stage.daemon.restart().await.unwrap();
    let exit = runtime.wait("short").await.unwrap();
    // containerd 1.6 still knows; later ones lose it, and then nobody does.
    assert!(matches!(exit.cause, ExitCause::Signal(9) | ExitCause::Unknown), "{exit:?}");
    assert_eq!(runtime.list().await.unwrap()[0].status, ContainerStatus::Ended);
    runtime.delete("short").await.unwrap();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_whose_shim_died_has_ended_unknown() {
    let stage = Stage::start("shim").await;
    let runtime = stage.runtime();
    runtime.create(&stage.shell("orphan", "exec sleep 1000")).await.unwrap();
    runtime.start("orphan").await.unwrap();
    let pid = pid_of(&runtime, "orphan").await;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let shim: i32 = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().parse().unwrap();
    let sockets = sockets_of(shim);
    assert!(!sockets.is_empty(), "a shim listens somewhere");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(runtime.wait("orphan").await.unwrap().cause, ExitCause::Unknown);
    eventually("the list says so", async || runtime.list().await.unwrap()[0].status == ContainerStatus::Ended).await;
    runtime.delete("orphan").await.unwrap();
    for socket in sockets {
        assert!(!socket.exists(), "{} is left", socket.display());
    }
    assert!(runtime.list().await.unwrap().is_empty());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_detached_containerd_is_taken_over_and_a_stopped_one_keeps_its_images() {
    let stage = Stage::start("detach").await;
    let runtime = stage.runtime();
    runtime.create(&stage.shell("lasting", "exec sleep 1000")).await.unwrap();
    runtime.start("lasting").await.unwrap();
    let directory = stage.daemon.directory().to_owned();
    let (first_pid, namespace, tempdir) = (stage.daemon.pid(), stage.namespace.clone(), stage.directory);
    stage.daemon.detach();

    let daemon = PrivateContainerd::start(&directory).await.unwrap();
    assert_eq!(daemon.pid(), first_pid, "the running one is taken over");
    let listed = runtime.list().await.unwrap();
    assert!(matches!(listed[0].status, ContainerStatus::Running { .. }), "{listed:?}");
    daemon.stop().await.unwrap();
    assert_nothing_left(&directory, &namespace);

    let daemon = PrivateContainerd::start(&directory).await.unwrap();
    assert_eq!(runtime.images().await.unwrap().len(), 1);
    assert!(runtime.list().await.unwrap().is_empty());
    // Dropping it cleans up as stopping does.
    drop(daemon);
    assert_nothing_left(&directory, &namespace);
    drop(tempdir);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_cleans_up_after_a_crash() {
    let mut stage = Stage::start("wreck").await;
    let runtime = stage.runtime();
    runtime.create(&stage.shell("left", "exec sleep 1000")).await.unwrap();
    runtime.start("left").await.unwrap();
    stage.daemon.crash().unwrap();
    stage.stop().await;
}

/// The shim sockets a process listens on.
fn sockets_of(pid: i32) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    let open: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .map(|target| target.display().to_string())
        .collect();
    table
        .lines()
        .filter(|line| line.contains("/run/containerd/s/"))
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let inode = fields.nth(6)?;
            let path = fields.next()?;
            open.contains(&format!("socket:[{inode}]")).then(|| PathBuf::from(path))
        })
        .collect()
}
