//! Every decision of the master, pure: [`Engine::handle`] takes the time and one [`Input`] and returns a [`Frame`].
//!
//! Never reaches tokio, tonic, prost, a clock, a random source or hash order.

mod effect;
mod engine;
mod frame;
mod input;
pub mod registry;
pub mod view;

pub use effect::{Effect, FatalError, FrameworkErrorKind, ToAgent, ToFramework};
pub use engine::{Config, Engine, RecoverError};
pub use frame::{Frame, Stored};
pub use input::{AttachedTask, FrameworkCall, Input, OperatorCall, SessionId};
