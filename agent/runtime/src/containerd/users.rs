//! Looks up user names in an image: reads `/etc/passwd` and `/etc/group` out of its layers.
//! Opens nothing outside the layer it looks at, whatever links the image holds.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use containerd_client::types::Mount;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use super::Inner;
use super::images::Runnable;
use crate::spec::{ResolvedUser, UserRequest};
use crate::{ContainerRequest, RuntimeError};

/// A passwd file above this is not read on.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

impl Inner {
    /// The numbers of the user a container shall run as.
    pub(super) async fn resolve_user(
        &self,
        request: &ContainerRequest,
        image: &Runnable,
    ) -> Result<ResolvedUser, RuntimeError> {
        let wanted = UserRequest::parse(request.user.as_deref().unwrap_or(&image.defaults.user));
        if let Some(user) = wanted.as_numbers() {
            return Ok(user);
        }
        let (passwd, group) = match image.top.is_empty() {
            true => (String::new(), String::new()),
            false => self.user_files(&image.top).await?,
        };
        wanted.resolve(&passwd, &group)
    }

    async fn user_files(&self, top: &str) -> Result<(String, String), RuntimeError> {
        let lease = self.client.lease().await?;
        let key = format!("users-{}", uuid::Uuid::new_v4());
        let snapshots = self.snapshots();
        let viewed = snapshots.view(&lease, &key, top).await;
        let files = match viewed {
            Ok(mounts) => {
                let layers = layers_of(&mounts);
                let read =
                    tokio::task::spawn_blocking(move || (find(&layers, "etc/passwd"), find(&layers, "etc/group")));
                let read = read.await.map_err(|error| RuntimeError::internal("read the image's users", error));
                let removed = snapshots.remove(&key).await;
                read.and_then(|files| removed.map(|()| files))
            }
            Err(error) => Err(error),
        };
        self.client.release(lease).await;
        files
    }
}

/// The directories of a snapshot's layers, topmost first.
fn layers_of(mounts: &[Mount]) -> Vec<String> {
    let Some(mount) = mounts.first() else {
        return Vec::new();
    };
    let lower = mount.options.iter().find_map(|option| option.strip_prefix("lowerdir="));
    match lower {
        Some(lower) => lower.split(':').map(str::to_owned).collect(),
        None => vec![mount.source.clone()],
    }
}

/// Text of the first layer that has this file; empty when none has, or it is no plain file.
fn find(layers: &[String], name: &str) -> String {
    for layer in layers {
        let Ok(mut file) = open_beneath(Path::new(layer), name) else {
            continue;
        };
        // A white-out is a device: the file was deleted in this layer.
        if !file.metadata().is_ok_and(|data| data.is_file()) {
            return String::new();
        }
        let mut bytes = Vec::new();
        if (&mut file).take(MAX_FILE_BYTES).read_to_end(&mut bytes).is_ok() {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
    }
    String::new()
}

fn open_beneath(layer: &Path, name: &str) -> nix::Result<File> {
    let folder: OwnedFd = open(layer, OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    openat2(&folder, name, how).map(File::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topmost_layer_wins_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let layer = |name: &str| dir.path().join(name);
        for name in ["top", "middle", "low"] {
            std::fs::create_dir_all(layer(name).join("etc")).unwrap();
        }
        std::fs::write(layer("middle").join("etc/passwd"), "middle").unwrap();
        std::fs::write(layer("low").join("etc/passwd"), "low").unwrap();
        std::os::unix::fs::symlink("/etc/group", layer("top").join("etc/group")).unwrap();
        let paths: Vec<_> = ["top", "middle", "low"].map(|name| layer(name).display().to_string()).to_vec();
        assert_eq!(find(&paths, "etc/passwd"), "middle");
        assert_eq!(find(&paths, "etc/group"), "");
    }

    #[test]
    fn layers_come_from_overlay_or_bind_mounts() {
        let mount = |kind: &str, source: &str, options: &[&str]| Mount {
            r#type: kind.into(),
            source: source.into(),
            target: String::new(),
            options: options.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(layers_of(&[mount("overlay", "overlay", &["index=off", "lowerdir=/a:/b"])]), ["/a", "/b"]);
        assert_eq!(layers_of(&[mount("bind", "/only", &["ro", "rbind"])]), ["/only"]);
    }
}
