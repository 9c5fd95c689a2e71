//! Who is shown which race, and when. Never decides who may have it.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::Moment;

use super::join::No;
use super::{MOST_IN_RACE, Race};
use crate::allocator::{Allocator, Grant};
use crate::client::Client;
use crate::grants::GrantId;
use crate::tree::{EVERYBODY, NodeId, Turn};

impl Allocator {
    /// Begins races with new grants, and shows open ones to those who may join now.
    pub(crate) fn race(&mut self, now: Moment, grants: &mut Vec<Grant>) {
        if !self.races.is_used {
            return;
        }
        self.tree.settle_changes();
        let mut new: Vec<GrantId> = Vec::new();
        for grant in grants.iter_mut().filter(|grant| self.may_begin(grant.id)) {
            grant.is_optimistic = true;
            new.push(grant.id);
        }
        // Those that want something now are shown the new ones first, in turn.
        let old = self.races.last_stamp;
        for race in new {
            self.begin(race);
            self.show_to_all(race, now, grants);
        }
        for client in std::mem::take(&mut self.races.curious) {
            self.show_older(client, old, now, grants);
        }
        for (race, client) in std::mem::take(&mut self.races.retries) {
            if !self.clients.get(client).is_some_and(Client::is_wanting) {
                self.races.wait(client, race);
            } else if let Err(No::Limit(node)) = self.join(client, race, now, grants) {
                self.note_limit(node, race);
            }
        }
        for race in std::mem::take(&mut self.races.again) {
            self.show_to_all(race, now, grants);
        }
        for (node, from) in std::mem::take(&mut self.races.woken) {
            self.show_below(node, from, now, grants);
        }
        self.races.curious.clear();
        // Nobody has more room because somebody joined.
        self.tree.woken.clear();
    }

    fn begin(&mut self, race: GrantId) {
        let Some(open) = self.grants.get(race) else { return };
        let Some(framework) = self.clients.get(open.client).map(|state| state.framework) else { return };
        self.races.by_agent.entry(open.agent).or_default().insert(race);
        let members = BTreeMap::from([(framework, race)]);
        self.races.open.insert(race, Race { agent: open.agent, stamp: 0, waiting: BTreeSet::new(), members });
    }

    /// Shows a race to all that want something, and to others as soon as they do.
    fn show_to_all(&mut self, race: GrantId, now: Moment, grants: &mut Vec<Grant>) {
        self.races.stamp(race);
        self.show(race, EVERYBODY, now, grants);
        for shut in &self.tree.shut {
            let lowest = self.races.short.entry(*shut).or_insert(race);
            *lowest = race.min(*lowest);
        }
        self.races.shown = self.races.last_stamp;
    }

    /// Shows a race to all below a place, in turn.
    fn show(&mut self, race: GrantId, below: NodeId, now: Moment, grants: &mut Vec<Grant>) {
        let Some(members) = self.races.open.get(&race).map(|open| open.members.len()) else { return };
        let (mut able, mut limits) = (Vec::new(), Vec::new());
        if members < MOST_IN_RACE {
            self.tree.first(below, Turn::All, |client| {
                match self.may_join(client, race, now) {
                    Ok(_) => able.push(client),
                    Err(No::Limit(node)) => limits.push(node),
                    Err(No::Never) => {}
                }
                members + able.len() >= MOST_IN_RACE
            });
        }
        for client in able {
            // Others of its framework, or of its role, may have come before it.
            if let Err(No::Limit(node)) = self.join(client, race, now, grants) {
                limits.push(node);
            }
        }
        limits.into_iter().for_each(|node| self.note_limit(node, race));
    }

    /// Shows a client all races up to `last` that it was not shown while it wanted something.
    fn show_older(&mut self, client: usize, last: u64, now: Moment, grants: &mut Vec<Grant>) {
        let from = self.clients.get(client).and_then(Client::raced_until).filter(|_| self.is_racer(client));
        let Some(from) = from.map(|from| from + 1) else { return };
        let older = self.races.by_stamp.range(from.min(last + 1)..last + 1);
        let races: Vec<(u64, GrantId)> = older.map(|(stamp, race)| (*stamp, *race)).collect();
        for (stamp, race) in races {
            if !self.clients.get(client).is_some_and(Client::is_wanting) {
                break;
            }
            self.races.position = Some((client, stamp - 1));
            if let Err(No::Limit(node)) = self.join(client, race, now, grants) {
                self.note_limit(node, race);
            }
        }
        self.races.position = None;
        if let Some(state) = self.clients.get_mut(client) {
            state.has_raced_all();
        }
    }

    /// Shows races to those below a place whose limit has room again, as long as it has.
    fn show_below(&mut self, node: NodeId, from: GrantId, now: Moment, grants: &mut Vec<Grant>) {
        let races: Vec<GrantId> = self.races.open.range(from..).map(|(race, _)| *race).collect();
        for race in races {
            self.clients_looked_at.set(self.clients_looked_at.get() + 1);
            let resources = self.raced_for(race).map(|open| &open.resources);
            match resources.and_then(|resources| self.limit_above(node, resources)) {
                Some(limit) => self.note_limit(limit, race),
                None => self.show(race, node, now, grants),
            }
        }
    }

    fn may_begin(&self, id: GrantId) -> bool {
        self.grants.get(id).is_some_and(|open| open.reserved.is_empty() && self.is_racer(open.client))
    }
}
