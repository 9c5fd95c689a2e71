//! The only place of the master that reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use proffer_proto_model::{Moment, Now, UnixMillis};

/// Both clocks as values. Cheap to copy; all copies count from one start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(self) -> Now {
        Now { mono: Moment(millis(self.start.elapsed().as_millis())), unix: unix_now() }
    }

    /// The clock that goes on while the machine sleeps; for what others count meanwhile.
    pub(crate) fn boot(self) -> Moment {
        // It is there on every Linux since 2.6.39; with a kernel without it no lease would be held.
        let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
        Moment(time.map_or(u64::MAX, |time| millis(time.as_millis())))
    }

    /// The instant at which the monotonic clock shows `moment`.
    pub(crate) fn instant(self, moment: Moment) -> Instant {
        // Far beyond any run of a process; keeps the sum below in the range of the clock.
        const YEAR_MS: u64 = 365 * 24 * 3_600_000;
        self.start + Duration::from_millis(moment.0.min(100 * YEAR_MS))
    }
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Seconds since the start, or since the last lap; the next lap begins.
    pub(crate) fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let since = std::mem::replace(&mut self.0, now);
        now.duration_since(since).as_secs_f64()
    }
}

/// Wall-clock time; zero when the clock stands before 1970.
pub(crate) fn unix_now() -> UnixMillis {
    UnixMillis(SystemTime::now().duration_since(UNIX_EPOCH).map(|d| millis(d.as_millis())).unwrap_or(0))
}

fn millis(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
