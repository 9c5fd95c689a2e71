//! The one key that every write compares and moves on: who may write, what was written last, and where the records are.

use proffer_proto_model::{ClusterId, Epoch};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Version of the layout in etcd; grows with every change that an older program cannot read.
pub(super) const SCHEMA_VERSION: u64 = 2;

/// The value of the key `PREFIX/meta`.
///
/// No two are ever the same: the holder is new with each start, and the sequence moves with each write. So a request that
/// comes late, when its sender has long tried again or given up, finds another value and does nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    pub schema: u64,
    pub cluster: ClusterId,
    pub epoch: Epoch,
    /// The start of a program that may write.
    pub holder: String,
    /// Counts its writes.
    pub sequence: u64,
    /// Records are below `PREFIX/records/GENERATION/`.
    pub generation: u64,
    /// So many staged parts are committed and not all applied; 0 in between.
    pub staged: u64,
}

/// The version alone, which every later layout has too.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub schema: u64,
}

impl Meta {
    /// A new holder takes over.
    pub fn taken(&self) -> Self {
        let (schema, holder) = (SCHEMA_VERSION, Uuid::new_v4().to_string());
        Self { schema, epoch: Epoch(self.epoch.0 + 1), holder, sequence: 0, ..self.clone() }
    }

    /// The same holder after one more write.
    pub fn moved(&self) -> Self {
        Self { sequence: self.sequence + 1, ..self.clone() }
    }

    /// The value of the key.
    pub fn bytes(&self) -> Vec<u8> {
        // Strings and numbers can always be written as JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Where a store keeps its keys.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// Without a slash at its end.
    pub prefix: String,
}

impl Keys {
    pub fn meta(&self) -> String {
        format!("{}/meta", self.prefix)
    }

    /// Of all records of a generation, with a slash at its end.
    pub fn records(&self, generation: u64) -> String {
        format!("{}/records/{generation}/", self.prefix)
    }

    pub fn all_records(&self) -> String {
        format!("{}/records/", self.prefix)
    }

    /// Of all staged parts, with a slash at its end.
    pub fn staged(&self) -> String {
        format!("{}/staged/", self.prefix)
    }

    /// Of one staged part; their order is that of their numbers.
    pub fn part(&self, number: usize) -> String {
        format!("{}/staged/{number:08}", self.prefix)
    }
}
