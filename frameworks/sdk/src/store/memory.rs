//! A store that lives as long as its process: for tests and for frameworks that need no memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Store, StoreError, StoreOp};

/// A store in memory. Clones share their content, so a test can restart a framework on it.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn commit(&mut self, ops: &[StoreOp]) -> Result<(), StoreError> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for op in ops {
            match op {
                StoreOp::Put { key, value } => {
                    entries.insert(key.clone(), value.clone());
                }
                StoreOp::Remove { key } => {
                    entries.remove(key);
                }
            }
        }
        Ok(())
    }
}
