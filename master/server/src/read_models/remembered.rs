//! A bounded memory of things that are gone. Never holds more than it was told.

use std::collections::BTreeMap;

/// Things that are gone, the oldest forgotten first.
#[derive(Debug)]
pub(super) struct Remembered<K, V> {
    known: BTreeMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
    next: u64,
}

impl<K: Ord + Clone, V: Clone> Remembered<K, V> {
    /// Adds one as the newest; gives back the one that had to go for it.
    pub(super) fn put(&mut self, key: K, value: V, most: usize) -> Option<K> {
        self.remove(&key);
        self.next += 1;
        self.known.insert(key.clone(), (self.next, value));
        self.order.insert(self.next, key);
        if self.order.len() <= most {
            return None;
        }
        let (_, oldest) = self.order.pop_first()?;
        self.known.remove(&oldest);
        Some(oldest)
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((number, _)) = self.known.remove(key) {
            self.order.remove(&number);
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.known.get(key).map(|(_, value)| value.clone())
    }
}

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), order: BTreeMap::new(), next: 0 }
    }
}
