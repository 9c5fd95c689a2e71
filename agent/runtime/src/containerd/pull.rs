//! Images from registries, streamed.
//! Checks nothing itself but the manifest's digest: containerd checks every blob it stores.

use futures_util::TryStreamExt;
use oci_client::Reference;
use oci_client::client::ClientConfig;
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use tokio_util::io::StreamReader;
use tonic::async_trait;

use super::content::BlobReader;
use super::images::{BlobSource, Fetched};
use super::manifest::{
    self, DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, Index, Manifest, OCI_INDEX, OCI_MANIFEST, choose_platform,
};
use super::registries::{Access, Registries};
use crate::{RuntimeError, RuntimeErrorKind};

/// Time to connect to a registry.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// A registry that sends nothing for this long is given up.
const READ_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// One image at its registry.
pub(super) struct Remote {
    client: oci_client::Client,
    auth: RegistryAuth,
    reference: Reference,
    registries: Registries,
}

impl Registries {
    /// Nothing is sent yet.
    pub(super) fn open(&self, reference: &Reference) -> Result<Remote, RuntimeError> {
        let Access { protocol, auth, roots } = self.access(reference.resolve_registry())?;
        let config = ClientConfig {
            protocol,
            extra_root_certificates: roots,
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            user_agent: concat!("proffer/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = oci_client::Client::try_from(config).map_err(|error| {
            let cause = format!("{}; check the certificates of the registry", with_sources(&error));
            RuntimeError::invalid(format!("pull {}", reference.whole()), cause)
        })?;
        Ok(Remote { client, auth, reference: reference.clone(), registries: self.clone() })
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
            .pull_manifest_raw(reference, &self.auth, &accepted)
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
                    Some(OciErrorCode::Unauthorized | OciErrorCode::Denied) => gone(self.denied(registry)),
                    _ => gone(format!("{registry} refused: {envelope}")),
                }
            }
            OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
                gone(self.denied(registry))
            }
            OciDistributionError::ServerError { code: 400, message, .. } if message.contains("HTTPS server") => {
                let place = self.registries.place_of_certificate(registry);
                gone(format!("{registry} speaks TLS: put the certificate of its authority into {place}"))
            }
            OciDistributionError::ServerError { code, .. } if *code < 500 && *code != 429 => {
                gone(format!("{registry} refused: {error}"))
            }
            OciDistributionError::DigestError(_) => gone(error.to_string()),
            other => match self.tls_problem(registry, &with_sources(other)) {
                Some(cause) => gone(cause),
                None => RuntimeError::new(
                    RuntimeErrorKind::Unavailable,
                    self.what(),
                    format!("{registry} cannot be reached: {}", with_sources(other)),
                ),
            },
        }
    }

    fn denied(&self, registry: &str) -> String {
        let place = self.registries.place_of_credentials();
        match &self.auth {
            RegistryAuth::Anonymous => {
                format!("{registry} wants a user and a password (401): put them into {place}")
            }
            _ => {
                format!("{registry} does not take this user and password, or denies this image (401): correct {place}")
            }
        }
    }

    /// What the words of a failed TLS handshake mean.
    fn tls_problem(&self, registry: &str, words: &str) -> Option<String> {
        if words.contains("UnknownIssuer") || words.contains("unknown issuer") {
            let place = self.registries.place_of_certificate(registry);
            return Some(format!(
                "nobody this host trusts has signed the certificate of {registry}: put that of its authority into {place}"
            ));
        }
        if words.contains("invalid peer certificate") {
            return Some(format!("the certificate of {registry} is not valid: {words}"));
        }
        let is_plain = words.contains("InvalidContentType") || words.contains("corrupt message");
        is_plain.then(|| {
            format!("{registry} speaks no TLS: where that is fine, start the agent with --insecure-registry {registry}")
        })
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
