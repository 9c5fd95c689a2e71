//! The only place that knows sockets: serve, connect, keepalive, back-off, status codes, shutdown.
//!
//! Every channel and every server made here has HTTP/2 keepalive, always: without it a healed partition leaves
//! a channel that looks alive and is not. This crate knows nothing of what is said over the wire.

mod address;
mod backoff;
mod connect;
mod cut;
mod leader;
mod masters;
mod serve;
mod shutdown;
mod status;
mod unreadable;

pub use address::{Address, AddressError, parse_addresses};
pub use backoff::Backoff;
pub use connect::{CONNECT_TIMEOUT, KeepAlive, connect, connect_with};
pub use leader::{LEADER_HEADER, leader_of, not_leading};
pub use masters::{Again, Masters};
pub use serve::{MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, ServeError, bind, serve, serve_with};
pub use shutdown::{DEFAULT_DRAIN, Shutdown};
pub use status::{ErrorKind, RemoteError, to_status};
