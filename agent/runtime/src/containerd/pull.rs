//! Images from registries, streamed. Plain HTTP only for loopback addresses and registries listed as insecure.
//! Checks nothing itself but the manifest's digest: containerd checks every blob it stores.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use oci_client::Reference;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use tokio_util::io::StreamReader;
use tonic::async_trait;

use super::content::BlobReader;
use super::images::{BlobSource, Fetched};
use super::manifest::{
    self, DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, Index, Manifest, OCI_INDEX, OCI_MANIFEST, choose_platform,
};
use crate::reference::is_loopback_registry;
use crate::{RuntimeError, RuntimeErrorKind};

/// Time to connect to a registry.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// A registry that sends nothing for this long is given up.
const READ_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// How registries are spoken to.
pub(super) struct Registries {
    insecure: BTreeSet<String>,
}

/// One image at its registry.
pub(super) struct Remote {
    client: oci_client::Client,
    reference: Reference,
}

impl Registries {
    pub(super) fn new(insecure: BTreeSet<String>) -> Self {
        Self { insecure }
    }

    /// Nothing is sent yet.
    pub(super) fn open(&self, reference: &Reference) -> Result<Remote, RuntimeError> {
        let registry = reference.resolve_registry();
        let plain = is_loopback_registry(registry) || self.insecure.contains(registry);
        let config = ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            user_agent: concat!("proffer/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = oci_client::Client::try_from(config)
            .map_err(|error| RuntimeError::internal(format!("pull {}", reference.whole()), error))?;
        Ok(Remote { client, reference: reference.clone() })
    }
}

impl Remote {
    /// The manifest for this machine.
    pub(super) async fn manifest(&self) -> Result<Fetched, RuntimeError> {
        let mut reference = self.reference.clone();
        for _ in 0..4 {
            let fetched = self.fetch(&reference).await?;
            if !fetched.descriptor.is_index() {
                return Ok(fetched);
            }
            let index: Index = manifest::parse(&self.what(), &fetched.bytes)?;
            let chosen = choose_platform(&index, &self.what())?;
            reference = self.reference.clone_with_digest(chosen.digest.clone());
        }
        Err(RuntimeError::invalid(self.what(), "its indexes are nested too deeply"))
    }

    async fn fetch(&self, reference: &Reference) -> Result<Fetched, RuntimeError> {
        let accepted = [OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_INDEX];
        let (bytes, _) = self
            .client
            .pull_manifest_raw(reference, &RegistryAuth::Anonymous, &accepted)
            .await
            .map_err(|error| self.error(&error))?;
        let descriptor = Descriptor::of(media_type(&bytes), &bytes);
        if reference.digest().is_some_and(|wanted| wanted != descriptor.digest) {
            let cause = format!("the registry sent a manifest with digest {}", descriptor.digest);
            return Err(RuntimeError::new(RuntimeErrorKind::ImageUnavailable, self.what(), cause));
        }
        Ok(Fetched { descriptor, bytes: bytes.to_vec() })
    }

    fn what(&self) -> String {
        format!("pull {}", self.reference.whole())
    }

    fn error(&self, error: &OciDistributionError) -> RuntimeError {
        let registry = self.reference.resolve_registry();
        let gone = |cause: String| RuntimeError::new(RuntimeErrorKind::ImageUnavailable, self.what(), cause);
        match error {
            OciDistributionError::ImageManifestNotFoundError(_) => {
                gone(format!("{registry} has no such image: check name and tag, or push it first"))
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                match envelope.errors.first().map(|first| &first.code) {
                    Some(OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound) => {
                        gone(format!("{registry} has no such image: check name and tag, or push it first"))
                    }
                    Some(OciErrorCode::Toomanyrequests) => RuntimeError::new(
                        RuntimeErrorKind::Unavailable,
                        self.what(),
                        format!("{registry}: too many requests"),
                    ),
                    _ => gone(format!("{registry} refused: {envelope}")),
                }
            }
            OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
                gone(format!("{registry} wants credentials or denies access: {error}"))
            }
            OciDistributionError::ServerError { code, .. } if *code < 500 && *code != 429 => {
                gone(format!("{registry} refused: {error}"))
            }
            OciDistributionError::DigestError(_) => gone(error.to_string()),
            other => RuntimeError::new(
                RuntimeErrorKind::Unavailable,
                self.what(),
                format!("{registry} cannot be reached: {}", with_sources(other)),
            ),
        }
    }
}

#[async_trait]
impl BlobSource for Remote {
    fn step(&self) -> &'static str {
        "pulling"
    }

    async fn open(&self, blob: &Descriptor) -> Result<BlobReader, RuntimeError> {
        let stream = self.client.pull_blob_stream(&self.reference, blob.digest.as_str()).await;
        let stream = stream.map_err(|error| self.error(&error))?.stream;
        Ok(Box::pin(StreamReader::new(stream.map_err(std::io::Error::other))))
    }
}

/// The manifest's own word for what it is, or what its fields say.
fn media_type(bytes: &[u8]) -> &'static str {
    let declared = serde_json::from_slice::<serde_json::Value>(bytes)
        .ok()
        .and_then(|value| value.get("mediaType").and_then(|kind| kind.as_str().map(str::to_owned)));
    match declared.as_deref() {
        Some(DOCKER_INDEX) => DOCKER_INDEX,
        Some(DOCKER_MANIFEST) => DOCKER_MANIFEST,
        Some(OCI_INDEX) => OCI_INDEX,
        Some(OCI_MANIFEST) => OCI_MANIFEST,
        _ if serde_json::from_slice::<Manifest>(bytes).is_err() && serde_json::from_slice::<Index>(bytes).is_ok() => {
            OCI_INDEX
        }
        _ => OCI_MANIFEST,
    }
}

/// An error with its causes: reqwest hides the interesting part in them.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
