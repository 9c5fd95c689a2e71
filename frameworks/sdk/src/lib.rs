//! The scheduler SDK: write a framework for Proffer.
//!
//! A framework decides what runs where. It implements [`Scheduler`], one method that gets an [`Event`] and
//! a [`Context`]. Everything else is done for it: connecting and coming back after a lost master, keeping its identity,
//! reconciling its tasks before new offers, acknowledging updates after they were handled and stored,
//! sending kills again until the task has ended, and giving back offers with a reason.
//!
//! This crate never depends on the master or an agent, and no author meets protobuf.

mod config;
mod driver;
mod offer;
mod scheduler;
pub mod session;
pub mod store;
mod task;

pub use config::{ConfigError, DEFAULT_MASTER, FrameworkConfig};
pub use driver::{Driver, DriverError, Handle, Stopped, run};
pub use offer::{DoesNotFit, Launched, Offer};
pub use proffer_proto_model as model;
pub use proffer_proto_model::{
    AgentId, Attribute, AttributeValue, Bytes, Constraint, ConstraintOperator, DeclineKind, DeclineReason, FrameworkId,
    MilliCpus, Moment, Now, OfferId, OperationOutcome, PortSet, RescindReason, Resources, Role, TaskId, TaskReason,
    TaskSource, TaskSpec, TaskState, TaskStatus, UnixMillis,
    task::{KillPolicy, NetworkMode, PortMapping, Protocol, PullPolicy},
};
pub use scheduler::{Context, Demand, Event, Handled, KillRequest, KnownTask, Scheduler, SchedulerError, StoredState};
pub use task::{Task, TaskDefect, TaskError};
