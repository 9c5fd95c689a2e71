//! A real image registry on loopback.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use proffer_agent_runtime::image_builder::ImageBuilder;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{free_port, http_get, require, wait_until};

/// A running registry with storage of its own; ended when dropped.
pub struct Registry {
    _dir: TempDir,
    address: String,
    process: Child,
}

impl Registry {
    /// Starts Debian's docker-registry on a free port.
    pub fn start() -> Self {
        require("docker-registry", "docker-registry");
        let dir = tempfile::Builder::new().prefix("proffer-registry-").tempdir().expect("a temporary directory");
        let address = format!("127.0.0.1:{}", free_port());
        let config: PathBuf = dir.path().join("registry.yml");
        let storage = dir.path().join("storage");
        let text = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp: {{addr: \"{address}\"}}\n",
            storage.display()
        );
        std::fs::write(&config, text).expect("the directory is writable");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry starts");
        let registry = Self { _dir: dir, address, process };
        wait_until("the registry to answer", Duration::from_secs(20), || http_get(&registry.address, "/v2/").is_ok());
        registry
    }

    /// Pushes an image under `name`, e.g. `team/box:1`, and returns its whole reference.
    pub fn push(&self, name: &str, image: &ImageBuilder) -> String {
        let reference = format!("{}/{name}", self.address);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(push(&reference.parse().expect("a right reference"), image));
        reference
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn push(to: &Reference, image: &ImageBuilder) {
    let image = image.build().expect("the image can be built");
    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    client.auth(to, &RegistryAuth::Anonymous, RegistryOperation::Push).await.expect("the registry takes anybody");
    for blob in image.layers.iter().chain([&image.config]) {
        let digest = format!("sha256:{:x}", Sha256::digest(blob));
        client.push_blob(to, blob.clone(), &digest).await.expect("the registry takes a blob");
    }
    let kind = "application/vnd.oci.image.manifest.v1+json".parse().expect("a right header");
    client.push_manifest_raw(to, image.manifest, kind).await.expect("the registry takes a manifest");
}
