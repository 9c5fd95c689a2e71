//! From a request and an image's configuration to the runtime specification runc gets.
//! Pure: reads no file, asks no daemon; everything it needs comes in through [`SpecInput`].

mod linux;
mod mounts;
mod process;
mod seccomp;
pub mod user;

use std::path::PathBuf;

use oci_spec::OciSpecError;
use oci_spec::runtime::{RootBuilder, Spec, SpecBuilder};
use serde::Deserialize;

use crate::{CgroupVersion, ContainerRequest, RuntimeError};
pub use user::{ResolvedUser, UserRequest};

/// Everything the specification follows from.
#[derive(Debug, Clone)]
pub struct SpecInput<'a> {
    /// What to run.
    pub request: &'a ContainerRequest,
    /// The image's defaults.
    pub image: &'a ImageDefaults,
    /// The user the first process runs as.
    pub user: ResolvedUser,
    /// Cgroup of the container from the root of the hierarchy, e.g. `/proffer/agent-1/web.0`.
    pub cgroups_path: String,
    /// The hierarchy in use.
    pub cgroup: CgroupVersion,
    /// The kernel can bound swap per cgroup.
    pub swap_accounting: bool,
    /// Files of the host to show as `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`.
    pub etc: EtcFiles,
}

/// Files of the host bound over name-service files of the image; `None` leaves the image's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EtcFiles {
    /// Becomes `/etc/hosts`.
    pub hosts: Option<PathBuf>,
    /// Becomes `/etc/hostname`.
    pub hostname: Option<PathBuf>,
    /// Becomes `/etc/resolv.conf`.
    pub resolv_conf: Option<PathBuf>,
}

/// The part of an image's configuration that says how to run it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageDefaults {
    /// `uid[:gid]` or names; empty means root.
    #[serde(deserialize_with = "null_is_default")]
    pub user: String,
    /// `NAME=value` lines.
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// First words of the command line.
    #[serde(deserialize_with = "null_is_default")]
    pub entrypoint: Vec<String>,
    /// Words after the entrypoint unless the request gives others.
    #[serde(deserialize_with = "null_is_default")]
    pub cmd: Vec<String>,
    /// Directory the process starts in; empty means `/`.
    #[serde(deserialize_with = "null_is_default")]
    pub working_dir: String,
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Builds the specification.
///
/// # Errors
/// `Invalid` when neither request nor image names a command, or a mount has no absolute target.
pub fn build(input: &SpecInput<'_>) -> Result<Spec, RuntimeError> {
    mounts::check(input.request)?;
    let args = process::command_line(input.request, input.image)?;
    let mut spec = assemble(input, args)
        .map_err(|error| RuntimeError::internal(format!("build the specification of {}", input.request.id), error))?;
    spec.set_hostname(input.request.hostname.clone());
    Ok(spec)
}

fn assemble(input: &SpecInput<'_>, args: Vec<String>) -> Result<Spec, OciSpecError> {
    let root = RootBuilder::default().path("rootfs").readonly(input.request.read_only_root).build()?;
    SpecBuilder::default()
        .version("1.0.2")
        .root(root)
        .process(process::process(input, args)?)
        .mounts(mounts::mounts(input)?)
        .linux(linux::linux(input)?)
        .build()
}

#[cfg(test)]
mod tests;
