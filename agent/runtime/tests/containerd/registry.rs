//! A registry for one test, on a port of its own, with plain HTTP.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use proffer_agent_runtime::image_builder::BuiltImage;
use sha2::{Digest, Sha256};

/// Runs until dropped.
pub struct Registry {
    process: Child,
    pub address: SocketAddr,
}

impl Registry {
    /// For everybody, without TLS.
    pub async fn start(directory: &Path) -> Self {
        Self::guarded(directory, "").await
    }

    /// With the images of an earlier one in the same directory; `guard` is the part of the configuration that says
    /// who is let in.
    pub async fn guarded(directory: &Path, guard: &str) -> Self {
        // Nobody else takes the port between these lines, short of a coincidence.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = directory.join("registry.yml");
        let storage = directory.join("registry");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n{guard}",
            storage.display()
        );
        std::fs::write(&config, text).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is missing: apt-get install docker-registry");
        let registry = Self { process, address };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the registry does not come up");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        registry
    }

    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Pushes an image under this name and tag.
    pub async fn push(&self, name: &str, image: &BuiltImage) {
        let reference = self.push_blobs(name, image).await;
        self.push_manifest(&reference, &image.manifest, "application/vnd.oci.image.manifest.v1+json").await;
    }

    /// Pushes an index that offers `image` for this machine and something else for another one.
    pub async fn push_index(&self, name: &str, image: &BuiltImage) {
        let reference = self.push_blobs(name, image).await;
        let digest = digest(&image.manifest);
        let kind = "application/vnd.oci.image.manifest.v1+json";
        self.push_manifest(&reference.clone_with_digest(digest.clone()), &image.manifest, kind).await;
        let own = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let entry = |architecture: &str| {
            serde_json::json!({
                "mediaType": kind, "digest": digest, "size": image.manifest.len(),
                "platform": { "os": "linux", "architecture": architecture },
            })
        };
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry("s390x"), entry(own)],
        });
        let bytes = serde_json::to_vec(&index).unwrap();
        self.push_manifest(&reference, &bytes, "application/vnd.oci.image.index.v1+json").await;
    }

    async fn push_blobs(&self, name: &str, image: &BuiltImage) -> Reference {
        let reference: Reference = self.reference(name).parse().unwrap();
        let client = client();
        client.auth(&reference, &RegistryAuth::Anonymous, RegistryOperation::Push).await.unwrap();
        for blob in image.layers.iter().chain([&image.config]) {
            client.push_blob(&reference, blob.clone(), &digest(blob)).await.unwrap();
        }
        reference
    }

    async fn push_manifest(&self, reference: &Reference, bytes: &[u8], kind: &str) {
        client().push_manifest_raw(reference, bytes.to_vec(), kind.parse().unwrap()).await.unwrap();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn client() -> oci_client::Client {
    oci_client::Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() })
}

/// `sha256:…` of these bytes.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}
