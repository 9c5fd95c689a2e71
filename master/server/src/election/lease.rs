//! How long this master may think that it leads. Only arithmetic on times that others measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proffer_proto_model::Moment;

/// The moment until which nobody else leads. Cheap to clone; all clones are one.
///
/// etcd counts a lease from when it heard of it, which is after it was asked: until the time of the question and the lease's
/// length nobody else can have it, whatever happened to the answer. A tenth is taken off for clocks that do not run alike.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lease {
    until: Arc<AtomicU64>,
}

impl Lease {
    /// It was asked for at `asked` and given for `length_ms`. An answer that comes late never shortens it.
    pub(crate) fn renewed(&self, asked: Moment, length_ms: u64) {
        let until = asked.0.saturating_add(length_ms - length_ms / 10);
        self.until.fetch_max(until, Ordering::AcqRel);
    }

    /// It is given back, or etcd does not know it any more.
    pub(crate) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Nobody else leads now.
    pub(crate) fn is_held(&self, now: Moment) -> bool {
        now < self.until()
    }

    /// The moment from which somebody else may lead.
    pub(crate) fn until(&self) -> Moment {
        Moment(self.until.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_held_from_the_question_on_and_not_from_the_answer() {
        let lease = Lease::default();
        assert!(!lease.is_held(Moment(0)), "nothing is held before it is given");
        lease.renewed(Moment(1_000), 5_000);
        assert!(lease.is_held(Moment(5_499)) && !lease.is_held(Moment(5_500)));
        lease.renewed(Moment(3_000), 5_000);
        lease.renewed(Moment(2_000), 5_000);
        assert!(lease.is_held(Moment(7_499)) && !lease.is_held(Moment(7_500)), "an answer that was overtaken");
        lease.clone().end();
        assert!(!lease.is_held(Moment(0)));
    }
}
