//! The processes of the world, each around its real engine.

mod agent;
mod framework;
mod keeper;
mod master;

pub use agent::AgentNode;
pub use framework::{Call, FrameworkNode};
pub use keeper::OF;
pub use master::MasterNode;
