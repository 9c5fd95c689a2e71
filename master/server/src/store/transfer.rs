//! What operators do with whole stores while no master runs: restore a snapshot, move from the disk to etcd. Never puts
//! anything in the place of what is there unless it was told to.

use proffer_master_engine::registry::Registry;
use proffer_proto_model::Epoch;

use super::{Backup, DiskStore, Loaded, StoreError};

/// Epochs that may have been begun since a snapshot was taken. Agents refuse masters with an older epoch than they have
/// seen; a restored store goes on behind all of them.
const LEAP: u64 = 1_000;

/// Why a store's contents were not put into another.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// One of the stores failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is something that would be lost.
    #[error(
        "{place} is not empty: it holds {agents} agents, {frameworks} frameworks and {tasks} tasks; give --force to put \
         the other contents in their place, for good"
    )]
    NotEmpty {
        /// The store.
        place: String,
        /// How many agents it holds.
        agents: usize,
        /// How many frameworks.
        frameworks: usize,
        /// How many tasks.
        tasks: usize,
    },
    /// There is nothing to take.
    #[error("{place} holds nothing; check that it is the right one")]
    Empty {
        /// The store.
        place: String,
    },
}

/// Puts a snapshot into a store. Masters that ran on it are out; the next one begins an epoch behind all that agents can
/// have seen.
///
/// # Errors
/// [`TransferError`] when it holds something and `is_forced` is not set, or cannot be written: then nothing changed.
pub fn restore(store: &mut dyn Backup, place: &str, contents: Loaded, is_forced: bool) -> Result<(), TransferError> {
    let there = store.look()?;
    check_empty(place, there.as_ref().filter(|_| !is_forced))?;
    let newest = there.map_or(contents.epoch, |there| there.epoch.max(contents.epoch));
    Ok(store.replace(&Loaded { epoch: Epoch(newest.0 + LEAP), ..contents })?)
}

/// Moves all of a data directory to another store, and marks the directory so that no master starts on it any more. Done
/// again after it was broken off, it goes on.
///
/// # Errors
/// [`TransferError`] when the target holds something else, or one of them fails: the source is as it was then.
pub fn move_from_disk(
    source: &mut DiskStore,
    from: &str,
    target: &mut dyn Backup,
    to: &str,
) -> Result<Loaded, TransferError> {
    let contents = source.look()?.ok_or_else(|| TransferError::Empty { place: from.to_owned() })?;
    let there = target.look()?;
    if there.as_ref() != Some(&contents) {
        check_empty(to, there.as_ref())?;
        target.replace(&contents)?;
    }
    source.mark_moved(to)?;
    Ok(contents)
}

fn check_empty(place: &str, there: Option<&Loaded>) -> Result<(), TransferError> {
    let Some(there) = there.filter(|there| there.registry != Registry::default()) else { return Ok(()) };
    let Registry { agents, frameworks, tasks, .. } = &there.registry;
    let place = place.to_owned();
    Err(TransferError::NotEmpty { place, agents: agents.len(), frameworks: frameworks.len(), tasks: tasks.len() })
}
