//! The container seam: what an agent asks of a container runtime, and the runtimes that answer.
//!
//! [`ContainerRuntime`] is a short list of verbs. [`containerd`] is the real driver, [`fake`] a scripted
//! double; both pass the same suite in [`conformance`]. This crate never decides what should run: it
//! carries out single steps and reports what it saw.
//!
//! A program that runs containers through [`containerd::ContainerdRuntime`] is its own log writer. Its main asks
//! before it parses arguments or starts a runtime:
//!
//! ```no_run
//! # use std::process::ExitCode;
//! fn main() -> ExitCode {
//!     let args: Vec<_> = std::env::args_os().collect();
//!     if proffer_agent_runtime::is_logger_invocation(&args) {
//!         return proffer_agent_runtime::logger_main(&args);
//!     }
//!     ExitCode::SUCCESS // … the program itself
//! }
//! ```

mod cgroup;
pub mod conformance;
pub mod containerd;
mod error;
pub mod fake;
mod id;
pub mod image_builder;
mod logger;
mod reference;
mod runtime;
pub mod spec;

pub use cgroup::Cgroups;
pub use logger::{LOGGER_ARGUMENT, is_logger_invocation, logger_main};
pub use reference::normalize_reference;
pub use runtime::*;
