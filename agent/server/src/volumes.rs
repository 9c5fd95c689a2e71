//! Directories of persistent volumes: made empty, removed with all they hold, and durable before anybody is told.
//!
//! Never looks into a volume that is in use, and never removes one that the engine did not name.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use proffer_agent_engine::VolumeResult;
use proffer_proto_model::Volume;

use crate::request::Directories;

/// Only the agent, and what it mounts from there, gets below.
const MODE_OF_ROOT: u32 = 0o700;
/// Whatever user a container runs as may write.
const MODE_OF_VOLUME: u32 = 0o777;

/// Makes a volume's directory, empty. What an interrupted try left is removed first: nobody has used it yet.
pub(crate) async fn make(directories: Directories, volume: Volume) -> VolumeResult {
    let path = directories.volume(&volume.role, &volume.id);
    let root = directories.volumes();
    done(VolumeResult::Made, "make", path.clone(), move || {
        remove_all(&path)?;
        let parent = path.parent().unwrap_or(&root);
        DirBuilder::new().recursive(true).mode(MODE_OF_ROOT).create(parent)?;
        fs::create_dir(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(MODE_OF_VOLUME))?;
        [&path, parent, &root].into_iter().try_for_each(sync)
    })
    .await
}

/// Removes a volume's directory with all its data; one that is gone already is fine.
pub(crate) async fn remove(directories: Directories, volume: Volume) -> VolumeResult {
    let path = directories.volume(&volume.role, &volume.id);
    done(VolumeResult::Removed, "remove", path.clone(), move || {
        remove_all(&path)?;
        let Some(parent) = path.parent().filter(|parent| parent.is_dir()) else { return Ok(()) };
        sync(parent)
    })
    .await
}

/// Tells people of directories that no volume the agent knows has. Nothing of them is removed: they may hold data of an
/// agent whose checkpoint was lost.
pub(crate) fn warn_of_strangers(directories: &Directories, known: &[Volume]) {
    let known: BTreeSet<PathBuf> = known.iter().map(|volume| directories.volume(&volume.role, &volume.id)).collect();
    let roles = fs::read_dir(directories.volumes()).into_iter().flatten().flatten();
    for volume in roles.flat_map(|role| fs::read_dir(role.path()).into_iter().flatten().flatten()) {
        let path = volume.path();
        if !known.contains(&path) {
            tracing::warn!(path = %path.display(), "data of a volume that this agent does not know; remove it by hand");
        }
    }
}

async fn done(
    good: VolumeResult,
    verb: &'static str,
    path: PathBuf,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> VolumeResult {
    let error = match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => return good,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(path = %path.display(), %error, verb, "a volume's directory is not as it should be, will be tried again");
    VolumeResult::Failed(format!("cannot {verb} {}: {error}", path.display()))
}

fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes what was made or removed in a directory durable.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use proffer_proto_model::{Bytes, Role, VolumeId};

    use super::*;

    fn volume(role: &str, id: &str) -> Volume {
        Volume { number: 1, id: VolumeId::new(id).unwrap(), role: Role::new(role).unwrap(), size: Bytes(1) }
    }

    #[tokio::test]
    async fn names_never_lead_out_and_no_two_volumes_share_a_directory() {
        let data_dir = tempfile::tempdir().unwrap();
        let directories = Directories::new(data_dir.path());
        let all = [("a/b", "c"), ("a", "c"), ("a.b", "c"), ("a", "b"), ("a/b", "...")].map(|(r, id)| volume(r, id));
        for one in &all {
            assert_eq!(make(directories.clone(), one.clone()).await, VolumeResult::Made);
            let path = directories.volume(&one.role, &one.id);
            assert_eq!(path.parent().unwrap().parent().unwrap(), directories.volumes());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE_OF_VOLUME);
            fs::write(path.join("x"), one.role.as_str()).unwrap();
        }
        assert_eq!(fs::metadata(directories.volumes()).unwrap().permissions().mode() & 0o777, MODE_OF_ROOT);
        assert_eq!(remove(directories.clone(), all[1].clone()).await, VolumeResult::Removed);
        assert_eq!(remove(directories.clone(), all[1].clone()).await, VolumeResult::Removed, "the same again is fine");
        for (at, one) in all.iter().enumerate() {
            assert_eq!(directories.volume(&one.role, &one.id).join("x").exists(), at != 1);
        }
        assert_eq!(make(directories.clone(), all[0].clone()).await, VolumeResult::Made);
        assert!(!directories.volume(&all[0].role, &all[0].id).join("x").exists(), "made empty");
    }

    #[tokio::test]
    async fn what_cannot_be_made_is_told_with_the_path() {
        let data_dir = tempfile::tempdir().unwrap();
        fs::write(data_dir.path().join("volumes"), "in the way").unwrap();
        let told = make(Directories::new(data_dir.path()), volume("a", "b")).await;
        assert!(matches!(&told, VolumeResult::Failed(why) if why.contains("volumes/a/b")), "{told:?}");
    }
}
