//! One pass: looks only at agents and clients that changed, and gives what they make possible.
//!
//! An agent only one client wants is given whole. One that several want is filled shape by shape, always for the
//! one with the lowest weighted dominant share: roles first, then frameworks inside the role.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use proffer_proto_model::{Moment, Resources};

use crate::allocator::{Allocator, Grant, GrantId, OpenGrant};
use crate::fit::{cut, times_it_fits};

/// Steps in which one client's part of a contended agent grows, at most: keeps tiny shapes cheap.
const STEPS: u32 = 64;

/// What one client gets of one agent, while it grows.
#[derive(Default)]
struct Part {
    resources: Resources,
    covers: Vec<(u64, u32)>,
}

impl Allocator {
    /// Makes all grants that what changed since the last call makes possible. Agents come in the order in which they
    /// changed: those that changed since the last pass are tried for everybody, older ones only for those that lag.
    pub fn allocate(&mut self, now: Moment) -> Vec<Grant> {
        self.expire(now);
        let mut grants = Vec::new();
        let mut at = self.lowest_unlooked();
        while let Some((stamp, agent)) = self.by_stamp.range(at.saturating_add(1)..).next().map(|(s, a)| (*s, *a)) {
            at = stamp;
            if stamp <= self.looked && self.lagging.is_empty() {
                at = self.looked;
                continue;
            }
            self.position = Some(stamp - 1);
            self.grant_agent(agent, stamp, now, &mut grants);
        }
        self.position = None;
        self.looked = self.last_stamp;
        for client in std::mem::take(&mut self.lagging) {
            if let Some(state) = self.clients.get_mut(client) {
                state.has_looked_at_all();
            }
        }
        grants
    }

    /// The stamp up to which everybody was tried on every agent.
    fn lowest_unlooked(&self) -> u64 {
        let lagging = self.lagging.iter().filter_map(|client| self.clients.get(*client)?.looked_until());
        lagging.chain([self.looked]).min().unwrap_or(self.looked)
    }

    fn grant_agent(&mut self, agent: usize, stamp: u64, now: Moment, grants: &mut Vec<Grant>) {
        let among = if stamp > self.looked { &self.wanting } else { &self.lagging };
        self.work.agents += 1;
        self.work.clients += among.len() as u64;
        let mut able: Vec<usize> =
            among.iter().copied().filter(|client| self.client_wants(*client, agent, now)).collect();
        let Some(place) = self.agents.get(agent) else { return };
        let (mut available, returned_by) = (place.available.clone(), place.returned_by);
        if able.len() > 1
            && let Some(at) = able.iter().position(|client| returned_by == Some(*client))
        {
            let last = able.remove(at);
            self.share_agent(able, agent, &available, grants);
            let Some(place) = self.agents.get(agent) else { return };
            available = place.available.clone();
            able = if self.client_wants(last, agent, now) { vec![last] } else { Vec::new() };
            if !able.is_empty() {
                return self.share_agent(able, agent, &available, grants);
            }
        }
        match able.as_slice() {
            [] => {}
            [only] => self.grant_whole(*only, agent, &available, grants),
            _ => self.share_agent(able, agent, &available, grants),
        }
    }

    fn grant_whole(&mut self, client: usize, agent: usize, available: &Resources, grants: &mut Vec<Grant>) {
        let covers = self.covers_of_whole(client, agent, available);
        for (serial, times) in &covers {
            self.count_cover(client, *serial, *times);
        }
        self.count_held(client, available, true);
        self.open(client, agent, Part { resources: available.clone(), covers }, available, grants);
    }

    /// Some shape it may get fits and may run there, and it is not refusing.
    fn client_wants(&self, client: usize, agent: usize, now: Moment) -> bool {
        let (Some(state), Some(place)) = (self.clients.get(client), self.agents.get(agent)) else { return false };
        state.is_wanting()
            && self.next_fit(client, agent, &place.available).is_some()
            && !state.is_refusing(agent, &place.available, now)
    }

    /// The most important item that still wants something, may run on the agent and fits: its place and how often.
    fn next_fit(&self, client: usize, agent: usize, left: &Resources) -> Option<(usize, u32)> {
        let (state, place) = (self.clients.get(client)?, self.agents.get(agent)?);
        state.items.iter().enumerate().find_map(|(at, item)| {
            if item.remaining() == 0 || !item.wanted.constraints.iter().all(|rule| rule.is_met_by(&place.info)) {
                return None;
            }
            let fits = times_it_fits(&item.wanted, left).min(item.remaining());
            (fits > 0).then_some((at, fits))
        })
    }

    fn covers_of_whole(&self, client: usize, agent: usize, available: &Resources) -> Vec<(u64, u32)> {
        let (Some(state), Some(place)) = (self.clients.get(client), self.agents.get(agent)) else {
            return Vec::new();
        };
        let mut left = available.clone();
        let mut covers = Vec::new();
        for item in &state.items {
            if item.remaining() == 0 || !item.wanted.constraints.iter().all(|rule| rule.is_met_by(&place.info)) {
                continue;
            }
            let times = item.cover_of_whole(times_it_fits(&item.wanted, &left));
            if let Some(taken) = cut(&item.wanted, times, &left) {
                covers.push((item.serial, times));
                left = left.saturating_minus(&taken);
            }
        }
        covers
    }

    fn share_agent(&mut self, mut able: Vec<usize>, agent: usize, available: &Resources, grants: &mut Vec<Grant>) {
        let mut left = available.clone();
        let mut parts: BTreeMap<usize, Part> = BTreeMap::new();
        while let Some(at) = self.next_in_turn(&able) {
            let client = able[at];
            if !parts.contains_key(&client) && !self.has_room(client, &parts) {
                able.swap_remove(at);
                continue;
            }
            let Some((item, fits)) = self.next_fit(client, agent, &left) else {
                able.swap_remove(at);
                continue;
            };
            let Some((serial, wanted)) =
                self.clients.get(client).map(|c| (c.items[item].serial, c.items[item].wanted.clone()))
            else {
                break;
            };
            let times = (fits / STEPS).max(1);
            let Some(taken) = cut(&wanted, times, &left) else { break };
            left = left.saturating_minus(&taken);
            self.count_cover(client, serial, times);
            self.count_held(client, &taken, true);
            let part = parts.entry(client).or_default();
            part.resources = part.resources.saturating_sum(&taken);
            part.covers.push((serial, times));
        }
        for (client, part) in parts {
            self.open(client, agent, part, available, grants);
        }
    }

    /// Its framework may have one grant more than those that are open and those that `parts` will be.
    fn has_room(&self, client: usize, parts: &BTreeMap<usize, Part>) -> bool {
        let Some(framework) = self.clients.get(client).map(|c| c.framework) else { return false };
        let is_own = |other: &&usize| self.clients.get(**other).is_some_and(|c| c.framework == framework);
        let open = self.frameworks.get(framework).map_or(0, |f| f.grants_open);
        open + parts.keys().filter(is_own).count() < self.max_grants
    }

    /// Whose turn it is: the lowest share of roles, then of frameworks; fewer grants; name.
    fn next_in_turn(&self, able: &[usize]) -> Option<usize> {
        (0..able.len()).min_by(|a, b| self.compare(able[*a], able[*b]))
    }

    pub(crate) fn compare(&self, a: usize, b: usize) -> Ordering {
        let (Some(a), Some(b)) = (self.clients.get(a), self.clients.get(b)) else { return Ordering::Equal };
        if a.role != b.role
            && let (Some(a), Some(b)) = (self.roles.get(a.role), self.roles.get(b.role))
        {
            let share_a = a.held.dominant_share(&self.total).weighted(a.weight);
            let share_b = b.held.dominant_share(&self.total).weighted(b.weight);
            let by_share = share_a.cmp(&share_b);
            return by_share.then(a.grants_made.cmp(&b.grants_made)).then_with(|| a.name.cmp(&b.name));
        }
        let by_share = a.held.dominant_share(&self.total).cmp(&b.held.dominant_share(&self.total));
        let name = |client: &crate::client::Client| self.frameworks.get(client.framework).map(|f| f.id.clone());
        by_share.then(a.grants_made.cmp(&b.grants_made)).then_with(|| name(a).cmp(&name(b)))
    }

    fn count_cover(&mut self, client: usize, serial: u64, times: u32) {
        if let Some(state) = self.clients.get_mut(client) {
            state.count_outstanding(serial, i64::from(times));
        }
        self.refresh_client(client);
    }

    /// Makes the grant of a part whose amounts are counted as held already.
    fn open(&mut self, client: usize, agent: usize, part: Part, seen: &Resources, grants: &mut Vec<Grant>) {
        self.next_grant += 1;
        let id = GrantId(self.next_grant);
        let (Some(state), Some(place)) = (self.clients.get_mut(client), self.agents.get_mut(agent)) else { return };
        state.grants_made += 1;
        place.returned_by = None;
        let (framework_slot, role) = (state.framework, state.role);
        let agent_id = place.id.clone();
        if let Some(role) = self.roles.get_mut(role) {
            role.grants_made += 1;
        }
        if let Some(framework) = self.frameworks.get_mut(framework_slot) {
            framework.grants_open += 1;
            if framework.grants_open >= self.max_grants {
                self.refresh_clients_of(framework_slot);
            }
        }
        let beside = seen.saturating_minus(&part.resources);
        self.use_agent(agent, &part.resources);
        if let (Some(framework), Some(role)) = (self.frameworks.get(framework_slot), self.roles.get(role)) {
            grants.push(Grant {
                id,
                framework: framework.id.clone(),
                role: role.name.clone(),
                agent: agent_id,
                resources: part.resources.clone(),
            });
        }
        self.grants.insert(id, OpenGrant { client, agent, resources: part.resources, beside, covers: part.covers });
    }
}
