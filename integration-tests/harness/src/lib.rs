//! Real servers and real parts for end-to-end tests: a dev cluster, a registry, a browser, a leak check.
//!
//! Everything here fails loudly: a missing part panics with the command that installs it, a condition that
//! does not come true panics with what was seen last. Nothing is skipped and nothing sleeps blindly.

mod browser;
mod client;
mod cluster;
mod etcd;
mod follower;
mod leaks;
mod parts;
mod processes;
mod registry;
mod slot;
mod wait;

pub use browser::{Browser, Scheme};
pub use client::Output;
pub use cluster::{Cluster, ClusterOptions};
pub use etcd::Etcd;
pub use follower::Follower;
pub use leaks::Leaks;
pub use parts::{binary, free_port, http_get, require};
pub use processes::{AgentFlags, Frozen, Paused, is_alive, kill_9};
pub use registry::Registry;
pub use wait::{wait_for, wait_until};
