//! Real processes end to end, one after the other: one binary, for linking is what building tests costs.

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests may fail the test like tests do

mod bad_input;
mod batch;
mod common;
mod dashboard;
mod dev;
mod docs;
mod drain;
mod dry_runs;
mod etcd;
mod gangs;
mod gangs_over;
mod gone;
mod hello;
mod leaving;
mod masters;
mod oom;
mod operators;
mod optimistic;
mod owned;
mod preemption;
mod preemption_over;
mod recovery;
mod registry;
mod reservations;
mod service;
mod sharing;
mod verbs;
mod volumes;
mod why;
