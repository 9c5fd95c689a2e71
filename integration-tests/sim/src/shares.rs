//! Who holds what part of the cluster, and what of it is left that somebody could use: computed the slow and obvious way
//! from what the master's readers know of agents and frameworks, which the engine's audit compares with its tasks and offers.

use std::collections::BTreeMap;

use proffer_master_engine::view::AgentState;
use proffer_proto_model::{AgentId, Resources};

use crate::cast::Behaviour;
use crate::world::World;

/// Floating-point numbers closer than this are the same share.
pub const EPSILON: f64 = 1e-9;

/// Parts of the cluster in each countable kind: CPU, memory, disk.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Parts([f64; 3]);

impl Parts {
    /// The largest.
    pub fn dominant(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Parts) -> Parts {
        Parts(std::array::from_fn(|kind| self.0[kind] + other.0[kind]))
    }

    /// So many times over.
    #[must_use]
    pub fn times(&self, count: f64) -> Parts {
        Parts(self.0.map(|part| part * count))
    }

    /// The rest without the other.
    #[must_use]
    pub fn minus(&self, other: &Parts) -> Parts {
        Parts(std::array::from_fn(|kind| self.0[kind] - other.0[kind]))
    }
}

/// One step on the way from the whole cluster to a framework.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A role.
    Role(String),
    /// What frameworks of the role itself hold together, beside the roles below it.
    Own(String),
    /// A framework, by number.
    Framework(usize),
}

/// All holdings at one moment.
#[derive(Debug, Clone)]
pub struct Holdings {
    total: Resources,
    /// By framework: tasks and offers.
    pub held: Vec<Parts>,
    /// What no task holds and is not offered, by agent.
    pub free: BTreeMap<AgentId, Resources>,
}

impl Holdings {
    /// What everybody holds now. Agents that are not attached count with all they have.
    pub fn of(world: &World) -> Self {
        let total = world.agents.iter().fold(Resources::default(), |sum, a| sum.saturating_sum(&a.resources));
        let mut holdings = Self { total, held: vec![Parts::default(); world.frameworks.len()], free: BTreeMap::new() };
        let views = &world.master.views;
        for agent in views.agents.values() {
            let free = agent.info.resources.saturating_minus(&agent.allocated).saturating_minus(&agent.offered);
            holdings.free.insert(agent.id.clone(), free);
        }
        for framework in views.frameworks.values() {
            if let Some(n) = world.framework_number(&framework.id) {
                holdings.held[n] = holdings.parts(&framework.allocated).plus(&holdings.parts(&framework.offered));
            }
        }
        holdings
    }

    /// A framework holds so much more of an agent.
    pub fn take(&mut self, framework: usize, agent: &AgentId, resources: &Resources) {
        self.held[framework] = self.held[framework].plus(&self.parts(resources));
        if let Some(free) = self.free.get_mut(agent) {
            *free = free.saturating_minus(resources);
        }
    }

    /// A framework holds so much less of an agent.
    pub fn give(&mut self, framework: usize, agent: &AgentId, resources: &Resources) {
        self.held[framework] = self.held[framework].minus(&self.parts(resources));
        if let Some(free) = self.free.get_mut(agent) {
            *free = free.saturating_sum(resources);
        }
    }

    /// An amount as parts of the cluster.
    pub fn parts(&self, of: &Resources) -> Parts {
        let part = |of: u64, all: u64| if all == 0 { 0.0 } else { of as f64 / all as f64 };
        Parts([
            part(of.cpus.0, self.total.cpus.0),
            part(of.memory.0, self.total.memory.0),
            part(of.disk.0, self.total.disk.0),
        ])
    }

    /// The weighted dominant share of a role, or of whatever is at the end of this way, without `but`.
    pub fn share_of(&self, world: &World, branch: &[Step], but: &Parts) -> f64 {
        let below = (0..world.frameworks.len()).filter(|n| way(world, *n).starts_with(branch));
        let held = below.fold(Parts::default(), |sum, n| sum.plus(&self.held[n])).minus(but);
        held.dominant() / branch.last().map_or(1.0, |step| weight(world, step))
    }
}

/// The way to a framework as far as it is not that to another one, with the first step of its own.
pub fn branch(world: &World, framework: usize, other: usize) -> Vec<Step> {
    let (mut way, other) = (way(world, framework), way(world, other));
    let same = way.iter().zip(&other).take_while(|(a, b)| a == b).count();
    way.truncate(same + 1);
    way
}

/// The steps from the whole cluster to a framework.
pub fn way(world: &World, framework: usize) -> Vec<Step> {
    let role = &world.frameworks[framework].part.role;
    let ends = role.match_indices('/').map(|(at, _)| at).chain([role.len()]);
    let roles = ends.map(|end| Step::Role(role[..end].to_owned()));
    roles.chain([Step::Own(role.clone()), Step::Framework(framework)]).collect()
}

fn weight(world: &World, step: &Step) -> f64 {
    let Step::Role(role) = step else { return 1.0 };
    let known = world.master.registry.roles.iter().find(|record| record.role.as_str() == role);
    known.map_or(1.0, |record| f64::from(record.weight.milli()) / 1_000.0)
}

/// Every process lives, and the master knows everybody as there.
pub fn is_complete(world: &World) -> bool {
    let views = &world.master.views;
    let is_there = |state: AgentState| state == AgentState::Attached;
    world.master.engine.is_some()
        && views.agents.len() == world.agents.len()
        && views.agents.values().all(|agent| is_there(agent.state))
        && views.frameworks.values().filter(|framework| framework.is_connected).count() == world.frameworks.len()
}

/// The CPU and memory that are neither held by tasks nor used by anybody, as far as those who are honest could use them,
/// and all that tasks hold: `(held, usable)`. Found by filling what is free with whatever shape still fits, the largest
/// first.
pub fn held_and_usable(world: &World) -> (Parts, Parts) {
    let mut holdings = Holdings::of(world);
    let offers = world.master.views.offers.values();
    // What is offered is not used yet, whoever has it.
    let offered: Vec<_> =
        offers.filter_map(|o| Some((world.framework_number(&o.framework)?, o.offer.clone()))).collect();
    for (n, offer) in offered {
        holdings.give(n, &offer.agent, &offer.resources);
    }
    let held = holdings.held.iter().fold(Parts::default(), |sum, parts| sum.plus(parts));
    let honest = world.frameworks.iter().filter(|f| matches!(f.part.behaviour, Behaviour::Honest | Behaviour::Greedy));
    let mut shapes: Vec<&Resources> = honest.map(|framework| &framework.part.shape).collect();
    shapes.sort_by(|a, b| holdings.parts(b).dominant().total_cmp(&holdings.parts(a).dominant()));
    let mut usable = Parts::default();
    for mut free in holdings.free.values().cloned() {
        for shape in &shapes {
            while free.contains(shape) {
                free = free.saturating_minus(shape);
                usable = usable.plus(&holdings.parts(shape));
            }
        }
    }
    (held, usable)
}

/// The part that is held of what could be, in the kind of which the least is: 1 when nobody could use anything more.
pub fn fullness(held: &Parts, usable: &Parts) -> f64 {
    let part = |kind: usize| {
        let could = held.0[kind] + usable.0[kind];
        if could <= EPSILON { 1.0 } else { held.0[kind] / could }
    };
    part(0).min(part(1))
}
