//! The whole cluster from its real engines, in one thread and in virtual time, driven by a seed.
//!
//! Nothing here reads a clock, draws from the system's randomness or opens a socket: the same seed gives
//! the same trace, always.

pub mod net;
pub mod queue;
pub mod rng;
pub mod trace;
