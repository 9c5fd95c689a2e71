//! Between wire messages and domain words. Each way a message can be wrong has an error of its own.
//!
//! Wire to model is `TryFrom`: it checks everything that can be checked without knowing the cluster, and its
//! [`WireError`] names the field. Model to wire is `From` and cannot fail. Every wire struct is taken apart
//! whole, so that a new field does not compile until somebody decided what it means. This module never guesses:
//! a number of an enum that is not known, a missing id or a negative amount is refused.

mod agent;
mod caps;
mod check;
mod constraint;
mod demand;
mod error;
mod framework;
mod inverse;
mod link;
mod offer;
mod operation;
mod quota;
mod reservation;
mod resources;
mod scheduler;
mod status;
mod task;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod volume;

pub use caps::{
    MAX_ACCEPT_TASKS, MAX_CONSTRAINTS, MAX_DEMAND_ITEMS, MAX_OPERATIONS, MAX_PATTERNS, check_accept_size,
    check_call_size, check_demand_size, tasks_of,
};
pub use check::{MAX_DATA_BYTES, MAX_ENTRIES, MAX_ENV_VARS, MAX_MESSAGE_CHARS, MAX_NAME_BYTES, MAX_TEXT_BYTES};
pub use demand::Patterns;
pub use error::{Defect, WireError};
pub use link::{AgentMessage, AgentTask, AttachRequest, LaunchTask, MasterEnvelope, MasterMessage, StatusUpdate};
pub use operation::accept_from_wire;
pub use reservation::{ReserveCall, UnreserveCall};
pub use scheduler::{
    Acknowledgement, ErrorKind, SchedulerCall, SchedulerEvent, acknowledgements_from_wire, decline_from_wire,
    kill_from_wire, reconcile_from_wire,
};
pub use volume::VolumeCall;
