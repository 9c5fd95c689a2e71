//! A store in one file, made durable by redb before each commit returns.

use std::collections::BTreeMap;
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::{Store, StoreError, StoreOp};

const ENTRIES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("entries");

/// A store in one file. The file is locked while it is open.
#[derive(Debug)]
pub struct FileStore {
    database: Database,
}

impl FileStore {
    /// Opens the file, or makes it with the directories above it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let failed = |message: String| StoreError::Open { path: path.display().to_string(), message };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| failed(e.to_string()))?;
        }
        let database = Database::create(path).map_err(|e| failed(e.to_string()))?;
        Ok(Self { database })
    }
}

fn read(error: impl std::fmt::Display) -> StoreError {
    StoreError::Read { message: error.to_string() }
}

fn write(error: impl std::fmt::Display) -> StoreError {
    StoreError::Write { message: error.to_string() }
}

impl Store for FileStore {
    fn load(&mut self) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        let transaction = self.database.begin_read().map_err(read)?;
        let table = match transaction.open_table(ENTRIES) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
            Err(error) => return Err(read(error)),
        };
        let mut entries = BTreeMap::new();
        for entry in table.iter().map_err(read)? {
            let (key, value) = entry.map_err(read)?;
            entries.insert(key.value().to_owned(), value.value().to_vec());
        }
        Ok(entries)
    }

    fn commit(&mut self, ops: &[StoreOp]) -> Result<(), StoreError> {
        if ops.is_empty() {
            return Ok(());
        }
        let transaction = self.database.begin_write().map_err(write)?;
        {
            let mut table = transaction.open_table(ENTRIES).map_err(write)?;
            for op in ops {
                match op {
                    StoreOp::Put { key, value } => {
                        table.insert(key.as_str(), value.as_slice()).map_err(write)?;
                    }
                    StoreOp::Remove { key } => {
                        table.remove(key.as_str()).map_err(write)?;
                    }
                }
            }
        }
        transaction.commit().map_err(write)
    }
}
