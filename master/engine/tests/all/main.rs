//! Behaviour of the master's engine: one binary, for linking is what building tests costs.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests may fail the test like tests do

mod away;
mod common;
mod drains;
mod frameworks;
mod gangs;
mod growth;
mod guards;
mod inverse;
mod life_cycles;
mod maintenance;
mod offers;
mod preemption;
mod preemption_at_once;
mod preemption_growth;
mod preemption_limits;
mod preemption_runs;
mod races;
mod random_runs;
mod reservations;
mod roles;
mod silence;
mod strays;
mod volumes;
mod why;
