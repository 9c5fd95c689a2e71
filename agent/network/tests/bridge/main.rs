//! The bridge network with real namespaces, links and rules. Needs root, iproute2 and iptables.
//!
//! Never touches the real host's network; see `support`.
// Clippy lets only functions marked as tests panic; here everything is one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod crash;
mod lifecycle;
mod refusals;
mod support;
mod traffic;
