//! Ports of the host, held as long as they lead to a container.
//!
//! Never serves anything: a held port only makes that another process's bind fails, as it would without containers.
//! Without it, rules would silently take the traffic of a process that listens on the same port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use tokio::net::{TcpListener, TcpSocket};

use crate::contract::{NetworkError, Protocol, PublishedPort};

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
pub(crate) fn reserve(ports: &[PublishedPort]) -> Result<Vec<HeldPort>, NetworkError> {
    ports.iter().map(reserve_one).collect()
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

fn reserve_one(port: &PublishedPort) -> Result<HeldPort, NetworkError> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port.host_port));
    let bound = match port.protocol {
        Protocol::Tcp => bind_tcp(address).map(HeldPort::Tcp),
        Protocol::Udp => UdpSocket::bind(address).map(|held| HeldPort::Udp { _held: held }),
    };
    bound.map_err(|error| failure(port.host_port, port.protocol, &error))
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
