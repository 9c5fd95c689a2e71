//! Durable state of the master: loads the registry, bumps the epoch, commits operations.
//!
//! A store never resets what it cannot read: it refuses with the name of the file and what to do.

mod disk;
mod etcd;
mod memory;
mod records;
mod snapshot;
mod transfer;

use std::path::PathBuf;

use proffer_master_engine::Stored;
use proffer_master_engine::registry::{Operation, Registry};
use proffer_proto_model::{ClusterId, Epoch};

pub use disk::DiskStore;
pub(crate) use etcd::Fence;
pub use etcd::{EtcdOptions, EtcdStore};
pub use memory::MemoryStore;
pub use snapshot::{SnapshotError, read_snapshot, write_snapshot};
pub use transfer::{TransferError, move_from_disk, restore};

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

/// Reads and replaces all of a store, while no master holds it.
pub trait Backup: Store {
    /// All that is stored, without beginning an epoch; `None` when nothing ever was.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    fn look(&mut self) -> Result<Option<Loaded>, StoreError>;

    /// Puts these contents in the place of all there is, all or none; the next load begins the epoch after theirs.
    ///
    /// # Errors
    /// [`StoreError`] when it may not be done; what was there is still there then.
    fn replace(&mut self, contents: &Loaded) -> Result<(), StoreError>;
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
    /// There is no registry where one is to be read.
    #[error(
        "{} holds no registry: {} is not there; name the data directory of a master with --data-dir, or its etcd with \
         --etcd",
        path.parent().unwrap_or(path).display(),
        path.display()
    )]
    Missing {
        /// The file that is not there.
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
    /// Its contents were moved to another store for good.
    #[error("{} was moved to {to}; start the master there, with --etcd", path.display())]
    Moved {
        /// The file.
        path: PathBuf,
        /// Where its contents are.
        to: String,
    },
    /// Nobody answers, or not in time. Nothing was written.
    #[error("cannot reach {place}: {cause}; check that a majority of its members run and that the address is right")]
    Unreachable {
        /// Where the store is.
        place: String,
        /// What was seen last.
        cause: String,
    },
    /// A write was sent and its outcome is not known.
    #[error(
        "{place} has not said whether the last write was done: {cause}; check that a majority of its members run, then \
         start the master again: it finds out"
    )]
    Unknown {
        /// Where the store is.
        place: String,
        /// What was seen last.
        cause: String,
    },
    /// Another master has begun a later epoch. Nothing was written.
    #[error(
        "another master has taken over {place} (epoch {}); this one must not go on: only one may run until it is stopped",
        epoch.0
    )]
    Superseded {
        /// Where the store is.
        place: String,
        /// The epoch that was found; 0 when it is not known.
        epoch: Epoch,
    },
    /// This master does not lead any more. Nothing was written or sent.
    #[error("the lease of this master in etcd has ended, so that another one may lead; it stands for election again")]
    LeaseEnded,
    /// etcd has no space left by its own quota. Nothing was written.
    #[error(
        "{place} has no space left (NOSPACE); make room: `etcdctl compact REVISION`, `etcdctl defrag`, then `etcdctl alarm \
         disarm`, or start etcd with a larger --quota-backend-bytes; then start the master again"
    )]
    Full {
        /// Where the store is.
        place: String,
    },
    /// One record is larger than a request may be. Nothing was written.
    #[error("{key} has {bytes} bytes, and {place} takes {most} of one record; make what it describes smaller")]
    TooLarge {
        /// Where the store is.
        place: String,
        /// The record.
        key: String,
        /// Its size.
        bytes: usize,
        /// The largest that is taken.
        most: usize,
    },
    /// The store does not allow it.
    #[error("{place} refuses: {cause}; check its settings and who may write there")]
    Refused {
        /// Where the store is.
        place: String,
        /// What it says.
        cause: String,
    },
    /// A revision was compacted away while it was read; the store reads again by itself.
    #[error("{place} has forgotten the revision that was being read; try again")]
    Forgotten {
        /// Where the store is.
        place: String,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod snapshots;
#[cfg(test)]
pub(crate) mod suite;
