//! Time as values. Engines get it as an argument; only servers and simulators read or make a clock.

use std::ops::Add;

use serde::{Deserialize, Serialize};

/// A point on a monotonic clock, in milliseconds since that clock's start. Time-outs use only this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Moment(pub u64);

impl Moment {
    /// Milliseconds since `earlier`; 0 when `earlier` is later.
    pub fn since_ms(self, earlier: Moment) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Moment {
    type Output = Moment;
    /// The moment `ms` milliseconds later; the end of time when that overflows.
    fn add(self, ms: u64) -> Moment {
        Moment(self.0.saturating_add(ms))
    }
}

/// Wall-clock time in milliseconds since 1970, only for people: never for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

/// Both clocks, read together, as an engine gets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// For time-outs.
    pub mono: Moment,
    /// For stamps that people read.
    pub unix: UnixMillis,
}

/// A master's generation: grows with every start and every change of leader; the fencing token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch(pub u64);
