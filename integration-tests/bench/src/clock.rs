//! Time and memory as the operating system counts them for this process.

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};

/// CPU time of this thread in nanoseconds: other processes on the machine hardly change it.
pub fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock");
    u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
}

/// CPU nanoseconds that `work` takes, and its result.
pub fn cpu_ns_of<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let start = thread_cpu_ns();
    let result = work();
    (thread_cpu_ns() - start, result)
}

/// The most memory this process ever had resident, in bytes.
pub fn peak_rss_bytes() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may always ask for its own usage");
    u64::try_from(usage.max_rss()).unwrap_or(0) * 1024
}
