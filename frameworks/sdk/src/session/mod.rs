//! The pure engine behind the driver.

use std::collections::BTreeMap;

use proffer_proto_model::{FrameworkId, Role, TaskId};

use crate::KnownTask;

/// What a scheduler may look at through its context.
#[derive(Debug, Clone)]
pub struct Facts {
    pub(crate) framework: Option<FrameworkId>,
    pub(crate) is_connected: bool,
    pub(crate) roles: Vec<Role>,
    pub(crate) tasks: BTreeMap<TaskId, KnownTask>,
}
