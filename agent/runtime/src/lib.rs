//! The container seam: what an agent asks of a container runtime, and the runtimes that answer.
//!
//! [`ContainerRuntime`] is a short list of verbs. [`containerd`] is the real driver, [`fake`] a scripted
//! double; both pass the same suite in [`conformance`]. This crate never decides what should run: it
//! carries out single steps and reports what it saw.

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
