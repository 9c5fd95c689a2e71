//! Durable state of the master: loads the registry, bumps the epoch, commits operations.
//!
//! A store never resets what it cannot read: it refuses with the name of the file and what to do.

mod disk;
mod memory;

use std::path::PathBuf;

use proffer_master_engine::Stored;
use proffer_master_engine::registry::{Operation, Registry};
use proffer_proto_model::{ClusterId, Epoch};

pub use disk::DiskStore;
pub use memory::MemoryStore;

/// What a master starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Made at the first start.
    pub cluster: ClusterId,
    /// Higher than that of any master before on this state; already durable.
    pub epoch: Epoch,
    /// Everything committed before.
    pub registry: Registry,
}

/// Keeps the registry. One master at a time holds one.
pub trait Store: Send + 'static {
    /// Begins a new epoch, makes it durable, and gives back all that is stored.
    ///
    /// # Errors
    /// [`StoreError`] when the state cannot be read or the epoch not be written. Nothing was changed then.
    fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Makes the operations durable, in order, all or none. No operations cost nothing.
    ///
    /// # Errors
    /// [`StoreError`] when they may not be durable; the caller must stop and must not send.
    fn commit(&mut self, operations: &[Operation]) -> Result<Stored, StoreError>;
}

/// Why a store cannot go on. The text names the file and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the file.
    #[error(
        "{} is in use by another master; stop that one or choose another data directory with --data-dir",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The directory or the file cannot be made or opened.
    #[error("cannot use {}: {cause}; check that the directory exists and may be written", path.display())]
    Inaccessible {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// The file is not what this program wrote.
    #[error(
        "{} cannot be read: {cause}; restore it from a backup, or move it away to begin an empty cluster",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The file was written by a later version.
    #[error(
        "{} has schema version {found}, this program knows {known}; start the newer program again",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The version written here.
        known: u64,
    },
    /// A commit failed.
    #[error("cannot write {}: {cause}; check the disk's space and health, then start the master again", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: String,
    },
}

#[cfg(test)]
pub(crate) mod suite;
