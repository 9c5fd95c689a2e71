//! Waiting longer after each failure, with full jitter so that many clients never come back together.

use std::fmt;
use std::time::Duration;

/// Delays that double from a base to a cap, each drawn evenly from zero to that bound.
pub struct Backoff {
    base_ms: u64,
    cap_ms: u64,
    failures: u32,
    /// Given a bound, a number from 0 to the bound, both included.
    random: Box<dyn FnMut(u64) -> u64 + Send>,
}

impl Backoff {
    /// From `base`, never above `cap`, with the thread's random source.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self::with_random(base, cap, |bound| fastrand::u64(0..=bound))
    }

    /// The same with a random source of the caller: given a bound, a number from 0 to the bound.
    pub fn with_random(base: Duration, cap: Duration, random: impl FnMut(u64) -> u64 + Send + 'static) -> Self {
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { base_ms: millis(base), cap_ms: millis(cap), failures: 0, random: Box::new(random) }
    }

    /// How long to wait after one more failure.
    pub fn next_delay(&mut self) -> Duration {
        let doubled = self.base_ms.checked_shl(self.failures).filter(|ms| ms >> self.failures == self.base_ms);
        let bound = doubled.unwrap_or(u64::MAX).min(self.cap_ms);
        self.failures = (self.failures + 1).min(63);
        Duration::from_millis((self.random)(bound).min(bound))
    }

    /// It worked: the next failure waits from the base again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base_ms, cap_ms, failures, random: _ } = self;
        write!(f, "Backoff {{ base_ms: {base_ms}, cap_ms: {cap_ms}, failures: {failures} }}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(backoff: &mut Backoff, count: usize) -> Vec<u64> {
        (0..count).map(|_| backoff.next_delay().as_millis() as u64).collect()
    }

    #[test]
    fn bounds_double_up_to_the_cap_and_start_again_after_success() {
        let mut backoff = Backoff::with_random(Duration::from_millis(100), Duration::from_secs(1), |bound| bound);
        assert_eq!(bounds(&mut backoff, 6), [100, 200, 400, 800, 1000, 1000]);
        backoff.reset();
        assert_eq!(bounds(&mut backoff, 2), [100, 200]);
        assert_eq!(bounds(&mut backoff, 200).last(), Some(&1000), "never overflows");
    }

    #[test]
    fn a_delay_is_never_above_its_bound() {
        let mut backoff = Backoff::with_random(Duration::from_millis(10), Duration::from_millis(50), |_| u64::MAX);
        assert_eq!(bounds(&mut backoff, 4), [10, 20, 40, 50]);
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(50));
        assert!(bounds(&mut backoff, 100).into_iter().all(|ms| ms <= 50));
    }
}
