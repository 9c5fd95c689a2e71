//! Agents: how they come, what they bring, how they are lost.

mod attach;
mod lost;
mod replace;
mod sync;
