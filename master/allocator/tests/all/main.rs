//! Behaviour of the allocator: one binary, for linking is what building tests costs.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests may fail the test like tests do

mod away;
mod common;
mod drf;
mod explain;
mod exponents;
mod fairness;
mod gpus;
mod growth;
mod hierarchy;
mod model;
mod placement;
mod pools;
mod quota;
mod races;
mod roles;
mod shares;
mod sizes;
mod within;
