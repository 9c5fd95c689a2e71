//! The scheduler SDK: write a framework for Proffer.
//!
//! A framework decides what runs where. It implements [`Scheduler`], one method that gets an [`Event`] and
//! a [`Context`]. Everything else is done for it: connecting and coming back after a lost master, keeping its identity,
//! reconciling its tasks before new offers, acknowledging updates after they were handled and stored,
//! sending kills again until the task has ended, and giving back offers with a reason.
//!
//! # Quick start
//!
//! A framework that runs one container to its end:
//!
//! ```no_run
//! use proffer_sdk::{Context, Demand, Event, FrameworkConfig, Handled, Scheduler, Task, TaskSpec, run};
//!
//! #[derive(Default)]
//! struct Hello(Option<TaskSpec>);
//!
//! impl Scheduler for Hello {
//!     fn on_event(&mut self, event: Event, cx: &mut Context<'_>) -> Handled {
//!         match event {
//!             // First of all: say what is wanted. Without a demand no offers come.
//!             Event::Started { .. } => {
//!                 let id = format!("hello-{}", cx.unix_now().0);
//!                 let task = Task::new(id).image("busybox").args(["echo", "hello"]).cpus(0.1).memory_mib(32).build()?;
//!                 cx.set_demand(Demand::of(&task, 1));
//!                 self.0 = Some(task);
//!             }
//!             // Use what fits. What is left goes back by itself.
//!             Event::Offers(offers) => {
//!                 for mut offer in offers {
//!                     if let Some(task) = self.0.take() {
//!                         offer.launch(task)?;
//!                         cx.set_demand(Demand::none());
//!                     }
//!                 }
//!             }
//!             Event::Status(status) if status.state.is_terminal() => cx.stop(),
//!             _ => {}
//!         }
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     run(FrameworkConfig::new("hello").masters_from_env(), Hello::default())
//! }
//! ```
//!
//! # Where to go from here
//!
//! - [`Driver`] instead of [`run`] for a framework that keeps state ([`store::FileStore`]) or has an API of its own ([`Handle`]).
//! - The crate `proffer-testkit` drives a scheduler without a network, in virtual time.
//! - [`session`] is the pure engine below both.
//!
//! This crate never depends on the master or an agent, and no author meets protobuf.

mod config;
mod driver;
mod offer;
mod outgoing;
mod scheduler;
pub mod session;
pub mod store;
mod task;

pub use config::{ConfigError, DEFAULT_MASTER, FrameworkConfig};
pub use driver::{Driver, DriverError, Handle, Stopped, run};
pub use offer::{DoesNotFit, Gang, InverseOffer, Launched, NotAdded, NotOffered, Offer};
pub use proffer_proto_model as model;
pub use proffer_proto_model::{
    AgentId, Attribute, AttributeValue, Bytes, Constraint, ConstraintOperator, DeclineKind, DeclineReason, FrameworkId,
    InverseCause, InverseEnd, InverseOfferId, MilliCpus, Moment, Now, OfferId, OperationOutcome, Placement, PortSet,
    RescindReason, Resources, Role, TaskId, TaskReason, TaskSource, TaskSpec, TaskState, TaskStatus, Unavailability,
    UnixMillis, VolumeId, VolumeInfo, VolumeState,
    task::{KillPolicy, NetworkMode, PortMapping, Protocol, PullPolicy},
};
pub use scheduler::{Context, Demand, Event, Handled, KillRequest, KnownTask, Scheduler, SchedulerError, StoredState};
pub use task::{Task, TaskDefect, TaskError};
