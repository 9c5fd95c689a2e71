//! The two clocks of this process, read together.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proffer_proto_model::{Moment, Now, UnixMillis};
use tokio::time::Instant;

/// Reads both clocks. Moments count from when it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    pub fn now(self) -> Now {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: Moment(millis(self.start.elapsed())), unix: UnixMillis(millis(unix)) }
    }

    /// When the moment comes, rounded so that it has come by then.
    pub fn instant(self, moment: Moment) -> Instant {
        self.start + Duration::from_millis(moment.0)
    }
}
