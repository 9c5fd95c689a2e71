//! Records as stores of keys and values keep them: `table/id`, and the record as JSON. No I/O.

use std::collections::BTreeMap;

use proffer_master_engine::registry::{Operation, Registry};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What becomes of each key; `None`: it is forgotten. Of several operations on one key the last counts.
pub(super) type Changes = BTreeMap<String, Option<Vec<u8>>>;

/// What a batch of operations comes to.
pub(super) fn changes(operations: &[Operation]) -> Result<Changes, serde_json::Error> {
    let mut changes = Changes::new();
    for operation in operations {
        let (key, value) = match operation {
            Operation::PutAgent(record) => put("agents", &record.id, record)?,
            Operation::DeleteAgent(id) => delete("agents", id),
            Operation::PutFramework(record) => put("frameworks", &record.id, record)?,
            Operation::DeleteFramework(id) => delete("frameworks", id),
            Operation::PutTask(record) => put("tasks", &record.key, record)?,
            Operation::DeleteTask(key) => delete("tasks", key),
            Operation::PutWindow(record) => put("windows", &record.id, record)?,
            Operation::DeleteWindow(id) => delete("windows", id),
            Operation::PutRole(record) => put("roles", &record.role, record)?,
            Operation::DeleteRole(role) => delete("roles", role),
            Operation::PutRemoved(record) => put("removed", &record.id, record)?,
            Operation::DeleteRemoved(id) => delete("removed", id),
        };
        changes.insert(key, value);
    }
    Ok(changes)
}

/// All of a registry.
pub(super) fn all(registry: &Registry) -> Result<Changes, serde_json::Error> {
    changes(&operations(registry))
}

/// The operations that make a registry of nothing.
pub(super) fn operations(registry: &Registry) -> Vec<Operation> {
    let Registry { agents, frameworks, tasks, windows, roles, removed } = registry.clone();
    let agents = agents.into_iter().map(|record| Operation::PutAgent(Box::new(record)));
    let frameworks = frameworks.into_iter().map(Operation::PutFramework);
    let tasks = tasks.into_iter().map(|record| Operation::PutTask(Box::new(record)));
    let windows = windows.into_iter().map(Operation::PutWindow);
    let roles = roles.into_iter().map(|record| Operation::PutRole(Box::new(record)));
    let removed = removed.into_iter().map(Operation::PutRemoved);
    agents.chain(frameworks).chain(tasks).chain(windows).chain(roles).chain(removed).collect()
}

/// The registry of all records.
///
/// # Errors
/// Which record cannot be understood, and why.
pub(super) fn registry(records: &BTreeMap<String, Vec<u8>>) -> Result<Registry, String> {
    let mut registry = Registry::default();
    for (key, value) in records {
        let table = key.split_once('/').map_or("", |(table, _)| table);
        match table {
            "agents" => registry.agents.push(read(key, value)?),
            "frameworks" => registry.frameworks.push(read(key, value)?),
            "tasks" => registry.tasks.push(read(key, value)?),
            "windows" => registry.windows.push(read(key, value)?),
            "roles" => registry.roles.push(read(key, value)?),
            "removed" => registry.removed.push(read(key, value)?),
            _ => return Err(format!("{key} is of no table that this program knows")),
        }
    }
    sort(&mut registry);
    Ok(registry)
}

/// The order of text keys is not the order of the ids in every case.
pub(super) fn sort(registry: &mut Registry) {
    let Registry { agents, frameworks, tasks, windows, roles, removed } = registry;
    agents.sort_by(|a, b| a.id.cmp(&b.id));
    frameworks.sort_by(|a, b| a.id.cmp(&b.id));
    tasks.sort_by(|a, b| a.key.cmp(&b.key));
    windows.sort_by(|a, b| a.id.cmp(&b.id));
    roles.sort_by(|a, b| a.role.cmp(&b.role));
    removed.sort_by(|a, b| a.id.cmp(&b.id));
}

fn put<R: Serialize>(
    table: &str,
    id: &impl ToString,
    record: &R,
) -> Result<(String, Option<Vec<u8>>), serde_json::Error> {
    Ok((key(table, id), Some(serde_json::to_vec(record)?)))
}

fn delete(table: &str, id: &impl ToString) -> (String, Option<Vec<u8>>) {
    (key(table, id), None)
}

fn key(table: &str, id: &impl ToString) -> String {
    format!("{table}/{}", id.to_string())
}

fn read<R: DeserializeOwned>(key: &str, value: &[u8]) -> Result<R, String> {
    serde_json::from_slice(value).map_err(|error| format!("{key}: {error}"))
}
