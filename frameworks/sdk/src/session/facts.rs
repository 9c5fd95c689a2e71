//! What a scheduler may look at. Only the session changes it.

use std::collections::BTreeMap;

use proffer_proto_model::{FrameworkId, Role, TaskId};

use crate::KnownTask;

/// What a scheduler sees through its context.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The framework's id, once it has one.
    pub framework: Option<FrameworkId>,
    /// A master is subscribed to.
    pub is_connected: bool,
    /// The framework's roles, at least one.
    pub roles: Vec<Role>,
    /// Tasks that were launched and have not ended.
    pub tasks: BTreeMap<TaskId, KnownTask>,
}
