//! Ports of the host, held as long as they lead to a container.
//!
//! Never serves anything: a held port only makes that another process's bind fails, as it would without containers.
//! Without it, rules would silently take the traffic of a process that listens on the same port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use crate::contract::{NetworkError, Protocol, PublishedPort};

/// How often a used port is tried again, and after how long. A port that was let go stays used for a moment: a child
/// this process starts at the same time holds copies of all its sockets between fork and exec. A process that really
/// uses the port is still told of in a quarter of a second.
const TRIES: u32 = 25;
const PAUSE: Duration = Duration::from_millis(10);

/// A port nobody else can take.
#[derive(Debug)]
pub(crate) enum HeldPort {
    /// Bound; the rules may be made now.
    Tcp(TcpSocket),
    /// Rules lead around it, so nothing ever waits in its queue.
    Listening { _held: TcpListener },
    /// Bound.
    Udp { _held: UdpSocket },
}

/// Takes all ports or none.
pub(crate) async fn reserve(ports: &[PublishedPort]) -> Result<Vec<HeldPort>, NetworkError> {
    let mut held = Vec::with_capacity(ports.len());
    for port in ports {
        held.push(reserve_one(port).await?);
    }
    Ok(held)
}

/// Second step, once the rules are there. Before them it would swallow connections.
pub(crate) fn listen(held: Vec<HeldPort>) -> Result<Vec<HeldPort>, NetworkError> {
    let listen_one = |port| match port {
        HeldPort::Tcp(socket) => {
            let address = socket.local_addr();
            let listener = socket.listen(1).map_err(|error| {
                let port = address.map_or(0, |address| address.port());
                failure(port, Protocol::Tcp, &error)
            })?;
            Ok(HeldPort::Listening { _held: listener })
        }
        other => Ok(other),
    };
    held.into_iter().map(listen_one).collect()
}

async fn reserve_one(port: &PublishedPort) -> Result<HeldPort, NetworkError> {
    let mut bound = bind(port);
    for _ in 0..TRIES {
        match &bound {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => tokio::time::sleep(PAUSE).await,
            _ => break,
        }
        bound = bind(port);
    }
    bound.map_err(|error| failure(port.host_port, port.protocol, &error))
}

fn bind(port: &PublishedPort) -> io::Result<HeldPort> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port.host_port));
    match port.protocol {
        Protocol::Tcp => bind_tcp(address).map(HeldPort::Tcp),
        Protocol::Udp => UdpSocket::bind(address).map(|held| HeldPort::Udp { _held: held }),
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections that ended a moment ago do not count as users of the port; listeners still do.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn failure(port: u16, protocol: Protocol, error: &io::Error) -> NetworkError {
    let (name, flag) = match protocol {
        Protocol::Tcp => ("tcp", 't'),
        Protocol::Udp => ("udp", 'u'),
    };
    let cause = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("another process uses it: end that process (`ss -ln{flag}p` shows it) or publish another port")
        }
        _ => error.to_string(),
    };
    NetworkError::new(format!("publish port {port}/{name} of the host"), cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(host_port: u16, protocol: Protocol) -> [PublishedPort; 1] {
        [PublishedPort { host_port, container_port: 80, protocol }]
    }

    /// Joined futures run in their order: the port is used when it is first asked for and let go right after.
    #[tokio::test]
    async fn a_port_that_is_let_go_in_a_moment_is_waited_for() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ports = published(socket.local_addr().unwrap().port(), Protocol::Udp);
        let (held, ()) = tokio::join!(reserve(&ports), async { drop(socket) });
        assert_eq!(held.unwrap().len(), 1);
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ports = published(listener.local_addr().unwrap().port(), Protocol::Tcp);
        let (held, ()) = tokio::join!(reserve(&ports), async { drop(listener) });
        assert_eq!(held.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_port_that_stays_used_is_refused() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ports = published(socket.local_addr().unwrap().port(), Protocol::Udp);
        let error = reserve(&ports).await.unwrap_err().to_string();
        assert!(error.contains("/udp") && error.contains("another process uses it"), "{error}");
    }
}
