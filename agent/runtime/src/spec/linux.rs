//! Kernel-side bounds: namespaces, cgroup limits, devices, hidden paths.
//! Devices are denied unless listed here; nothing in this file depends on the host's state.

use std::collections::HashMap;

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Linux, LinuxBuilder, LinuxCpu, LinuxCpuBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
    LinuxMemory, LinuxMemoryBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxPidsBuilder,
    LinuxResources, LinuxResourcesBuilder,
};

use super::SpecInput;
use crate::{CgroupVersion, Limits};

const MASKED_PATHS: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Character devices of every container: null, zero, full, random, urandom, tty, console, ptmx, pts.
const DEVICES: [(i64, Option<i64>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// Length of one accounting period of the CPU bound.
const CPU_PERIOD_US: u64 = 100_000;

/// The kernel's smallest quota per period.
const MIN_CPU_QUOTA_US: u64 = 1_000;

const DEFAULT_PIDS: u64 = 1_024;

pub(super) fn linux(input: &SpecInput<'_>) -> Result<Linux, OciSpecError> {
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces(input)?)
        .resources(resources(input)?)
        .cgroups_path(input.cgroups_path.as_str())
        .masked_paths(MASKED_PATHS.map(String::from).to_vec())
        .readonly_paths(READ_ONLY_PATHS.map(String::from).to_vec())
        .rootfs_propagation("private")
        .seccomp(super::seccomp::seccomp()?)
        .build()?;
    if input.request.netns.is_some() {
        linux.set_sysctl(Some(own_network_sysctls()));
    }
    Ok(linux)
}

/// In a network of its own a process may bind low ports and ping without privileges.
fn own_network_sysctls() -> HashMap<String, String> {
    HashMap::from([
        ("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned()),
        ("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned()),
    ])
}

fn namespaces(input: &SpecInput<'_>) -> Result<Vec<LinuxNamespace>, OciSpecError> {
    let mut kinds =
        vec![LinuxNamespaceType::Pid, LinuxNamespaceType::Ipc, LinuxNamespaceType::Uts, LinuxNamespaceType::Mount];
    if input.cgroup == CgroupVersion::V2 {
        kinds.push(LinuxNamespaceType::Cgroup);
    }
    let mut all = Vec::new();
    for kind in kinds {
        all.push(LinuxNamespaceBuilder::default().typ(kind).build()?);
    }
    if let Some(path) = &input.request.netns {
        all.push(LinuxNamespaceBuilder::default().typ(LinuxNamespaceType::Network).path(path.as_path()).build()?);
    }
    Ok(all)
}

fn resources(input: &SpecInput<'_>) -> Result<LinuxResources, OciSpecError> {
    let limits = &input.request.limits;
    let pids = LinuxPidsBuilder::default().limit(signed(limits.pids_limit.unwrap_or(DEFAULT_PIDS))).build()?;
    let mut resources = LinuxResourcesBuilder::default().devices(devices()?).cpu(cpu(limits)?).pids(pids).build()?;
    if let Some(bytes) = limits.memory_limit_bytes {
        resources.set_memory(Some(memory(bytes, input.swap_accounting)?));
    }
    Ok(resources)
}

fn devices() -> Result<Vec<LinuxDeviceCgroup>, OciSpecError> {
    let mut rules = vec![LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build()?];
    for (major, minor) in DEVICES {
        let rule = LinuxDeviceCgroupBuilder::default().allow(true).typ(LinuxDeviceType::C).major(major).access("rwm");
        rules.push(match minor {
            Some(minor) => rule.minor(minor).build()?,
            None => rule.build()?,
        });
    }
    Ok(rules)
}

fn cpu(limits: &Limits) -> Result<LinuxCpu, OciSpecError> {
    // 1024 shares are one CPU; the kernel takes no less than 2.
    let shares = (limits.cpu_request_millis.saturating_mul(1024) / 1000).max(2);
    let cpu = LinuxCpuBuilder::default().shares(shares);
    match limits.cpu_limit_millis {
        None => cpu.build(),
        Some(millis) => {
            let quota_us = (millis.saturating_mul(CPU_PERIOD_US) / 1000).max(MIN_CPU_QUOTA_US);
            cpu.period(CPU_PERIOD_US).quota(signed(quota_us)).build()
        }
    }
}

fn memory(limit_bytes: u64, swap_accounting: bool) -> Result<LinuxMemory, OciSpecError> {
    let memory = LinuxMemoryBuilder::default().limit(signed(limit_bytes));
    match swap_accounting {
        // Memory and swap together at the same bound: no swap at all.
        true => memory.swap(signed(limit_bytes)).build(),
        false => memory.build(),
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
