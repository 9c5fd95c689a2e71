//! Container networks of one agent: a bridge of its own, addresses, and published ports.
//!
//! Never decides which ports a task gets (offers do); it wires what it is told and takes it away again.
//! All state is rebuilt from the kernel and from the list of containers the agent still wants.

mod contract;

pub use contract::*;
