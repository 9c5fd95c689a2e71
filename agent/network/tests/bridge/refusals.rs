//! What is refused, and whether the refusal says what to do.
//!
//! Never leaves the namespaces the tests make.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use proffer_agent_network::{AttachRequest, BridgeNetwork, Network, Protocol};

use crate::support::{eventually, on_host, request, sh};

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[test]
fn ports_of_other_processes_are_refused_and_published_ones_are_held() {
    on_host(async |host| {
        let network = host.open("l8", 28);
        network.start().await.unwrap();
        let before = host.traces();
        let listener = TcpListener::bind((LOCAL, 8080)).unwrap();
        let socket = UdpSocket::bind((LOCAL, 8053)).unwrap();
        for (port, protocol, hint) in [(8080, Protocol::Tcp, "8080/tcp"), (8053, Protocol::Udp, "8053/udp")] {
            let error = refused(&network, &request("web", &[(port, 80, protocol)])).await;
            assert!(error.contains(hint) && error.contains("another process"), "{error}");
        }
        assert_eq!(host.traces(), before);
        drop((listener, socket));
        let ports = [(8080, 80, Protocol::Tcp), (8053, 53, Protocol::Udp)];
        network.attach(&request("web", &ports)).await.unwrap();
        assert!(TcpListener::bind((LOCAL, 8080)).is_err());
        assert!(UdpSocket::bind((LOCAL, 8053)).is_err());
        network.detach("web").await.unwrap();
        // Another test's child may hold a copy of the socket until it has become its program.
        eventually(|| TcpListener::bind((LOCAL, 8080)).is_ok());
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
            (request("x", &[(80, 1, Protocol::Tcp), (80, 2, Protocol::Tcp)]), "twice"),
            (request("x", &[(8080, 80, Protocol::Tcp)]), "belongs to container web"),
            (request("web", &[(8081, 80, Protocol::Tcp)]), "detach it first"),
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
        let error = BridgeNetwork::open(overlapping).unwrap().start().await.unwrap_err().to_string();
        assert!(error.contains("up0") && error.contains("nobody uses"), "{error}");
        sh("ip address del 10.88.99.7/16 dev up0");
        sh("ip link add pf-lb type veth peer name peer");
        let error = host.open("lb", 30).start().await.unwrap_err().to_string();
        assert!(error.contains("pf-lb") && error.contains("another tag"), "{error}");
        sh("ip link del pf-lb");
        let error = BridgeNetwork::open(host.config("wrong-tag", 30)).unwrap_err().to_string();
        assert!(error.contains("wrong-tag"), "{error}");
        let network = host.open("longest8", 31);
        network.start().await.unwrap();
        network.close().await;
        let error = host.open("longest8", 32).start().await.unwrap_err().to_string();
        assert!(error.contains("before its subnet changes"), "{error}");
        host.open("longest8", 32).remove_all().await.unwrap();
        host.open("longest8", 32).start().await.unwrap();
        host.open("longest8", 32).remove_all().await.unwrap();
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
