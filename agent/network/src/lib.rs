//! Container networks of one agent: a bridge of its own, addresses, and published ports.
//!
//! Never decides which ports a task gets (offers do); it wires what it is told and takes it away again.
//! All state is rebuilt from the kernel and from the list of containers the agent still wants.

mod bridge;
mod config;
mod conntrack;
mod contract;
mod forwarding;
mod host_ports;
mod inside;
mod ipam;
mod iptables;
mod links;
mod names;
mod netns;
mod owner;
mod rules;
mod saved;

pub use bridge::BridgeNetwork;
pub use config::{BridgeConfig, ConfigError, Subnet};
pub use contract::*;
