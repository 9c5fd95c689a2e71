//! What to run: task and container specs.

use std::collections::BTreeSet;

use proffer_proto_wire::common as wire;
use wire::container_spec::{NetworkMode as WireNetwork, PullPolicy as WirePull};
use wire::port_mapping::Protocol as WireProtocol;

use super::check::{self, Checked, Within};
use super::{Defect, MAX_ENTRIES, MAX_ENV_VARS, MAX_NAME_BYTES, MAX_TEXT_BYTES, WireError};
use crate::task::{
    ContainerSpec, DEFAULT_TMPFS_BYTES, KillPolicy, MAX_GRACE_MS, Mount, MountSource, NetworkMode, PortMapping,
    Protocol, PullPolicy, ResourceLimits,
};
use crate::{Bytes, MilliCpus, Resources, TaskSpec};

/// Longest image reference.
const MAX_IMAGE_BYTES: usize = 1_024;
/// Longest path.
const MAX_PATH_BYTES: usize = 4_096;

impl TryFrom<wire::TaskSpec> for TaskSpec {
    type Error = WireError;

    fn try_from(spec: wire::TaskSpec) -> Result<Self, WireError> {
        let wire::TaskSpec {
            task_id,
            name,
            container,
            resources,
            limits,
            kill_policy,
            max_run_time_ms,
            labels,
            discovery_name,
            data,
            priority,
            revocable,
        } = spec;
        let resources: Resources = check::optional("resources", resources)?.unwrap_or_default();
        let limits: ResourceLimits = check::optional("limits", limits)?.unwrap_or_default();
        limits_cover(&limits, &resources).within("limits")?;
        let mut container: ContainerSpec = check::convert("container", container)?;
        published_ports(&mut container.ports).within("container")?;
        Ok(Self {
            id: check::id("task_id", &task_id)?,
            name: check::required_name("name", name)?,
            container,
            resources,
            limits,
            kill_policy: check::optional("kill_policy", kill_policy)?.unwrap_or_default(),
            max_run_time_ms: (max_run_time_ms > 0).then_some(max_run_time_ms),
            labels: check::labels("labels", labels)?,
            discovery_name: check::name("discovery_name", discovery_name)?,
            data: check::data("data", data)?,
            priority,
            is_revocable: revocable,
        })
    }
}

fn limits_cover(limits: &ResourceLimits, requested: &Resources) -> Checked<()> {
    if let Some(cpus) = limits.cpus.filter(|cpus| *cpus < requested.cpus) {
        let (limit, requested) = (format!("{cpus} cpus"), format!("{} cpus", requested.cpus));
        return check::fail("cpus_milli", Defect::LimitBelowRequest { limit, requested });
    }
    if let Some(memory) = limits.memory.filter(|memory| *memory < requested.memory) {
        let (limit, requested) = (memory.to_string(), requested.memory.to_string());
        return check::fail("memory_bytes", Defect::LimitBelowRequest { limit, requested });
    }
    Ok(())
}

/// A task, unlike the template of one, has a host port for each port. Container port 0 takes it.
fn published_ports(ports: &mut [PortMapping]) -> Checked<()> {
    for (at, port) in ports.iter_mut().enumerate() {
        if port.host_port == 0 {
            return check::fail(&format!("ports[{at}].host_port"), Defect::PortOutOfRange { port: 0 });
        }
        if port.container_port == 0 {
            port.container_port = port.host_port;
        }
    }
    Ok(())
}

impl TryFrom<wire::ContainerSpec> for ContainerSpec {
    type Error = WireError;

    /// Host port 0 is allowed here: templates of services and jobs have none yet. A task must have them.
    fn try_from(spec: wire::ContainerSpec) -> Result<Self, WireError> {
        let wire::ContainerSpec {
            image,
            pull,
            command,
            args,
            env,
            user,
            working_dir,
            read_only_root,
            network,
            ports,
            mounts,
        } = spec;
        if image.is_empty() {
            return check::fail("image", Defect::Missing);
        }
        check::bounded("env", env.len(), MAX_ENV_VARS)?;
        let env = env.into_iter().enumerate().map(|(at, var)| env_var(var).within(&format!("env[{at}]")));
        let ports: Vec<PortMapping> = check::list("ports", ports, MAX_ENTRIES)?;
        unique_names(&ports)?;
        let working_dir = if working_dir.is_empty() { working_dir } else { path("working_dir", working_dir)? };
        Ok(Self {
            image: check::token("image", image, MAX_IMAGE_BYTES)?,
            pull: pull_policy("pull", pull)?,
            command: words("command", command)?,
            args: words("args", args)?,
            env: env.collect::<Checked<_>>()?,
            user: check::token("user", user, MAX_NAME_BYTES)?,
            working_dir,
            read_only_root,
            network: network_mode("network", network)?,
            ports,
            mounts: check::list("mounts", mounts, MAX_ENTRIES)?,
        })
    }
}

fn env_var(wire::EnvVar { name, value }: wire::EnvVar) -> Checked<(String, String)> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return check::fail("name", Defect::BadEnvName { name: name.chars().take(64).collect() });
    }
    Ok((check::text("name", name, MAX_TEXT_BYTES)?, check::text("value", value, MAX_TEXT_BYTES)?))
}

fn words(field: &str, words: Vec<String>) -> Checked<Vec<String>> {
    check::bounded(field, words.len(), MAX_ENTRIES)?;
    let each = words.into_iter().enumerate();
    each.map(|(at, word)| check::text(&format!("{field}[{at}]"), word, MAX_TEXT_BYTES)).collect()
}

fn unique_names(ports: &[PortMapping]) -> Checked<()> {
    let mut seen = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        if !port.name.is_empty() && !seen.insert(&port.name) {
            let defect = Defect::DuplicatePortName { name: port.name.clone() };
            return check::fail(&format!("ports[{at}].name"), defect);
        }
    }
    Ok(())
}

fn path(field: &str, path: String) -> Checked<String> {
    let path = check::text(field, path, MAX_PATH_BYTES)?;
    if path.starts_with('/') {
        return Ok(path);
    }
    check::fail(field, Defect::NotAbsolute { path: path.chars().take(64).collect() })
}

check::same_enum!(pull_policy: PullPolicy <-> WirePull, unspecified Some(PullPolicy::Missing),
    [Always, Missing, Never], "ALWAYS, MISSING, NEVER");
check::same_enum!(network_mode: NetworkMode <-> WireNetwork, unspecified Some(NetworkMode::Host),
    [Host, Bridge], "HOST, BRIDGE");
check::same_enum!(protocol: Protocol <-> WireProtocol, unspecified Some(Protocol::Tcp), [Tcp, Udp], "TCP, UDP");

impl TryFrom<wire::PortMapping> for PortMapping {
    type Error = WireError;

    fn try_from(mapping: wire::PortMapping) -> Result<Self, WireError> {
        let wire::PortMapping { name, container_port, host_port, protocol: transport } = mapping;
        Ok(Self {
            name: check::name("name", name)?,
            container_port: check::port_or_zero("container_port", container_port)?,
            host_port: check::port_or_zero("host_port", host_port)?,
            protocol: protocol("protocol", transport)?,
        })
    }
}

impl TryFrom<wire::Mount> for Mount {
    type Error = WireError;

    fn try_from(mount: wire::Mount) -> Result<Self, WireError> {
        let wire::Mount { target, host_path, read_only, tmpfs_size_bytes, volume_id, volume_role } = mount;
        let target = path("target", target)?;
        if !volume_id.is_empty() {
            let id = check::id("volume_id", &volume_id)?;
            let role = if volume_role.is_empty() { None } else { Some(check::role("volume_role", &volume_role)?) };
            let why = "a mount is either a volume, or a host directory, or memory";
            if !host_path.is_empty() {
                return check::fail("host_path", Defect::MustBeEmpty { why });
            }
            if tmpfs_size_bytes > 0 {
                return check::fail("tmpfs_size_bytes", Defect::MustBeEmpty { why });
            }
            return Ok(Self { target, source: MountSource::Volume { id, role, read_only } });
        }
        if !volume_role.is_empty() {
            let why = "only a volume has a role; set volume_id too";
            return check::fail("volume_role", Defect::MustBeEmpty { why });
        }
        if host_path.is_empty() {
            let size_bytes = if tmpfs_size_bytes == 0 { DEFAULT_TMPFS_BYTES } else { tmpfs_size_bytes };
            if read_only {
                let why = "a memory-backed directory that cannot be written is of no use";
                return check::fail("read_only", Defect::MustBeEmpty { why });
            }
            return Ok(Self { target, source: MountSource::Tmpfs { size_bytes } });
        }
        if tmpfs_size_bytes > 0 {
            let why = "a host directory has no size of its own";
            return check::fail("tmpfs_size_bytes", Defect::MustBeEmpty { why });
        }
        let path = path("host_path", host_path)?;
        Ok(Self { target, source: MountSource::Host { path, read_only } })
    }
}

impl TryFrom<wire::ResourceLimits> for ResourceLimits {
    type Error = WireError;

    fn try_from(limits: wire::ResourceLimits) -> Result<Self, WireError> {
        let wire::ResourceLimits { cpus_milli, memory_bytes, pids } = limits;
        let cpus = check::amount("cpus_milli", cpus_milli)?;
        Ok(Self {
            cpus: (cpus > 0).then_some(MilliCpus(cpus)),
            memory: (memory_bytes > 0).then_some(Bytes(memory_bytes)),
            pids: (pids > 0).then_some(pids),
        })
    }
}

impl TryFrom<wire::KillPolicy> for KillPolicy {
    type Error = WireError;

    fn try_from(wire::KillPolicy { grace_ms }: wire::KillPolicy) -> Result<Self, WireError> {
        let Some(grace_ms) = grace_ms else { return Ok(Self::default()) };
        Ok(Self { grace_ms: check::at_most("grace_ms", grace_ms, MAX_GRACE_MS)? })
    }
}

impl From<TaskSpec> for wire::TaskSpec {
    fn from(spec: TaskSpec) -> Self {
        let TaskSpec {
            id,
            name,
            container,
            resources,
            limits,
            kill_policy,
            max_run_time_ms,
            labels,
            discovery_name,
            data,
            priority,
            is_revocable,
        } = spec;
        Self {
            task_id: id.into(),
            name,
            container: Some(container.into()),
            resources: Some(resources.into()),
            limits: Some(limits.into()),
            kill_policy: Some(kill_policy.into()),
            max_run_time_ms: max_run_time_ms.unwrap_or(0),
            labels: labels.into_iter().collect(),
            discovery_name,
            data,
            priority,
            revocable: is_revocable,
        }
    }
}

impl From<ContainerSpec> for wire::ContainerSpec {
    fn from(spec: ContainerSpec) -> Self {
        let ContainerSpec {
            image,
            pull,
            command,
            args,
            env,
            user,
            working_dir,
            read_only_root,
            network,
            ports,
            mounts,
        } = spec;
        Self {
            image,
            pull: WirePull::from(pull).into(),
            command,
            args,
            env: env.into_iter().map(|(name, value)| wire::EnvVar { name, value }).collect(),
            user,
            working_dir,
            read_only_root,
            network: WireNetwork::from(network).into(),
            ports: ports.into_iter().map(Into::into).collect(),
            mounts: mounts.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<PortMapping> for wire::PortMapping {
    fn from(PortMapping { name, container_port, host_port, protocol }: PortMapping) -> Self {
        Self {
            name,
            container_port: container_port.into(),
            host_port: host_port.into(),
            protocol: WireProtocol::from(protocol).into(),
        }
    }
}

impl From<Mount> for wire::Mount {
    fn from(Mount { target, source }: Mount) -> Self {
        let plain = Self { target, ..Self::default() };
        match source {
            MountSource::Host { path, read_only } => Self { host_path: path, read_only, ..plain },
            MountSource::Volume { id, role, read_only } => {
                let volume_role = role.map(String::from).unwrap_or_default();
                Self { volume_id: id.into(), volume_role, read_only, ..plain }
            }
            MountSource::Tmpfs { size_bytes } => Self { tmpfs_size_bytes: size_bytes, ..plain },
        }
    }
}

impl From<ResourceLimits> for wire::ResourceLimits {
    fn from(ResourceLimits { cpus, memory, pids }: ResourceLimits) -> Self {
        Self {
            cpus_milli: check::signed(cpus.unwrap_or_default().0),
            memory_bytes: memory.unwrap_or_default().0,
            pids: pids.unwrap_or(0),
        }
    }
}

impl From<KillPolicy> for wire::KillPolicy {
    fn from(KillPolicy { grace_ms }: KillPolicy) -> Self {
        Self { grace_ms: Some(grace_ms) }
    }
}
