//! What an author of a framework writes and what he is given: the trait, its events, the context, the demand.
//!
//! Nothing here does I/O, reads a clock or a random source: every scheduler can be simulated.

mod context;
mod demand;
mod event;
mod known;

pub use context::Context;
pub(crate) use context::Effects;
pub use demand::Demand;
pub use event::{Event, StoredState};
pub use known::{KillRequest, KnownTask};

/// Whatever went wrong in a scheduler. Every error type converts to it with `?`.
pub type SchedulerError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What [`Scheduler::on_event`] returns.
///
/// `Ok`: the frame's effects are stored, then sent, and a status is acknowledged. `Err`: **the run ends** with this error
/// and nothing of the frame is stored, sent or acknowledged; tasks keep running and the next start gets the update again. Return an
/// error only when going on makes no sense, and handle what is part of daily life, as [`crate::DoesNotFit`].
pub type Handled = Result<(), SchedulerError>;

/// A framework's decisions.
///
/// Events come one after the other. The method must be quick and pure: no I/O, no waiting, time from [`Context::now`],
/// effects through the context. Its own state is plain fields; what must outlive the process goes through [`Context::store`].
///
/// Updates are delivered at least once: one that was handled just before a crash comes again after it.
pub trait Scheduler: Send + 'static {
    /// Handles one event.
    fn on_event(&mut self, event: Event, cx: &mut Context<'_>) -> Handled;
}
