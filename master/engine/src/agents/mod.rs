//! Agents: how they come, what they bring, how they are lost.

mod attach;
pub(crate) mod drain;
mod lost;
pub(crate) mod mode;
mod replace;
pub(crate) mod silent;
mod sync;
