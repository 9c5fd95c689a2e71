//! The shell around the agent engine: it keeps the engine's checkpoint, talks to the master, carries out
//! steps at the container runtime and the network, and serves logs and images.
//!
//! It never decides anything about a task: every decision is the engine's, and no effect of a decision
//! leaves before what it rests on is stored.
//!
//! [`Agent::start`] is the way in. Ending it leaves containers running: the next start adopts them.

mod agent;
mod clock;
mod config;
mod detect;
mod error;
mod executor;
mod handle;
mod host;
mod link;
mod owner;
mod request;
mod steps;
mod store;
mod view;
mod volumes;
mod words;

pub use agent::Agent;
pub use config::{Config, ConfigError, ConfigErrors, GivenResources, RawConfig};
pub use detect::host_resources;
pub use error::AgentError;
pub use handle::Handle;
pub use store::StoreError;
