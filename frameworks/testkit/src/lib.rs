//! Drives schedulers without a network: scripted runs for framework authors.
//!
//! [`TestDriver`] runs a scheduler through the same session engine as the real driver, in virtual time. Each step returns the
//! [`Calls`] the framework made; each call has one line of text, so that a failed comparison reads like a conversation.
//! [`Script`] is the same as a list of steps. This crate never does I/O and never reads a clock.

mod calls;
mod driver;
mod offer;
mod script;

pub use calls::{Calls, line};
pub use driver::TestDriver;
pub use offer::{TestOffer, agent};
pub use script::{Mismatch, Script, Step};
