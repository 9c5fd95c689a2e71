//! Repeats, restarts, refusals and clean-up.
//!
//! Never leaves the namespaces the tests make.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use crate::support::{Greeter, ask_tcp, on_host, request, sh};
use proffer_agent_network::{AttachRequest, BridgeNetwork, Network, Protocol};

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[test]
fn every_verb_may_be_repeated() {
    on_host(async |host| {
        let before = host.traces();
        let network = host.open("l1", 21);
        network.start().await.unwrap();
        let started = host.traces();
        network.start().await.unwrap();
        assert_eq!(host.traces(), started);
        let web = request(
            "web",
            &[(8080, 80, Protocol::Tcp), (8081, 81, Protocol::Tcp)],
        );
        let first = network.attach(&web).await.unwrap();
        let attached = host.traces();
        let reordered = request(
            "web",
            &[(8081, 81, Protocol::Tcp), (8080, 80, Protocol::Tcp)],
        );
        assert_eq!(network.attach(&reordered).await.unwrap(), first);
        assert_eq!(host.traces(), attached);
        network.recover(std::slice::from_ref(&web)).await.unwrap();
        network.recover(&[web]).await.unwrap();
        assert_eq!(host.traces(), attached);
        for _ in 0..2 {
            network.detach("web").await.unwrap();
            assert_eq!(host.traces(), started);
        }
        for _ in 0..2 {
            network.remove_all().await.unwrap();
            assert_eq!(host.traces(), before);
        }
        network.detach("web").await.unwrap();
        assert_eq!(host.traces(), before, "detach makes nothing");
    });
}

#[test]
fn many_at_once_share_nothing_they_should_not() {
    on_host(async |host| {
        let before = host.traces();
        let network = host.open("l2", 22);
        network.start().await.unwrap();
        let requests: Vec<_> = (0..20u16)
            .map(|n| request(&format!("c{n}"), &[(9000 + n, 80, Protocol::Tcp)]))
            .collect();
        let start = std::time::Instant::now();
        let attached =
            futures_util::future::join_all(requests.iter().map(|request| network.attach(request)))
                .await;
        let attach = start.elapsed();
        let addresses: BTreeSet<_> = attached
            .into_iter()
            .map(|result| result.unwrap().address)
            .collect();
        assert_eq!(addresses.len(), 20);
        let start = std::time::Instant::now();
        let ids = requests.iter().map(|request| request.container_id.as_str());
        for result in futures_util::future::join_all(ids.map(|id| network.detach(id))).await {
            result.unwrap();
        }
        println!(
            "20 at once: attach {attach:?}, detach {:?}",
            start.elapsed()
        );
        for (label, ports) in [
            ("without ports", vec![]),
            ("with a port", vec![(9000, 80, Protocol::Tcp)]),
        ] {
            let (mut attach, mut detach) = (Vec::new(), Vec::new());
            for n in 0..10 {
                let request = request(&format!("s{n}"), &ports);
                let start = std::time::Instant::now();
                network.attach(&request).await.unwrap();
                attach.push(start.elapsed());
                let start = std::time::Instant::now();
                network.detach(&request.container_id).await.unwrap();
                detach.push(start.elapsed());
            }
            attach.sort();
            detach.sort();
            println!(
                "{label}: attach p50 {:?}, detach p50 {:?}",
                attach[5], detach[5]
            );
        }
        network.remove_all().await.unwrap();
        assert_eq!(host.traces(), before);
    });
}

#[test]
fn a_new_agent_takes_over_what_is_wanted_and_removes_the_rest() {
    on_host(async |host| {
        let before = host.traces();
        let web = request("web", &[(8080, 80, Protocol::Tcp)]);
        let gone = request("gone", &[(8081, 80, Protocol::Tcp)]);
        let network = host.open("l3", 23);
        network.attach(&gone).await.unwrap();
        let attached = network.attach(&web).await.unwrap();
        network.close().await;
        {
            let _greeter = Greeter::listen(&attached.netns, 80, "web");
            assert!(
                ask_tcp(LOCAL, 8080).is_ok(),
                "traffic flows without an agent"
            );
            let network = host.open("l3", 23);
            network.recover(std::slice::from_ref(&web)).await.unwrap();
            assert!(ask_tcp(LOCAL, 8080).is_ok());
            let known = network.attachments().await.unwrap();
            assert_eq!(known, [("web".to_owned(), attached.clone())]);
            assert_eq!(network.attach(&web).await.unwrap(), attached);
            let traces = host.traces();
            assert!(
                !traces.iter().any(|trace| trace.contains("8081")),
                "{traces:?}"
            );
            let next = network.attach(&request("next", &[])).await.unwrap();
            assert_eq!(
                next.address,
                Ipv4Addr::new(10, 88, 23, 2),
                "the address of the removed one"
            );
            network.close().await;
        }
        let network = host.open("l3", 23);
        network.remove_all().await.unwrap();
        assert_eq!(
            host.traces(),
            before,
            "a fresh instance removes what another one made"
        );
    });
}

#[test]
fn attach_after_a_crash_needs_no_recovery() {
    on_host(async |host| {
        let web = request("web", &[(8080, 80, Protocol::Tcp)]);
        let network = host.open("l4", 24);
        let first = network.attach(&web).await.unwrap();
        let traces = host.traces();
        network.close().await;
        let network = host.open("l4", 24);
        let other = network.attach(&request("other", &[])).await.unwrap();
        assert_ne!(other.address, first.address);
        assert_eq!(network.attach(&web).await.unwrap(), first);
        network.detach("other").await.unwrap();
        assert_eq!(host.traces(), traces, "no rule twice");
        network.remove_all().await.unwrap();
    });
}

/// What a killed agent can leave, by the step it was killed in.
#[test]
fn halves_are_replaced() {
    on_host(async |host| {
        let web = request("web", &[(8080, 80, Protocol::Tcp)]);
        for damage in [
            // Killed before the namespace was mounted.
            "umount -l $NETNS",
            // Killed before the pair was made.
            "ip link del $LINK",
            // Killed before the address was given.
            "nsenter --net=$NETNS ip address flush dev eth0",
            // Killed before the route was made.
            "nsenter --net=$NETNS ip route del default",
        ] {
            for recover in [true, false] {
                let network = host.open("l5", 25);
                let attachment = network.attach(&web).await.unwrap();
                network.close().await;
                let link = sh("ip -o link show master pf-l5");
                let link = link.split([':', '@']).nth(1).unwrap().trim().to_owned();
                let netns = attachment.netns.display().to_string();
                sh(&damage.replace("$NETNS", &netns).replace("$LINK", &link));
                let network = host.open("l5", 25);
                if recover {
                    network.recover(std::slice::from_ref(&web)).await.unwrap();
                    assert_eq!(network.attachments().await.unwrap(), [], "{damage}");
                }
                let attachment = network.attach(&web).await.unwrap();
                {
                    let _greeter = Greeter::listen(&attachment.netns, 80, "web");
                    assert!(ask_tcp(LOCAL, 8080).is_ok(), "{damage}, recover {recover}");
                }
                network.remove_all().await.unwrap();
                network.close().await;
            }
        }
    });
}

#[test]
fn foreign_changes_of_rules_are_survived() {
    on_host(async |host| {
        let before = host.traces();
        let network = host.open("l6", 26);
        let web = request("web", &[(8080, 80, Protocol::Tcp)]);
        network.attach(&web).await.unwrap();
        sh("iptables -t nat -F PF-l6-DNAT");
        network.detach("web").await.unwrap();
        network.attach(&web).await.unwrap();
        sh("iptables -t nat -F; iptables -t nat -X; iptables -F; iptables -X");
        network.start().await.unwrap();
        network.recover(&[web]).await.unwrap();
        assert!(sh("iptables-save").contains("proffer:l6:web"));
        network.remove_all().await.unwrap();
        assert_eq!(host.traces(), before);
    });
}

#[test]
fn forwarding_that_was_on_stays_on() {
    on_host(async |host| {
        sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
        let before = host.traces();
        let network = host.open("l7", 27);
        network.start().await.unwrap();
        network.remove_all().await.unwrap();
        assert_eq!(host.traces(), before);
    });
}

#[test]
fn ports_of_other_processes_are_refused_and_published_ones_are_held() {
    on_host(async |host| {
        let network = host.open("l8", 28);
        network.start().await.unwrap();
        let before = host.traces();
        let listener = TcpListener::bind((LOCAL, 8080)).unwrap();
        let socket = UdpSocket::bind((LOCAL, 8053)).unwrap();
        for (port, protocol, hint) in [
            (8080, Protocol::Tcp, "8080/tcp"),
            (8053, Protocol::Udp, "8053/udp"),
        ] {
            let error = refused(&network, &request("web", &[(port, 80, protocol)])).await;
            assert!(
                error.contains(hint) && error.contains("another process"),
                "{error}"
            );
        }
        assert_eq!(host.traces(), before);
        drop((listener, socket));
        let ports = [(8080, 80, Protocol::Tcp), (8053, 53, Protocol::Udp)];
        network.attach(&request("web", &ports)).await.unwrap();
        assert!(TcpListener::bind((LOCAL, 8080)).is_err());
        assert!(UdpSocket::bind((LOCAL, 8053)).is_err());
        network.detach("web").await.unwrap();
        assert!(TcpListener::bind((LOCAL, 8080)).is_ok());
        network.remove_all().await.unwrap();
    });
}

#[test]
fn wrong_requests_say_what_is_right() {
    on_host(async |host| {
        let network = host.open("l9", 29);
        let web = request("web", &[(8080, 80, Protocol::Tcp)]);
        network.attach(&web).await.unwrap();
        let before = host.traces();
        for (wrong, hint) in [
            (request("", &[]), "1 to 200"),
            (request("a b", &[]), "1 to 200"),
            (request("a\"; -j DROP", &[]), "1 to 200"),
            (request(&"x".repeat(201), &[]), "1 to 200"),
            (request("x", &[(0, 80, Protocol::Tcp)]), "1 to 65535"),
            (request("x", &[(80, 0, Protocol::Tcp)]), "1 to 65535"),
            (
                request("x", &[(80, 1, Protocol::Tcp), (80, 2, Protocol::Tcp)]),
                "twice",
            ),
            (
                request("x", &[(8080, 80, Protocol::Tcp)]),
                "belongs to container web",
            ),
            (
                request("web", &[(8081, 80, Protocol::Tcp)]),
                "detach it first",
            ),
        ] {
            let error = refused(&network, &wrong).await;
            assert!(error.contains(hint), "{error}");
        }
        assert_eq!(host.traces(), before);
        network.remove_all().await.unwrap();
    });
}

#[test]
fn a_host_that_does_not_fit_is_refused() {
    on_host(async |host| {
        let overlapping = host.config("la", 99);
        sh("ip address add 10.88.99.7/16 dev up0");
        let error = BridgeNetwork::open(overlapping)
            .unwrap()
            .start()
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("up0") && error.contains("nobody uses"),
            "{error}"
        );
        sh("ip address del 10.88.99.7/16 dev up0");
        sh("ip link add pf-lb type veth peer name peer");
        let error = host.open("lb", 30).start().await.unwrap_err().to_string();
        assert!(
            error.contains("pf-lb") && error.contains("another tag"),
            "{error}"
        );
        sh("ip link del pf-lb");
        let error = BridgeNetwork::open(host.config("wrong-tag", 30))
            .unwrap_err()
            .to_string();
        assert!(error.contains("wrong-tag"), "{error}");
        let network = host.open("lc", 31);
        network.start().await.unwrap();
        network.close().await;
        let error = host.open("lc", 32).start().await.unwrap_err().to_string();
        assert!(error.contains("before its subnet changes"), "{error}");
        host.open("lc", 32).remove_all().await.unwrap();
        host.open("lc", 32).start().await.unwrap();
        host.open("lc", 32).remove_all().await.unwrap();
    });
}

#[test]
fn a_full_subnet_is_told_and_heals() {
    on_host(async |host| {
        let network = host.open("ld", 33);
        let id = |n: usize| format!("c{n}");
        for n in 0..253 {
            network.attach(&request(&id(n), &[])).await.unwrap();
        }
        let error = refused(&network, &request("late", &[])).await;
        assert!(error.contains("10.88.33.0/24"), "{error}");
        network.detach(&id(100)).await.unwrap();
        let attachment = network.attach(&request("late", &[])).await.unwrap();
        assert_eq!(attachment.address, Ipv4Addr::new(10, 88, 33, 102));
        network.remove_all().await.unwrap();
    });
}

async fn refused(network: &BridgeNetwork, request: &AttachRequest) -> String {
    network.attach(request).await.unwrap_err().to_string()
}
