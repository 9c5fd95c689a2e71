//! The first process: command line, environment, user and what it may do.
//! Grants nothing beyond the short capability list below, and never new privileges.

use std::path::PathBuf;

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Capabilities, Capability, LinuxCapabilitiesBuilder, PosixRlimitBuilder, PosixRlimitType, Process, ProcessBuilder,
    UserBuilder,
};

use super::{ImageDefaults, SpecInput};
use crate::{ContainerRequest, RuntimeError};

/// Docker's list without making device nodes, raw sockets and writing the audit log.
const CAPABILITIES: [Capability; 11] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::NetBindService,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Open files: the soft value old programs expect, a hard one that servers can raise it to.
const OPEN_FILES: (u64, u64) = (1024, 16_384);

/// Above 0 so that the kernel prefers a container to the agent and the runtime when the host runs dry.
const OOM_SCORE_ADJ: i32 = 500;

pub(super) fn process(input: &SpecInput<'_>, args: Vec<String>) -> Result<Process, OciSpecError> {
    let capabilities: Capabilities = CAPABILITIES.into_iter().collect();
    let capabilities = LinuxCapabilitiesBuilder::default()
        .bounding(capabilities.clone())
        .effective(capabilities.clone())
        .permitted(capabilities)
        .inheritable(Capabilities::new())
        .ambient(Capabilities::new())
        .build()?;
    let mut user = UserBuilder::default().uid(input.user.uid).gid(input.user.gid);
    if !input.user.additional_gids.is_empty() {
        user = user.additional_gids(input.user.additional_gids.clone());
    }
    let open_files = PosixRlimitBuilder::default()
        .typ(PosixRlimitType::RlimitNofile)
        .soft(OPEN_FILES.0)
        .hard(OPEN_FILES.1)
        .build()?;
    ProcessBuilder::default()
        .terminal(false)
        .user(user.build()?)
        .args(args)
        .env(environment(input.request, input.image))
        .cwd(working_dir(input.request, input.image))
        .capabilities(capabilities)
        .no_new_privileges(true)
        .oom_score_adj(OOM_SCORE_ADJ)
        .rlimits(vec![open_files])
        .build()
}

/// The request's words where it has any, the image's otherwise; a new command drops the image's cmd.
pub(super) fn command_line(request: &ContainerRequest, image: &ImageDefaults) -> Result<Vec<String>, RuntimeError> {
    let replaced = !request.command.is_empty();
    let mut words = if replaced { request.command.clone() } else { image.entrypoint.clone() };
    if !request.args.is_empty() {
        words.extend(request.args.iter().cloned());
    } else if !replaced {
        words.extend(image.cmd.iter().cloned());
    }
    match words.is_empty() {
        false => Ok(words),
        true => Err(RuntimeError::invalid(
            format!("create {}", request.id),
            format!("image {} names no command to run: set `command`", request.image),
        )),
    }
}

fn environment(request: &ContainerRequest, image: &ImageDefaults) -> Vec<String> {
    let mut lines = image.env.clone();
    if !lines.iter().any(|line| line.starts_with("PATH=")) {
        lines.insert(0, DEFAULT_PATH.to_owned());
    }
    let hostname = request.hostname.iter().map(|name| ("HOSTNAME", name.as_str()));
    let wanted = request.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in hostname.chain(wanted) {
        let line = format!("{name}={value}");
        let prefix = format!("{name}=");
        match lines.iter_mut().find(|line| line.starts_with(&prefix)) {
            Some(present) => *present = line,
            None => lines.push(line),
        }
    }
    lines
}

fn working_dir(request: &ContainerRequest, image: &ImageDefaults) -> PathBuf {
    let wanted = request.working_dir.as_deref().unwrap_or(&image.working_dir);
    // A relative directory counts from the root, as in an image file.
    PathBuf::from("/").join(wanted)
}
