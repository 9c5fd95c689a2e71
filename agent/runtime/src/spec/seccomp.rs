//! The system calls no container needs and the kernel is better off without.
//!
//! A block list: what is not named here works, so that new programs run on old agents. Capabilities guard the same
//! doors a second time; this filter stands where a capability is not asked for, as within a user namespace.

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

/// "Operation not permitted".
const EPERM: u32 = 1;
/// "Function not implemented": makes a C library fall back to an older call.
const ENOSYS: u32 = 38;
/// "Address family not supported".
const EAFNOSUPPORT: u32 = 97;

/// Refused with [`EPERM`], by what they would reach.
const REFUSED: [&[&str]; 8] = [
    // The tree of mounts.
    &[
        "fsconfig",
        "fsmount",
        "fsopen",
        "fspick",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_tree",
        "pivot_root",
        "umount",
        "umount2",
    ],
    // Namespaces; `clone` is judged by its flags.
    &["setns", "unshare"],
    // The kernel's key rings, which are not divided by container.
    &["add_key", "keyctl", "request_key"],
    // The kernel itself: its image, modules, log, programs and events.
    &[
        "bpf",
        "delete_module",
        "finit_module",
        "init_module",
        "kexec_file_load",
        "kexec_load",
        "perf_event_open",
        "reboot",
        "syslog",
    ],
    // The whole machine: clock, names, swap, accounting, quotas, consoles.
    &[
        "acct",
        "clock_settime",
        "quotactl",
        "quotactl_fd",
        "setdomainname",
        "sethostname",
        "settimeofday",
        "stime",
        "swapoff",
        "swapon",
        "vhangup",
    ],
    // Other processes' memory and files.
    &["kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace"],
    // Files by inode, past every mount; events of a whole file system.
    &["fanotify_init", "lookup_dcookie", "name_to_handle_at", "open_by_handle_at"],
    // Hardware, other processes' memory pages, and faults handled outside the kernel.
    &["ioperm", "iopl", "migrate_pages", "move_pages", "userfaultfd"],
];

/// Answered as if this kernel had none of them: programs know what to do without.
const ABSENT: [&str; 13] = [
    "_sysctl",
    "clone3",
    "create_module",
    "get_kernel_syms",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "nfsservctl",
    "query_module",
    "sysfs",
    "uselib",
    "ustat",
    "vm86",
];

/// Flags of `clone` that make a namespace: cgroup, uts, ipc, user, pid, network, mount.
const NAMESPACE_FLAGS: [u64; 7] =
    [0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x0002_0000];

/// Families of sockets that reach beside the network: the kernel's cryptography and the hypervisor.
const SOCKET_FAMILIES: [u64; 2] = [38, 40];

/// The `ioctl` that types into a terminal as if somebody sat there.
const TIOCSTI: u64 = 0x5412;

/// The filter of every container.
pub(super) fn seccomp() -> Result<LinuxSeccomp, OciSpecError> {
    let mut rules = vec![rule(&REFUSED.concat(), EPERM, None)?, rule(&ABSENT, ENOSYS, None)?];
    for flag in NAMESPACE_FLAGS {
        rules.push(rule(&["clone"], EPERM, Some(argument(0, flag, flag)?))?);
    }
    for family in SOCKET_FAMILIES {
        rules.push(rule(&["socket", "socketpair"], EAFNOSUPPORT, Some(argument(0, LOW_HALF, family)?))?);
    }
    rules.push(rule(&["ioctl"], EPERM, Some(argument(1, LOW_HALF, TIOCSTI)?))?);
    LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActAllow)
        .architectures(architectures())
        .syscalls(rules)
        .build()
}

/// The kernel reads these arguments as 32 bits, so that the upper half must not hide one.
const LOW_HALF: u64 = 0xffff_ffff;

/// Calls in any other convention of this processor end the process: they would go past the filter.
fn architectures() -> Vec<Arch> {
    match std::env::consts::ARCH {
        "x86_64" => vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86],
        "aarch64" => vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm],
        _ => vec![Arch::ScmpArchNative],
    }
}

fn rule(names: &[&str], errno: u32, argument: Option<LinuxSeccompArg>) -> Result<LinuxSyscall, OciSpecError> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let rule = LinuxSyscallBuilder::default().names(names).action(LinuxSeccompAction::ScmpActErrno).errno_ret(errno);
    match argument {
        Some(argument) => rule.args(vec![argument]).build(),
        None => rule.build(),
    }
}

/// Holds when the argument's bits under `mask` are `wanted`.
fn argument(index: usize, mask: u64, wanted: u64) -> Result<LinuxSeccompArg, OciSpecError> {
    LinuxSeccompArgBuilder::default()
        .index(index)
        .value(mask)
        .value_two(wanted)
        .op(LinuxSeccompOperator::ScmpCmpMaskedEq)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_named_once_and_by_its_own_rule() {
        let mut names: Vec<_> = REFUSED.concat().into_iter().chain(ABSENT).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        let filter = seccomp().unwrap();
        let rules = filter.syscalls().as_deref().unwrap_or_default();
        assert!(
            rules.iter().all(|rule| rule.action() == LinuxSeccompAction::ScmpActErrno && rule.errno_ret().is_some())
        );
        let bare: Vec<_> = rules.iter().filter(|rule| rule.args().is_none()).flat_map(|rule| rule.names()).collect();
        assert!(!bare.iter().any(|name| ["clone", "socket", "ioctl"].contains(&name.as_str())), "never wholly");
    }
}
