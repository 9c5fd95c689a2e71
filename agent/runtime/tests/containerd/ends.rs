//! Ends that need a kernel to tell apart, and many containers at once.

use proffer_agent_runtime::{ContainerRuntime, ExitCause, Limits};

use crate::support::{Stage, pid_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_first_process_killed_by_the_kernel_is_out_of_memory() {
    let stage = Stage::start("oom").await;
    let runtime = stage.runtime();
    let limits = Limits { memory_limit_bytes: Some(32 << 20), ..Limits::default() };
    let launch = async |id: &str, text: &str| {
        let mut request = stage.shell(id, text);
        request.limits = limits;
        runtime.create(&request).await.unwrap();
        runtime.start(id).await.unwrap();
    };

    launch("child", "tail -n 1 /dev/zero; exit 5").await;
    assert_eq!(runtime.wait("child").await.unwrap().cause, ExitCause::Code(5), "a child died, the shell went on");

    launch("killed", "tail -n 1 /dev/zero; echo survived; exec sleep 1000").await;
    let log = stage.directory.path().join("logs/killed/stdout.log");
    crate::support::eventually("the child is dead", async || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("survived"))
    })
    .await;
    runtime.signal("killed", 9).await.unwrap();
    assert_eq!(runtime.wait("killed").await.unwrap().cause, ExitCause::Signal(9), "our own kill after that");

    launch("murdered", "exec sleep 1000").await;
    let pid = pid_of(&runtime, "murdered").await;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    let exit = runtime.wait("murdered").await.unwrap();
    assert_eq!(exit.cause, ExitCause::Signal(9), "somebody else's kill");
    assert!(exit.peak_memory_bytes.unwrap() < 16 << 20, "{exit:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_launches_at_once_all_work() {
    let stage = Stage::start("many").await;
    let runtime = stage.runtime();
    let mut running = Vec::new();
    for number in 0..16_u8 {
        let (runtime, request) = (runtime.clone(), stage.shell(&format!("c{number}"), &format!("exit {number}")));
        running.push(tokio::spawn(async move {
            runtime.create(&request).await.unwrap();
            runtime.start(&request.id).await.unwrap();
            assert_eq!(runtime.wait(&request.id).await.unwrap().cause, ExitCause::Code(number));
            runtime.delete(&request.id).await.unwrap();
        }));
    }
    for task in running {
        task.await.unwrap();
    }
    assert!(runtime.list().await.unwrap().is_empty());
    stage.stop().await;
}
