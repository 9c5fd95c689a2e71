//! Turns the layers of a stored image into snapshots. containerd applies the layers, white-outs included.

use containerd_client::services::v1::ApplyRequest;
use std::collections::HashMap;

use super::client::{Client, Lease};
use super::content::Labels;
use super::manifest::{self, Descriptor, ImageConfig, Manifest};
use super::snapshots::Snapshots;
use crate::{ImageProgress, ProgressSink, RuntimeError, RuntimeErrorKind};

/// Unpacks every layer that is not unpacked yet; answers the name of the whole stack (empty without layers).
pub(super) async fn unpack(
    client: &Client,
    snapshots: &Snapshots,
    snapshotter: &str,
    lease: &Lease,
    manifest: &Manifest,
    progress: &ProgressSink,
) -> Result<String, RuntimeError> {
    let bytes = client.read_blob(&manifest.config.digest).await?;
    let config: ImageConfig = manifest::parse("read the image configuration", &bytes)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != manifest.layers.len() {
        let cause =
            format!("{} layers but {} layer digests in the configuration", manifest.layers.len(), diff_ids.len());
        return Err(RuntimeError::invalid("unpack the image", cause));
    }
    let chain = manifest::chain_ids(diff_ids);
    for (position, layer) in manifest.layers.iter().enumerate() {
        let parent = if position == 0 { "" } else { &chain[position - 1] };
        client.lease_resource(lease, &format!("snapshots/{snapshotter}"), &chain[position]).await?;
        if snapshots.exists(&chain[position]).await? {
            continue;
        }
        progress(ImageProgress {
            step: "unpacking",
            item: layer.digest.clone(),
            done_bytes: 0,
            total_bytes: layer.size,
        });
        apply(client, snapshots, lease, layer, &diff_ids[position], &chain[position], parent).await?;
        client.label_blob(&layer.digest, labels("containerd.io/uncompressed", &diff_ids[position])).await?;
        progress(ImageProgress {
            step: "unpacking",
            item: layer.digest.clone(),
            done_bytes: layer.size,
            total_bytes: layer.size,
        });
    }
    let top = chain.last().cloned().unwrap_or_default();
    if !top.is_empty() {
        let key = format!("containerd.io/gc.ref.snapshot.{snapshotter}");
        client.label_blob(&manifest.config.digest, labels(&key, &top)).await?;
    }
    Ok(top)
}

async fn apply(
    client: &Client,
    snapshots: &Snapshots,
    lease: &Lease,
    layer: &Descriptor,
    diff_id: &str,
    name: &str,
    parent: &str,
) -> Result<(), RuntimeError> {
    let what = || format!("unpack layer {}", layer.digest);
    let key = format!("extract-{} {name}", uuid::Uuid::new_v4());
    let mounts = snapshots.prepare(Some(lease), &key, parent).await?;
    let request = ApplyRequest { diff: Some(layer.to_wire()), mounts, payloads: HashMap::new(), sync_fs: false };
    let applied = match client.diff().apply(client.leased(lease, request)).await {
        Ok(answer) => answer.into_inner().applied.map(|applied| applied.digest).unwrap_or_default(),
        Err(status) => {
            let _ = snapshots.remove(&key).await;
            return Err(client.error(what(), status));
        }
    };
    if applied != diff_id {
        let _ = snapshots.remove(&key).await;
        let cause = format!("its content has digest {applied}, the image says {diff_id}");
        return Err(RuntimeError::new(RuntimeErrorKind::ImageUnavailable, what(), cause));
    }
    snapshots.commit(lease, &key, name).await
}

fn labels(key: &str, value: &str) -> Labels {
    HashMap::from([(key.to_owned(), value.to_owned())])
}
