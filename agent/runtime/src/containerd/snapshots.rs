//! Snapshots: layered file systems containerd keeps. One for every layer stack, one for every container.
//! Never mounts anything itself.

use std::collections::HashMap;

use containerd_client::services::v1::snapshots as api;
use containerd_client::types::Mount;
use tonic::Code;

use super::client::{Client, Lease};
use crate::RuntimeError;

/// Snapshot verbs for one snapshotter.
#[derive(Clone)]
pub(super) struct Snapshots {
    client: Client,
    snapshotter: String,
}

impl Snapshots {
    pub(super) fn new(client: Client, snapshotter: &str) -> Self {
        Self { client, snapshotter: snapshotter.to_owned() }
    }

    pub(super) async fn exists(&self, name: &str) -> Result<bool, RuntimeError> {
        let stat = api::StatSnapshotRequest { snapshotter: self.snapshotter.clone(), key: name.to_owned() };
        match self.client.snapshots().stat(self.client.request(stat)).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(self.client.error(format!("look for snapshot {name}"), status)),
        }
    }

    /// A writable snapshot on top of `parent` (empty: on nothing).
    pub(super) async fn prepare(
        &self,
        lease: Option<&Lease>,
        key: &str,
        parent: &str,
    ) -> Result<Vec<Mount>, RuntimeError> {
        let prepare = api::PrepareSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            labels: HashMap::new(),
        };
        let request = match lease {
            Some(lease) => self.client.leased(lease, prepare),
            None => self.client.request(prepare),
        };
        let answer = self.client.snapshots().prepare(request).await;
        answer
            .map(|answer| answer.into_inner().mounts)
            .map_err(|status| self.client.error(format!("prepare snapshot {key}"), status))
    }

    /// A read-only look at `parent`.
    pub(super) async fn view(&self, lease: &Lease, key: &str, parent: &str) -> Result<Vec<Mount>, RuntimeError> {
        let view = api::ViewSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            key: key.to_owned(),
            parent: parent.to_owned(),
            labels: HashMap::new(),
        };
        let answer = self.client.snapshots().view(self.client.leased(lease, view)).await;
        answer
            .map(|answer| answer.into_inner().mounts)
            .map_err(|status| self.client.error(format!("view snapshot {parent}"), status))
    }

    /// Makes a prepared snapshot a layer stack named `name`. Somebody else being first is success.
    pub(super) async fn commit(&self, lease: &Lease, key: &str, name: &str) -> Result<(), RuntimeError> {
        let commit = api::CommitSnapshotRequest {
            snapshotter: self.snapshotter.clone(),
            name: name.to_owned(),
            key: key.to_owned(),
            labels: HashMap::new(),
        };
        match self.client.snapshots().commit(self.client.leased(lease, commit)).await {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::AlreadyExists => self.remove(key).await,
            Err(status) => Err(self.client.error(format!("commit snapshot {name}"), status)),
        }
    }

    /// Removes a snapshot; a missing one is fine, the garbage collector may have been first.
    pub(super) async fn remove(&self, key: &str) -> Result<(), RuntimeError> {
        let remove = api::RemoveSnapshotRequest { snapshotter: self.snapshotter.clone(), key: key.to_owned() };
        match self.client.snapshots().remove(self.client.request(remove)).await {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::NotFound => Ok(()),
            Err(status) => Err(self.client.error(format!("remove snapshot {key}"), status)),
        }
    }
}
