//! The whole cluster from its real engines, in one thread and in virtual time, driven by a seed.
//!
//! Nothing here reads a clock, draws from the system's randomness or opens a socket: the same seed gives
//! the same trace, always.
#![allow(clippy::expect_used)] // A world that contradicts itself must stop the test at once.

pub mod cast;
pub mod faults;
pub mod invariants;
pub mod net;
pub mod nodes;
mod operator;
pub mod oracle;
pub mod queue;
mod quotas;
pub mod removal;
pub mod rng;
pub mod runtime;
pub mod shares;
pub mod trace;
pub mod views;
pub mod world;

pub use world::{Scenario, World};
