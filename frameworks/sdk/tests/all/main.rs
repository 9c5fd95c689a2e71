//! The SDK against a scripted master: one binary, for linking is what building tests costs.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests may fail the test like tests do

mod common;
mod driver;
mod gang;
mod inverse;
mod session;
mod session_properties;
mod store;
