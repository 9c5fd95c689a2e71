//! Channels to a server.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use crate::{Address, AddressError};

/// How long one attempt to connect may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How a connection finds out that the other side is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// An HTTP/2 ping goes out after this long without traffic, also when no call is open.
    pub interval: Duration,
    /// The connection is given up this long after a ping without answer.
    pub timeout: Duration,
}

impl Default for KeepAlive {
    /// 5 s and 5 s: a dead peer is known after at most 10 s.
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), timeout: Duration::from_secs(5) }
    }
}

/// A channel that connects at its first call and again whenever it must. Nothing is sent before that.
pub fn connect(address: &Address) -> Result<Channel, AddressError> {
    connect_with(address, KeepAlive::default())
}

/// The same with keepalive of the caller's choice.
pub fn connect_with(address: &Address, keep_alive: KeepAlive) -> Result<Channel, AddressError> {
    let endpoint = Endpoint::from_shared(address.uri()).map_err(|_| AddressError {
        text: address.to_string(),
        defect: "is not a valid URI",
        fix: "write it as host:port, e.g. 127.0.0.1:5050".to_owned(),
    })?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(keep_alive.interval)
        .keep_alive_timeout(keep_alive.timeout)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .connect_lazy())
}
