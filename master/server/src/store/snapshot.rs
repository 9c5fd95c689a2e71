//! A snapshot: one file with everything a store holds, that says itself whether it is whole.
//!
//! The first line says what it is; each further one holds a record. A file is never replaced, and what cannot be read to
//! its end is refused as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use proffer_proto_model::{ClusterId, Epoch};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Loaded, records};

/// Begins every snapshot.
const FORMAT: &str = "proffer-snapshot";

/// Version of the file; grows with every change that an older program cannot read.
const VERSION: u64 = 1;

/// Why a snapshot cannot be written or used. The text names the file and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// There is such a file already.
    #[error("{} is there already; choose another name, or remove it first", .0.display())]
    Exists(PathBuf),
    /// The file cannot be read or written.
    #[error("cannot use {}: {cause}; check the name, and that the directory may be written and has space", path.display())]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It is not a snapshot, or not all of it.
    #[error("{} is not a whole snapshot: {cause}; use another one", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A later version wrote it.
    #[error("{} has version {found}, this program knows {VERSION}; use the program that wrote it, or a newer one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    version: u64,
    cluster: ClusterId,
    epoch: Epoch,
    records: usize,
    sha256: String,
}

/// What every later version has too.
#[derive(Deserialize)]
struct Version {
    format: String,
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    value: serde_json::Value,
}

/// Writes a new file, whole or not at all.
///
/// # Errors
/// [`SnapshotError`]; then there is no such file.
pub fn write_snapshot(path: &Path, contents: &Loaded) -> Result<(), SnapshotError> {
    let text = encode(contents).map_err(|cause| SnapshotError::Corrupt { path: path.to_owned(), cause })?;
    let inaccessible = |cause| SnapshotError::Inaccessible { path: path.to_owned(), cause };
    let name = path.file_name().ok_or_else(|| inaccessible(io::ErrorKind::InvalidFilename.into()))?;
    let part = path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    let result = write_new(&part, path, &text);
    let _ = fs::remove_file(&part);
    result.map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => SnapshotError::Exists(path.to_owned()),
        _ => inaccessible(cause),
    })
}

/// Reads a file and checks all of it.
///
/// # Errors
/// [`SnapshotError`] when it is not whole, or of a later version.
pub fn read_snapshot(path: &Path) -> Result<Loaded, SnapshotError> {
    let text = fs::read(path).map_err(|cause| SnapshotError::Inaccessible { path: path.to_owned(), cause })?;
    let corrupt = |cause: String| SnapshotError::Corrupt { path: path.to_owned(), cause };
    let end = text.iter().position(|byte| *byte == b'\n').ok_or_else(|| corrupt("it has no first line".to_owned()))?;
    let (head, body) = (&text[..end], &text[end + 1..]);
    let version: Version = serde_json::from_slice(head).map_err(|e| corrupt(format!("line 1: {e}")))?;
    if version.format != FORMAT {
        return Err(corrupt(format!("line 1: format is {:?}, not {FORMAT:?}", version.format)));
    }
    if version.version > VERSION {
        return Err(SnapshotError::Newer { path: path.to_owned(), found: version.version });
    }
    let Head { cluster, epoch, records: count, sha256, .. } =
        serde_json::from_slice(head).map_err(|e| corrupt(format!("line 1: {e}")))?;
    if checksum(&cluster, epoch, body) != sha256 {
        return Err(corrupt("its checksum is wrong: it was cut short or changed".to_owned()));
    }
    let mut found = BTreeMap::new();
    for (at, line) in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let wrong = |e: serde_json::Error| corrupt(format!("line {}: {e}", at + 2));
        let Line { key, value } = serde_json::from_slice(line).map_err(wrong)?;
        found.insert(key, serde_json::to_vec(&value).map_err(wrong)?);
    }
    if found.len() != count {
        return Err(corrupt(format!("it has {} records and should have {count}", found.len())));
    }
    Ok(Loaded { cluster, epoch, registry: records::registry(&found).map_err(corrupt)? })
}

fn encode(contents: &Loaded) -> Result<Vec<u8>, String> {
    let Loaded { cluster, epoch, registry } = contents;
    let all = records::all(registry).map_err(|e| e.to_string())?;
    let mut body = Vec::new();
    for (key, value) in &all {
        let value = serde_json::from_slice(value.as_deref().unwrap_or_default()).map_err(|e| format!("{key}: {e}"))?;
        serde_json::to_writer(&mut body, &Line { key: key.clone(), value }).map_err(|e| e.to_string())?;
        body.push(b'\n');
    }
    let sha256 = checksum(cluster, *epoch, &body);
    let (format, cluster) = (FORMAT.to_owned(), cluster.clone());
    let head = Head { format, version: VERSION, cluster, epoch: *epoch, records: all.len(), sha256 };
    let mut text = serde_json::to_vec(&head).map_err(|e| e.to_string())?;
    text.push(b'\n');
    text.append(&mut body);
    Ok(text)
}

fn checksum(cluster: &ClusterId, epoch: Epoch, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{cluster}\n{}\n", epoch.0));
    hash.update(body);
    format!("{:x}", hash.finalize())
}

/// A link fails where a file of that name is: nothing is ever overwritten.
fn write_new(part: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(part)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::hard_link(part, path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
