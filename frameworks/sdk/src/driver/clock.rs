//! The one clock of a run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proffer_proto_model::{Moment, Now, UnixMillis};
use tokio::time::Instant;

/// Counts from the start of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(super) fn now(self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: Moment(millis(self.start.elapsed())), unix: UnixMillis(millis(unix)) }
    }

    /// The instant at which `moment` is reached for certain: ticks must not come a fraction too early.
    pub(super) fn instant(self, moment: Moment) -> Instant {
        let far = Duration::from_secs(365 * 24 * 3_600);
        self.start + Duration::from_millis(moment.0.saturating_add(1)).min(self.start.elapsed() + far)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
