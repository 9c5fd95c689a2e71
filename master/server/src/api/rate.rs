//! How fast each framework may call: a token bucket for each name, shared by all its streams, old and new.
//!
//! Calls that come faster wait in their stream; none is lost and none is out of order. Never touches the owner.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use crate::config::CallRate;

/// Buckets that are kept before full ones of frameworks that are gone are dropped.
const BUCKETS: usize = 1_024;

/// The buckets of all frameworks.
#[derive(Debug)]
pub(crate) struct Buckets {
    rate: CallRate,
    by_name: Mutex<BTreeMap<String, Arc<Bucket>>>,
}

/// The bucket of one framework.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: CallRate,
    level: Mutex<Level>,
}

/// How full a bucket is, in millionths of a token; below zero it is in debt.
#[derive(Debug)]
struct Level {
    micro: i64,
    at: Instant,
}

impl Buckets {
    pub(crate) fn new(rate: CallRate) -> Self {
        Self { rate, by_name: Mutex::default() }
    }

    /// The bucket of a framework; a full one when it is new.
    pub(crate) fn of(&self, name: &str) -> Arc<Bucket> {
        let mut by_name = lock(&self.by_name);
        if by_name.len() >= BUCKETS && !by_name.contains_key(name) {
            by_name.retain(|_, bucket| Arc::strong_count(bucket) > 1 || !bucket.is_full());
        }
        let new = || Arc::new(Bucket::new(self.rate));
        Arc::clone(by_name.entry(name.to_owned()).or_insert_with(new))
    }
}

impl Bucket {
    fn new(rate: CallRate) -> Self {
        Self { rate, level: Mutex::new(Level { micro: rate.burst_micro(), at: Instant::now() }) }
    }

    /// Takes what a call costs; gives how long the call must wait.
    pub(crate) fn take(&self, tokens: u32) -> Duration {
        let mut level = lock(&self.level);
        self.refill(&mut level);
        level.micro = level.micro.saturating_sub(i64::from(tokens) * 1_000_000);
        let debt = u64::try_from(-level.micro).unwrap_or(0);
        Duration::from_micros(debt / u64::from(self.rate.per_second))
    }

    fn is_full(&self) -> bool {
        let mut level = lock(&self.level);
        self.refill(&mut level);
        level.micro == self.rate.burst_micro()
    }

    /// A token each second is a millionth of one each microsecond.
    fn refill(&self, level: &mut Level) {
        let now = Instant::now();
        let passed = i64::try_from(now.duration_since(level.at).as_micros()).unwrap_or(i64::MAX);
        let more = passed.saturating_mul(i64::from(self.rate.per_second));
        level.micro = level.micro.saturating_add(more).min(self.rate.burst_micro());
        level.at = now;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets() -> Buckets {
        Buckets::new(CallRate { per_second: 100, burst: 50 })
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_then_the_rate_counts() {
        let buckets = buckets();
        let bucket = buckets.of("web");
        for _ in 0..50 {
            assert_eq!(bucket.take(1), Duration::ZERO);
        }
        assert_eq!(bucket.take(1), Duration::from_millis(10));
        assert_eq!(bucket.take(10), Duration::from_millis(110));
        tokio::time::advance(Duration::from_millis(110)).await;
        assert_eq!(bucket.take(1), Duration::from_millis(10), "the debt was paid, no more");
        // Another stream of the same framework has no bucket of its own; another framework has.
        assert!(buckets.of("web").take(1) > Duration::ZERO);
        assert_eq!(buckets.of("batch").take(50), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(bucket.take(50), Duration::ZERO);
        assert_eq!(bucket.take(1), Duration::from_millis(10), "a bucket holds a burst and not more");
    }

    #[tokio::test(start_paused = true)]
    async fn buckets_of_those_who_are_gone_are_dropped_when_they_are_full() {
        let buckets = buckets();
        let kept = buckets.of("kept");
        buckets.of("in-debt").take(60);
        for number in 0..2 * BUCKETS {
            buckets.of(&format!("f{number}"));
        }
        assert!(lock(&buckets.by_name).len() <= BUCKETS);
        assert!(Arc::ptr_eq(&kept, &buckets.of("kept")));
        assert!(buckets.of("in-debt").take(1) > Duration::ZERO, "coming back does not fill it");
    }
}
