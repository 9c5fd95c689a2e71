//! The shell around the master engine: gRPC, store, read models, dashboard.
//!
//! It never decides anything: it decodes, hands to the owner, stores, sends, and shows. Nothing leaves before
//! what it rests on is stored.

mod api;
mod clock;
mod config;
mod dashboard;
mod election;
mod follower;
mod json;
mod leader;
mod master;
mod metrics;
mod outbox;
mod owner;
mod queue;
pub mod read_models;
pub mod store;
mod terms;

pub use config::{CallRate, Config, ConfigError, DEFAULT_LISTEN, RawConfig};
pub use election::ElectionOptions;
pub use master::{Handle, Master, MasterError};
pub use proffer_master_engine::{Placement, Sharing};
