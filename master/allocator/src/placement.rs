//! Which of the agents that fit comes first for a client: a policy of its role, or of its framework.
//!
//! A pass comes to agents in the order in which they changed. When the client whose turn it is would rather have another
//! one, that one is filled first, for everybody and in turn as always; so a policy changes where somebody gets
//! something, never how much. The next agent by policy is found in an ordered index. What is too small is passed over
//! at a glance, at most [`GLANCES`] times; at most [`CANDIDATES`] are tried in earnest. When none of them suits, the agent
//! at hand is as good as any.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use proffer_proto_model::{AgentId, AgentInfo, FrameworkId, Placement, Resources, Role};

use crate::allocator::{Agent, Allocator};
use crate::client::Client;

/// Agents tried for one grant before the agent at hand is taken.
const CANDIDATES: usize = 64;

/// Agents looked at for one grant.
const GLANCES: usize = 1_024;

/// Up to so many values of an attribute are sorted for each grant; more are walked in turns.
const FEW_VALUES: usize = 64;

/// Load and agent, by the value of an attribute; no value is without agents.
type Values = BTreeMap<String, BTreeSet<(u32, usize)>>;

/// Agents with something free, in the orders of the policies.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Some policy was ever set: before, nothing is kept.
    pub is_used: bool,
    /// CPU left in thousandths, memory left in bytes.
    by_left: BTreeSet<(u64, u64, usize)>,
    by_load: BTreeSet<(u32, usize)>,
    /// By attribute.
    by_value: BTreeMap<String, Values>,
}

impl Allocator {
    /// The placement policy of all roles that have none of their own. Costs as [`Allocator::set_placement`].
    pub fn set_default_placement(&mut self, placement: Placement) {
        self.prepare_index(&placement);
        self.placement = placement;
    }

    /// The placement policy of a role, for itself and not for the roles below it; `None` for that of all. The first
    /// policy that is ever set costs as much as there are agents, and so does each new attribute. What is held already
    /// is counted by [`Allocator::recount_places`].
    pub fn set_placement(&mut self, role: &Role, placement: Option<Placement>) {
        placement.iter().for_each(|placement| self.prepare_index(placement));
        let slot = self.role_slot(role);
        if let Some(role) = self.roles.get_mut(slot) {
            role.placement = placement;
        }
        self.forget_idle_role(slot);
    }

    /// The placement policy of a framework, in all its roles; `None` for those of the roles. Unknown frameworks are
    /// ignored. True when it changed: then [`Allocator::recount_places`].
    pub fn set_framework_placement(&mut self, framework: &FrameworkId, placement: Option<Placement>) -> bool {
        placement.iter().for_each(|placement| self.prepare_index(placement));
        let slot = self.frameworks.find(framework);
        let framework = slot.and_then(|slot| self.frameworks.get_mut(slot));
        framework.is_some_and(|framework| std::mem::replace(&mut framework.placement, placement.clone()) != placement)
    }

    fn prepare_index(&mut self, placement: &Placement) {
        let is_new = match placement {
            Placement::First => false,
            Placement::Spread { attribute } if !self.index.by_value.contains_key(attribute) => {
                self.index.by_value.insert(attribute.clone(), BTreeMap::new());
                true
            }
            _ => !self.index.is_used,
        };
        if is_new {
            self.index.is_used = true;
            for (slot, agent) in self.agents.iter() {
                self.index.put(slot, agent, true);
            }
        }
    }

    /// Keeps the index: before an agent changes, and after.
    pub(crate) fn index_agent(&mut self, slot: usize, is_in: bool) {
        if self.index.is_used
            && let Some(agent) = self.agents.get(slot)
        {
            self.index.put(slot, agent, is_in);
        }
    }

    /// Counts where a client has grants and tasks.
    pub(crate) fn count_place(&mut self, client: usize, agent: usize, is_more: bool) {
        if self.index.by_value.is_empty() {
            return;
        }
        let Some(Placement::Spread { attribute }) = self.placement_of(client).cloned() else { return };
        let value = self.agents.get(agent).map(|agent| value_of(&agent.info, &attribute));
        if let (Some(state), Some(value)) = (self.clients.get_mut(client), value) {
            state.count_place(value, is_more);
        }
    }

    /// Counts anew where some frameworks have grants and tasks, all of which are given: the policy of one of them, or
    /// the place of an agent, has changed. Costs as much as there are tasks and grants.
    pub fn recount_places<'a>(
        &mut self,
        frameworks: &BTreeSet<FrameworkId>,
        tasks: impl Iterator<Item = (&'a FrameworkId, &'a Role, &'a AgentId)>,
    ) {
        let slots: BTreeSet<usize> =
            frameworks.iter().filter_map(|framework| self.frameworks.find(framework)).collect();
        let clients = self.clients.iter().filter(|(_, state)| slots.contains(&state.framework));
        let clients: BTreeSet<usize> = clients.map(|(client, _)| client).collect();
        for client in &clients {
            if let Some(state) = self.clients.get_mut(*client) {
                state.forget_places();
            }
        }
        let granted = self.grants.iter().map(|open| (open.client, open.agent));
        let mut held: Vec<(usize, usize)> = granted.filter(|(client, _)| clients.contains(client)).collect();
        for (framework, role, agent) in tasks {
            let client = self.find_client(framework, role).filter(|client| clients.contains(client));
            held.extend(client.zip(self.agents.find(agent)));
        }
        for (client, agent) in held {
            self.count_place(client, agent, true);
        }
    }

    /// Some policy counts where its tasks are.
    pub fn is_counting_places(&self) -> bool {
        !self.index.by_value.is_empty()
    }

    fn placement_of(&self, client: usize) -> Option<&Placement> {
        let client = self.clients.get(client)?;
        let own = self.frameworks.get(client.framework).and_then(|framework| framework.placement.as_ref());
        let of_role = || self.roles.get(client.role).and_then(|role| role.placement.as_ref());
        Some(own.or_else(of_role).unwrap_or(&self.placement))
    }

    /// Its policy needs the index.
    pub(crate) fn has_policy(&self, client: usize) -> bool {
        self.index.is_used && self.placement_of(client).is_some_and(|placement| *placement != Placement::First)
    }

    /// The agent on which the client would like best to get something, if it is not the one at hand.
    pub(crate) fn preferred_agent(
        &self,
        client: usize,
        at_hand: usize,
        suits: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let placement = self.placement_of(client)?;
        let state = self.clients.get(client)?;
        let index = &self.index;
        let mut tried = 0;
        let mut suits = |agent: usize| {
            if agent == at_hand || tried >= CANDIDATES {
                // The one at hand is the best, or as good as any.
                return Some(at_hand);
            }
            self.clients_looked_at.set(self.clients_looked_at.get() + 1);
            if !self.agents.get(agent).is_some_and(|place| self.may_hold(state, place)) {
                return None;
            }
            tried += 1;
            suits(agent).then_some(agent)
        };
        let best = match placement {
            Placement::First => None,
            Placement::Pack => {
                let fullest = index.by_left.range((state.least_cpus(), 0, 0)..).take(GLANCES);
                fullest.map(|(_, _, slot)| *slot).find_map(&mut suits)
            }
            Placement::LeastLoaded => index.by_load.iter().take(GLANCES).map(|(_, slot)| *slot).find_map(&mut suits),
            Placement::Spread { attribute } => {
                let values = index.by_value.get(attribute)?;
                let next = spread(values, state);
                let each = GLANCES / next.len().max(1);
                let agents = next.into_iter().flat_map(|agents| agents.iter().take(each.max(1)));
                agents.map(|(_, slot)| *slot).find_map(&mut suits)
            }
        };
        best.filter(|best| *best != at_hand)
    }

    /// At a glance: something the client wants is not more than what is free of the agent.
    fn may_hold(&self, client: &Client, agent: &Agent) -> bool {
        let Some(free) = agent.free().filter(|_| self.is_for(client, agent)) else { return false };
        client.items.iter().any(|item| match &item.wanted.shape {
            Some(shape) => shape.cpus <= free.cpus && shape.memory <= free.memory && shape.gpus <= free.gpus,
            None => true,
        })
    }
}

/// The agents of each value, those with the fewest of the client's grants and tasks first. Of many values only some
/// are given: those after the last one that was new to it, then those that have the fewest.
fn spread<'a>(values: &'a Values, client: &Client) -> Vec<&'a BTreeSet<(u32, usize)>> {
    let count = |value: &String| client.places.get(value).copied().unwrap_or(0);
    if values.len() <= FEW_VALUES {
        let mut values: Vec<_> = values.iter().collect();
        values.sort_by_key(|(value, _)| count(value));
        return values.into_iter().map(|(_, agents)| agents).collect();
    }
    let last = client.last_place.clone().unwrap_or_default();
    let in_turn = values.range((Excluded(last.clone()), Unbounded)).chain(values.range(..=last));
    let unused = in_turn.take(GLANCES).filter(|(value, _)| count(value) == 0).take(FEW_VALUES / 2);
    let mut next: Vec<_> = unused.map(|(_, agents)| agents).collect();
    let used = client.by_count.iter().take(GLANCES).filter_map(|(_, value)| values.get(value));
    next.extend(used.take(FEW_VALUES / 2));
    next
}

impl Index {
    fn put(&mut self, slot: usize, agent: &Agent, is_in: bool) {
        let Some(free) = agent.free() else { return };
        let load = load(free, &agent.info.resources);
        if is_in {
            self.by_left.insert((free.cpus.0, free.memory.0, slot));
            self.by_load.insert((load, slot));
        } else {
            self.by_left.remove(&(free.cpus.0, free.memory.0, slot));
            self.by_load.remove(&(load, slot));
        }
        for (attribute, values) in &mut self.by_value {
            let value = value_of(&agent.info, attribute);
            if is_in {
                values.entry(value).or_default().insert((load, slot));
            } else if let Some(agents) = values.get_mut(&value) {
                agents.remove(&(load, slot));
                if agents.is_empty() {
                    values.remove(&value);
                }
            }
        }
    }
}

/// The part that is in use, in millionths, of CPU or memory, whichever is scarcer.
fn load(free: &Resources, total: &Resources) -> u32 {
    let used = |free: u64, total: u64| {
        let used = u128::from(total.saturating_sub(free)) * 1_000_000 / u128::from(total.max(1));
        u32::try_from(used).unwrap_or(u32::MAX)
    };
    used(free.cpus.0, total.cpus.0).max(used(free.memory.0, total.memory.0))
}

fn value_of(info: &AgentInfo, attribute: &str) -> String {
    match attribute {
        "@hostname" => info.hostname.clone(),
        "@region" => info.region.clone(),
        "@zone" => info.zone.clone(),
        name => {
            let found = info.attributes.iter().find(|attribute| attribute.name == name);
            found.map(|attribute| format!("{:?}", attribute.value)).unwrap_or_default()
        }
    }
}
