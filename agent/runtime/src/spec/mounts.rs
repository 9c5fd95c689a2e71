//! What the container sees mounted. Kernel interfaces come first, then name-service files, then the request's own.
//! Never mounts anything of the host that the request or the fixed list did not name.

use std::path::Path;

use oci_spec::OciSpecError;
use oci_spec::runtime::{Mount as SpecMount, MountBuilder};

use super::SpecInput;
use crate::{ContainerRequest, Mount, RuntimeError};

/// Target, type, source and options of the kernel's interfaces.
const KERNEL: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
];

/// Refuses mounts that cannot work before anything was made.
pub(super) fn check(request: &ContainerRequest) -> Result<(), RuntimeError> {
    for mount in &request.mounts {
        let target = target_of(mount);
        if !target.is_absolute() {
            return Err(RuntimeError::invalid(
                format!("create {}", request.id),
                format!("mount target {} must start with /", target.display()),
            ));
        }
        if let Mount::Bind { source, .. } = mount
            && !source.is_absolute()
        {
            return Err(RuntimeError::invalid(
                format!("create {}", request.id),
                format!("mount source {} must start with /", source.display()),
            ));
        }
    }
    Ok(())
}

pub(super) fn mounts(input: &SpecInput<'_>) -> Result<Vec<SpecMount>, OciSpecError> {
    let mut all = Vec::new();
    for (target, kind, source, options) in KERNEL {
        all.push(mount(Path::new(target), kind, Path::new(source), options.iter().map(ToString::to_string).collect())?);
    }
    let etc = [
        ("/etc/hosts", &input.etc.hosts),
        ("/etc/hostname", &input.etc.hostname),
        ("/etc/resolv.conf", &input.etc.resolv_conf),
    ];
    for (target, source) in etc {
        let target = Path::new(target);
        let taken = input.request.mounts.iter().any(|wanted| target_of(wanted) == target);
        if let (Some(source), false) = (source, taken) {
            // On the host's network these are the host's own files: nobody writes them from a container.
            all.push(bind(source, target, input.request.netns.is_none())?);
        }
    }
    for wanted in &input.request.mounts {
        all.push(match wanted {
            Mount::Bind { source, target, read_only } => bind(source, target, *read_only)?,
            Mount::Tmpfs { target, size_bytes } => {
                let options = ["nosuid", "nodev", "mode=1777"].map(String::from);
                let size = format!("size={size_bytes}");
                mount(target, "tmpfs", Path::new("tmpfs"), options.into_iter().chain([size]).collect())?
            }
        });
    }
    Ok(all)
}

fn bind(source: &Path, target: &Path, read_only: bool) -> Result<SpecMount, OciSpecError> {
    // `rro` makes what is mounted below the source read-only too; `ro` alone would leave it writable.
    let access: &[&str] = if read_only { &["ro", "rro"] } else { &["rw"] };
    let options = ["rbind", "rprivate"].iter().chain(access).map(ToString::to_string).collect();
    mount(target, "bind", source, options)
}

fn mount(target: &Path, kind: &str, source: &Path, options: Vec<String>) -> Result<SpecMount, OciSpecError> {
    MountBuilder::default().destination(target).typ(kind).source(source).options(options).build()
}

fn target_of(mount: &Mount) -> &Path {
    match mount {
        Mount::Bind { target, .. } | Mount::Tmpfs { target, .. } => target,
    }
}
