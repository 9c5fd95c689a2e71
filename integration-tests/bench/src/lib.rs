//! Benchmarks. They print figures beside an anchor and a target; no test ever asserts a time.
#![allow(clippy::expect_used)] // A benchmark that cannot set itself up must stop.

pub mod allocator;
pub mod calibration;
pub mod clock;
pub mod load;
pub mod report;
