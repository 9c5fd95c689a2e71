//! THE task state machine: the states, and the one table of legal moves.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where in its life a task is. States and meaning follow Mesos' partition-aware set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskState {
    /// Accepted by the master, not confirmed by the agent.
    Staging,
    /// The agent prepares it.
    Starting,
    /// Its process runs.
    Running,
    /// It was told to end and has not yet.
    Killing,
    /// Ended by itself with exit code 0.
    Finished,
    /// Ended in any other way nobody asked for.
    Failed,
    /// Ended because it was asked to.
    Killed,
    /// Its description is wrong.
    Error,
    /// Never started; trying again is sensible.
    Dropped,
    /// The agent cannot be reached; it may come back.
    Unreachable,
    /// The agent is known not to run it any more.
    Gone,
    /// An operator declared the agent gone.
    GoneByOperator,
    /// Only an answer to reconciliation: not known.
    Unknown,
}

impl TaskState {
    /// Every state, in the order of the wire numbers.
    pub const ALL: [TaskState; 13] = [
        Self::Staging,
        Self::Starting,
        Self::Running,
        Self::Killing,
        Self::Finished,
        Self::Failed,
        Self::Killed,
        Self::Error,
        Self::Dropped,
        Self::Unreachable,
        Self::Gone,
        Self::GoneByOperator,
        Self::Unknown,
    ];

    /// It has ended for good and never changes again.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Finished
            | Self::Failed
            | Self::Killed
            | Self::Error
            | Self::Dropped
            | Self::Gone
            | Self::GoneByOperator => true,
            Self::Staging | Self::Starting | Self::Running | Self::Killing | Self::Unreachable | Self::Unknown => false,
        }
    }

    /// It holds resources of its agent. An unreachable task does not: the agent is out of the sum.
    pub fn holds_resources(self) -> bool {
        matches!(self, Self::Staging | Self::Starting | Self::Running | Self::Killing)
    }

    /// The one table of legal moves. Staying in a state is a move to itself and legal unless terminal.
    pub fn may_become(self, next: TaskState) -> bool {
        if self.is_terminal() || next == Self::Unknown || self == Self::Unknown {
            return false;
        }
        match self {
            // Anything may follow: the agent is the truth once it confirms.
            Self::Staging => true,
            Self::Starting => next != Self::Staging,
            Self::Running => !matches!(next, Self::Staging | Self::Starting),
            // A kill in progress ends; it never goes back to running. It also never turns into FINISHED.
            Self::Killing => !matches!(next, Self::Staging | Self::Starting | Self::Running | Self::Finished),
            // The agent came back and says what is true.
            Self::Unreachable => next != Self::Staging,
            _ => false,
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Staging => "STAGING",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Killing => "KILLING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
            Self::Error => "ERROR",
            Self::Dropped => "DROPPED",
            Self::Unreachable => "UNREACHABLE",
            Self::Gone => "GONE",
            Self::GoneByOperator => "GONE_BY_OPERATOR",
            Self::Unknown => "UNKNOWN",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_follows_a_terminal_state() {
        for from in TaskState::ALL.into_iter().filter(|s| s.is_terminal()) {
            for to in TaskState::ALL {
                assert!(!from.may_become(to), "{from} must not become {to}");
            }
        }
    }

    #[test]
    fn every_living_state_can_end_and_can_be_lost() {
        for from in TaskState::ALL.into_iter().filter(|s| !s.is_terminal() && *s != TaskState::Unknown) {
            assert!(from.may_become(TaskState::Failed), "{from} must be able to fail");
            assert!(from.may_become(TaskState::Killed), "{from} must be able to be killed");
            assert!(from.may_become(TaskState::Unreachable), "{from} must be able to be lost");
            assert!(!from.may_become(TaskState::Unknown), "UNKNOWN is only an answer");
        }
    }

    #[test]
    fn life_goes_forward_only() {
        use TaskState::*;
        assert!(Staging.may_become(Running));
        assert!(!Running.may_become(Starting));
        assert!(!Killing.may_become(Running));
        assert!(!Killing.may_become(Finished));
        assert!(Unreachable.may_become(Running));
    }
}
