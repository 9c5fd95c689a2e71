//! Frameworks that were removed for good, remembered for a while to say so: to their schedulers, and to operators who ask
//! again. Durable; the one that was removed first is forgotten first.

use std::collections::BTreeMap;

use proffer_proto_model::FrameworkId;

use crate::registry::{Operation, RemovedRecord};

/// So many are remembered.
const MAX_REMOVED: usize = 1_000;

/// The frameworks that were removed last.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    by_id: BTreeMap<FrameworkId, RemovedRecord>,
    by_age: BTreeMap<u64, FrameworkId>,
}

impl Removed {
    /// Takes in what an earlier master stored.
    pub fn recover(&mut self, record: RemovedRecord) {
        self.by_age.insert(record.number, record.id.clone());
        self.by_id.insert(record.id.clone(), record);
    }

    /// It was removed just now. What is to be stored goes to `store`.
    pub fn remember(&mut self, id: FrameworkId, name: String, store: &mut Vec<Operation>) {
        let number = self.by_age.last_key_value().map_or(1, |(last, _)| last + 1);
        let record = RemovedRecord { id, name, number };
        store.push(Operation::PutRemoved(record.clone()));
        self.recover(record);
        while self.by_id.len() > MAX_REMOVED
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.by_id.remove(&oldest);
            store.push(Operation::DeleteRemoved(oldest));
        }
    }

    /// Was this one removed?
    pub fn contains(&self, id: &FrameworkId) -> bool {
        self.by_id.contains_key(id)
    }

    /// The one of that id, else the last one of that name.
    pub fn find(&self, wanted: &str) -> Option<&RemovedRecord> {
        let by_id = FrameworkId::new(wanted).ok().and_then(|id| self.by_id.get(&id));
        let mut by_age = self.by_age.values().rev().filter_map(|id| self.by_id.get(id));
        by_id.or_else(|| by_age.find(|record| record.name == wanted))
    }

    /// Both ways lead to the same.
    pub fn audit(&self, broken: &mut Vec<String>) {
        let is_there = |(number, id): (&u64, &FrameworkId)| self.by_id.get(id).is_some_and(|r| r.number == *number);
        if self.by_id.len() != self.by_age.len() || !self.by_age.iter().all(is_there) {
            broken.push("removed frameworks: by name and by age are not the same".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u64) -> FrameworkId {
        FrameworkId::numbered(1, n)
    }

    #[test]
    fn the_first_that_was_removed_is_forgotten_first_also_by_the_next_master() {
        let (mut removed, mut store) = (Removed::default(), Vec::new());
        let mut registry = crate::registry::Registry::default();
        // Names and ids run against the ages.
        for n in (1..=900).rev() {
            removed.remember(number(n), format!("f{}", n % 2), &mut store);
        }
        store.drain(..).for_each(|operation| registry.apply(&operation));
        let mut next = Removed::default();
        registry.removed.iter().cloned().for_each(|record| next.recover(record));
        for n in 2_001..=2_150 {
            next.remember(number(n), "later".to_owned(), &mut store);
        }
        store.drain(..).for_each(|operation| registry.apply(&operation));
        assert_eq!(registry.removed.len(), MAX_REMOVED);
        let known = |n: u64| (next.contains(&number(n)), next.find(number(n).as_str()).is_some());
        assert_eq!((known(900), known(851)), ((false, false), (false, false)), "the oldest 50 are forgotten");
        assert_eq!((known(850), known(1), known(2_150)), ((true, true), (true, true), (true, true)));
        assert_eq!(next.find("later").map(|record| &record.id), Some(&number(2_150)), "the last of that name");
        assert_eq!(next.find("f0").map(|record| &record.id), Some(&number(2)));
        assert!(next.find("never").is_none());
        let mut broken = Vec::new();
        next.audit(&mut broken);
        assert!(broken.is_empty(), "{broken:?}");
    }
}
