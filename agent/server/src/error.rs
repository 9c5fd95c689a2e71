//! Why an agent could not start, or ended.

use std::path::PathBuf;

use proffer_agent_network::NetworkError;
use proffer_agent_runtime::RuntimeError;
use proffer_proto_model::convert::WireError;
use proffer_proto_transport::ServeError;

use crate::StoreError;

/// Why an agent could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The data directory cannot be used.
    #[error("cannot use the data directory {path}: {source}; make it writable or choose another one")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The agent's own API cannot be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A fact about this host that must be known was not found.
    #[error("cannot find out the {what} of this host: {cause}; give it in the configuration")]
    Detect {
        /// Which fact.
        what: &'static str,
        /// Why not.
        cause: String,
    },
    /// What this agent would say about itself is not what a master takes.
    #[error("this agent cannot describe itself: {0}; correct it in the configuration")]
    Describe(#[from] WireError),
    /// The checkpoint failed. What was decided since is not done, so that nothing is done twice.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The container runtime failed at the start.
    #[error("the container runtime is not usable: {0}")]
    Runtime(#[from] RuntimeError),
    /// The network failed at the start.
    #[error("the container network is not usable: {0}")]
    Network(#[from] NetworkError),
    /// A master does not want this agent, for good.
    #[error("the master refused this agent: {0}")]
    Refused(String),
    /// A part of the agent ended though nobody asked it to.
    #[error("the agent's {0} ended unexpectedly; this is a mistake in proffer, please report it")]
    Died(&'static str),
}
