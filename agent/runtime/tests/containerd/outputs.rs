//! What containers write, and what they serve.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use proffer_agent_runtime::{ContainerRequest, ContainerRuntime, ExitCause, Mount};

use crate::support::{Stage, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_output_is_rotated_and_never_blocks_the_container() {
    let stage = Stage::start("rotate").await;
    let runtime = stage.runtime();
    // 24 MB in lines of 1000 bytes, and a last line.
    let text = "line=$(head -c 999 /dev/zero | tr '\\0' x); yes $line | head -n 24000; echo the end";
    let request = stage.shell("chatty", text);
    runtime.create(&request).await.unwrap();
    runtime.start("chatty").await.unwrap();
    assert_eq!(runtime.wait("chatty").await.unwrap().cause, ExitCause::Code(0));
    runtime.delete("chatty").await.unwrap();
    let newest = std::fs::read(request.log_dir.join("stdout.log")).unwrap();
    let before = std::fs::read(request.log_dir.join("stdout.log.1")).unwrap();
    assert!(newest.ends_with(b"x\nthe end\n"), "deleting waits for the last line");
    assert!(
        newest.len() < 11 << 20 && (10 << 20..11 << 20).contains(&before.len()),
        "{} {}",
        newest.len(),
        before.len()
    );
    assert!(before.ends_with(b"x\n") && newest.starts_with(b"xxx"), "files are cut between lines");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_server_on_the_hosts_network_answers() {
    let stage = Stage::start("web").await;
    let runtime = stage.runtime();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!("echo hello > /var/www/index.html; exec httpd -f -p {address} -h /var/www");
    runtime.create(&stage.shell("web", &text)).await.unwrap();
    runtime.start("web").await.unwrap();
    eventually("it answers", async || {
        let Ok(mut stream) = TcpStream::connect(address) else { return false };
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).is_ok() && answer.contains("200 OK") && answer.contains("hello")
    })
    .await;
    runtime.delete("web").await.unwrap();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_in_a_network_of_its_own_has_its_own_names() {
    let stage = Stage::start("netns").await;
    let runtime = stage.runtime();
    let netns = stage.directory.path().join("netns");
    std::fs::write(&netns, "").unwrap();
    make_netns(&netns);
    let request = ContainerRequest {
        netns: Some(netns.clone()),
        hostname: Some("web-0".into()),
        ..stage.shell(
            "alone",
            "grep -c : /proc/net/dev; cat /etc/hostname /proc/sys/net/ipv4/ip_unprivileged_port_start; \
             grep web-0 /etc/hosts; grep -c 'nameserver 127' /etc/resolv.conf; exit 0",
        )
    };
    runtime.create(&request).await.unwrap();
    runtime.start("alone").await.unwrap();
    assert_eq!(runtime.wait("alone").await.unwrap().cause, ExitCause::Code(0));
    runtime.delete("alone").await.unwrap();
    umount2(&netns, MntFlags::MNT_DETACH).unwrap();
    let seen = std::fs::read_to_string(request.log_dir.join("stdout.log")).unwrap();
    let mut lines = seen.lines();
    let interfaces: u32 = lines.next().unwrap().parse().unwrap();
    assert!(interfaces < 8, "only what the kernel puts into a new namespace: {seen}");
    assert_eq!(lines.collect::<Vec<_>>(), ["web-0", "0", "127.0.1.1\tweb-0", "0"]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_bind_is_so_in_its_depth() {
    let stage = Stage::start("depth").await;
    let runtime = stage.runtime();
    let nested = stage.directory.path().join("data/nested");
    std::fs::create_dir_all(&nested).unwrap();
    mount(Some("tmpfs"), &nested, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    std::fs::write(nested.join("there"), "").unwrap();
    let mut request =
        stage.shell("depth", "ls /data/nested; touch /data/x /data/nested/x 2>/dev/null; ls /data/nested; exit 0");
    request.mounts =
        vec![Mount::Bind { source: stage.directory.path().join("data"), target: "/data".into(), read_only: true }];
    runtime.create(&request).await.unwrap();
    runtime.start("depth").await.unwrap();
    assert_eq!(runtime.wait("depth").await.unwrap().cause, ExitCause::Code(0));
    runtime.delete("depth").await.unwrap();
    umount2(&nested, MntFlags::MNT_DETACH).unwrap();
    let seen = std::fs::read_to_string(request.log_dir.join("stdout.log")).unwrap();
    assert_eq!(seen, "there\nthere\n");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_no_capability_guards_are_refused() {
    let stage = Stage::start("calls").await;
    let runtime = stage.runtime();
    // A user namespace needs no capability, and in one of its own a process may mount: only the filter says no.
    let text = "grep Seccomp: /proc/self/status; unshare -U true 2>&1; unshare -m true 2>&1; \
                mount -t tmpfs none /tmp 2>&1; nsenter -t 1 -u true 2>&1; \
                (true & wait) && sh -c 'echo children work' | cat; exit 0";
    let request = stage.shell("calls", text);
    runtime.create(&request).await.unwrap();
    runtime.start("calls").await.unwrap();
    assert_eq!(runtime.wait("calls").await.unwrap().cause, ExitCause::Code(0));
    runtime.delete("calls").await.unwrap();
    let seen = std::fs::read_to_string(request.log_dir.join("stdout.log")).unwrap();
    let lines: Vec<_> = seen.lines().collect();
    assert_eq!(lines[0], "Seccomp:\t2", "a filter is on: {seen}");
    let refused = lines.iter().filter(|line| line.contains("not permitted") || line.contains("denied")).count();
    assert_eq!((refused, lines.len()), (4, 6), "{seen}");
    assert_eq!(lines[5], "children work");
    stage.stop().await;
}

/// A network namespace bound to this file, made by a thread that ends with it.
fn make_netns(path: &Path) {
    let path = path.to_owned();
    let made = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        mount(Some("/proc/thread-self/ns/net"), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    });
    made.join().unwrap();
}
