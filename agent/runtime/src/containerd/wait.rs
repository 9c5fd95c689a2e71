//! How a container ended. containerd's exit status and the kernel's counters together tell a code, a signal and
//! the out-of-memory killer apart.

use std::time::Duration;

use containerd_client::services::v1 as api;
use prost_types::Timestamp;
use tonic::Code;

use super::Inner;
use super::client::{is_connection_lost, is_shim_lost};
use super::tasks::kill_label;
use crate::cgroup::MemoryRecord;
use crate::{Exit, ExitCause, RuntimeError};

/// First and longest pause while containerd is away.
const RECONNECT_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

const SIGKILL: u8 = 9;

/// Signals that do not end a process unless it wants to: 128 + one of these can only be an exit code.
const HARMLESS_SIGNALS: [u8; 8] = [17, 18, 19, 20, 21, 22, 23, 28];

impl Inner {
    /// See [`crate::ContainerRuntime::wait`]. While containerd is away it goes on trying: cancel it to give up.
    pub(super) async fn wait(&self, id: &str) -> Result<Exit, RuntimeError> {
        let mut pause = RECONNECT_PAUSE.0;
        loop {
            let request = api::WaitRequest { container_id: id.to_owned(), exec_id: String::new() };
            match self.client.tasks().wait(self.client.patient_request(request)).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    return self.exit(id, answer.exit_status, answer.exited_at).await;
                }
                Err(status) if status.code() == Code::NotFound => return self.lost_exit(id).await,
                Err(status) if is_connection_lost(&status) || is_shim_lost(&status) => {
                    tracing::debug!(container = id, error = %status, "wait interrupted, trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RECONNECT_PAUSE.1);
                }
                Err(status) => return Err(self.client.error(format!("wait for {id}"), status)),
            }
        }
    }

    async fn exit(&self, id: &str, status: u32, ended: Option<Timestamp>) -> Result<Exit, RuntimeError> {
        // The cgroup stays until the task is deleted, so this is the same for everybody who asks.
        let memory = self.cgroups.memory_record(&self.cgroup_of(id));
        let record = self.record(id).await?;
        let killed = record.and_then(|record| record.labels.get(&kill_label())?.parse().ok());
        Ok(Exit {
            cause: cause_of(status, killed, memory),
            ended_unix_ms: ended.map_or(0, unix_ms),
            peak_memory_bytes: memory.peak_bytes,
        })
    }

    /// There is no task: either no container, or one whose end nobody saw.
    async fn lost_exit(&self, id: &str) -> Result<Exit, RuntimeError> {
        match self.record(id).await? {
            Some(_) => Ok(Exit { cause: ExitCause::Unknown, ended_unix_ms: 0, peak_memory_bytes: None }),
            None => Err(RuntimeError::not_found(format!("wait for {id}"), "no such container")),
        }
    }
}

/// Names the cause behind an exit status.
///
/// containerd reports 128 + n both for a process ended by signal n and for one that exited with that code;
/// this reads them as signals where n is one that ends processes. A SIGKILL (137) is the out-of-memory killer's
/// when the kernel counted a kill in this cgroup at its own limit, after any SIGKILL we sent (`killed` holds the
/// count at that moment). A shell that passes on the 137 of its only child counts as out of memory too.
fn cause_of(status: u32, killed: Option<u64>, memory: MemoryRecord) -> ExitCause {
    let Ok(code) = u8::try_from(status) else {
        return ExitCause::Unknown;
    };
    match code.checked_sub(128) {
        Some(SIGKILL) => {
            let kills = memory.oom_kills.unwrap_or_default();
            let at_own_limit = memory.reached_limit.unwrap_or(true);
            match kills > killed.unwrap_or_default() && at_own_limit {
                true => ExitCause::OutOfMemory,
                false => ExitCause::Signal(SIGKILL),
            }
        }
        Some(signal @ 1..=31) if !HARMLESS_SIGNALS.contains(&signal) => ExitCause::Signal(signal),
        _ => ExitCause::Code(code),
    }
}

fn unix_ms(time: Timestamp) -> u64 {
    let seconds = u64::try_from(time.seconds).unwrap_or_default();
    let millis = u64::try_from(time.nanos / 1_000_000).unwrap_or_default();
    seconds.saturating_mul(1000).saturating_add(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(oom_kills: u64, reached_limit: bool) -> MemoryRecord {
        MemoryRecord { oom_kills: Some(oom_kills), reached_limit: Some(reached_limit), peak_bytes: None }
    }

    #[test]
    fn codes_and_signals_are_told_apart() {
        let quiet = memory(0, false);
        assert_eq!(cause_of(0, None, quiet), ExitCause::Code(0));
        assert_eq!(cause_of(42, None, quiet), ExitCause::Code(42));
        assert_eq!(cause_of(255, None, quiet), ExitCause::Code(255));
        assert_eq!(cause_of(143, None, quiet), ExitCause::Signal(15));
        assert_eq!(cause_of(139, None, quiet), ExitCause::Signal(11));
        assert_eq!(cause_of(128 + 18, None, quiet), ExitCause::Code(146));
        assert_eq!(cause_of(999, None, quiet), ExitCause::Unknown);
    }

    #[test]
    fn only_a_kill_of_the_kernel_at_the_own_limit_is_out_of_memory() {
        assert_eq!(cause_of(137, None, memory(1, true)), ExitCause::OutOfMemory);
        assert_eq!(cause_of(137, None, memory(0, true)), ExitCause::Signal(9), "reclaim alone is no kill");
        assert_eq!(cause_of(137, None, memory(1, false)), ExitCause::Signal(9), "the host ran dry, not the container");
        assert_eq!(cause_of(137, Some(1), memory(1, true)), ExitCause::Signal(9), "a child died before we killed");
        assert_eq!(cause_of(137, Some(1), memory(2, true)), ExitCause::OutOfMemory, "the kernel was faster");
        assert_eq!(cause_of(5, None, memory(1, true)), ExitCause::Code(5), "a child died, the first process went on");
        assert_eq!(cause_of(137, None, MemoryRecord::default()), ExitCause::Signal(9));
    }
}
