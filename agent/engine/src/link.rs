//! The agent's one connection to a master: which, how far, and when it last spoke.

use proffer_proto_model::Moment;

use crate::{SessionId, Timing};

/// How far the connection to the master is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Link {
    /// There is none.
    #[default]
    Down,
    /// The agent said who it is; the master has not answered.
    Attaching { session: SessionId, since: Moment },
    /// The master admitted the agent.
    Up { session: SessionId, ping_interval_ms: u64, heard: Moment },
}

impl Link {
    /// The stream on which updates may go.
    pub fn attached(self) -> Option<SessionId> {
        match self {
            Link::Up { session, .. } => Some(session),
            Link::Down | Link::Attaching { .. } => None,
        }
    }

    pub fn session(self) -> Option<SessionId> {
        match self {
            Link::Up { session, .. } | Link::Attaching { session, .. } => Some(session),
            Link::Down => None,
        }
    }

    pub fn heard(&mut self, now: Moment) {
        if let Link::Up { heard, .. } = self {
            *heard = now;
        }
    }

    /// When the master counts as silent.
    pub fn deadline(self, timing: &Timing) -> Option<Moment> {
        match self {
            Link::Down => None,
            Link::Attaching { since, .. } => Some(since + timing.handshake_ms),
            Link::Up { ping_interval_ms, heard, .. } => {
                Some(heard + ping_interval_ms.saturating_mul(timing.missed_pings))
            }
        }
    }
}
