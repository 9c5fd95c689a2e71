//! The outbound queues of the streams of agents and frameworks: how many messages wait in each. It keeps no stream alive
//! and is looked at only when somebody asks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use proffer_proto_model::FrameworkId;
use prometheus_client::encoding::DescriptorEncoder;

use super::now::{Now, Rows, by, write};
use crate::outbox::OUTBOX;
use crate::queue::Depth;

/// Streams that have ended are forgotten when there are twice as many as after the last time, but not below this.
const LEAST_SWEPT: usize = 64;

/// All open queues, and some that have ended.
#[derive(Debug, Default)]
pub(crate) struct Queues(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    all: Vec<Reader>,
    sweep_at: usize,
}

/// One stream, by who reads it.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    /// Known once it has subscribed; `None` for agents.
    pub(crate) framework: Option<Arc<OnceLock<FrameworkId>>>,
    /// Its queue.
    pub(crate) depth: Weak<dyn Depth>,
}

impl Reader {
    fn waiting(&self) -> Option<usize> {
        self.depth.upgrade()?.waiting()
    }
}

impl Queues {
    /// A stream was opened.
    pub(crate) fn add(&self, reader: Reader) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.all.push(reader);
        if known.all.len() >= known.sweep_at.max(LEAST_SWEPT) {
            known.all.retain(|reader| reader.waiting().is_some());
            known.sweep_at = known.all.len() * 2;
        }
    }

    /// Those that are open, with how many messages wait.
    fn open(&self) -> Vec<(Reader, usize)> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.all.iter().filter_map(|reader| Some((reader.clone(), reader.waiting()?))).collect()
    }
}

impl Now {
    /// What waits for slow readers, and how many watch.
    pub(super) fn queues(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let peers = ["agent", "framework"];
        let (mut all, mut longest) =
            (by("peer", peers.map(|peer| (peer, 0.0))), by("peer", peers.map(|peer| (peer, 0.0))));
        let mut of_frameworks: BTreeMap<String, usize> = BTreeMap::new();
        for (reader, waiting) in self.queues.open() {
            let peer = if reader.framework.is_some() { "framework" } else { "agent" };
            let label = vec![("peer", peer.to_owned())];
            *all.entry(label.clone()).or_default() += waiting as f64;
            let most = longest.entry(label).or_default();
            *most = most.max(waiting as f64);
            if let Some(id) = reader.framework.as_ref().and_then(|id| id.get()) {
                let name = self.names.known_or_new(&self.readers.framework_name(id), self.readers.knows_framework(id));
                let most = of_frameworks.entry(name).or_default();
                *most = waiting.max(*most);
            }
        }
        write(to, "proffer_master_outbox_messages", "Messages that wait for their readers", all)?;
        write(to, "proffer_master_outbox_longest", "Messages that wait for the slowest reader", longest)?;
        let limits = by("peer", peers.map(|peer| (peer, OUTBOX as f64)));
        write(to, "proffer_master_outbox_limit", "Messages that may wait on one stream", limits)?;
        let rows: Rows =
            of_frameworks.into_iter().map(|(name, most)| (vec![("framework", name)], most as f64)).collect();
        write(to, "proffer_master_framework_outbox", "Messages that wait for the framework", rows)?;
        let watchers = Rows::from([(Vec::new(), self.readers.watchers() as f64)]);
        write(to, "proffer_master_watchers", "Open streams of events", watchers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::queue;

    fn reader(depth: Weak<dyn Depth>) -> Reader {
        Reader { framework: None, depth }
    }

    #[test]
    fn queues_are_counted_as_long_as_they_are_open() {
        let queues = Queues::default();
        let (to, messages) = queue::<u8>(4);
        queues.add(reader(to.depth()));
        (0..3).for_each(|number| to.push(number).unwrap());
        assert_eq!(queues.open().iter().map(|(_, waiting)| *waiting).collect::<Vec<_>>(), [3]);
        drop(messages);
        assert!(queues.open().is_empty());
        drop(to);
    }

    #[test]
    fn what_has_ended_is_forgotten_without_anybody_looking() {
        let queues = Queues::default();
        let (kept, _messages) = queue::<u8>(1);
        queues.add(reader(kept.depth()));
        for _ in 0..1_000 {
            queues.add(reader(queue::<u8>(1).0.depth()));
        }
        assert!(queues.0.lock().unwrap().all.len() <= LEAST_SWEPT);
        assert_eq!(queues.open().len(), 1);
    }
}
