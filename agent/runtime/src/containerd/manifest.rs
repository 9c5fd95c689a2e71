//! The JSON of images: manifests, indexes, configurations. Data only; fetches and stores nothing.

use std::collections::BTreeMap;

use containerd_client::types;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::RuntimeError;
use crate::spec::ImageDefaults;

pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(super) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(super) const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Where a blob is and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Platform {
    pub(super) os: String,
    pub(super) architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) variant: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    pub(super) manifests: Vec<Descriptor>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct ImageConfig {
    #[serde(default)]
    pub(super) config: Option<ImageDefaults>,
    pub(super) rootfs: RootFs,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct RootFs {
    #[serde(default)]
    pub(super) diff_ids: Vec<String>,
}

impl Descriptor {
    /// The descriptor of bytes at hand.
    pub(super) fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: sha256(bytes),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
            platform: None,
        }
    }

    pub(super) fn is_index(&self) -> bool {
        self.media_type == OCI_INDEX || self.media_type == DOCKER_INDEX
    }

    pub(super) fn to_wire(&self) -> types::Descriptor {
        types::Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest.clone(),
            size: i64::try_from(self.size).unwrap_or(i64::MAX),
            annotations: Default::default(),
        }
    }

    /// `sha256:` and 64 hex digits, so that it is safe in paths and labels.
    pub(super) fn check_digest(&self) -> Result<(), RuntimeError> {
        let hex = self.digest.strip_prefix("sha256:").unwrap_or_default();
        match hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            true => Ok(()),
            false => Err(RuntimeError::invalid(
                format!("read digest {:?}", self.digest),
                "only sha256 digests are supported",
            )),
        }
    }
}

impl Manifest {
    /// Size of all blobs in bytes, without the manifest itself.
    pub(super) fn size_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum::<u64>() + self.config.size
    }
}

/// Picks the manifest for this machine; the first one without a platform counts as fitting.
pub(super) fn choose_platform<'a>(index: &'a Index, what: &str) -> Result<&'a Descriptor, RuntimeError> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let fits = |platform: &Platform| platform.os == "linux" && platform.architecture == architecture;
    let exact = index.manifests.iter().find(|entry| entry.platform.as_ref().is_some_and(fits));
    exact.or_else(|| index.manifests.iter().find(|entry| entry.platform.is_none())).ok_or_else(|| {
        let offered: Vec<_> = index
            .manifests
            .iter()
            .filter_map(|entry| entry.platform.as_ref())
            .map(|platform| format!("{}/{}", platform.os, platform.architecture))
            .collect();
        RuntimeError::invalid(
            what,
            format!("the image has no variant for linux/{architecture}, only {}", offered.join(", ")),
        )
    })
}

/// Names of the layer stack from the lowest to each layer (chain ids).
pub(super) fn chain_ids(diff_ids: &[String]) -> Vec<String> {
    let mut chain: Vec<String> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chain.push(match chain.last() {
            None => diff_id.clone(),
            Some(below) => sha256(format!("{below} {diff_id}").as_bytes()),
        });
    }
    chain
}

/// `sha256:…` of these bytes.
pub(super) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// Reads JSON of an image, or says which part of it is broken.
pub(super) fn parse<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, RuntimeError> {
    serde_json::from_slice(bytes).map_err(|error| RuntimeError::invalid(what, format!("not understood: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(os: &str, architecture: &str) -> Descriptor {
        let platform = Platform { os: os.into(), architecture: architecture.into(), variant: None };
        Descriptor { platform: Some(platform), ..Descriptor::of(OCI_MANIFEST, architecture.as_bytes()) }
    }

    #[test]
    fn the_variant_of_this_machine_is_chosen() {
        let own = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let manifests = vec![entry("windows", own), entry("linux", "riscv64"), entry("linux", own)];
        let index = Index { schema_version: 2, media_type: None, manifests };
        assert_eq!(choose_platform(&index, "pull x").unwrap(), &index.manifests[2]);

        let manifests = vec![entry("linux", "riscv64")];
        let index = Index { schema_version: 2, media_type: None, manifests };
        let error = choose_platform(&index, "pull x").unwrap_err();
        assert!(error.to_string().contains("only linux/riscv64"), "{error}");
    }

    #[test]
    fn chain_ids_depend_on_all_layers_below() {
        let ids = ["sha256:aa".to_owned(), "sha256:bb".to_owned()];
        let chain = chain_ids(&ids);
        assert_eq!(chain[0], ids[0]);
        assert_eq!(chain[1], sha256(b"sha256:aa sha256:bb"));
    }

    #[test]
    fn strange_digests_are_refused() {
        let descriptor = Descriptor { digest: "sha256:../../etc".into(), ..Descriptor::of(OCI_LAYER, b"") };
        assert!(descriptor.check_digest().is_err());
        assert!(Descriptor::of(OCI_LAYER, b"x").check_digest().is_ok());
    }

    #[test]
    fn empty_and_null_config_fields_are_fine() {
        let text = br#"{"config":{"Env":null,"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":[]}}"#;
        let config: ImageConfig = parse("config", text).unwrap();
        assert_eq!(config.config.unwrap().cmd, ["sh"]);
    }
}
