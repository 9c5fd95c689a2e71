//! Putting one image into containerd: blobs, manifest, name, snapshots, all under one lease.
//! Blobs that are there already are not fetched again.

use std::collections::HashMap;
use std::sync::Arc;

use containerd_client::services::v1 as api;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use prost_types::FieldMask;
use tonic::Code;

use super::client::Lease;
use super::content::Labels;
use super::images::{BlobSource, Fetched, Images, Runnable};
use super::manifest::{self, Descriptor, Manifest};
use super::unpack::unpack;
use crate::{Image, ImageProgress, ProgressSink, RuntimeError};

/// Blobs of one image that are fetched at once.
const CONCURRENT_BLOBS: usize = 3;

impl Images {
    /// Stores, names and unpacks one image.
    pub(super) async fn store(
        &self,
        source: &dyn BlobSource,
        reference: &str,
        fetched: &Fetched,
        progress: &ProgressSink,
    ) -> Result<Image, RuntimeError> {
        let lease = self.client.lease().await?;
        let stored = self.store_leased(source, &lease, reference, fetched, progress).await;
        self.client.release(lease).await;
        let size_bytes = stored?.size_bytes;
        Ok(Image { reference: reference.to_owned(), digest: fetched.descriptor.digest.clone(), size_bytes })
    }

    async fn store_leased(
        &self,
        source: &dyn BlobSource,
        lease: &Lease,
        reference: &str,
        fetched: &Fetched,
        progress: &ProgressSink,
    ) -> Result<Arc<Runnable>, RuntimeError> {
        let manifest: Manifest = manifest::parse(&format!("read the manifest of {reference}"), &fetched.bytes)?;
        let mut copies = Vec::new();
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            copies.push(self.copy_blob(source, lease, blob, progress).boxed());
        }
        stream::iter(copies).buffer_unordered(CONCURRENT_BLOBS).try_collect::<Vec<()>>().await?;
        self.put_manifest(lease, fetched, &manifest).await?;
        self.name(reference, &fetched.descriptor).await?;
        unpack(&self.client, &self.snapshots, &self.snapshotter, lease, &manifest, progress).await?;
        self.runnable_of(&fetched.descriptor.digest).await
    }

    async fn copy_blob(
        &self,
        source: &dyn BlobSource,
        lease: &Lease,
        blob: &Descriptor,
        progress: &ProgressSink,
    ) -> Result<(), RuntimeError> {
        blob.check_digest()?;
        if self.client.has_blob(lease, &blob.digest).await? {
            return Ok(());
        }
        let reader = source.open(blob).await?;
        let (progress, step) = (progress.clone(), source.step());
        let (item, total_bytes) = (blob.digest.clone(), blob.size);
        let on_bytes = move |done_bytes| progress(ImageProgress { step, item: item.clone(), done_bytes, total_bytes });
        self.client.put_blob(lease, blob, Labels::new(), reader, on_bytes).await
    }

    async fn put_manifest(&self, lease: &Lease, fetched: &Fetched, manifest: &Manifest) -> Result<(), RuntimeError> {
        let mut labels = Labels::new();
        labels.insert("containerd.io/gc.ref.content.config".into(), manifest.config.digest.clone());
        for (position, layer) in manifest.layers.iter().enumerate() {
            labels.insert(format!("containerd.io/gc.ref.content.l.{position}"), layer.digest.clone());
        }
        let descriptor = &fetched.descriptor;
        if self.client.has_blob(lease, &descriptor.digest).await? {
            return self.client.label_blob(&descriptor.digest, labels).await;
        }
        let reader = Box::pin(std::io::Cursor::new(fetched.bytes.clone()));
        self.client.put_blob(lease, descriptor, labels, reader, |_| {}).await
    }

    async fn name(&self, reference: &str, target: &Descriptor) -> Result<(), RuntimeError> {
        let image = api::Image {
            name: reference.to_owned(),
            labels: HashMap::new(),
            target: Some(target.to_wire()),
            ..api::Image::default()
        };
        let create = api::CreateImageRequest { image: Some(image.clone()), ..api::CreateImageRequest::default() };
        let outcome = match self.client.images().create(self.client.request(create)).await {
            Err(status) if status.code() == Code::AlreadyExists => {
                let update = api::UpdateImageRequest {
                    image: Some(image),
                    update_mask: Some(FieldMask { paths: vec!["target".into()] }),
                    ..api::UpdateImageRequest::default()
                };
                self.client.images().update(self.client.request(update)).await.map(drop)
            }
            other => other.map(drop),
        };
        outcome.map_err(|status| self.client.error(format!("name image {reference}"), status))
    }
}
