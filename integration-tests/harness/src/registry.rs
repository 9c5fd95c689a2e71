//! A real image registry on loopback.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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
