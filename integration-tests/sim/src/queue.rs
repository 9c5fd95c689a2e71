//! Virtual time: events ordered by time and, at the same time, by when they were scheduled.

use std::collections::BTreeMap;

use proffer_proto_model::Moment;

/// Everything that will happen.
#[derive(Debug)]
pub struct Queue<E> {
    now: Moment,
    scheduled: u64,
    events: BTreeMap<(Moment, u64), E>,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self { now: Moment(0), scheduled: 0, events: BTreeMap::new() }
    }
}

impl<E> Queue<E> {
    /// The present time.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Schedules an event; a time in the past means now.
    pub fn at(&mut self, when: Moment, event: E) {
        self.scheduled += 1;
        self.events.insert((when.max(self.now), self.scheduled), event);
    }

    /// Schedules an event in so many milliseconds.
    pub fn after(&mut self, ms: u64, event: E) {
        self.at(self.now + ms, event);
    }

    /// Moves time to the next event; `None` when nothing will happen any more.
    pub fn pop(&mut self) -> Option<E> {
        let ((when, _), event) = self.events.pop_first()?;
        self.now = when;
        Some(event)
    }

    /// When the next event is.
    pub fn next_at(&self) -> Option<Moment> {
        self.events.first_key_value().map(|((when, _), _)| *when)
    }
}
