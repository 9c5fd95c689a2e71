//! Drives schedulers without a network: scripted runs for framework authors.
//!
//! [`TestDriver`] runs a scheduler through the same session engine as the real driver, in virtual time. Each step returns the
//! [`Calls`] the framework made; each call has one line of text, so that a failed comparison reads like a conversation.
//! [`Script`] is the same as a list of steps. Nothing here does I/O or reads a clock, but for the feature `server`:
//! with it, `FakeMaster` is a real gRPC server that says what a test tells it, for tests of a framework's whole process.

mod calls;
mod driver;
mod offer;
mod script;
#[cfg(feature = "server")]
mod server;
#[cfg(test)]
mod tests;

pub use calls::{Calls, line};
pub use driver::TestDriver;
pub use offer::{TestOffer, agent};
pub use script::{Mismatch, Script, Step};
#[cfg(feature = "server")]
pub use server::{FakeMaster, FakeSession, PATIENCE};
