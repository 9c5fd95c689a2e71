//! What machines read over HTTP on the master's port, against a real master on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test that cannot set itself up must stop.

#[allow(dead_code)] // It plays for the dashboard's tests too.
#[path = "../dashboard/world.rs"]
mod world;

mod described;
mod in_the_way;
mod json;
mod metrics;
mod wrong;
