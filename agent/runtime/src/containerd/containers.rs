//! Container records and everything that hangs on them: create, list, delete.
//! The record always comes before the snapshot (it protects it) and goes after the task.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use containerd_client::services::v1 as api;
use containerd_client::types::v1::{Process, Status as TaskStatus};
use prost::Message;
use prost_types::Any;
use tonic::Code;

use super::Inner;
use super::images::Runnable;
use super::snapshots::Snapshots;
use crate::id::check_id;
use crate::spec::{self, EtcFiles, SpecInput};
use crate::{ContainerInfo, ContainerRequest, ContainerStatus, Created, Mount, RuntimeError};

const RUNTIME: &str = "io.containerd.runc.v2";
const SPEC_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
const OPTIONS_TYPE: &str = "containerd.runc.v1.Options";

/// Labels under this prefix are the driver's own and never shown.
pub(super) const OWN_LABELS: &str = "dev.proffer.runtime/";

/// The part of runc's shim options in use here.
#[derive(Clone, PartialEq, Message)]
struct RuncOptions {
    /// Directory for runc's state.
    #[prost(string, tag = "7")]
    root: String,
}

impl Inner {
    pub(super) fn snapshots(&self) -> Snapshots {
        Snapshots::new(self.client.clone(), &self.config.snapshotter)
    }

    pub(super) fn cgroup_parent(&self) -> String {
        format!("/proffer/{}", self.config.namespace)
    }

    pub(super) fn cgroup_of(&self, id: &str) -> String {
        format!("{}/{id}", self.cgroup_parent())
    }

    pub(super) fn files_of(&self, id: &str) -> PathBuf {
        self.config.state_dir.join("containers").join(id)
    }

    /// See [`crate::ContainerRuntime::create`].
    pub(super) async fn create(&self, request: &ContainerRequest) -> Result<Created, RuntimeError> {
        check_id(&request.id)?;
        check_sources(request)?;
        let _slot = self.slot().await?;
        let (reference, image) = self.images.runnable(&request.image).await?;
        let user = self.resolve_user(request, &image).await?;
        let spec = spec::build(&SpecInput {
            request,
            image: &image.defaults,
            user,
            cgroups_path: self.cgroup_of(&request.id),
            cgroup: self.cgroups.version(),
            swap_accounting: self.cgroups.swap_accounting(),
            etc: self.etc_files(request),
        })?;
        self.create_record(request, &reference, &spec).await?;
        match self.create_rest(request, &image).await {
            Ok(created) => Ok(created),
            Err(error) => {
                // The record is ours: nothing of a failed create may stay behind.
                if let Err(left) = self.delete(&request.id).await {
                    tracing::warn!(container = %request.id, error = %left, "failed container could not be removed");
                }
                Err(error)
            }
        }
    }

    async fn create_record(
        &self,
        request: &ContainerRequest,
        reference: &str,
        spec: &oci_spec::runtime::Spec,
    ) -> Result<(), RuntimeError> {
        let what = || format!("create {}", request.id);
        let spec = serde_json::to_vec(spec).map_err(|error| RuntimeError::internal(what(), error))?;
        let runc_root = self.config.state_dir.join("runc").display().to_string();
        let options = RuncOptions { root: runc_root }.encode_to_vec();
        let container = api::Container {
            id: request.id.clone(),
            labels: request.labels.clone().into_iter().collect(),
            image: reference.to_owned(),
            runtime: Some(api::container::Runtime {
                name: RUNTIME.into(),
                options: Some(Any { type_url: OPTIONS_TYPE.into(), value: options }),
            }),
            spec: Some(Any { type_url: SPEC_TYPE.into(), value: spec }),
            snapshotter: self.config.snapshotter.clone(),
            snapshot_key: request.id.clone(),
            extensions: HashMap::new(),
            ..api::Container::default()
        };
        let create = api::CreateContainerRequest { container: Some(container) };
        self.client
            .containers()
            .create(self.client.request(create))
            .await
            .map_err(|status| self.client.error(what(), status))?;
        Ok(())
    }

    async fn create_rest(&self, request: &ContainerRequest, image: &Runnable) -> Result<Created, RuntimeError> {
        self.write_files(request)?;
        let snapshots = self.snapshots();
        let prepared = snapshots.prepare(None, &request.id, &image.top).await;
        let rootfs = match prepared {
            Err(error) if error.kind == crate::RuntimeErrorKind::AlreadyExists => {
                // Left by a container of this id whose record is gone: nobody can be using it.
                snapshots.remove(&request.id).await?;
                snapshots.prepare(None, &request.id, &image.top).await?
            }
            other => other?,
        };
        self.create_task(request, rootfs).await
    }

    /// Name-service files: the host's own on the host's network, generated ones in a network of its own.
    fn etc_files(&self, request: &ContainerRequest) -> EtcFiles {
        let host = |path: &str| Some(PathBuf::from(path)).filter(|path| path.exists());
        if request.netns.is_none() {
            return EtcFiles { hosts: host("/etc/hosts"), hostname: None, resolv_conf: host("/etc/resolv.conf") };
        }
        let files = self.files_of(&request.id);
        EtcFiles {
            hosts: Some(files.join("hosts")),
            hostname: request.hostname.is_some().then(|| files.join("hostname")),
            resolv_conf: Some(files.join("resolv.conf")),
        }
    }

    fn write_files(&self, request: &ContainerRequest) -> Result<(), RuntimeError> {
        let write = |path: &Path, text: String| std::fs::write(path, text);
        let attempt = || -> std::io::Result<()> {
            std::fs::create_dir_all(&request.log_dir)?;
            let files = self.files_of(&request.id);
            std::fs::create_dir_all(&files)?;
            if request.netns.is_some() {
                let hostname = request.hostname.clone().unwrap_or_default();
                write(&files.join("hosts"), hosts_text(&hostname))?;
                write(&files.join("hostname"), format!("{hostname}\n"))?;
                let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
                write(&files.join("resolv.conf"), resolv_conf_text(&host))?;
            }
            Ok(())
        };
        attempt().map_err(|error| RuntimeError::internal(format!("write the files of {}", request.id), error))
    }

    /// See [`crate::ContainerRuntime::list`].
    pub(super) async fn list(&self) -> Result<Vec<ContainerInfo>, RuntimeError> {
        let what = "list containers";
        let request = self.client.request(api::ListContainersRequest::default());
        let answer = self.client.containers().list_stream(request).await;
        let mut records = answer.map_err(|status| self.client.error(what, status))?.into_inner();
        let mut containers = BTreeMap::new();
        while let Some(message) = records.message().await.map_err(|status| self.client.error(what, status))? {
            let record = message.container.unwrap_or_default();
            containers.insert(record.id, record.labels);
        }
        let request = self.client.request(api::ListTasksRequest::default());
        let answer = self.client.tasks().list(request).await;
        let tasks = answer.map_err(|status| self.client.error(what, status))?.into_inner().tasks;
        let tasks: BTreeMap<_, _> = tasks.into_iter().map(|task| (task.id.clone(), task)).collect();
        let infos = containers.into_iter().map(|(id, labels)| ContainerInfo {
            status: tasks.get(&id).map_or(ContainerStatus::Ended, status_of),
            labels: labels.into_iter().filter(|(key, _)| !key.starts_with(OWN_LABELS)).collect(),
            id,
        });
        Ok(infos.collect())
    }

    /// The record of a container.
    pub(super) async fn record(&self, id: &str) -> Result<Option<api::Container>, RuntimeError> {
        let request = self.client.request(api::GetContainerRequest { id: id.to_owned() });
        match self.client.containers().get(request).await {
            Ok(answer) => Ok(answer.into_inner().container),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(self.client.error(format!("look for container {id}"), status)),
        }
    }

    /// See [`crate::ContainerRuntime::delete`].
    pub(super) async fn delete(&self, id: &str) -> Result<(), RuntimeError> {
        self.delete_task(id).await?;
        let request = self.client.request(api::DeleteContainerRequest { id: id.to_owned() });
        match self.client.containers().delete(request).await {
            Ok(_) => {}
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(self.client.error(format!("delete container {id}"), status)),
        }
        self.snapshots().remove(id).await?;
        self.cgroups.remove(&self.cgroup_of(id));
        // A shim that was killed leaves its socket in a directory the whole machine shares.
        let _ = std::fs::remove_file(shim_socket(&self.config.socket, &self.config.namespace, id));
        if check_id(id).is_ok() {
            let _ = std::fs::remove_dir_all(self.files_of(id));
        }
        Ok(())
    }
}

pub(super) fn status_of(task: &Process) -> ContainerStatus {
    match task.status() {
        TaskStatus::Created => ContainerStatus::Created { pid: task.pid },
        TaskStatus::Running | TaskStatus::Paused | TaskStatus::Pausing => ContainerStatus::Running { pid: task.pid },
        TaskStatus::Stopped | TaskStatus::Unknown => ContainerStatus::Ended,
    }
}

/// Where containerd puts the socket of a container's shim: named after the hash of daemon, namespace and id.
pub(super) fn shim_socket(daemon: &Path, namespace: &str, id: &str) -> PathBuf {
    use sha2::{Digest, Sha256};
    use std::os::unix::ffi::OsStrExt;
    let name = daemon.join(namespace).join(id);
    PathBuf::from(format!("/run/containerd/s/{:x}", Sha256::digest(name.as_os_str().as_bytes())))
}

/// Says so before anything is made; runc's own words for it help nobody.
fn check_sources(request: &ContainerRequest) -> Result<(), RuntimeError> {
    for mount in &request.mounts {
        if let Mount::Bind { source, target, .. } = mount
            && !source.exists()
        {
            let cause = format!(
                "{} does not exist on this host, but is to be mounted at {}",
                source.display(),
                target.display()
            );
            return Err(RuntimeError::invalid(format!("create {}", request.id), cause));
        }
    }
    Ok(())
}

fn hosts_text(hostname: &str) -> String {
    let own = if hostname.is_empty() { String::new() } else { format!("127.0.1.1\t{hostname}\n") };
    format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{own}")
}

/// The host's resolvers without those on its loopback, which a network of its own cannot reach.
fn resolv_conf_text(host: &str) -> String {
    let reachable = |line: &&str| {
        let server = line.trim().strip_prefix("nameserver").map(str::trim);
        server.is_none_or(|server| !server.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()))
    };
    host.lines().filter(reachable).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_resolvers_are_left_out() {
        let host = "search example.com\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n";
        assert_eq!(resolv_conf_text(host), "search example.com\nnameserver 192.0.2.1\n");
    }
}
