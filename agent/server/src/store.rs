//! The checkpoint on disk: one redb file, one transaction for each batch of operations.
//!
//! Never repairs or resets anything by itself: a file that cannot be read stops the agent with what to do.

use std::path::{Path, PathBuf};

use proffer_agent_engine::{Checkpoint, EndedTask, Identity, Launch, Operation, Progress, Stored};
use proffer_proto_model::{HeldVolume, TaskKey};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

/// Grows when a reader of today could not make sense of a file.
const FORMAT: u64 = 1;
/// The file is small and read once.
const CACHE_BYTES: usize = 8 << 20;

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
const LAUNCHES: TableDefinition<&str, &[u8]> = TableDefinition::new("launches");
const PROGRESS: TableDefinition<&str, &[u8]> = TableDefinition::new("progress");
const ENDED: TableDefinition<u64, &[u8]> = TableDefinition::new("ended");
const VOLUMES: TableDefinition<u64, &[u8]> = TableDefinition::new("volumes");
const META_FORMAT: &str = "format";
const META_IDENTITY: &str = "identity";

/// The checkpoint cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Reading or writing failed.
    #[error(
        "cannot {verb} the checkpoint {path}: {cause}; free disk space or repair the file system, then start again"
    )]
    Failed {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
    /// The file was written by a newer version.
    #[error("the checkpoint {path} has format {found}, this version knows up to {FORMAT}; use the newer version again")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// The file is damaged.
    #[error(
        "the checkpoint {path} is damaged at {place}: {cause}; restore it from a backup, or move it away to start as \
         a new agent (its running containers are then removed)"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which record.
        place: String,
        /// What is wrong.
        cause: String,
    },
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    path: PathBuf,
    /// Dropped after the database, because fields are dropped in their order.
    open: watch::Sender<()>,
}

impl Store {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = Database::builder().set_cache_size(CACHE_BYTES).create(path);
        let database = opened.map_err(|error| match error {
            redb::DatabaseError::Storage(redb::StorageError::Corrupted(cause)) => {
                StoreError::Damaged { path: path.to_owned(), place: "its header".to_owned(), cause }
            }
            redb::DatabaseError::DatabaseAlreadyOpen => {
                StoreError::Failed { verb: "open", path: path.to_owned(), cause: "another agent uses it".to_owned() }
            }
            other => StoreError::Failed { verb: "open", path: path.to_owned(), cause: other.to_string() },
        })?;
        let store = Self { database, path: path.to_owned(), open: watch::Sender::new(()) };
        store.check_format()?;
        Ok(store)
    }

    /// Fails its waiters once the file is closed.
    pub fn closed(&self) -> watch::Receiver<()> {
        self.open.subscribe()
    }

    /// Makes the operations durable, all or none.
    pub fn commit(&self, operations: &[Operation]) -> Result<Stored, StoreError> {
        self.try_commit(operations).map_err(|error| self.failed("write", error))?;
        Ok(Stored::after_commit())
    }

    /// Everything that was stored.
    pub fn load(&self) -> Result<Checkpoint, StoreError> {
        let mut checkpoint = Checkpoint::default();
        let read = self.database.begin_read().map_err(|error| self.failed("read", error))?;
        let meta = read.open_table(META).map_err(|error| self.failed("read", error))?;
        if let Some(bytes) = meta.get(META_IDENTITY).map_err(|error| self.failed("read", error))? {
            checkpoint.identity = self.decode::<Identity>("meta identity", bytes.value())?;
        }
        let launches = read.open_table(LAUNCHES).map_err(|error| self.failed("read", error))?;
        for entry in launches.iter().map_err(|error| self.failed("read", error))? {
            let (key, value) = entry.map_err(|error| self.failed("read", error))?;
            let launch: Launch = self.decode(&format!("launch {}", key.value()), value.value())?;
            checkpoint.launches.insert(launch.key.clone(), launch);
        }
        let progress = read.open_table(PROGRESS).map_err(|error| self.failed("read", error))?;
        for entry in progress.iter().map_err(|error| self.failed("read", error))? {
            let (key, value) = entry.map_err(|error| self.failed("read", error))?;
            let progress: Progress = self.decode(&format!("progress {}", key.value()), value.value())?;
            checkpoint.progress.insert(progress.key.clone(), progress);
        }
        let ended = read.open_table(ENDED).map_err(|error| self.failed("read", error))?;
        for entry in ended.iter().map_err(|error| self.failed("read", error))? {
            let (key, value) = entry.map_err(|error| self.failed("read", error))?;
            let ended: EndedTask = self.decode(&format!("ended {}", key.value()), value.value())?;
            checkpoint.ended.insert(ended.serial, ended);
        }
        let volumes = read.open_table(VOLUMES).map_err(|error| self.failed("read", error))?;
        for entry in volumes.iter().map_err(|error| self.failed("read", error))? {
            let (key, value) = entry.map_err(|error| self.failed("read", error))?;
            let held: HeldVolume = self.decode(&format!("volume {}", key.value()), value.value())?;
            checkpoint.volumes.insert(held.volume.number, held);
        }
        Ok(checkpoint)
    }

    /// Makes the tables and the header of a new file, and refuses a file of a newer version.
    fn check_format(&self) -> Result<(), StoreError> {
        let found = self.try_check_format().map_err(|error| self.failed("read", error))?;
        match found {
            None | Some(FORMAT) => Ok(()),
            Some(found) => Err(StoreError::Newer { path: self.path.clone(), found }),
        }
    }

    fn try_check_format(&self) -> Result<Option<u64>, redb::Error> {
        let write = self.database.begin_write()?;
        let found = {
            let mut meta = write.open_table(META)?;
            let found = meta.get(META_FORMAT)?.map(|bytes| {
                // Whatever is not a number of ours is newer than ours.
                <[u8; 8]>::try_from(bytes.value()).map_or(u64::MAX, u64::from_le_bytes)
            });
            if found.is_none() {
                meta.insert(META_FORMAT, FORMAT.to_le_bytes().as_slice())?;
            }
            write.open_table(LAUNCHES)?;
            write.open_table(PROGRESS)?;
            write.open_table(ENDED)?;
            write.open_table(VOLUMES)?;
            found
        };
        // A file of an older build of this format gets the tables it lacks.
        if found.is_none_or(|found| found == FORMAT) {
            write.commit()?;
        } else {
            write.abort()?;
        }
        Ok(found)
    }

    fn try_commit(&self, operations: &[Operation]) -> Result<(), redb::Error> {
        let write = self.database.begin_write()?;
        for operation in operations {
            apply(&write, operation)?;
        }
        write.commit()?;
        Ok(())
    }

    fn decode<T: DeserializeOwned>(&self, place: &str, bytes: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(bytes).map_err(|error| StoreError::Damaged {
            path: self.path.clone(),
            place: place.to_owned(),
            cause: error.to_string(),
        })
    }

    fn failed(&self, verb: &'static str, error: impl Into<redb::Error>) -> StoreError {
        match error.into() {
            redb::Error::Corrupted(cause) => {
                StoreError::Damaged { path: self.path.clone(), place: "a page".to_owned(), cause }
            }
            other => StoreError::Failed { verb, path: self.path.clone(), cause: other.to_string() },
        }
    }
}

fn apply(write: &WriteTransaction, operation: &Operation) -> Result<(), redb::Error> {
    match operation {
        Operation::Identity(identity) => {
            write.open_table(META)?.insert(META_IDENTITY, encode(identity)?.as_slice())?;
        }
        Operation::Launch(launch) => {
            write.open_table(LAUNCHES)?.insert(name(&launch.key).as_str(), encode(launch)?.as_slice())?;
        }
        Operation::Progress(progress) => {
            write.open_table(PROGRESS)?.insert(name(&progress.key).as_str(), encode(progress)?.as_slice())?;
        }
        Operation::Forget(key) => {
            write.open_table(LAUNCHES)?.remove(name(key).as_str())?;
            write.open_table(PROGRESS)?.remove(name(key).as_str())?;
        }
        Operation::Remember(ended) => {
            write.open_table(ENDED)?.insert(ended.serial, encode(ended)?.as_slice())?;
        }
        Operation::DropEnded { serial } => {
            write.open_table(ENDED)?.remove(serial)?;
        }
        Operation::PutVolume(held) => {
            write.open_table(VOLUMES)?.insert(held.volume.number, encode(held)?.as_slice())?;
        }
        Operation::DropVolume { number } => {
            write.open_table(VOLUMES)?.remove(number)?;
        }
    }
    Ok(())
}

/// Ids hold no `/`, so this is unique.
fn name(key: &TaskKey) -> String {
    key.to_string()
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(value).map_err(|error| redb::Error::Io(error.into()))
}

#[cfg(test)]
mod tests {
    use proffer_agent_engine::Phase;
    use proffer_proto_model::{
        Bytes, FrameworkId, HeldState, Role, TaskId, TaskSource, TaskState, TaskStatus, UnixMillis, Volume, VolumeId,
    };

    use super::*;

    fn key(task: &str) -> TaskKey {
        TaskKey { framework: FrameworkId::numbered(1, 1), task: TaskId::new(task).unwrap() }
    }

    fn status(task: &str) -> TaskStatus {
        let task = TaskId::new(task).unwrap();
        TaskStatus::new(task, None, TaskState::Starting, TaskSource::Agent, UnixMillis(1))
    }

    fn progress(task: &str) -> Progress {
        Progress {
            key: key(task),
            phase: Phase::Launching,
            latest: status(task),
            unconfirmed: [status(task)].into(),
            kill: None,
            address: String::new(),
            running_since_unix_ms: None,
        }
    }

    fn held(number: u64) -> HeldVolume {
        let (id, role) = (VolumeId::new("db").unwrap(), Role::default_role());
        HeldVolume { volume: Volume { number, id, role, size: Bytes(1) }, state: HeldState::Making }
    }

    #[test]
    fn what_is_read_back_is_what_was_committed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.redb");
        let operations = [
            Operation::Identity(Identity { incarnation: 3, ..Identity::default() }),
            Operation::Progress(Box::new(progress("a"))),
            Operation::Progress(Box::new(progress("b"))),
            Operation::Forget(key("a")),
            Operation::Remember(Box::new(EndedTask { serial: 1, key: key("a"), last: status("a") })),
            Operation::Remember(Box::new(EndedTask { serial: 2, key: key("c"), last: status("c") })),
            Operation::DropEnded { serial: 1 },
            Operation::PutVolume(Box::new(held(1))),
            Operation::PutVolume(Box::new(held(2))),
            Operation::DropVolume { number: 1 },
        ];
        let mut expected = Checkpoint::default();
        operations.iter().for_each(|operation| expected.apply(operation));
        let store = Store::open(&path).unwrap();
        assert_eq!(store.load().unwrap(), Checkpoint::default());
        store.commit(&operations).unwrap();
        drop(store);
        assert_eq!(Store::open(&path).unwrap().load().unwrap(), expected);
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.redb");
        let store = Store::open(&path).unwrap();
        let write = store.database.begin_write().unwrap();
        write.open_table(META).unwrap().insert(META_FORMAT, 2u64.to_le_bytes().as_slice()).unwrap();
        write.commit().unwrap();
        drop(store);
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 2, .. }), "{error}");
    }

    #[test]
    fn a_damaged_record_is_named_and_nothing_is_reset() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.redb");
        let store = Store::open(&path).unwrap();
        let write = store.database.begin_write().unwrap();
        write.open_table(PROGRESS).unwrap().insert("F1-1/a", b"{}".as_slice()).unwrap();
        write.commit().unwrap();
        let told = store.load().unwrap_err().to_string();
        assert!(told.contains("progress F1-1/a") && told.contains("backup"), "{told}");
        assert!(store.load().is_err(), "it is still there");
    }
}
