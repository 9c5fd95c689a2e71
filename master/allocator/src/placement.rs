//! Which of the agents that fit comes first for a client: a policy of its role, or of its framework.
//!
//! A pass comes to agents in the order in which they changed. When the client whose turn it is would rather have another
//! one, that one is filled first, for everybody and in turn as always; so a policy changes where somebody gets
//! something, never how much. The next agent by policy is found in an ordered index. At most [`CANDIDATES`] of it are
//! tried; when none of them suits, the agent at hand is as good as any.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{AgentInfo, FrameworkId, Placement, Resources, Role};

use crate::allocator::{Agent, Allocator};

/// Agents tried for one grant before the agent at hand is taken.
const CANDIDATES: usize = 32;

/// Agents with something free, in the orders of the policies.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Some policy was ever set: before, nothing is kept.
    pub is_used: bool,
    /// CPU left in thousandths, memory left in bytes.
    by_left: BTreeSet<(u64, u64, usize)>,
    by_load: BTreeSet<(u32, usize)>,
    /// By attribute and value.
    by_value: BTreeMap<String, BTreeMap<String, BTreeSet<(u32, usize)>>>,
}

impl Allocator {
    /// The placement policy of all roles that have none of their own. Costs as [`Allocator::set_placement`].
    pub fn set_default_placement(&mut self, placement: Placement) {
        self.prepare_index(&placement);
        self.placement = placement;
    }

    /// The placement policy of a role, for itself and not for the roles below it; `None` for that of all. The first
    /// policy that is ever set costs as much as there are agents, and so does each new attribute.
    pub fn set_placement(&mut self, role: &Role, placement: Option<Placement>) {
        placement.iter().for_each(|placement| self.prepare_index(placement));
        let slot = self.role_slot(role);
        if let Some(role) = self.roles.get_mut(slot) {
            role.placement = placement;
        }
    }

    /// The placement policy of a framework, in all its roles; `None` for those of the roles. Unknown frameworks are
    /// ignored.
    pub fn set_framework_placement(&mut self, framework: &FrameworkId, placement: Option<Placement>) {
        placement.iter().for_each(|placement| self.prepare_index(placement));
        let slot = self.frameworks.find(framework);
        if let Some(framework) = slot.and_then(|slot| self.frameworks.get_mut(slot)) {
            framework.placement = placement;
        }
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
        let (Some(state), Some(value)) = (self.clients.get_mut(client), value) else { return };
        let count = state.places.entry(value).or_default();
        *count = if is_more { *count + 1 } else { count.saturating_sub(1) };
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
        let emptiest = |agents: &BTreeSet<(u32, usize)>| -> Vec<usize> {
            agents.iter().take(CANDIDATES).map(|(_, slot)| *slot).collect()
        };
        let order: Vec<usize> = match placement {
            Placement::First => return None,
            Placement::Pack => {
                let least = state.least_cpus();
                index.by_left.range((least, 0, 0)..).take(CANDIDATES).map(|(_, _, slot)| *slot).collect()
            }
            Placement::LeastLoaded => emptiest(&index.by_load),
            Placement::Spread { attribute } => {
                let values = index.by_value.get(attribute)?;
                let count = |value: &String| state.places.get(value).copied().unwrap_or(0);
                let mut values: Vec<_> = values.iter().filter(|(_, agents)| !agents.is_empty()).collect();
                values.sort_by_key(|(value, _)| count(value));
                values.into_iter().flat_map(|(_, agents)| emptiest(agents)).take(CANDIDATES).collect()
            }
        };
        let best = order.into_iter().find(|agent| *agent == at_hand || suits(*agent))?;
        (best != at_hand).then_some(best)
    }
}

impl Index {
    fn put(&mut self, slot: usize, agent: &Agent, is_in: bool) {
        let Some(free) = agent.free() else { return };
        let load = load(free, &agent.info.resources);
        let values = self.by_value.iter_mut().map(|(attribute, values)| {
            let value = value_of(&agent.info, attribute);
            values.entry(value).or_default()
        });
        if is_in {
            self.by_left.insert((free.cpus.0, free.memory.0, slot));
            values.chain([&mut self.by_load]).for_each(|set| {
                set.insert((load, slot));
            });
        } else {
            self.by_left.remove(&(free.cpus.0, free.memory.0, slot));
            values.chain([&mut self.by_load]).for_each(|set| {
                set.remove(&(load, slot));
            });
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
