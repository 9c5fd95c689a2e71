//! Every decision of the master, pure: [`Engine::handle`] takes the time and one [`Input`] and returns a [`Frame`].
//!
//! Never reaches tokio, tonic, prost, a clock, a random source or hash order.

mod agents;
mod audit;
mod changes;
mod consequences;
mod effect;
mod engine;
pub mod explain;
mod frame;
mod frameworks;
mod input;
mod inverse;
mod maintenance;
mod offers;
mod operations;
mod preempt;
mod recover;
pub mod registry;
pub mod reservations;
mod roles;
mod state;
mod tasks;
mod timers;
mod validate;
pub mod view;
mod volumes;

pub use agents::drain::AgentCommand;
pub use consequences::{Consequences, VolumeName};
pub use effect::{Effect, FatalError, FrameworkErrorKind, ToAgent, ToFramework};
pub use engine::{Config, Engine, RecoverError, Sharing};
pub use frame::{Frame, Stored};
pub use input::{AttachedTask, FrameworkCall, Input, OperatorCall, RolesCall, SessionId};
pub use maintenance::MaintenanceCommand;
pub use proffer_proto_model::{Placement, PlacementError};
pub use roles::PolicyChange;
