//! Finds out about this host what nobody gave: its name, its boot, its CPUs, memory and disk.
//!
//! Only reads; never changes anything.

use std::fs;
use std::path::Path;

use proffer_agent_runtime::{CgroupVersion, RuntimeInfo};
use proffer_proto_model::{Attribute, AttributeValue, Bytes, MilliCpus, Resources};

use crate::{AgentError, GivenResources};

/// The least memory kept for the host itself.
const MIN_RESERVE_BYTES: u64 = 512 << 20;

/// What this host has, with what was given in place of what was found.
pub(crate) fn resources(given: &GivenResources, data_dir: &Path) -> Result<Resources, AgentError> {
    Ok(Resources {
        cpus: given.cpus.map_or_else(cpus, Ok)?,
        memory: given.memory.map_or_else(memory, Ok)?,
        disk: given.disk.map_or_else(|| disk(data_dir), Ok)?,
        gpus: given.gpus,
        ports: given.ports.clone(),
        ..Resources::default()
    })
}

/// CPUs, memory and disk an agent with this data directory offers when nothing was given.
///
/// # Errors
/// What could not be found out.
pub fn host_resources(data_dir: &Path) -> Result<Resources, AgentError> {
    Ok(Resources { cpus: cpus()?, memory: memory()?, disk: disk(data_dir)?, ..Resources::default() })
}

/// The given attributes and, where the name is free, the found ones.
pub(crate) fn attributes(given: &[Attribute], runtime: &RuntimeInfo) -> Vec<Attribute> {
    let cgroup = match runtime.cgroup {
        CgroupVersion::V1 => "v1",
        CgroupVersion::V2 => "v2",
    };
    let mut attributes = given.to_vec();
    let found = [
        ("arch", std::env::consts::ARCH.to_owned()),
        ("os", std::env::consts::OS.to_owned()),
        ("kernel", read("/proc/sys/kernel/osrelease").unwrap_or_default()),
        ("cgroup", cgroup.to_owned()),
        ("runtime", runtime.name.clone()),
        ("runtime_version", runtime.version.clone()),
    ];
    for (name, value) in found {
        if !value.is_empty() && attributes.iter().all(|known| known.name != name) {
            attributes.push(Attribute { name: name.to_owned(), value: AttributeValue::Text(value) });
        }
    }
    attributes
}

/// The host's name.
pub(crate) fn hostname() -> Result<String, AgentError> {
    read("/proc/sys/kernel/hostname").map_err(|cause| AgentError::Detect { what: "host name", cause })
}

/// Changes with every boot; empty where the kernel does not say.
pub(crate) fn boot_id() -> String {
    read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

fn cpus() -> Result<MilliCpus, AgentError> {
    let count = std::thread::available_parallelism()
        .map_err(|error| AgentError::Detect { what: "CPUs", cause: error.to_string() })?;
    Ok(MilliCpus(count.get() as u64 * 1_000))
}

fn memory() -> Result<Bytes, AgentError> {
    let fail = |cause: String| AgentError::Detect { what: "memory", cause };
    let text = read("/proc/meminfo").map_err(fail)?;
    let total = mem_total_bytes(&text).ok_or_else(|| fail("/proc/meminfo holds no MemTotal".to_owned()))?;
    // Inside a container the whole may be less than the machine's.
    let bound = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .filter_map(|path| read(path).ok()?.parse::<u64>().ok())
        .min();
    Ok(Bytes(less_reserve(bound.map_or(total, |bound| bound.min(total)))))
}

fn mem_total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// A tenth, but at least [`MIN_RESERVE_BYTES`], stays with the host.
fn less_reserve(total_bytes: u64) -> u64 {
    total_bytes.saturating_sub((total_bytes / 10).max(MIN_RESERVE_BYTES))
}

fn disk(data_dir: &Path) -> Result<Bytes, AgentError> {
    let stat = nix::sys::statvfs::statvfs(data_dir)
        .map_err(|error| AgentError::Detect { what: "disk space", cause: error.to_string() })?;
    let free = u128::from(stat.blocks_available()) * u128::from(stat.fragment_size());
    Ok(Bytes(u64::try_from(free * 9 / 10).unwrap_or(u64::MAX)))
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keeps_a_tenth_and_at_least_half_a_gibibyte() {
        assert_eq!(less_reserve(1 << 30), 512 << 20);
        assert_eq!(less_reserve(100 << 30), 90 << 30);
        assert_eq!(less_reserve(1 << 20), 0);
    }

    #[test]
    fn meminfo_is_read_in_kibibytes() {
        assert_eq!(mem_total_bytes("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(mem_total_bytes("MemFree: 1 kB\n"), None);
    }
}
