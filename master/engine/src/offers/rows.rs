//! How often in a row each agent came back unused from one framework. Bounded: of more agents than are remembered at a time
//! the others count as one, so that nobody is forgotten by going through many.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{AgentId, Moment};

/// A return that comes so long after the last one begins a new row.
const ROW_MS: u64 = 2_000;
/// Agents that are remembered of one framework.
const ROWS: usize = 1_024;

/// The rows of one framework.
#[derive(Debug, Default)]
pub(super) struct Rows {
    by_agent: BTreeMap<AgentId, Row>,
    by_age: BTreeSet<(Moment, AgentId)>,
    /// All agents for which there was no room.
    others: Row,
}

/// Returns in a row.
#[derive(Debug, Default, Clone, Copy)]
struct Row {
    returns: u32,
    last: Moment,
}

impl Row {
    fn count(&mut self, now: Moment) -> u32 {
        if now.since_ms(self.last) > ROW_MS {
            self.returns = 0;
        }
        self.last = now;
        self.returns = self.returns.saturating_add(1);
        self.returns
    }
}

impl Rows {
    /// An agent came back unused: how many returns in a row that makes.
    pub(super) fn count(&mut self, agent: &AgentId, now: Moment) -> u32 {
        if !self.by_agent.contains_key(agent) && self.by_agent.len() >= ROWS {
            // The one that came back longest ago makes room, if that is long enough ago.
            match self.by_age.first().cloned() {
                Some((last, oldest)) if now.since_ms(last) > ROW_MS => self.forget(&oldest),
                _ => return self.others.count(now),
            }
        }
        let row = self.by_agent.entry(agent.clone()).or_default();
        self.by_age.remove(&(row.last, agent.clone()));
        let returns = row.count(now);
        self.by_age.insert((now, agent.clone()));
        returns
    }

    /// An agent was used: its returns do not count any more.
    pub(super) fn forget(&mut self, agent: &AgentId) {
        if let Some(row) = self.by_agent.remove(agent) {
            self.by_age.remove(&(row.last, agent.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(number: usize) -> AgentId {
        AgentId::numbered(1, number as u64)
    }

    #[test]
    fn rows_are_bounded_and_nobody_is_forgotten_by_going_through_many() {
        let mut rows = Rows::default();
        let went_through = |rows: &mut Rows, agents: usize, at: u64| {
            (0..agents).map(|number| rows.count(&agent(number), Moment(at))).collect::<Vec<_>>()
        };
        assert!(went_through(&mut rows, ROWS, 0).iter().all(|returns| *returns == 1));
        let second = went_through(&mut rows, 2 * ROWS, 1_000);
        assert!(second[..ROWS].iter().all(|returns| *returns == 2), "each counts for itself");
        assert_eq!(second[ROWS..].last(), Some(&(ROWS as u32)), "the others count together");
        assert_eq!((rows.by_agent.len(), rows.by_age.len()), (ROWS, ROWS));
        // Two seconds later the rows are over, and make room one by one.
        let later = (ROWS..2 * ROWS).map(|number| rows.count(&agent(number), Moment(4_000))).max();
        assert_eq!(later, Some(1));
        assert_eq!((rows.by_agent.len(), rows.by_age.len()), (ROWS, ROWS));
        rows.forget(&agent(ROWS));
        assert_eq!((rows.by_agent.len(), rows.by_age.len()), (ROWS - 1, ROWS - 1));
        assert_eq!((rows.count(&agent(ROWS), Moment(4_000)), rows.count(&agent(ROWS + 1), Moment(4_000))), (1, 2));
    }
}
