//! Checks of what comes from outside. Each says which field is wrong and what would be right.

mod framework;
mod task;

pub(crate) use framework::{check_demand, check_framework};
pub(crate) use task::check_task;
