//! A whole master in this process, spoken to over real gRPC as any peer would, well-behaved or not.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod drain;
mod gangs;
mod guards;
mod inverse;
mod maintenance;
mod masters;
mod preemption;
mod random_bytes;
mod raw;
mod restart;
mod roles;
mod sessions;
mod sharing;
mod shutdown;
mod slow_readers;
mod support;
mod volumes;
mod words;
