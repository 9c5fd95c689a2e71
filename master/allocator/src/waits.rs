//! What ends by itself: filters and holds. Each end has one entry; what is ended early leaves none behind.

use proffer_proto_model::{AgentId, FrameworkId, Moment, Resources, Role};

use crate::allocator::Allocator;
use crate::client::{Client, Refused};

/// Filters of one client for one agent, at most: of more the oldest one ends at once.
const MOST_FILTERS: usize = 16;

impl Allocator {
    /// Keeps `refused` or less of an agent away from a framework's role for a while. 0 ms is no filter. Ignored when
    /// nothing is known of it in the role: whatever it wants there later is new, and filters end with news. One that
    /// covers no more, and for no longer, than a later one is part of that; of more than sixteen others the oldest ends.
    pub fn refuse(
        &mut self,
        framework: &FrameworkId,
        role: &Role,
        agent: &AgentId,
        refused: Resources,
        now: Moment,
        refuse_ms: u64,
    ) {
        let (Some(client), Some(agent)) = (self.find_client(framework, role), self.agents.find(agent)) else {
            return;
        };
        if refuse_ms == 0 || refused.is_empty() {
            return;
        }
        let until = now + refuse_ms;
        if let Some(state) = self.clients.get_mut(client) {
            let filters = state.filters.entry(agent).or_default();
            let is_kept = |old: &Refused| old.until > now && !(old.until <= until && refused.contains(&old.resources));
            filters.retain(|old| {
                let is_kept = is_kept(old);
                if !is_kept {
                    self.filter_ends.remove(&(old.until, client, agent));
                }
                is_kept
            });
            filters.push(Refused { resources: refused, until });
            let gone = (filters.len() > MOST_FILTERS).then(|| filters.remove(0));
            if let Some(gone) = &gone {
                self.filter_ends.remove(&(gone.until, client, agent));
            }
            // Also of kept ones that ended at the same moment as one that was dropped.
            self.filter_ends.extend(filters.iter().map(|filter| (filter.until, client, agent)));
            if gone.is_some() {
                self.look_at_agent(agent);
                self.retry_races_on(client, agent);
            }
        }
    }

    /// A living filter of the client covers all that is available on the agent.
    pub(crate) fn is_refusing(&self, client: &Client, agent: usize, available: &Resources, now: Moment) -> bool {
        let Some(refused) = client.filters.get(&agent) else { return false };
        self.count_filters(refused.len());
        refused.iter().any(|filter| filter.until > now && filter.resources.contains(available))
    }

    fn count_filters(&self, more: usize) {
        self.filters_looked_at.set(self.filters_looked_at.get() + more as u64);
    }

    /// Filters that have not ended.
    pub fn filters(&self) -> usize {
        self.filter_ends.len()
    }

    /// When [`Allocator::allocate`] has something to do even if nothing else happens.
    pub fn next_deadline(&self) -> Option<Moment> {
        let filter = self.filter_ends.first().map(|end| end.0);
        let hold = self.hold_ends.first_key_value().map(|(end, _)| end.0);
        filter.into_iter().chain(hold).min()
    }

    /// Ends filters and holds that are due; their agents and clients are looked at again.
    pub(crate) fn expire(&mut self, now: Moment) {
        while let Some(&(until, client, agent)) = self.filter_ends.first()
            && until <= now
        {
            self.filter_ends.pop_first();
            self.count_filters(1);
            if let Some(state) = self.clients.get_mut(client)
                && let Some(filters) = state.filters.get_mut(&agent)
            {
                filters.retain(|filter| filter.until > now);
                if filters.is_empty() {
                    state.filters.remove(&agent);
                }
            }
            self.look_at_agent(agent);
            self.retry_races_on(client, agent);
        }
        while let Some((&(until, client, serial), _)) = self.hold_ends.first_key_value()
            && until <= now
        {
            let launched = self.hold_ends.remove(&(until, client, serial)).unwrap_or(0);
            if let Some(state) = self.clients.get_mut(client) {
                state.holds.remove(&(until, serial));
                state.end_hold(serial, launched);
                self.refresh_client(client);
            }
        }
    }

    /// Ends all filters of a client: all it refused may be tried again.
    pub(crate) fn clear_filters(&mut self, client: usize) {
        let Some(state) = self.clients.get_mut(client) else { return };
        let filters = std::mem::take(&mut state.filters);
        if filters.is_empty() {
            return;
        }
        state.look_at_all();
        for (agent, ended) in filters {
            self.count_filters(ended.len());
            for filter in ended {
                self.filter_ends.remove(&(filter.until, client, agent));
            }
        }
        self.refresh_client(client);
    }

    /// Ends the filters of a client for an agent that is no more.
    pub(crate) fn clear_filters_of(&mut self, client: usize, agent: usize) {
        let filters = self.clients.get_mut(client).and_then(|state| state.filters.remove(&agent));
        for filter in filters.into_iter().flatten() {
            self.filter_ends.remove(&(filter.until, client, agent));
        }
    }

    /// The client has said what it wants, or is gone: launches are counted no more.
    pub(crate) fn end_holds(&mut self, client: usize) {
        let holds = self.clients.get_mut(client).map(|state| std::mem::take(&mut state.holds));
        for (until, serial) in holds.unwrap_or_default() {
            self.hold_ends.remove(&(until, client, serial));
        }
    }
}
