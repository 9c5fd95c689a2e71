//! Repeats, restarts and clean-up.
//!
//! Never leaves the namespaces the tests make.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::support::{Greeter, ask_tcp, on_host, request, sh};
use proffer_agent_network::{Network, Protocol};

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
        let web = request("web", &[(8080, 80, Protocol::Tcp), (8081, 81, Protocol::Tcp)]);
        let first = network.attach(&web).await.unwrap();
        let attached = host.traces();
        let reordered = request("web", &[(8081, 81, Protocol::Tcp), (8080, 80, Protocol::Tcp)]);
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
        let requests: Vec<_> =
            (0..20u16).map(|n| request(&format!("c{n}"), &[(9000 + n, 80, Protocol::Tcp)])).collect();
        let start = std::time::Instant::now();
        let attached = futures_util::future::join_all(requests.iter().map(|request| network.attach(request))).await;
        let attach = start.elapsed();
        let addresses: BTreeSet<_> = attached.into_iter().map(|result| result.unwrap().address).collect();
        assert_eq!(addresses.len(), 20);
        let start = std::time::Instant::now();
        let ids = requests.iter().map(|request| request.container_id.as_str());
        for result in futures_util::future::join_all(ids.map(|id| network.detach(id))).await {
            result.unwrap();
        }
        println!("20 at once: attach {attach:?}, detach {:?}", start.elapsed());
        for (label, ports) in [("without ports", vec![]), ("with a port", vec![(9000, 80, Protocol::Tcp)])] {
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
            println!("{label}: attach p50 {:?}, detach p50 {:?}", attach[5], detach[5]);
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
            assert!(ask_tcp(LOCAL, 8080).is_ok(), "traffic flows without an agent");
            let network = host.open("l3", 23);
            network.recover(std::slice::from_ref(&web)).await.unwrap();
            assert!(ask_tcp(LOCAL, 8080).is_ok());
            let known = network.attachments().await.unwrap();
            assert_eq!(known, [("web".to_owned(), attached.clone())]);
            assert_eq!(network.attach(&web).await.unwrap(), attached);
            let traces = host.traces();
            assert!(!traces.iter().any(|trace| trace.contains("8081")), "{traces:?}");
            let next = network.attach(&request("next", &[])).await.unwrap();
            assert_eq!(next.address, Ipv4Addr::new(10, 88, 23, 2), "the address of the removed one");
            network.close().await;
        }
        let network = host.open("l3", 23);
        network.remove_all().await.unwrap();
        assert_eq!(host.traces(), before, "a fresh instance removes what another one made");
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
