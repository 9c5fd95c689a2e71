//! Decides who is offered what. Pure: every change comes in as a call, [`Allocator::allocate`] gives the new grants.
//!
//! Never knows sessions, offers ids or tasks, never reads a clock, never walks agents × frameworks when nothing changed.

mod agents;
mod allocator;
mod client;
mod demands;
mod fit;
mod holdings;
mod pass;
mod share;
mod slots;
mod waits;

pub use allocator::{Allocator, Closed, Grant, GrantId, Work};
