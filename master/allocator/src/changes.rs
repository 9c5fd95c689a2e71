//! Agents with something free, in the order in which they last changed for the better.
//!
//! Each change takes a new stamp; older entries of an agent stay behind and are passed over, until there are more of
//! them than of others.

use std::collections::VecDeque;

/// Passed-over entries that never cause a clean-up: a small cluster is not cleaned up at every change.
const SLACK: usize = 64;

/// See the file's top.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Stamp and agent, ascending by stamp.
    entries: VecDeque<(u64, usize)>,
    /// The newest stamp of each agent by slot; 0 for one that is not listed.
    stamps: Vec<u64>,
    listed: usize,
    last: u64,
}

impl Changes {
    /// The last stamp given.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The agent is listed.
    pub fn is_listed(&self, agent: usize) -> bool {
        self.stamps.get(agent).is_some_and(|stamp| *stamp > 0)
    }

    /// The newest stamp of an agent; 0 for one that is not listed.
    pub fn stamp(&self, agent: usize) -> u64 {
        self.stamps.get(agent).copied().unwrap_or(0)
    }

    /// How many agents are listed with a later stamp than this, at most.
    pub fn listed_after(&self, stamp: u64) -> usize {
        usize::try_from(self.last.saturating_sub(stamp)).map_or(self.listed, |changes| changes.min(self.listed))
    }

    /// Lists the agent as the newest.
    pub fn push(&mut self, agent: usize) {
        if self.stamps.len() <= agent {
            self.stamps.resize(agent + 1, 0);
        }
        self.listed += usize::from(self.stamps[agent] == 0);
        self.last += 1;
        self.stamps[agent] = self.last;
        self.entries.push_back((self.last, agent));
        if self.entries.len() > 2 * self.listed + SLACK {
            let stamps = &self.stamps;
            self.entries.retain(|(stamp, agent)| stamps[*agent] == *stamp);
        }
    }

    /// Takes the agent off the list.
    pub fn remove(&mut self, agent: usize) {
        if let Some(stamp) = self.stamps.get_mut(agent).filter(|stamp| **stamp > 0) {
            *stamp = 0;
            self.listed -= 1;
        }
    }

    /// The first listed agent with a later stamp than this, and its stamp. The hint is where the last one was found: no
    /// search is needed for the one after it, if the list did not change meanwhile.
    pub fn after(&self, stamp: u64, hint: &mut usize) -> Option<(u64, usize)> {
        let from = match self.entries.get(*hint) {
            Some((found, _)) if *found == stamp => *hint + 1,
            _ => self.entries.partition_point(|entry| entry.0 <= stamp),
        };
        let mut later = self.entries.range(from..).enumerate();
        let (passed, entry) = later.find(|(_, (stamp, agent))| self.stamps[*agent] == *stamp)?;
        *hint = from + passed;
        Some(*entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_change_counts_and_what_is_left_behind_stays_bounded() {
        let mut changes = Changes::default();
        for _ in 0..1_000 {
            changes.push(1);
            changes.push(0);
        }
        changes.push(2);
        changes.remove(0);
        let hint = &mut 0;
        let (first, agent) = changes.after(0, hint).unwrap();
        assert_eq!(agent, 1);
        assert_eq!(changes.after(first, hint), Some((changes.last(), 2)));
        assert_eq!(changes.after(first, &mut 0), Some((changes.last(), 2)));
        assert_eq!(changes.after(changes.last(), hint), None);
        assert!(changes.entries.len() <= 2 * 3 + SLACK + 1);
        assert!(!changes.is_listed(0) && changes.is_listed(2) && !changes.is_listed(9));
    }
}
