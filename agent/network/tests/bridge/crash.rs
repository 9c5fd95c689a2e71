//! An agent killed at any moment: the next one finds its way.
//!
//! Never kills anything but the child it started.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use proffer_agent_network::{BridgeConfig, BridgeNetwork, Network, Protocol, Subnet};

use crate::support::{DEADLINE, Greeter, Host, ask_tcp, on_host, request, sh};

/// Set for the child; holds the directory of namespaces.
const CHILD: &str = "PROFFER_TEST_CRASH_DIR";
const TAG: &str = "k1";
const KILLS: u32 = 40;

/// Not a test by itself: the process that `a_killed_agent_leaves_nothing_the_next_cannot_handle` kills.
#[test]
fn child() {
    let Some(netns_dir) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(async {
        let config = BridgeConfig { netns_dir, ..BridgeConfig::new(TAG, Subnet::new(10, 88, 41).unwrap()) };
        println!("agent is up");
        loop {
            let network = BridgeNetwork::open(config.clone()).unwrap();
            let web = request("web", &[(8080, 80, Protocol::Tcp), (8053, 53, Protocol::Udp)]);
            network.attach(&web).await.unwrap();
            network.attach(&request("other", &[])).await.unwrap();
            network.detach("web").await.unwrap();
            network.recover(&[]).await.unwrap();
            network.remove_all().await.unwrap();
            network.close().await;
        }
    });
}

#[test]
fn a_killed_agent_leaves_nothing_the_next_cannot_handle() {
    on_host(async |host| {
        let before = host.traces();
        let web = request("web", &[(8080, 80, Protocol::Tcp)]);
        for kill in 0..KILLS {
            // A whole round of the child takes some 200 ms; the steps between kills are no divisor of it.
            run_and_kill(&host, Duration::from_micros(u64::from(kill) * 7_300));
            let network = host.open(TAG, 41);
            if kill % 2 == 0 {
                network.recover(std::slice::from_ref(&web)).await.unwrap();
            }
            let attachment = network.attach(&web).await.unwrap();
            {
                let _greeter = Greeter::listen(&attachment.netns, 80, "web");
                assert!(ask_tcp(std::net::Ipv4Addr::LOCALHOST, 8080).is_ok(), "kill {kill}");
            }
            network.remove_all().await.unwrap();
            network.close().await;
            assert_eq!(host.traces(), before, "kill {kill}");
        }
    });
}

#[test]
fn half_a_start_is_finished() {
    on_host(async |host| {
        let before = host.traces();
        for half in [
            "ip link add pf-k2 type bridge",
            "ip link add pf-k2 type bridge && ip address add 10.88.42.1/24 dev pf-k2",
            "iptables -t nat -N PF-k2-DNAT && iptables -t nat -A PREROUTING -j PF-k2-DNAT",
            "iptables -N PF-k2-FWD && iptables -A PF-k2-FWD -j DROP",
        ] {
            sh(half);
            let network = host.open("k2", 42);
            let web = network.attach(&request("web", &[(8080, 80, Protocol::Tcp)])).await.unwrap();
            {
                let _greeter = Greeter::listen(&web.netns, 80, "web");
                assert!(ask_tcp(std::net::Ipv4Addr::LOCALHOST, 8080).is_ok(), "{half}");
            }
            network.remove_all().await.unwrap();
            network.close().await;
            assert_eq!(host.traces(), before, "{half}");
        }
    });
}

fn run_and_kill(host: &Host, after: Duration) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture"])
        .env(CHILD, host.netns_dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (send, lines) = mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    while !lines.recv_timeout(DEADLINE).unwrap().contains("agent is up") {}
    // The child says nothing more unless it ends too early.
    let ended = lines.recv_timeout(after);
    kill(&mut child);
    reader.join().unwrap();
    assert_eq!(ended, Err(mpsc::RecvTimeoutError::Timeout), "the child ended by itself");
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}
