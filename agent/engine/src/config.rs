//! What the engine is told once, at its start.

use proffer_proto_model::AgentInfo;

/// Who the agent is and how patient it is.
#[derive(Debug, Clone)]
pub struct Config {
    /// The agent as it describes itself. Its id is taken from the checkpoint, never from here.
    pub agent: AgentInfo,
    /// Time-outs and intervals.
    pub timing: Timing,
    /// How many ended and confirmed tasks are remembered (and their logs kept).
    pub ended_kept: usize,
}

/// Time-outs and intervals, all in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// First wait before an unconfirmed update is sent again; it doubles each time.
    pub resend_first_ms: u64,
    /// Longest wait before an unconfirmed update is sent again.
    pub resend_max_ms: u64,
    /// Between two SIGKILLs to a container that does not end.
    pub kill_repeat_ms: u64,
    /// First wait before a step that failed for now is tried again; it doubles each time.
    pub retry_first_ms: u64,
    /// Longest wait before a step is tried again.
    pub retry_max_ms: u64,
    /// How long the steps of a launch are tried again before the task fails.
    pub launch_retry_ms: u64,
    /// How long the master may take to answer an attach.
    pub handshake_ms: u64,
    /// So many ping intervals without a word from the master end the connection.
    pub missed_pings: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            resend_first_ms: 10_000,
            resend_max_ms: 600_000,
            kill_repeat_ms: 5_000,
            retry_first_ms: 500,
            retry_max_ms: 30_000,
            launch_retry_ms: 60_000,
            handshake_ms: 10_000,
            missed_pings: 3,
        }
    }
}

impl Config {
    /// The usual patience and memory for this agent.
    pub fn new(agent: AgentInfo) -> Self {
        Self { agent, timing: Timing::default(), ended_kept: 1_000 }
    }
}
