//! Every decision of the agent: which step a task takes next, what the master is told, what is kept.
//!
//! [`Engine`] takes an [`Input`] and the time and gives back a [`Frame`]: what to store, and what to do
//! once that is stored. It never does I/O, never reads a clock, never draws a random number and never
//! depends on the order of a hash.

mod audit;
mod checkpoint;
mod config;
mod effect;
mod engine;
mod frame;
mod input;
mod link;
mod names;
mod recover;
mod task;
mod volumes;

#[cfg(test)]
mod tests;

pub use audit::AuditError;
pub use checkpoint::{Checkpoint, EndedTask, Identity, KillOrder, Launch, Operation, Phase, Progress};
pub use config::{Config, Timing};
pub use effect::{AttachedTask, Effect, Signal, ToMaster, Update};
pub use engine::{Engine, TaskSummary};
pub use frame::{Frame, Stored};
pub use input::{
    Exit, ExitCause, Failure, FailureKind, Input, LaunchTask, MasterMessage, SeenContainer, SeenStatus, SessionId,
    StepResult, VolumeResult,
};
pub use names::{LABEL_FRAMEWORK, LABEL_TASK, MAX_CONTAINER_ID, container_id};
