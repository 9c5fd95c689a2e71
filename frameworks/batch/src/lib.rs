//! The bundled framework for jobs that end: runs each task of a job until it succeeded once or is out of retries.
//!
//! [`Job`] is the pure state of one job, [`Batch`] the scheduler of all, [`BatchServer`] the framework as a process with its
//! gRPC API. Nothing here reaches into
//! the master or an agent: everything goes through the SDK.

mod api;
mod attempt;
mod job;
mod launch;
mod records;
mod scheduler;
mod server;
mod spec;
mod wire;

pub use attempt::{Attempt, Outcome, Place, Verdict};
pub use job::{
    Changes, FIRST_BACKOFF_MS, Job, KEPT_ATTEMPTS, MAX_BACKOFF_MS, MAX_LOSSES, NextTry, Phase, Progress, backoff_ms,
};
pub use records::Damaged;
pub use scheduler::{Batch, KEPT_ENDED_ATTEMPTS, KEPT_JOBS, MAX_LIVING_JOBS, Refused};
pub use server::{BatchHandle, BatchServer, Config, DEFAULT_LISTEN, FRAMEWORK_NAME, RunError, StartError};
pub use spec::{JobSpec, MAX_COMPLETIONS, MAX_NAME_BYTES, MAX_RETRIES, MAX_SPEC_BYTES, SpecDefect, SpecError};
pub use wire::{MAX_ANSWER_BYTES, job_to_wire};
