//! The framework for long-running services: applies specs, keeps N instances running, replaces what ends.
//!
//! [`ServiceScheduler`] decides, on the SDK and nothing else; [`ServiceServer`] runs it with its gRPC API. This crate never
//! speaks to an agent, and knows of the master only what the SDK tells it.

mod api;
pub mod plan;
mod scheduler;
mod server;
mod spec;
pub mod state;

pub use scheduler::{ApiError, Change, ChangeKind, ServiceScheduler};
pub use server::{Config, DEFAULT_LISTEN, ServiceHandle, ServiceServer, StartError};
pub use spec::{MAX_INSTANCES, ServiceSpec, SpecDefect, SpecDefects};
