//! A store that forgets with the process, for tests. What it holds can be shared to play a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use proffer_master_engine::Stored;
use proffer_master_engine::registry::{
    AgentRecord, FrameworkRecord, Operation, Registry, RemovedRecord, RoleRecord, TaskRecord, WindowId, WindowRecord,
};
use proffer_proto_model::{AgentId, ClusterId, Epoch, FrameworkId, Role, TaskKey};

use super::{Backup, Loaded, Store, StoreError, records};

/// A store in memory. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    cluster: Option<ClusterId>,
    epoch: u64,
    agents: BTreeMap<AgentId, AgentRecord>,
    frameworks: BTreeMap<FrameworkId, FrameworkRecord>,
    tasks: BTreeMap<TaskKey, TaskRecord>,
    windows: BTreeMap<WindowId, WindowRecord>,
    roles: BTreeMap<Role, RoleRecord>,
    removed: BTreeMap<FrameworkId, RemovedRecord>,
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.epoch += 1;
        let cluster = state.cluster.get_or_insert_with(super::disk::new_cluster_id).clone();
        Ok(Loaded { cluster, epoch: Epoch(state.epoch), registry: state.registry() })
    }

    fn commit(&mut self, operations: &[Operation]) -> Result<Stored, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for operation in operations.iter().cloned() {
            state.apply(operation);
        }
        Ok(Stored::after_commit())
    }
}

impl Backup for MemoryStore {
    fn look(&mut self) -> Result<Option<Loaded>, StoreError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(cluster) = state.cluster.clone() else { return Ok(None) };
        Ok(Some(Loaded { cluster, epoch: Epoch(state.epoch), registry: state.registry() }))
    }

    fn replace(&mut self, contents: &Loaded) -> Result<(), StoreError> {
        let Loaded { cluster, epoch, registry } = contents;
        let mut state = State { cluster: Some(cluster.clone()), epoch: epoch.0, ..State::default() };
        records::operations(registry).into_iter().for_each(|operation| state.apply(operation));
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        Ok(())
    }
}

impl State {
    fn registry(&self) -> Registry {
        Registry {
            agents: self.agents.values().cloned().collect(),
            frameworks: self.frameworks.values().cloned().collect(),
            tasks: self.tasks.values().cloned().collect(),
            windows: self.windows.values().cloned().collect(),
            roles: self.roles.values().cloned().collect(),
            removed: self.removed.values().cloned().collect(),
        }
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::PutAgent(record) => drop(self.agents.insert(record.id.clone(), *record)),
            Operation::DeleteAgent(id) => drop(self.agents.remove(&id)),
            Operation::PutFramework(record) => drop(self.frameworks.insert(record.id.clone(), record)),
            Operation::DeleteFramework(id) => drop(self.frameworks.remove(&id)),
            Operation::PutTask(record) => drop(self.tasks.insert(record.key.clone(), *record)),
            Operation::DeleteTask(key) => drop(self.tasks.remove(&key)),
            Operation::PutWindow(record) => drop(self.windows.insert(record.id.clone(), record)),
            Operation::DeleteWindow(id) => drop(self.windows.remove(&id)),
            Operation::PutRole(record) => drop(self.roles.insert(record.role.clone(), *record)),
            Operation::DeleteRole(role) => drop(self.roles.remove(&role)),
            Operation::PutRemoved(record) => drop(self.removed.insert(record.id.clone(), record)),
            Operation::DeleteRemoved(id) => drop(self.removed.remove(&id)),
        }
    }
}
