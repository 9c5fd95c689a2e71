//! What is wrong with a task, all at once.

use std::fmt;

/// Everything that is wrong with a task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TaskError {
    /// The id as it was given.
    pub task: String,
    /// What is wrong, at least one entry.
    pub defects: Vec<TaskDefect>,
}

/// One thing that is wrong with a task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct TaskDefect {
    /// Which setting.
    pub field: String,
    /// What is wrong with it and what to do.
    pub problem: String,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {:?} is wrong", self.task)?;
        self.defects.iter().enumerate().try_for_each(|(at, defect)| {
            let separator = if at == 0 { ": " } else { "; " };
            write!(f, "{separator}{defect}")
        })
    }
}
