//! Where a framework keeps what must outlive its process. A small ordered map with atomic commits.

mod file;
mod memory;

use std::collections::BTreeMap;

pub use file::FileStore;
pub use memory::MemoryStore;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOp {
    /// Keeps bytes under a key.
    Put {
        /// The key.
        key: String,
        /// The bytes.
        value: Vec<u8>,
    },
    /// Removes a key; nothing happens when it is not there.
    Remove {
        /// The key.
        key: String,
    },
}

/// A store could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("state file {path} cannot be opened: {message}; is another instance of this framework running?")]
    Open {
        /// Which.
        path: String,
        /// Why.
        message: String,
    },
    /// Reading failed.
    #[error("state cannot be read: {message}")]
    Read {
        /// Why.
        message: String,
    },
    /// Writing failed; nothing of the commit is kept.
    #[error("state cannot be written: {message}; check the disk's free space")]
    Write {
        /// Why.
        message: String,
    },
    /// What is stored makes no sense.
    #[error("state under {key:?} is damaged: {message}")]
    Damaged {
        /// Where.
        key: String,
        /// Why.
        message: String,
    },
}

/// Where a framework keeps what must outlive its process.
///
/// Only one process may use one store at a time.
pub trait Store: Send + 'static {
    /// Everything that is stored, in order of the keys.
    fn load(&mut self) -> Result<BTreeMap<String, Vec<u8>>, StoreError>;

    /// Applies the changes in order, all or none; durable when it returns.
    fn commit(&mut self, ops: &[StoreOp]) -> Result<(), StoreError>;
}
