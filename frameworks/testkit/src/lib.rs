//! Drives schedulers without a network: scripted runs for framework authors.
//!
//! [`TestDriver`] runs a scheduler through the same session engine as the real driver, in virtual time. Each step returns the
//! [`Calls`] the framework made; each call has one line of text, so that a failed comparison reads like a conversation.
//! [`Script`] is the same as a list of steps. Nothing here does I/O or reads a clock, but for the feature `server`:
//! with it, `FakeMaster` is a real gRPC server that says what a test tells it, for tests of a framework's whole process.
//!
//! ```
//! use proffer_sdk::{Context, Demand, Event, Handled, Scheduler, Task, TaskState};
//! use proffer_testkit::{TestDriver, agent};
//!
//! /// Starts one task and never looks back.
//! struct Once;
//!
//! impl Scheduler for Once {
//!     fn on_event(&mut self, event: Event, cx: &mut Context<'_>) -> Handled {
//!         let task = Task::new("once-1").image("busybox").build()?;
//!         match event {
//!             Event::Started { .. } => cx.set_demand(Demand::of(&task, 1)),
//!             Event::Offers(mut offers) => {
//!                 offers[0].launch(task)?;
//!                 cx.set_demand(Demand::none());
//!             }
//!             _ => {}
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let mut driver = TestDriver::new(Once);
//! driver.connect().assert(&["subscribe", "reconcile everything", "demand 1 x 0.1 cpus, 32MiB memory"]);
//! driver.offers([agent("a1")]).assert(&["launch once-1 on a1 with 0.1 cpus, 32MiB memory", "demand nothing"]);
//! driver.status("once-1", TaskState::Finished).assert(&["acknowledge once-1 #1"]);
//! ```

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
