//! Decides who is offered what. Pure: every change comes in as a call, [`Allocator::allocate`] gives the new grants.
//!
//! Never knows sessions, offers ids or tasks, never reads a clock, never walks agents × frameworks when nothing changed.
//!
//! A *client* is one framework in one role. An agent that has more to give than before gets a new *stamp*; a pass walks
//! agents in the order of their stamps, so that the one waiting longest comes first.
//!
//! - An agent that changed since the last pass is tried for every client that may get something.
//! - An agent that did not is tried only for clients that *lag*: each wanted shape remembers the stamp up to which
//!   agents were tried for it while it could be granted, and goes on from there when it can be again (its offers were
//!   answered, its framework is below its cap, a launch counts no more). A new shape begins at the oldest agent.
//! - A filter that ends gives its agent a new stamp; one that is cleared lets its client begin at the oldest agent.
//! - Of several that want an agent, the lowest weighted dominant share is next, exactly: among roles from the top
//!   down, then among the frameworks in a role (`tree`); measured against the cluster as it is, or in a large tree against
//!   one that differs by so little that no order is wrong by more than a task (`tree::measure`). Only who gave that agent back
//!   unused comes after the others, once: else a low share that declines again and again would block it.
//! - An agent that holds more than it has (it shrank) gives nothing until enough has ended.
//! - What is reserved on an agent is seen, and granted, only by the role it is reserved for and those below (`pools`).
//! - A role is known while somebody is in it, or something is held, reserved or set there (`forget`).
//! - What somebody in an optimistic role is granted, others in such roles are granted too (`races`).

mod agents;
mod allocator;
mod away;
mod changes;
mod client;
mod demands;
mod explain;
mod fit;
mod forget;
mod gates;
mod grants;
mod heap;
mod holdings;
mod limits;
mod pass;
mod placement;
mod pools;
mod quota;
mod races;
mod rank;
mod rooms;
mod share;
mod sizes;
mod slots;
mod tree;
mod usable;
mod waits;
mod within;

pub use allocator::{Allocator, Closed, Grant, Work};
pub use explain::{Block, Explanation, Group, Missing, Obstacle};
pub use grants::GrantId;
pub use pools::{AgentPool, ReservedParts};
pub use proffer_proto_model::{Placement, PlacementError};
