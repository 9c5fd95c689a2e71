//! Where the members of a tar file begin, so that they can be read by position. Unpacks nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// One member's content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    pub(super) offset_bytes: u64,
    pub(super) size_bytes: u64,
}

/// True when the file begins as gzip does.
pub(super) fn is_gzip(path: &Path) -> io::Result<bool> {
    let mut magic = [0; 2];
    match File::open(path)?.read_exact(&mut magic) {
        Ok(()) => Ok(magic == [0x1f, 0x8b]),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Blobs are read by position, which a gzip stream cannot do: an unzipped copy, deleted with the path.
pub(super) fn unzip(path: &Path) -> io::Result<tempfile::TempPath> {
    let mut copy = tempfile::NamedTempFile::new()?;
    io::copy(&mut flate2::read::MultiGzDecoder::new(File::open(path)?), copy.as_file_mut())?;
    Ok(copy.into_temp_path())
}

/// Where every member begins. Links (`docker save` writes some) stand for the member they point at.
pub(super) fn index(path: &Path) -> io::Result<BTreeMap<String, Section>> {
    let mut tar = tar::Archive::new(File::open(path)?);
    let mut entries = BTreeMap::new();
    let mut links = Vec::new();
    for entry in tar.entries_with_seek()? {
        let entry = entry?;
        let name = clean(&entry.path()?);
        match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                let section = Section { offset_bytes: entry.raw_file_position(), size_bytes: entry.size() };
                entries.insert(name, section);
            }
            tar::EntryType::Symlink => {
                let target = entry.link_name()?.unwrap_or_default();
                let folder = Path::new(&name).parent().unwrap_or(Path::new(""));
                links.push((name.clone(), clean(&folder.join(target))));
            }
            tar::EntryType::Link => links.push((name, clean(&entry.link_name()?.unwrap_or_default()))),
            _ => {}
        }
    }
    for (name, target) in links {
        if let Some(section) = entries.get(&target).copied() {
            entries.insert(name, section);
        }
    }
    Ok(entries)
}

/// `./a/../b` as `b`; never leaves the archive, it is only a key.
fn clean(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            std::path::Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    parts.join("/")
}
