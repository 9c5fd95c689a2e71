//! The processes of the world, each around its real engine.

mod agent;
mod framework;
mod master;

pub use agent::AgentNode;
pub use framework::{Call, FrameworkNode};
pub use master::MasterNode;
