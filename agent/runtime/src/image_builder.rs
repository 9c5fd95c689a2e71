//! Small images made without any image tool: for tests, examples and `proffer dev`.
//! Writes only the file it is asked to write; nothing here knows containerd.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What an image will hold. Layers from the lowest to the topmost.
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    name: String,
    layers: Vec<Vec<Item>>,
    config: serde_json::Map<String, Value>,
    zipped: bool,
}

/// An image in memory: its blobs and its manifest.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// The name the archive carries.
    pub name: String,
    /// Configuration in JSON.
    pub config: Vec<u8>,
    /// Layers, gzipped unless the builder was told otherwise.
    pub layers: Vec<Vec<u8>>,
    /// Manifest in JSON.
    pub manifest: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Item {
    Directory { path: String, mode: u32 },
    File { path: String, mode: u32, bytes: Vec<u8> },
    Link { path: String, target: String },
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl ImageBuilder {
    /// An image of this name without any file.
    pub fn empty(name: impl Into<String>) -> Self {
        Self { name: name.into(), layers: vec![Vec::new()], config: serde_json::Map::new(), zipped: true }
    }

    /// An image with this machine's static busybox, a link for each of its commands, and users `root`, `web` (1000)
    /// and `nobody` (65534).
    ///
    /// # Errors
    /// When busybox is missing or not static; the error names the package to install.
    pub fn busybox(name: impl Into<String>) -> io::Result<Self> {
        let busybox = find_busybox()?;
        let listed = std::process::Command::new(&busybox).arg("--list").output()?;
        let mut image = Self::empty(name)
            .directory("bin", 0o755)
            .directory("etc", 0o755)
            .directory("tmp", 0o1777)
            .directory("var/www", 0o755)
            .file("bin/busybox", 0o755, fs::read(&busybox)?)
            .file(
                "etc/passwd",
                0o644,
                "root:x:0:0:root:/:/bin/sh\nweb:x:1000:1000:web:/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
            )
            .file("etc/group", 0o644, "root:x:0:\nweb:x:1000:\nlogs:x:40:web\nnobody:x:65534:\n");
        for command in String::from_utf8_lossy(&listed.stdout).lines().filter(|command| *command != "busybox") {
            image = image.link(&format!("bin/{command}"), "/bin/busybox");
        }
        Ok(image.env("PATH", "/bin"))
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.item(Item::Directory { path: path.to_owned(), mode })
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        self.item(Item::File { path: path.to_owned(), mode, bytes: bytes.into() })
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.item(Item::Link { path: path.to_owned(), target: target.to_owned() })
    }

    /// What follows goes into a layer of its own.
    #[must_use]
    pub fn next_layer(mut self) -> Self {
        self.layers.push(Vec::new());
        self
    }

    /// Deletes a file of a layer below.
    #[must_use]
    pub fn white_out(self, path: &str) -> Self {
        let path = Path::new(path);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new(""));
        self.file(&folder.join(format!(".wh.{name}")).to_string_lossy(), 0o644, Vec::new())
    }

    /// Sets the first words of the command line.
    #[must_use]
    pub fn entrypoint<const N: usize>(self, words: [&str; N]) -> Self {
        self.set("Entrypoint", json!(words.to_vec()))
    }

    /// Sets the default words after the entrypoint.
    #[must_use]
    pub fn cmd<const N: usize>(self, words: [&str; N]) -> Self {
        self.set("Cmd", json!(words.to_vec()))
    }

    /// Sets the user, as `uid:gid` or by name.
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        self.set("User", json!(user))
    }

    /// Sets the working directory.
    #[must_use]
    pub fn working_dir(self, path: &str) -> Self {
        self.set("WorkingDir", json!(path))
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let lines = self.config.entry("Env").or_insert_with(|| json!([]));
        if let Some(lines) = lines.as_array_mut() {
            lines.push(json!(format!("{name}={value}")));
        }
        self
    }

    /// Leaves layers uncompressed, as older `docker save` does.
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        self.zipped = false;
        self
    }

    fn set(mut self, key: &str, value: Value) -> Self {
        self.config.insert(key.to_owned(), value);
        self
    }

    fn item(mut self, item: Item) -> Self {
        if let Some(layer) = self.layers.last_mut() {
            layer.push(item);
        }
        self
    }

    /// Builds the image in memory.
    ///
    /// # Errors
    /// When a path cannot be written to a tar file.
    pub fn build(&self) -> io::Result<BuiltImage> {
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        for items in &self.layers {
            let tar = layer(items)?;
            diff_ids.push(digest(&tar));
            layers.push(if self.zipped { gzip(&tar)? } else { tar });
        }
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let config = serde_json::to_vec(&json!({
            "architecture": architecture,
            "os": "linux",
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        }))?;
        let suffix = if self.zipped { "+gzip" } else { "" };
        let layer_type = format!("application/vnd.oci.image.layer.v1.tar{suffix}");
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers.iter().map(|layer| descriptor(&layer_type, layer)).collect::<Vec<_>>(),
        }))?;
        Ok(BuiltImage { name: self.name.clone(), config, layers, manifest })
    }

    /// Builds the image and writes it as an OCI archive.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        self.build()?.write_oci(path)
    }
}

impl BuiltImage {
    /// Writes an OCI layout as one tar file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_oci(&self, path: &Path) -> io::Result<()> {
        let mut entry = descriptor(MANIFEST, &self.manifest);
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": self.name });
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
        let mut tar = tar::Builder::new(File::create(path)?);
        append(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        append(&mut tar, "index.json", &serde_json::to_vec(&index)?)?;
        for blob in self.layers.iter().chain([&self.config, &self.manifest]) {
            append(&mut tar, &format!("blobs/{}", digest(blob).replacen(':', "/", 1)), blob)?;
        }
        tar.into_inner()?.sync_data()
    }

    /// Writes the form `docker save` had before Docker 25.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_docker(&self, path: &Path) -> io::Result<()> {
        let config_name = format!("{}.json", digest(&self.config).trim_start_matches("sha256:"));
        let names: Vec<_> = (0..self.layers.len()).map(|position| format!("layer-{position}/layer.tar")).collect();
        let manifest = json!([{ "Config": config_name, "RepoTags": [self.name], "Layers": names }]);
        let mut tar = tar::Builder::new(File::create(path)?);
        for (name, layer) in names.iter().zip(&self.layers) {
            append(&mut tar, name, layer)?;
        }
        append(&mut tar, &config_name, &self.config)?;
        append(&mut tar, "manifest.json", &serde_json::to_vec(&manifest)?)?;
        tar.into_inner()?.sync_data()
    }
}

fn find_busybox() -> io::Result<PathBuf> {
    let found = ["/bin/busybox", "/usr/bin/busybox"].iter().map(PathBuf::from).find(|path| path.exists());
    found.ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "busybox is missing: install it with `apt-get install busybox-static`")
    })
}

fn layer(items: &[Item]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        match item {
            Item::Directory { path, mode } => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(*mode);
                tar.append_data(&mut header, format!("{path}/"), io::empty())?;
            }
            Item::File { path, mode, bytes } => {
                header.set_size(bytes.len() as u64);
                header.set_mode(*mode);
                tar.append_data(&mut header, path, bytes.as_slice())?;
            }
            Item::Link { path, target } => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                tar.append_link(&mut header, path, target)?;
            }
        }
    }
    tar.into_inner()
}

fn append(tar: &mut tar::Builder<File>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, bytes)
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}
