//! The embedded store: one redb file in the data directory, values as JSON.
//!
//! Tables: `meta` (schema version, cluster id, epoch), `agents`, `frameworks`, `tasks` (key `framework/task`),
//! `roles` (those with settings), `windows`, `removed` (frameworks that were, to say so).

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use proffer_master_engine::Stored;
use proffer_master_engine::registry::{Operation, Registry};
use proffer_proto_model::{ClusterId, Epoch};
use redb::{Database, DatabaseError, ReadableTable, StorageError, Table, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Backup, Loaded, Store, StoreError, records};

/// Version of the layout below; grows with every change that an older program cannot read.
const SCHEMA_VERSION: u64 = 2;

/// The file in the data directory.
const FILE_NAME: &str = "master.redb";

type Bytes = &'static [u8];
type Records<'t> = Table<'t, &'static str, Bytes>;

const META: TableDefinition<&str, Bytes> = TableDefinition::new("meta");
const AGENTS: TableDefinition<&str, Bytes> = TableDefinition::new("agents");
const FRAMEWORKS: TableDefinition<&str, Bytes> = TableDefinition::new("frameworks");
const TASKS: TableDefinition<&str, Bytes> = TableDefinition::new("tasks");
const WINDOWS: TableDefinition<&str, Bytes> = TableDefinition::new("windows");
const ROLES: TableDefinition<&str, Bytes> = TableDefinition::new("roles");
const REMOVED: TableDefinition<&str, Bytes> = TableDefinition::new("removed");

const META_SCHEMA: &str = "schema_version";
const META_CLUSTER: &str = "cluster_id";
const META_EPOCH: &str = "epoch";
/// Where its contents were moved to, for good.
const META_MOVED: &str = "moved_to";

/// A store in `<data_dir>/master.redb`. Holds the file's lock as long as it lives.
#[derive(Debug)]
pub struct DiskStore {
    path: PathBuf,
    database: Database,
}

/// A new random cluster id.
pub(super) fn new_cluster_id() -> ClusterId {
    // A hyphenated uuid is made of 0-9 a-f and "-" only.
    #[allow(clippy::expect_used)]
    ClusterId::new(Uuid::new_v4().to_string()).expect("a uuid is a valid id")
}

impl DiskStore {
    /// Opens the file, or makes the directory (for its owner only) and the file.
    ///
    /// # Errors
    /// [`StoreError`] when it is locked, corrupt or not accessible. An existing file is never replaced.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE_NAME);
        let inaccessible = |path: &Path, cause: &dyn ToString| StoreError::Inaccessible {
            path: path.to_owned(),
            cause: cause.to_string(),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(|e| inaccessible(data_dir, &e))?;
        let database = Database::create(&path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path.clone() },
            // redb reports a file that is not its own as invalid data.
            DatabaseError::Storage(StorageError::Io(cause)) if cause.kind() != std::io::ErrorKind::InvalidData => {
                inaccessible(&path, &cause)
            }
            other => StoreError::Corrupt { path: path.clone(), cause: other.to_string() },
        })?;
        Ok(Self { path, database })
    }

    /// Opens the file that a master made; makes nothing.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when it is not there, and those of [`DiskStore::open`].
    pub fn open_existing(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE_NAME);
        // What cannot be looked at is told by opening it.
        if let Ok(false) = path.try_exists() {
            return Err(StoreError::Missing { path });
        }
        Self::open(data_dir)
    }

    fn corrupt(&self, cause: impl ToString) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), cause: cause.to_string() }
    }

    fn failed(&self, cause: impl ToString) -> StoreError {
        StoreError::Write { path: self.path.clone(), cause: cause.to_string() }
    }

    /// The cluster and the epoch of the last load; `None` in a new file.
    fn read_meta(&self, meta: &Records<'_>) -> Result<Option<(ClusterId, Epoch)>, StoreError> {
        let schema: Option<u64> = self.value(meta, META_SCHEMA)?;
        match schema {
            None => return Ok(None),
            Some(found) if found > SCHEMA_VERSION => {
                return Err(StoreError::Newer { path: self.path.clone(), found, known: SCHEMA_VERSION });
            }
            Some(_) => {}
        }
        if let Some(to) = self.value(meta, META_MOVED)? {
            return Err(StoreError::Moved { path: self.path.clone(), to });
        }
        let missing = |name| self.corrupt(format!("table meta has no {name}"));
        let cluster = self.value(meta, META_CLUSTER)?.ok_or_else(|| missing(META_CLUSTER))?;
        Ok(Some((cluster, self.value(meta, META_EPOCH)?.ok_or_else(|| missing(META_EPOCH))?)))
    }

    fn write_meta(&self, transaction: &WriteTransaction, cluster: &ClusterId, epoch: Epoch) -> Result<(), StoreError> {
        let mut meta = transaction.open_table(META).map_err(|e| self.failed(e))?;
        self.put(&mut meta, META_SCHEMA, &SCHEMA_VERSION)?;
        self.put(&mut meta, META_CLUSTER, cluster)?;
        self.put(&mut meta, META_EPOCH, &epoch)
    }

    /// Checks the schema version, bumps the epoch and gives back the cluster.
    fn load_meta(&self, transaction: &WriteTransaction) -> Result<(ClusterId, Epoch), StoreError> {
        let known = self.read_meta(&transaction.open_table(META).map_err(|e| self.corrupt(e))?)?;
        let (cluster, epoch) = known.unwrap_or_else(|| (new_cluster_id(), Epoch(0)));
        let next = Epoch(epoch.0 + 1);
        self.write_meta(transaction, &cluster, next)?;
        Ok((cluster, next))
    }

    /// Says for good that its contents are elsewhere: no master starts on it any more.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub fn mark_moved(&mut self, to: &str) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(|e| self.failed(e))?;
        {
            let mut meta = transaction.open_table(META).map_err(|e| self.failed(e))?;
            self.put(&mut meta, META_MOVED, &to)?;
        }
        transaction.commit().map_err(|e| self.failed(e))
    }

    fn registry(&self, transaction: &WriteTransaction) -> Result<Registry, StoreError> {
        let mut registry = Registry {
            agents: self.records(transaction, AGENTS, "agents")?,
            frameworks: self.records(transaction, FRAMEWORKS, "frameworks")?,
            tasks: self.records(transaction, TASKS, "tasks")?,
            windows: self.records(transaction, WINDOWS, "windows")?,
            roles: self.records(transaction, ROLES, "roles")?,
            removed: self.records(transaction, REMOVED, "removed")?,
        };
        records::sort(&mut registry);
        Ok(registry)
    }

    fn value<T: DeserializeOwned>(&self, table: &Records<'_>, key: &str) -> Result<Option<T>, StoreError> {
        let Some(guard) = table.get(key).map_err(|e| self.corrupt(e))? else { return Ok(None) };
        let parsed = serde_json::from_slice(guard.value());
        parsed.map(Some).map_err(|e| self.corrupt(format!("{key}: {e}")))
    }

    fn put(&self, table: &mut Records<'_>, key: &str, value: &impl Serialize) -> Result<(), StoreError> {
        let json = serde_json::to_vec(value).map_err(|e| self.failed(e))?;
        table.insert(key, json.as_slice()).map_err(|e| self.failed(e))?;
        Ok(())
    }

    fn records<T: DeserializeOwned>(
        &self,
        transaction: &WriteTransaction,
        definition: TableDefinition<&'static str, Bytes>,
        name: &str,
    ) -> Result<Vec<T>, StoreError> {
        let table = transaction.open_table(definition).map_err(|e| self.corrupt(e))?;
        let mut records = Vec::new();
        for entry in table.iter().map_err(|e| self.corrupt(e))? {
            let (key, value) = entry.map_err(|e| self.corrupt(e))?;
            let parsed = serde_json::from_slice(value.value());
            records.push(parsed.map_err(|e| self.corrupt(format!("table {name}, key {}: {e}", key.value())))?);
        }
        Ok(records)
    }

    fn apply(&self, transaction: &WriteTransaction, operations: &[Operation]) -> Result<(), StoreError> {
        let mut agents = transaction.open_table(AGENTS).map_err(|e| self.failed(e))?;
        let mut frameworks = transaction.open_table(FRAMEWORKS).map_err(|e| self.failed(e))?;
        let mut tasks = transaction.open_table(TASKS).map_err(|e| self.failed(e))?;
        let mut windows = transaction.open_table(WINDOWS).map_err(|e| self.failed(e))?;
        let mut roles = transaction.open_table(ROLES).map_err(|e| self.failed(e))?;
        let mut removed = transaction.open_table(REMOVED).map_err(|e| self.failed(e))?;
        let delete = |table: &mut Records<'_>, key: &str| table.remove(key).map(drop).map_err(|e| self.failed(e));
        for operation in operations {
            match operation {
                Operation::PutAgent(record) => self.put(&mut agents, record.id.as_str(), record)?,
                Operation::DeleteAgent(id) => delete(&mut agents, id.as_str())?,
                Operation::PutFramework(record) => self.put(&mut frameworks, record.id.as_str(), record)?,
                Operation::DeleteFramework(id) => delete(&mut frameworks, id.as_str())?,
                Operation::PutTask(record) => self.put(&mut tasks, &record.key.to_string(), record)?,
                Operation::DeleteTask(key) => delete(&mut tasks, &key.to_string())?,
                Operation::PutWindow(record) => self.put(&mut windows, &record.id.0, record)?,
                Operation::DeleteWindow(id) => delete(&mut windows, &id.0)?,
                Operation::PutRole(record) => self.put(&mut roles, record.role.as_str(), record)?,
                Operation::DeleteRole(role) => delete(&mut roles, role.as_str())?,
                Operation::PutRemoved(record) => self.put(&mut removed, record.id.as_str(), record)?,
                Operation::DeleteRemoved(id) => delete(&mut removed, id.as_str())?,
            }
        }
        Ok(())
    }
}

impl Store for DiskStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        let transaction = self.database.begin_write().map_err(|e| self.corrupt(e))?;
        let (cluster, epoch) = self.load_meta(&transaction)?;
        let registry = self.registry(&transaction)?;
        transaction.commit().map_err(|e| self.failed(e))?;
        Ok(Loaded { cluster, epoch, registry })
    }

    fn commit(&mut self, operations: &[Operation]) -> Result<Stored, StoreError> {
        if operations.is_empty() {
            return Ok(Stored::after_commit());
        }
        let transaction = self.database.begin_write().map_err(|e| self.failed(e))?;
        self.apply(&transaction, operations)?;
        transaction.commit().map_err(|e| self.failed(e))?;
        Ok(Stored::after_commit())
    }
}

impl Backup for DiskStore {
    fn look(&mut self) -> Result<Option<Loaded>, StoreError> {
        // Never committed: nothing changes.
        let transaction = self.database.begin_write().map_err(|e| self.corrupt(e))?;
        let known = self.read_meta(&transaction.open_table(META).map_err(|e| self.corrupt(e))?)?;
        let Some((cluster, epoch)) = known else { return Ok(None) };
        Ok(Some(Loaded { cluster, epoch, registry: self.registry(&transaction)? }))
    }

    fn replace(&mut self, contents: &Loaded) -> Result<(), StoreError> {
        let Loaded { cluster, epoch, registry } = contents;
        let transaction = self.database.begin_write().map_err(|e| self.failed(e))?;
        for table in [META, AGENTS, FRAMEWORKS, TASKS, WINDOWS, ROLES, REMOVED] {
            transaction.delete_table(table).map_err(|e| self.failed(e))?;
        }
        self.write_meta(&transaction, cluster, *epoch)?;
        self.apply(&transaction, &records::operations(registry))?;
        transaction.commit().map_err(|e| self.failed(e))
    }
}
