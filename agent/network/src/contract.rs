//! What the agent asks of its network.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use tonic::async_trait;

/// Wires containers of one agent. All verbs are idempotent by container id.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// Creates what all containers share (bridge, forwarding, rule chains). Idempotent.
    async fn start(&self) -> Result<(), NetworkError>;

    /// Makes a network namespace for the container and wires it. The same request again gives the same answer.
    async fn attach(&self, request: &AttachRequest) -> Result<Attachment, NetworkError>;

    /// Takes everything of that container away: rules, address, namespace. A missing one is no error.
    async fn detach(&self, container_id: &str) -> Result<(), NetworkError>;

    /// After a restart: keeps what belongs to `keep` (and learns their addresses), removes all else.
    async fn recover(&self, keep: &[AttachRequest]) -> Result<(), NetworkError>;

    /// Removes everything `start` and `attach` made: no bridge, rule, namespace or file stays.
    async fn remove_all(&self) -> Result<(), NetworkError>;
}

/// What one container wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachRequest {
    /// Container id, unique on the host.
    pub container_id: String,
    /// Ports published on the host's addresses.
    pub ports: Vec<PublishedPort>,
}

/// A port of the host that leads to a port of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishedPort {
    /// On the host, 1–65535.
    pub host_port: u16,
    /// In the container, 1–65535.
    pub container_port: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// Transport of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A wired container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Path of its network namespace.
    pub netns: PathBuf,
    /// Its address on the agent's bridge.
    pub address: Ipv4Addr,
}

/// A failed verb.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct NetworkError {
    /// What was tried.
    pub what: String,
    /// What went wrong and, where known, what to do.
    pub cause: String,
}

impl NetworkError {
    /// A failure of `what` because of `cause`.
    pub fn new(what: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self { what: what.into(), cause: cause.to_string() }
    }
}
