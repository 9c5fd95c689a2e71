//! Network namespaces as files: made, entered and removed.
//!
//! Never moves the calling thread: whatever happens inside a namespace happens on a thread of its own that ends there.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{NSFS_MAGIC, statfs};
use tokio::sync::oneshot;

use crate::contract::NetworkError;

/// Name of a container's link inside its namespace.
pub(crate) const CONTAINER_LINK: &str = "eth0";

/// Makes a namespace and mounts it at `path`, which must not exist.
pub(crate) async fn create(path: &Path) -> Result<(), NetworkError> {
    let target = path.to_owned();
    let made = on_thread(move || {
        File::create_new(&target)?;
        unshare(CloneFlags::CLONE_NEWNET)?;
        let none = None::<&str>;
        mount(Some("/proc/thread-self/ns/net"), &target, none, MsFlags::MS_BIND, none)?;
        Ok(())
    });
    made.await.map_err(|error| failure("make network namespace", path, &error))
}

/// Unmounts and removes the file. A missing one is no error.
pub(crate) fn remove(path: &Path) -> Result<(), NetworkError> {
    let failed = |error: io::Error| failure("remove network namespace", path, &error);
    loop {
        match umount2(path, MntFlags::MNT_DETACH) {
            // A crash and a repeat may have mounted twice.
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => break,
            Err(errno) => return Err(failed(errno.into())),
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Whether a namespace is mounted at `path`.
pub(crate) fn is_mounted(path: &Path) -> bool {
    statfs(path).is_ok_and(|fs| fs.filesystem_type() == NSFS_MAGIC)
}

/// Runs `work` on a thread inside the namespace.
pub(crate) async fn run_in<T, F>(path: &Path, work: F) -> Result<T, NetworkError>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    let namespace = path.to_owned();
    let ran = on_thread(move || {
        setns(File::open(&namespace)?, CloneFlags::CLONE_NEWNET)?;
        work()
    });
    ran.await.map_err(|error| failure("work in network namespace", path, &error))
}

/// The container's address, when the namespace is wired to the end; the default route is made last.
pub(crate) async fn wired_address(path: &Path) -> Option<Ipv4Addr> {
    if !is_mounted(path) {
        return None;
    }
    let inspect = run_in(path, || {
        let routes = fs::read_to_string("/proc/thread-self/net/route")?;
        if !has_default_route(&routes) {
            return Ok(None);
        }
        let mut links = nix::ifaddrs::getifaddrs()?.filter(|link| link.interface_name == CONTAINER_LINK);
        Ok(links.find_map(|link| Some(link.address?.as_sockaddr_in()?.ip())))
    });
    inspect.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot look into network namespace, taking it as broken");
        None
    })
}

/// Names of the files in `dir`; none when it is missing.
pub(crate) fn list(dir: &Path) -> Result<Vec<String>, NetworkError> {
    let failed = |error: io::Error| failure("list network namespaces in", dir, &error);
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn has_default_route(routes: &str) -> bool {
    let mut lines = routes.lines().map(|line| line.split_whitespace());
    lines.any(|mut words| words.next() == Some(CONTAINER_LINK) && words.next() == Some("00000000"))
}

async fn on_thread<T, F>(work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    let (done, result) = oneshot::channel();
    std::thread::Builder::new().name("netns".to_owned()).spawn(move || {
        // Nobody listening means the caller is gone; what was made is found again by recovery.
        let _ = done.send(work());
    })?;
    result.await.unwrap_or_else(|_| Err(io::Error::other("the thread inside the namespace died")))
}

fn failure(what: &str, path: &Path, error: &io::Error) -> NetworkError {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "; run the agent as root",
        _ => "",
    };
    NetworkError::new(format!("{what} {}", path.display()), format!("{error}{hint}"))
}
