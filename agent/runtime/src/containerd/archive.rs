//! Image archives: an OCI layout or the output of `docker save`, plain or gzipped, as one tar file.
//! Reads by position, so a blob is never in memory whole; never unpacks the archive to disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tonic::async_trait;

use super::content::BlobReader;
use super::images::{BlobSource, Fetched};
use super::manifest::{
    self, Descriptor, Index, Manifest, OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_MANIFEST, choose_platform,
};
use super::tar_index::{Section, index, is_gzip, unzip};
use crate::RuntimeError;

/// Manifests and configurations above this are refused.
const MAX_JSON_BYTES: u64 = 16 * 1024 * 1024;

const DOCKER_NAME: &str = "io.containerd.image.name";
const OCI_NAME: &str = "org.opencontainers.image.ref.name";

/// One archive, opened and indexed.
pub(super) struct Archive {
    path: PathBuf,
    /// Deletes the unzipped copy when dropped.
    _unzipped: Option<tempfile::TempPath>,
    entries: BTreeMap<String, Section>,
    /// Blobs of a `docker save` without OCI layout: their digests, worked out on opening.
    by_digest: BTreeMap<String, String>,
    docker: Vec<(String, Arc<Vec<u8>>)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Archive {
    pub(super) async fn open(path: &Path) -> Result<Self, RuntimeError> {
        let path = path.to_owned();
        let what = format!("import {}", path.display());
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(&path)).await;
        match opened {
            Ok(opened) => opened.map_err(|error| RuntimeError::invalid(what, error)),
            Err(error) => Err(RuntimeError::internal(what, error)),
        }
    }

    fn open_blocking(path: &Path) -> io::Result<Self> {
        let (path, unzipped) = match is_gzip(path)? {
            false => (path.to_owned(), None),
            true => {
                let copy = unzip(path)?;
                (copy.to_path_buf(), Some(copy))
            }
        };
        let entries = index(&path).map_err(|error| {
            let fix = "write it with `docker save` or as an OCI layout, and copy it whole";
            io::Error::new(error.kind(), format!("this is not a whole tar archive ({error}): {fix}"))
        })?;
        let mut archive = Self { path, _unzipped: unzipped, entries, by_digest: BTreeMap::new(), docker: Vec::new() };
        if !archive.entries.contains_key("index.json") {
            archive.index_docker()?;
        }
        Ok(archive)
    }

    /// Every image in the archive: its name and its manifest for this machine.
    pub(super) async fn images(&self) -> Result<Vec<(String, Fetched)>, RuntimeError> {
        let what = "read the image archive";
        let mut images = Vec::new();
        if self.entries.contains_key("index.json") {
            let index: Index = manifest::parse("read index.json", &self.json("index.json").await?)?;
            let tags = self.docker_tags().await;
            for (position, entry) in index.manifests.iter().enumerate() {
                for name in names_of(entry, tags.get(position)) {
                    images.push((name, self.fetch(entry).await?));
                }
            }
        }
        for (name, bytes) in &self.docker {
            let descriptor = Descriptor::of(OCI_MANIFEST, bytes);
            images.push((name.clone(), Fetched { descriptor, bytes: bytes.to_vec() }));
        }
        match images.is_empty() {
            false => Ok(images),
            true => Err(RuntimeError::invalid(
                what,
                "no named image found: write it with `docker save NAME` or as an OCI layout whose index.json names the image",
            )),
        }
    }

    /// The manifest behind an entry of index.json, through as many indexes as there are.
    async fn fetch(&self, entry: &Descriptor) -> Result<Fetched, RuntimeError> {
        let mut entry = entry.clone();
        for _ in 0..4 {
            entry.check_digest()?;
            let bytes = self.json(&blob_path(&entry.digest)).await?;
            if manifest::sha256(&bytes) != entry.digest {
                return Err(RuntimeError::invalid(format!("read {}", entry.digest), "its content has another digest"));
            }
            if !entry.is_index() {
                return Ok(Fetched { descriptor: entry, bytes });
            }
            let index: Index = manifest::parse("read an image index", &bytes)?;
            entry = choose_platform(&index, "read the image archive")?.clone();
        }
        Err(RuntimeError::invalid("read the image archive", "its indexes are nested too deeply"))
    }

    /// Newer `docker save` writes both forms, in the same order; tags are only in its own.
    async fn docker_tags(&self) -> Vec<Vec<String>> {
        let Ok(bytes) = self.json("manifest.json").await else {
            return Vec::new();
        };
        let entries: Vec<DockerEntry> = serde_json::from_slice(&bytes).unwrap_or_default();
        entries.into_iter().map(|entry| entry.repo_tags.unwrap_or_default()).collect()
    }

    async fn json(&self, name: &str) -> Result<Vec<u8>, RuntimeError> {
        let what = || format!("read {name} of the image archive");
        let section = self.section(name)?;
        if section.size_bytes > MAX_JSON_BYTES {
            return Err(RuntimeError::invalid(what(), "too large for a manifest or configuration"));
        }
        let mut bytes = Vec::new();
        let mut reader = self.reader(section).await.map_err(|error| RuntimeError::internal(what(), error))?;
        reader.read_to_end(&mut bytes).await.map_err(|error| RuntimeError::internal(what(), error))?;
        Ok(bytes)
    }

    fn section(&self, name: &str) -> Result<Section, RuntimeError> {
        self.entries.get(name).copied().ok_or_else(|| {
            RuntimeError::invalid("read the image archive", format!("{name} is missing: the archive is incomplete"))
        })
    }

    async fn reader(&self, section: Section) -> io::Result<BlobReader> {
        let mut file = tokio::fs::File::open(&self.path).await?;
        file.seek(SeekFrom::Start(section.offset_bytes)).await?;
        Ok(Box::pin(file.take(section.size_bytes)))
    }

    /// Builds OCI manifests for a `docker save` archive that has only its own manifest.json.
    fn index_docker(&mut self) -> io::Result<()> {
        let broken = |cause: String| io::Error::new(io::ErrorKind::InvalidData, cause);
        let Some(section) = self.entries.get("manifest.json").copied() else {
            return Err(broken("neither index.json nor manifest.json inside: not an image archive".into()));
        };
        let bytes = self.read_blocking(section)?;
        let entries: Vec<DockerEntry> =
            serde_json::from_slice(&bytes).map_err(|error| broken(format!("manifest.json: {error}")))?;
        for entry in entries {
            let config = self.describe(&entry.config, OCI_CONFIG)?;
            let mut layers = Vec::new();
            for layer in &entry.layers {
                layers.push(self.describe(layer, OCI_LAYER)?);
            }
            let manifest = Manifest { schema_version: 2, media_type: Some(OCI_MANIFEST.into()), config, layers };
            let bytes = Arc::new(serde_json::to_vec(&manifest)?);
            for name in entry.repo_tags.unwrap_or_default() {
                self.docker.push((name, bytes.clone()));
            }
        }
        Ok(())
    }

    /// Digest, size and kind of a member, remembered under its digest.
    fn describe(&mut self, name: &str, media_type: &str) -> io::Result<Descriptor> {
        let missing =
            || io::Error::new(io::ErrorKind::InvalidData, format!("{name} is missing: the archive is incomplete"));
        let section = self.entries.get(name).copied().ok_or_else(missing)?;
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(section.offset_bytes))?;
        let mut limited = file.take(section.size_bytes);
        let (mut hasher, mut magic, mut buffer) = (Sha256::new(), Vec::new(), vec![0; 256 * 1024]);
        loop {
            let count = limited.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            if magic.is_empty() {
                magic.extend_from_slice(&buffer[..count.min(2)]);
            }
            hasher.update(&buffer[..count]);
        }
        let digest = format!("sha256:{:x}", hasher.finalize());
        let zipped = media_type == OCI_LAYER && magic == [0x1f, 0x8b];
        let media_type = if zipped { OCI_LAYER_GZIP } else { media_type };
        self.by_digest.insert(digest.clone(), name.to_owned());
        Ok(Descriptor { digest, size: section.size_bytes, ..Descriptor::of(media_type, b"") })
    }

    fn read_blocking(&self, section: Section) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(section.offset_bytes))?;
        let mut bytes = Vec::new();
        file.take(section.size_bytes.min(MAX_JSON_BYTES)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[async_trait]
impl BlobSource for Archive {
    fn step(&self) -> &'static str {
        "importing"
    }

    async fn open(&self, blob: &Descriptor) -> Result<BlobReader, RuntimeError> {
        let name = self.by_digest.get(&blob.digest).cloned().unwrap_or_else(|| blob_path(&blob.digest));
        let section = self.section(&name)?;
        let what = || format!("read {name} of the image archive");
        self.reader(section).await.map_err(|error| RuntimeError::internal(what(), error))
    }
}

/// Names of one entry: the full name Docker writes, else the OCI name, else the tags of manifest.json.
fn names_of(entry: &Descriptor, tags: Option<&Vec<String>>) -> Vec<String> {
    if let Some(name) = entry.annotations.get(DOCKER_NAME) {
        return vec![name.clone()];
    }
    match (entry.annotations.get(OCI_NAME), tags) {
        (_, Some(tags)) if !tags.is_empty() => tags.clone(),
        (Some(name), _) => vec![name.clone()],
        (None, _) => Vec::new(),
    }
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}
