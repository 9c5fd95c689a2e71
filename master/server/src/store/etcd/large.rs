//! Records larger than etcd takes of one key: cut into parts beside the record's own key, and put together again. No I/O.
//!
//! The key itself then holds how many parts there are, in a form that no record has. Parts are named so that they follow it.

use std::collections::BTreeMap;

use crate::store::records::Changes;

/// Largest value of one key; a request holds one of these and what surrounds it.
pub(super) const PART_BYTES: usize = 512 << 10;

/// Begins the value of a key whose record is in parts. Records are JSON, which never begins so.
const HEAD: &[u8] = b"parts:";

/// The records that are in parts now, with the number of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Large(BTreeMap<String, usize>);

impl Large {
    /// The changes as they are made in etcd: large records in parts, parts of earlier ones forgotten.
    pub fn cut(&mut self, changes: Changes) -> Changes {
        let mut all = Changes::new();
        for (key, value) in changes {
            for number in 0..self.0.remove(&key).unwrap_or_default() {
                all.insert(part_key(&key, number), None);
            }
            match value {
                Some(value) if value.len() > PART_BYTES => {
                    let parts = value.chunks(PART_BYTES);
                    let count = parts.len();
                    all.extend(parts.enumerate().map(|(number, part)| (part_key(&key, number), Some(part.to_vec()))));
                    all.insert(key.clone(), Some([HEAD, count.to_string().as_bytes()].concat()));
                    self.0.insert(key, count);
                }
                value => drop(all.insert(key, value)),
            }
        }
        all
    }

    /// The records as they were before they were cut, and which of them were.
    ///
    /// # Errors
    /// The key whose parts are not all there, or a part without its record.
    pub fn join(found: BTreeMap<String, Vec<u8>>) -> Result<(BTreeMap<String, Vec<u8>>, Self), String> {
        let (mut records, mut large, mut parts) = (BTreeMap::new(), Self::default(), BTreeMap::new());
        for (key, value) in found {
            match key.contains(BETWEEN) {
                true => drop(parts.insert(key, value)),
                false => drop(records.insert(key, value)),
            }
        }
        for (key, value) in &mut records {
            let Some(count) = count(value) else { continue };
            let mut whole = Vec::new();
            for number in 0..count {
                let part = parts.remove(&part_key(key, number));
                whole.extend(part.ok_or_else(|| format!("{key} has {count} parts, and number {number} is missing"))?);
            }
            *value = whole;
            large.0.insert(key.clone(), count);
        }
        match parts.into_keys().next() {
            Some(key) => Err(format!("{key} is a part of nothing")),
            None => Ok((records, large)),
        }
    }
}

/// In no key of a record: ids hold no such character.
const BETWEEN: char = '\u{1}';

fn part_key(key: &str, number: usize) -> String {
    format!("{key}{BETWEEN}{number:06}")
}

fn count(value: &[u8]) -> Option<usize> {
    std::str::from_utf8(value.strip_prefix(HEAD)?).ok()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What etcd holds after the changes.
    fn apply(held: &mut BTreeMap<String, Vec<u8>>, changes: Changes) {
        for (key, value) in changes {
            match value {
                Some(value) => drop(held.insert(key, value)),
                None => drop(held.remove(&key)),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn records_of_any_size_come_back_and_leave_nothing_behind(
            rounds in prop::collection::vec(
                prop::collection::btree_map("[a-c]", prop::option::of(0..4 * PART_BYTES), 1..4), 1..6),
        ) {
            let (mut etcd, mut plain, mut large) = (BTreeMap::new(), BTreeMap::new(), Large::default());
            for (round, sizes) in rounds.into_iter().enumerate() {
                let value = |bytes: usize| vec![b'0' + u8::try_from(round).unwrap(); bytes];
                let changes: Changes = sizes.into_iter().map(|(key, bytes)| (key, bytes.map(value))).collect();
                apply(&mut plain, changes.clone());
                let cut = large.cut(changes);
                prop_assert!(cut.values().flatten().all(|value| value.len() <= PART_BYTES));
                apply(&mut etcd, cut);
                let (joined, found) = Large::join(etcd.clone()).unwrap();
                prop_assert_eq!(&joined, &plain);
                prop_assert_eq!(&found, &large);
            }
        }
    }

    #[test]
    fn parts_that_are_missing_or_of_nothing_are_told() {
        let mut etcd = BTreeMap::new();
        apply(&mut etcd, Large::default().cut(Changes::from([("a".to_owned(), Some(vec![b'x'; 3 * PART_BYTES]))])));
        let mut torn = etcd.clone();
        torn.remove(&part_key("a", 1));
        assert!(Large::join(torn).unwrap_err().contains("number 1 is missing"));
        etcd.remove("a");
        assert!(Large::join(etcd).unwrap_err().contains("is a part of nothing"));
    }
}
