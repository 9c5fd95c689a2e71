//! Who reaches whom: host, containers and an outside machine, by container address and by published port.
//!
//! Never leaves the namespaces the tests make.

use std::net::{Ipv4Addr, UdpSocket};

use crate::support::{DEADLINE, Greeter, HOST, Inside, OUTSIDE, ask_tcp, ask_udp, on_host, request, sh};
use proffer_agent_network::{Network, Protocol};

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[test]
fn published_ports_are_reached_from_everywhere() {
    on_host(async |host| {
        let before = host.traces();
        let network = host.open("t1", 11);
        network.start().await.unwrap();
        let ports = [(8080, 80, Protocol::Tcp), (8080, 80, Protocol::Udp)];
        let web = network.attach(&request("web", &ports)).await.unwrap();
        let other = network.attach(&request("other", &[])).await.unwrap();
        assert_eq!(web.address, Ipv4Addr::new(10, 88, 11, 2));
        assert_eq!(other.address, Ipv4Addr::new(10, 88, 11, 3));
        {
            let _greeter = Greeter::listen(&web.netns, 80, "web");
            let gateway = Ipv4Addr::new(10, 88, 11, 1);
            for address in [LOCAL, HOST, gateway] {
                assert!(ask_tcp(address, 8080).unwrap().starts_with("web "), "host by {address}");
                assert!(ask_udp(address, 8080).unwrap().starts_with("web "), "host by {address}");
            }
            assert_eq!(ask_tcp(web.address, 80).unwrap(), format!("web {gateway}"));
            let seen = host.outside.run(|| ask_tcp(HOST, 8080).unwrap());
            assert_eq!(seen, format!("web {OUTSIDE}"), "outside keeps its address");
            let seen = host.outside.run(|| ask_udp(HOST, 8080).unwrap());
            assert_eq!(seen, format!("web {OUTSIDE}"));
            for (name, from) in [("other", &other), ("itself", &web)] {
                let inside = Inside::enter(&from.netns);
                for address in [HOST, gateway] {
                    let answer = inside.run(move || ask_tcp(address, 8080).unwrap());
                    assert!(answer.starts_with("web "), "{name} by {address}");
                    let answer = inside.run(move || ask_udp(address, 8080).unwrap());
                    assert!(answer.starts_with("web "), "{name} by {address}");
                }
                let (address, sender) = (web.address, from.address);
                let answer = inside.run(move || ask_tcp(address, 80).unwrap());
                assert_eq!(answer, format!("web {sender}"), "{name} directly");
                let own = inside.run(|| ask_tcp(LOCAL, 8080).is_err());
                assert!(own, "a container's loopback is its own");
            }
        }
        network.detach("web").await.unwrap();
        assert!(ask_tcp(LOCAL, 8080).is_err());
        assert!(ask_tcp(HOST, 8080).is_err());
        network.remove_all().await.unwrap();
        assert_eq!(host.traces(), before);
    });
}

#[test]
fn containers_reach_outside_behind_the_hosts_address() {
    on_host(async |host| {
        let network = host.open("t2", 12);
        let container = network.attach(&request("client", &[])).await.unwrap();
        let outside = host.outside.run(|| std::fs::read_link("/proc/thread-self").unwrap());
        let outside = std::path::PathBuf::from(format!("/proc/{}/ns/net", outside.display()));
        {
            let _greeter = Greeter::listen(&outside, 90, "outside");
            let inside = Inside::enter(&container.netns);
            assert_eq!(inside.run(|| ask_tcp(OUTSIDE, 90).unwrap()), format!("outside {HOST}"));
        }
        network.remove_all().await.unwrap();
    });
}

#[test]
fn a_refusing_host_still_lets_containers_through() {
    on_host(async |host| {
        sh("iptables -P FORWARD DROP");
        let network = host.open("t3", 13);
        let web = network.attach(&request("web", &[(8080, 80, Protocol::Tcp)])).await.unwrap();
        let other = network.attach(&request("other", &[])).await.unwrap();
        {
            let _greeter = Greeter::listen(&web.netns, 80, "web");
            assert!(host.outside.run(|| ask_tcp(HOST, 8080).is_ok()));
            assert!(Inside::enter(&other.netns).run(|| ask_tcp(HOST, 8080).is_ok()));
            let address = web.address;
            assert!(Inside::enter(&other.netns).run(move || ask_tcp(address, 80).is_ok()));
        }
        network.remove_all().await.unwrap();
    });
}

#[test]
fn loopback_services_of_the_host_stay_out_of_reach() {
    on_host(async |host| {
        let network = host.open("t4", 14);
        let container = network.attach(&request("nosy", &[])).await.unwrap();
        let service = std::net::TcpListener::bind((LOCAL, 7070)).unwrap();
        {
            let inside = Inside::enter(&container.netns);
            inside.run(|| {
                sh("ip address flush dev lo && ip route add 127.0.0.0/8 via 10.88.14.1 && \
                     echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet")
            });
            assert!(inside.run(|| ask_tcp(LOCAL, 7070).is_err()));
        }
        service.set_nonblocking(true).unwrap();
        assert!(service.accept().is_err(), "nobody came");
        network.remove_all().await.unwrap();
    });
}

#[test]
fn containers_of_two_agents_reach_each_others_ports() {
    on_host(async |host| {
        let before = host.traces();
        let (first, second) = (host.open("t5", 15), host.open("t6", 16));
        let web = first.attach(&request("web", &[(8080, 80, Protocol::Tcp)])).await.unwrap();
        let client = second.attach(&request("client", &[])).await.unwrap();
        {
            let _greeter = Greeter::listen(&web.netns, 80, "web");
            assert!(Inside::enter(&client.netns).run(|| ask_tcp(HOST, 8080).is_ok()));
            assert!(ask_tcp(LOCAL, 8080).is_ok());
        }
        // The first one turned forwarding on; the second one still needs it.
        first.remove_all().await.unwrap();
        assert_eq!(sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
        second.remove_all().await.unwrap();
        assert_eq!(host.traces(), before);
    });
}

#[test]
fn a_chatty_udp_client_follows_its_port() {
    on_host(async |host| {
        let network = host.open("t7", 17);
        network.start().await.unwrap();
        let client = UdpSocket::bind((LOCAL, 0)).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        let ask = || {
            let mut answer = [0; 64];
            client.send_to(b"hello", (HOST, 8053)).unwrap();
            let len = client.recv(&mut answer).unwrap();
            String::from_utf8_lossy(&answer[..len]).into_owned()
        };
        // Before anybody serves the port: the kernel remembers that it is not translated.
        let dropped = client.send_to(b"hello", (HOST, 8053));
        assert!(dropped.is_ok());
        let first = network.attach(&request("first", &[(8053, 53, Protocol::Udp)])).await.unwrap();
        {
            let _greeter = Greeter::listen(&first.netns, 53, "first");
            assert!(ask().starts_with("first "));
        }
        network.detach("first").await.unwrap();
        // Takes the address of the first one, so that the second one gets another.
        network.attach(&request("filler", &[])).await.unwrap();
        let second =
            network.attach(&request("second", &[(8053, 54, Protocol::Udp), (8054, 54, Protocol::Udp)])).await.unwrap();
        {
            let _greeter = Greeter::listen(&second.netns, 54, "second");
            assert!(ask().starts_with("second "));
        }
        network.remove_all().await.unwrap();
    });
}
