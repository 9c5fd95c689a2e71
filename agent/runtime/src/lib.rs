//! The container seam: what an agent asks of a container runtime, and the runtimes that answer.
//!
//! [`ContainerRuntime`] is a short list of verbs. `containerd` is the real driver, `fake` a scripted
//! double; both pass the same suite in `conformance`. This crate never decides what should run: it
//! carries out single steps and reports what it saw.

mod runtime;

pub use runtime::*;
