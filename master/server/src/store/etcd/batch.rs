//! How changes are cut to what etcd takes in one request, and how those that do not fit are staged. No I/O.

use crate::store::records::Changes;

/// Puts and deletes in one transaction beside those of our own: etcd takes 128 unless it is told otherwise.
pub(super) const MOST_CHANGES: usize = 120;

/// Bytes of keys and values in one transaction: etcd takes 1.5 MiB in a request unless it is told otherwise.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// A change of one key; without a value it is forgotten.
pub(super) type Change = (String, Option<Vec<u8>>);

/// It fits into one transaction.
pub(super) fn is_small(changes: &Changes) -> bool {
    changes.len() <= MOST_CHANGES && changes.iter().map(size).sum::<usize>() <= MOST_BYTES
}

/// The changes in groups that each fit into one transaction.
pub(super) fn groups(changes: Changes) -> Vec<Vec<Change>> {
    let (mut groups, mut bytes) = (vec![Vec::new()], 0);
    for change in changes {
        let next = size((&change.0, &change.1));
        let is_full = groups.last().is_some_and(|group| group.len() >= MOST_CHANGES) || bytes + next > MOST_BYTES;
        if is_full {
            groups.push(Vec::new());
            bytes = 0;
        }
        bytes += next;
        if let Some(group) = groups.last_mut() {
            group.push(change);
        }
    }
    groups
}

/// The changes as parts, each small enough for one value.
pub(super) fn stage(changes: &Changes) -> Vec<Vec<u8>> {
    let mut whole = Vec::new();
    for (key, value) in changes {
        text(&mut whole, key.as_bytes());
        match value {
            None => whole.push(0),
            Some(value) => {
                whole.push(1);
                text(&mut whole, value);
            }
        }
    }
    whole.chunks(MOST_BYTES).map(<[u8]>::to_vec).collect()
}

/// The changes of all staged parts, put together; `None` when they are not what was staged.
pub(super) fn unstage(whole: &[u8]) -> Option<Changes> {
    let (mut rest, mut changes) = (whole, Changes::new());
    while !rest.is_empty() {
        let key = String::from_utf8(take(&mut rest)?.to_vec()).ok()?;
        let (kind, more) = rest.split_first()?;
        rest = more;
        let value = match kind {
            0 => None,
            1 => Some(take(&mut rest)?.to_vec()),
            _ => return None,
        };
        changes.insert(key, value);
    }
    Some(changes)
}

fn size((key, value): (&String, &Option<Vec<u8>>)) -> usize {
    key.len() + value.as_ref().map_or(0, Vec::len)
}

/// Length and bytes.
fn text(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    to.extend_from_slice(bytes);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, more) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
    let bytes = more.get(..length)?;
    *rest = more.get(length..)?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_staged_comes_back_and_what_is_torn_does_not_pass_for_more(
            changes in prop::collection::btree_map("[a-z/]{1,9}", prop::option::of(prop::collection::vec(any::<u8>(), 0..50)), 0..50),
            cut in any::<prop::sample::Index>(),
        ) {
            let whole = stage(&changes).concat();
            prop_assert_eq!(unstage(&whole), Some(changes.clone()));
            if !whole.is_empty() {
                let torn = unstage(&whole[..cut.index(whole.len())]);
                prop_assert!(torn.is_none_or(|torn| torn.len() < changes.len()));
            }
            let all: Changes = groups(changes.clone()).into_iter().flatten().collect();
            prop_assert_eq!(all, changes);
        }
    }

    #[test]
    fn groups_and_parts_are_within_what_etcd_takes() {
        let value = |bytes: usize| Some(vec![b'x'; bytes]);
        let many: Changes = (0..1_000).map(|at| (format!("{at:04}"), value(at))).collect();
        assert!(!is_small(&many));
        for group in groups(many.clone()) {
            assert!(group.len() <= MOST_CHANGES && is_small(&group.into_iter().collect()));
        }
        let large: Changes = (0..9).map(|at| (format!("{at}"), value(MOST_BYTES / 2))).collect();
        assert!(groups(large.clone()).len() == 9 && !is_small(&large));
        assert!(stage(&large).len() == 5 && stage(&large).iter().all(|part| part.len() <= MOST_BYTES));
    }
}
