//! Why a run ended other than by wish.

use crate::store::StoreError;
use crate::{ConfigError, SchedulerError};

/// Why a run ended other than by wish. In every case the framework's tasks keep running.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// State cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The scheduler returned an error; nothing of that event was stored, sent or acknowledged.
    #[error("the scheduler gave up: {0}")]
    Scheduler(SchedulerError),
    /// Another process took over this framework's identity.
    #[error("another instance of this framework took over: {message}; run only one, or give this one another name")]
    Superseded {
        /// What the master said.
        message: String,
    },
    /// The framework was removed for good.
    #[error("this framework was removed from the cluster: {message}; delete its state to start as a new one")]
    Removed {
        /// What the master said.
        message: String,
    },
    /// The name belongs to somebody else.
    #[error("the master refused this framework: {message}")]
    Forbidden {
        /// What the master said.
        message: String,
    },
    /// The master found the description of the framework wrong.
    #[error("the master refused what this framework says of itself: {message}")]
    Refused {
        /// What the master said.
        message: String,
    },
    /// The master does not know this framework, and the driver was told not to start anew.
    #[error(
        "the master does not know this framework: {message}; check that it is the right cluster, or delete the \
         framework's state to start as a new one"
    )]
    UnknownFramework {
        /// What the master said.
        message: String,
    },
}
