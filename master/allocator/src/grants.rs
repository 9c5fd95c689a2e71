//! Open grants. A grant's id says where it is, so that nothing is searched for. Never knows what a grant means.

use crate::allocator::OpenGrant;

/// The number of a grant, never used again by the same allocator. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId {
    /// Counts all grants ever made.
    number: u64,
    /// Used again by later ones: the number tells them apart.
    slot: u32,
}

/// See the file's top.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    values: Vec<Option<(u64, OpenGrant)>>,
    unused: Vec<u32>,
    made: u64,
}

impl Grants {
    /// The id of the grant that is inserted next.
    pub fn next_id(&self) -> GrantId {
        let new = || u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        GrantId { number: self.made + 1, slot: self.unused.last().copied().unwrap_or_else(new) }
    }

    /// Puts a grant in under the next id.
    pub fn insert(&mut self, open: OpenGrant) {
        let GrantId { number, slot } = self.next_id();
        self.made = number;
        self.unused.pop();
        match self.values.get_mut(slot as usize) {
            Some(value) => *value = Some((number, open)),
            None => self.values.push(Some((number, open))),
        }
    }

    /// Takes a grant out; `None` when it is not there.
    pub fn remove(&mut self, id: GrantId) -> Option<OpenGrant> {
        let value = self.values.get_mut(id.slot as usize)?;
        let (_, open) = value.take_if(|(number, _)| *number == id.number)?;
        self.unused.push(id.slot);
        Some(open)
    }

    /// An open grant.
    pub fn get(&self, id: GrantId) -> Option<&OpenGrant> {
        let (number, open) = self.values.get(id.slot as usize)?.as_ref()?;
        (*number == id.number).then_some(open)
    }

    /// An open grant, to change.
    pub fn get_mut(&mut self, id: GrantId) -> Option<&mut OpenGrant> {
        let (number, open) = self.values.get_mut(id.slot as usize)?.as_mut()?;
        (*number == id.number).then_some(open)
    }

    /// All open grants, in any order that is always the same.
    pub fn iter(&self) -> impl Iterator<Item = &OpenGrant> {
        self.values.iter().flatten().map(|(_, open)| open)
    }

    /// All open grants in the order in which they were made. Sorts them: not for hot paths.
    pub fn by_age(&self) -> Vec<&OpenGrant> {
        let mut sorted: Vec<_> = self.values.iter().flatten().collect();
        sorted.sort_unstable_by_key(|(number, _)| *number);
        sorted.into_iter().map(|(_, open)| open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(agent: usize, race: GrantId) -> OpenGrant {
        OpenGrant {
            client: 0,
            agent,
            resources: Default::default(),
            reserved: Vec::new(),
            race,
            beside: None,
            covers: Vec::new(),
        }
    }

    #[test]
    fn a_closed_grant_is_never_mistaken_for_the_one_in_its_place() {
        let mut grants = Grants::default();
        let put = |grants: &mut Grants, agent| {
            let id = grants.next_id();
            grants.insert(open(agent, id));
            id
        };
        let (first, second) = (put(&mut grants, 1), put(&mut grants, 2));
        assert_eq!(grants.remove(first).map(|open| open.agent), Some(1));
        let third = put(&mut grants, 3);
        assert_eq!((third.slot, third > second), (first.slot, true), "its place is used again, its number is not");
        assert!(grants.get(first).is_none() && grants.get_mut(first).is_none() && grants.remove(first).is_none());
        assert_eq!(grants.by_age().iter().map(|open| open.agent).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(grants.iter().count(), 2);
    }
}
