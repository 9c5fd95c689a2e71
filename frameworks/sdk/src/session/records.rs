//! What the session keeps in the store, and under which keys. The author's keys live under a prefix of their own.

use std::collections::BTreeMap;

use proffer_proto_model::{AgentId, ClusterId, FrameworkId, TaskId, TaskState};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::scheduler::KillRequest;
use crate::store::{StoreError, StoreOp};
use crate::{KnownTask, StoredState};

const APP: &str = "app/";
const IDENTITY: &str = "sdk/identity";
const TASK: &str = "sdk/task/";

/// Who the framework is, as the master said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) framework: FrameworkId,
    pub(super) cluster: ClusterId,
}

/// What must be known of a task after a restart. Its state is asked for again.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct TaskRecord {
    agent: Option<AgentId>,
    is_confirmed: bool,
    kill: Option<KillRequest>,
}

/// A store's content, understood.
pub(super) struct Loaded {
    pub(super) identity: Option<Identity>,
    pub(super) tasks: BTreeMap<TaskId, KnownTask>,
    pub(super) app: StoredState,
}

pub(super) fn decode(entries: BTreeMap<String, Vec<u8>>) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded { identity: None, tasks: BTreeMap::new(), app: StoredState::new() };
    for (key, bytes) in entries {
        if let Some(app_key) = key.strip_prefix(APP) {
            loaded.app.insert(app_key.to_owned(), bytes);
        } else if key == IDENTITY {
            loaded.identity = Some(from_json(&key, &bytes)?);
        } else if let Some(id) = key.strip_prefix(TASK) {
            let id = TaskId::new(id)
                .map_err(|e| StoreError::Damaged { key: key.clone(), message: format!("its task id {e}") })?;
            let TaskRecord { agent, is_confirmed, kill } = from_json(&key, &bytes)?;
            let state = if is_confirmed { TaskState::Unknown } else { TaskState::Staging };
            loaded.tasks.insert(id, KnownTask { agent, state, is_confirmed, kill });
        } else {
            return Err(StoreError::Damaged { key, message: "no version of the SDK writes this key".to_owned() });
        }
    }
    Ok(loaded)
}

fn from_json<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|e| StoreError::Damaged { key: key.to_owned(), message: e.to_string() })
}

fn put<T: Serialize>(key: String, value: &T) -> StoreOp {
    // These types hold texts, numbers and booleans only: making JSON of them cannot fail.
    StoreOp::Put { key, value: serde_json::to_vec(value).unwrap_or_default() }
}

pub(super) fn keep_identity(identity: &Identity) -> StoreOp {
    put(IDENTITY.to_owned(), identity)
}

pub(super) fn forget_identity() -> StoreOp {
    StoreOp::Remove { key: IDENTITY.to_owned() }
}

pub(super) fn keep_task(task: &TaskId, known: &KnownTask) -> StoreOp {
    let KnownTask { agent, state: _, is_confirmed, kill } = known.clone();
    put(format!("{TASK}{task}"), &TaskRecord { agent, is_confirmed, kill })
}

pub(super) fn forget_task(task: &TaskId) -> StoreOp {
    StoreOp::Remove { key: format!("{TASK}{task}") }
}

pub(super) fn app_change(key: String, value: Option<Vec<u8>>) -> StoreOp {
    let key = format!("{APP}{key}");
    match value {
        Some(value) => StoreOp::Put { key, value },
        None => StoreOp::Remove { key },
    }
}
