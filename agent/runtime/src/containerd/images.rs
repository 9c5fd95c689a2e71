//! Images: from an archive or a registry into containerd, unpacked and safe from its garbage collector.
//! The image record always points at the manifest for this machine, never at an index of several.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use containerd_client::services::v1 as api;
use tonic::{Code, async_trait};

use super::ContainerdConfig;
use super::archive::Archive;
use super::client::Client;
use super::content::BlobReader;
use super::manifest::{self, Descriptor, ImageConfig, Manifest};
use super::registries::Registries;
use super::snapshots::Snapshots;
use super::unpack::unpack;
use crate::reference::{normalize_reference, parse_reference};
use crate::spec::ImageDefaults;
use crate::{Image, ProgressSink, PullPolicy, RuntimeError};

/// Images whose configuration is kept parsed; they never change, so this only bounds memory.
const MAX_KNOWN: usize = 256;

/// Where blobs come from.
#[async_trait]
pub(super) trait BlobSource: Send + Sync {
    /// For progress: what is being done.
    fn step(&self) -> &'static str;
    /// The bytes of a blob, unchecked.
    async fn open(&self, blob: &Descriptor) -> Result<BlobReader, RuntimeError>;
}

/// An image ready to make containers of.
#[derive(Debug, Clone)]
pub(super) struct Runnable {
    pub(super) defaults: ImageDefaults,
    /// Snapshot with all layers; empty when the image has none.
    pub(super) top: String,
    pub(super) size_bytes: u64,
}

/// A manifest and its bytes as they are stored.
pub(super) struct Fetched {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Images {
    pub(super) client: Client,
    pub(super) snapshots: Snapshots,
    pub(super) snapshotter: String,
    registries: Registries,
    known: Mutex<BTreeMap<String, Arc<Runnable>>>,
    /// One lock per reference in work, so that two tasks never pull the same image side by side.
    in_work: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Images {
    pub(super) fn new(client: Client, config: &ContainerdConfig) -> Result<Self, RuntimeError> {
        Ok(Self {
            snapshots: Snapshots::new(client.clone(), &config.snapshotter),
            snapshotter: config.snapshotter.clone(),
            registries: Registries::new(
                config.insecure_registries.clone(),
                config.registry_auth_file.clone(),
                config.registry_certs_dir.clone(),
            ),
            client,
            known: Mutex::default(),
            in_work: Mutex::default(),
        })
    }

    /// See [`crate::ContainerRuntime::import_image`].
    pub(super) async fn import(&self, tar: &Path, progress: &ProgressSink) -> Result<Vec<Image>, RuntimeError> {
        let archive = Archive::open(tar).await?;
        let mut images = Vec::new();
        for (name, fetched) in archive.images().await? {
            let reference = normalize_reference(&name)?;
            let lock = self.lock_for(&reference);
            let working = lock.lock().await;
            let stored = self.store(&archive, &reference, &fetched, progress).await;
            self.forget_lock(&reference, &lock);
            drop(working);
            images.push(stored?);
        }
        images.sort_by(|a: &Image, b| a.reference.cmp(&b.reference));
        Ok(images)
    }

    /// See [`crate::ContainerRuntime::ensure_image`].
    pub(super) async fn ensure(
        &self,
        reference: &str,
        policy: PullPolicy,
        progress: &ProgressSink,
    ) -> Result<Image, RuntimeError> {
        let parsed = parse_reference(reference)?;
        let reference = parsed.whole();
        let lock = self.lock_for(&reference);
        let _working = lock.lock().await;
        let outcome = self.ensure_locked(&parsed, &reference, policy, progress).await;
        self.forget_lock(&reference, &lock);
        outcome
    }

    async fn ensure_locked(
        &self,
        parsed: &oci_client::Reference,
        reference: &str,
        policy: PullPolicy,
        progress: &ProgressSink,
    ) -> Result<Image, RuntimeError> {
        let present = self.target(reference).await?;
        match (present, policy) {
            (Some(target), PullPolicy::Missing | PullPolicy::Never) => self.ready(reference, target, progress).await,
            (None, PullPolicy::Never) => Err(RuntimeError::not_found(
                format!("image {reference}"),
                "it is not on this agent and its pull policy is `never`: import it with `proffer image import` or set pull: missing",
            )),
            (None, PullPolicy::Missing) | (_, PullPolicy::Always) => {
                let remote = self.registries.open(parsed)?;
                let fetched = remote.manifest().await?;
                self.store(&remote, reference, &fetched, progress).await
            }
        }
    }

    /// See [`crate::ContainerRuntime::images`].
    pub(super) async fn list(&self) -> Result<Vec<Image>, RuntimeError> {
        let request = self.client.request(api::ListImagesRequest::default());
        let answer = self.client.images().list(request).await;
        let records = answer.map_err(|status| self.client.error("list images", status))?.into_inner().images;
        let mut images = Vec::new();
        for record in records {
            let digest = record.target.map(|target| target.digest).unwrap_or_default();
            let size_bytes = match self.runnable_of(&digest).await {
                Ok(runnable) => runnable.size_bytes,
                Err(error) => {
                    tracing::warn!(image = %record.name, %error, "image cannot be read");
                    0
                }
            };
            images.push(Image { reference: record.name, digest, size_bytes });
        }
        images.sort_by(|a, b| a.reference.cmp(&b.reference));
        Ok(images)
    }

    /// The image a container is to be made of.
    pub(super) async fn runnable(&self, reference: &str) -> Result<(String, Arc<Runnable>), RuntimeError> {
        let reference = normalize_reference(reference)?;
        match self.target(&reference).await? {
            Some(digest) => Ok((reference, self.runnable_of(&digest).await?)),
            None => Err(RuntimeError::not_found(
                format!("image {reference}"),
                "it is not on this agent: pull it or import it with `proffer image import` first",
            )),
        }
    }

    /// Digest of the manifest a reference stands for here.
    async fn target(&self, reference: &str) -> Result<Option<String>, RuntimeError> {
        let request = self.client.request(api::GetImageRequest { name: reference.to_owned() });
        match self.client.images().get(request).await {
            Ok(answer) => {
                let image = answer.into_inner().image.unwrap_or_default();
                Ok(image.target.map(|target| target.digest))
            }
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(self.client.error(format!("look for image {reference}"), status)),
        }
    }

    /// A stored image, unpacked again where snapshots were lost.
    async fn ready(&self, reference: &str, digest: String, progress: &ProgressSink) -> Result<Image, RuntimeError> {
        let runnable = self.runnable_of(&digest).await?;
        if !runnable.top.is_empty() && !self.snapshots.exists(&runnable.top).await? {
            let bytes = self.client.read_blob(&digest).await?;
            let manifest: Manifest = manifest::parse("read the image manifest", &bytes)?;
            let lease = self.client.lease().await?;
            let unpacked = unpack(&self.client, &self.snapshots, &self.snapshotter, &lease, &manifest, progress).await;
            self.client.release(lease).await;
            unpacked?;
        }
        Ok(Image { reference: reference.to_owned(), digest, size_bytes: runnable.size_bytes })
    }

    pub(super) async fn runnable_of(&self, digest: &str) -> Result<Arc<Runnable>, RuntimeError> {
        if let Some(known) = lock(&self.known).get(digest) {
            return Ok(known.clone());
        }
        let bytes = self.client.read_blob(digest).await?;
        let manifest: Manifest = manifest::parse(&format!("read manifest {digest}"), &bytes)?;
        let config = self.client.read_blob(&manifest.config.digest).await?;
        let config: ImageConfig = manifest::parse(&format!("read configuration {}", manifest.config.digest), &config)?;
        let runnable = Arc::new(Runnable {
            defaults: config.config.unwrap_or_default(),
            top: manifest::chain_ids(&config.rootfs.diff_ids).pop().unwrap_or_default(),
            size_bytes: manifest.size_bytes() + bytes.len() as u64,
        });
        let mut known = lock(&self.known);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(digest.to_owned(), runnable.clone());
        Ok(runnable)
    }

    fn lock_for(&self, reference: &str) -> Arc<tokio::sync::Mutex<()>> {
        lock(&self.in_work).entry(reference.to_owned()).or_default().clone()
    }

    fn forget_lock(&self, reference: &str, held: &Arc<tokio::sync::Mutex<()>>) {
        let mut in_work = lock(&self.in_work);
        // The map and this call hold it; anybody else still waits for it.
        if Arc::strong_count(held) <= 2 {
            in_work.remove(reference);
        }
    }
}

/// A poisoned lock only means another task panicked; the maps stay consistent between statements.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
