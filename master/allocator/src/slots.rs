//! Dense numbering: values live in a vector, freed slots are used again. Never knows what it holds.

use std::collections::HashMap;
use std::hash::Hash;

use rustc_hash::FxBuildHasher;

/// Values by slot, found by name at the edge. The names are looked up, or sorted when walked: no order of a
/// hash is seen.
#[derive(Debug)]
pub(crate) struct Slots<K, V> {
    values: Vec<Option<V>>,
    by_name: HashMap<K, usize, FxBuildHasher>,
    unused: Vec<usize>,
}

impl<K, V> Default for Slots<K, V> {
    fn default() -> Self {
        Self { values: Vec::new(), by_name: HashMap::default(), unused: Vec::new() }
    }
}

impl<K: Hash + Eq, V> Slots<K, V> {
    /// The slot of a name.
    pub fn find(&self, name: &K) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Puts a value under a name that has none yet; an older value of the name is replaced in its slot.
    pub fn insert(&mut self, name: K, value: V) -> usize {
        if let Some(slot) = self.find(&name) {
            self.values[slot] = Some(value);
            return slot;
        }
        let slot = self.next_slot();
        self.unused.pop();
        if slot == self.values.len() {
            self.values.push(Some(value));
        } else {
            self.values[slot] = Some(value);
        }
        self.by_name.insert(name, slot);
        slot
    }

    /// The slot that the next new name gets.
    pub fn next_slot(&self) -> usize {
        self.unused.last().copied().unwrap_or(self.values.len())
    }

    /// Takes a value out and frees its slot.
    pub fn remove(&mut self, name: &K) -> Option<(usize, V)> {
        let slot = self.by_name.remove(name)?;
        let value = self.values[slot].take()?;
        self.unused.push(slot);
        Some((slot, value))
    }

    /// The value in a slot.
    pub fn get(&self, slot: usize) -> Option<&V> {
        self.values.get(slot)?.as_ref()
    }

    /// The value in a slot, to change.
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut V> {
        self.values.get_mut(slot)?.as_mut()
    }

    /// All values in the order of their names. Sorts them: not for hot paths.
    pub fn by_name(&self) -> Vec<(&K, &V)>
    where
        K: Ord,
    {
        let values = self.by_name.iter().filter_map(|(name, slot)| Some((name, self.get(*slot)?)));
        let mut sorted: Vec<_> = values.collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        sorted
    }

    /// All slots in use with their values, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &V)> {
        self.values.iter().enumerate().filter_map(|(slot, value)| value.as_ref().map(|v| (slot, v)))
    }
}
