//! Why a framework is not offered what it wants: every agent's obstacle, grouped and counted. Read-only.
//!
//! Walks all agents, and only when somebody asks. Never used by a pass: what it says is found anew from the same facts.

use std::collections::BTreeMap;
use std::fmt;

use proffer_proto_model::{
    AgentId, Bytes, Constraint, ConstraintOperator, DemandItem, FrameworkId, Moment, Resources, Role,
};

use crate::allocator::{Agent, Allocator, Room};
use crate::client::{Client, Item};
use crate::fit::{LEAST_CPUS, times_it_fits};
use crate::quota::{Need, Room as Rest};

/// Agents named in a group.
const EXAMPLES: usize = 3;

/// Why one agent does not serve a wanted shape now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// It is not attached: nothing of it is offered.
    Inactive,
    /// It does not meet this rule, the first of those it does not meet.
    Constraint(Constraint),
    /// It has GPUs, which are kept for those who want GPUs in this role.
    GpusKept,
    /// Even empty it is too small, by this much.
    NeverFits(Missing),
    /// Too little of it is free, by this much. Tasks hold the rest.
    Short(Missing),
    /// It would do but for what is reserved for other roles.
    Reserved,
    /// It would do but for what is kept for what other roles are guaranteed.
    Kept,
    /// Less is free than is worth an offer to somebody who takes anything.
    Full,
    /// What is free is less than the smallest offer that may be made in the role.
    BelowMinimum,
    /// It would do if what others are offered of it came back.
    OfferedToOthers,
    /// It is offered to the framework now, which has not answered.
    OfferedToIt,
    /// The framework refused what is free of it, for so much longer.
    Refused {
        /// In milliseconds from now.
        for_ms: u64,
    },
    /// Nothing: it could be offered. See [`Explanation::blocks`] for what holds back the framework itself.
    None,
}

/// What is missing for one of a shape.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Missing {
    /// In thousandths of a CPU.
    pub cpus_milli: u64,
    /// In bytes.
    pub memory_bytes: u64,
    /// In bytes.
    pub disk_bytes: u64,
    /// Whole ones.
    pub gpus: u32,
    /// How many host ports of any number.
    pub ports: u32,
    /// Other kinds and host ports of a given number, in words; empty when none.
    pub others: String,
}

/// What holds back the framework, whatever the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// It is not connected.
    Inactive,
    /// It has as many open offers as it may have.
    OfferCap {
        /// The most it may have.
        most: usize,
    },
    /// One more would be above the limit of this role, its own or one above it.
    Limit {
        /// The lowest such role.
        role: Role,
    },
    /// One more would leave less within the limit of a role above than another role is guaranteed there.
    KeptWithin {
        /// The lowest such role with a limit.
        limited: Role,
        /// One for which it is kept.
        promised: Role,
    },
    /// All of it is covered by open offers and by launches of the last second.
    Covered,
}

/// Agents with the same obstacle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The obstacle; of amounts the least that is missing anywhere, of times the shortest.
    pub obstacle: Obstacle,
    /// Not the same amount or time for all of them.
    pub is_least: bool,
    /// How many agents.
    pub agents: u32,
    /// The first of them, by slot.
    pub examples: Vec<AgentId>,
}

/// Why one wanted shape is not offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What is wanted.
    pub item: DemandItem,
    /// How many of it open offers stand for.
    pub offered: u32,
    /// How many were launched in the last second.
    pub launched: u32,
    /// What holds back the framework itself.
    pub blocks: Vec<Block>,
    /// Largest first.
    pub groups: Vec<Group>,
}

/// What grants hold of one agent, seen by one client.
#[derive(Default)]
struct Offered {
    to_others: Resources,
    to_it: Vec<Resources>,
}

impl Allocator {
    /// Why the framework is not offered what it wants: one explanation for each wanted shape, most important first;
    /// only of one role when it is given. At most `most` of them, and how many were left out. Costs agents × `most`.
    pub fn explain(
        &self,
        framework: &FrameworkId,
        role: Option<&Role>,
        most: usize,
        now: Moment,
    ) -> (Vec<Explanation>, usize) {
        let (mut explanations, mut left_out) = (Vec::new(), 0);
        let Some(state) = self.frameworks.find(framework).and_then(|slot| self.frameworks.get(slot)) else {
            return (explanations, left_out);
        };
        for &slot in &state.clients {
            let Some(client) = self.clients.get(slot) else { continue };
            let name = self.roles.get(client.role).map(|role| &role.name);
            if client.items.is_empty() || role.is_some_and(|wanted| name != Some(wanted)) {
                continue;
            }
            let room = most - explanations.len();
            left_out += client.items.len().saturating_sub(room);
            let offered = if room > 0 { self.offered(slot) } else { BTreeMap::new() };
            for item in client.items.iter().take(room) {
                explanations.push(Explanation {
                    item: item.wanted.clone(),
                    offered: item.outstanding,
                    launched: item.launched,
                    blocks: self.blocks(client, item),
                    groups: self.groups(client, item, &offered, now),
                });
            }
        }
        (explanations, left_out)
    }

    fn blocks(&self, client: &Client, item: &Item) -> Vec<Block> {
        let mut blocks = Vec::new();
        if let Some(framework) = self.frameworks.get(client.framework) {
            if !framework.is_active {
                blocks.push(Block::Inactive);
            }
            if framework.grants_open >= framework.most_grants {
                blocks.push(Block::OfferCap { most: framework.most_grants });
            }
        }
        let role = self.roles.get(client.role).map(|role| &role.name);
        let least = Resources::new(LEAST_CPUS, Bytes(0));
        let one = item.wanted.shape.as_ref().unwrap_or(&least);
        if let Some(role) = role.and_then(|role| self.limit_in_the_way(role, one)) {
            blocks.push(Block::Limit { role });
        } else if let Some((limited, promised)) = self.kept_within(client.node, one) {
            blocks.push(Block::KeptWithin { limited, promised });
        }
        if item.remaining() == 0 {
            blocks.push(Block::Covered);
        }
        blocks
    }

    /// What grants hold of each agent. The grants are walked in the order of their numbers.
    fn offered(&self, client: usize) -> BTreeMap<usize, Offered> {
        let mut offered: BTreeMap<usize, Offered> = BTreeMap::new();
        for grant in self.grants.by_age() {
            let of_agent = offered.entry(grant.agent).or_default();
            match grant.client == client {
                true => of_agent.to_it.push(grant.resources.clone()),
                false => of_agent.to_others.add(grant.resources.clone()),
            }
        }
        offered
    }

    fn groups(&self, client: &Client, item: &Item, offered: &BTreeMap<usize, Offered>, now: Moment) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (slot, agent) in self.agents.iter() {
            let role = self.roles.get(client.role).map(|role| &role.name);
            let is_met = item.wanted.constraints.iter().all(|rule| rule.is_met_by(&agent.info));
            let obstacle = if agent.is_active && is_met && !self.is_for(client, agent) {
                Obstacle::GpusKept
            } else {
                match obstacle((client, role), &item.wanted, (slot, agent), offered.get(&slot), now) {
                    Obstacle::None if self.is_less_than_an_offer(client, role, agent) => Obstacle::BelowMinimum,
                    Obstacle::None if self.is_kept(client, item, slot) => Obstacle::Kept,
                    other => other,
                }
            };
            match groups.iter_mut().find(|group| is_alike(&group.obstacle, &obstacle)) {
                Some(group) => {
                    group.agents += 1;
                    if group.examples.len() < EXAMPLES {
                        group.examples.push(agent.id.clone());
                    }
                    group.is_least |= group.obstacle != obstacle;
                    keep_least(&mut group.obstacle, obstacle);
                }
                None => groups.push(Group { obstacle, is_least: false, agents: 1, examples: vec![agent.id.clone()] }),
            }
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.agents));
        groups
    }

    /// What the role may have of what is free there is less than its smallest offer.
    fn is_less_than_an_offer(&self, client: &Client, role: Option<&Role>, agent: &Agent) -> bool {
        agent.free().is_some_and(|free| self.is_too_small(client, &agent.visible(role, free)))
    }

    /// Not one of the item may be taken of what is free there, and limits are not the reason.
    fn is_kept(&self, client: &Client, item: &Item, slot: usize) -> bool {
        let Some(agent) = self.agents.get(slot) else { return false };
        let role = self.roles.get(client.role).map(|role| &role.name);
        let Some(left) = agent.free().map(|free| agent.visible(role, free)) else { return false };
        let has_room = |room: &Rest| match &item.need {
            Need::Anything => times_it_fits(&item.wanted, &room.cut(&left, &self.kinds)) > 0,
            need => room.times(&item.wanted, need) > 0,
        };
        let within = self.tree.room_in_limits(client.node, &self.own_pools(client.node, slot));
        has_room(&within) && self.room_on(client.node, slot, &left).is_some_and(|room| !has_room(&room))
    }
}

/// In the order in which it helps to know: what never changes by waiting comes first.
fn obstacle(
    (client, role): (&Client, Option<&Role>),
    wanted: &DemandItem,
    (slot, agent): (usize, &Agent),
    offered: Option<&Offered>,
    now: Moment,
) -> Obstacle {
    if !agent.is_active {
        return Obstacle::Inactive;
    }
    if let Some(rule) = wanted.constraints.iter().find(|rule| !rule.is_met_by(&agent.info)) {
        return Obstacle::Constraint(rule.clone());
    }
    let fits = |available: &Resources| times_it_fits(wanted, available) > 0;
    if !fits(&agent.info.resources) {
        return Obstacle::NeverFits(missing(wanted, &agent.info.resources));
    }
    if offered.is_some_and(|offered| offered.to_it.iter().any(fits)) {
        return Obstacle::OfferedToIt;
    }
    let nothing = Resources::default();
    let all = match &agent.room {
        Room::Left(left) => left,
        Room::Over(_) => &nothing,
    };
    let free = &*agent.visible(role, all);
    if fits(free) {
        let filters = client.filters.get(&slot).into_iter().flatten();
        let living = filters.filter(|filter| filter.until > now && filter.resources.contains(free));
        return match living.map(|filter| filter.until).max() {
            Some(until) => Obstacle::Refused { for_ms: until.since_ms(now) },
            None => Obstacle::None,
        };
    }
    if fits(all) {
        return Obstacle::Reserved;
    }
    if offered.is_some_and(|offered| fits(&free.saturating_sum(&offered.to_others))) {
        return Obstacle::OfferedToOthers;
    }
    if wanted.shape.is_none() { Obstacle::Full } else { Obstacle::Short(missing(wanted, free)) }
}

/// What lacks for one of the item.
fn missing(wanted: &DemandItem, available: &Resources) -> Missing {
    let nothing = Resources::default();
    let shape = wanted.shape.as_ref().unwrap_or(&nothing);
    let short = available.shortage(shape).map(|short| short.0).unwrap_or_default();
    let left = available.ports.minus(&shape.ports).count();
    let others = Resources { ports: short.ports, scalars: short.scalars, sets: short.sets, ..Resources::default() };
    Missing {
        cpus_milli: short.cpus.0,
        memory_bytes: short.memory.0,
        disk_bytes: short.disk.0,
        gpus: short.gpus,
        ports: wanted.ports.saturating_sub(left),
        others: if others.is_empty() { String::new() } else { others.to_string() },
    }
}

/// They belong into one group: the same rule, the same kinds missing, both declined.
fn is_alike(one: &Obstacle, other: &Obstacle) -> bool {
    match (one, other) {
        (Obstacle::Short(one), Obstacle::Short(other)) | (Obstacle::NeverFits(one), Obstacle::NeverFits(other)) => {
            one.kinds() == other.kinds()
        }
        (Obstacle::Refused { .. }, Obstacle::Refused { .. }) => true,
        (one, other) => one == other,
    }
}

fn keep_least(kept: &mut Obstacle, new: Obstacle) {
    let is_less = match (&*kept, &new) {
        (Obstacle::Short(kept), Obstacle::Short(new)) | (Obstacle::NeverFits(kept), Obstacle::NeverFits(new)) => {
            new < kept
        }
        (Obstacle::Refused { for_ms: kept }, Obstacle::Refused { for_ms: new }) => new < kept,
        _ => false,
    };
    if is_less {
        *kept = new;
    }
}

impl Missing {
    fn kinds(&self) -> (bool, bool, bool, bool, bool, bool) {
        let Missing { cpus_milli, memory_bytes, disk_bytes, gpus, ports, others } = self;
        (*cpus_milli > 0, *memory_bytes > 0, *disk_bytes > 0, *gpus > 0, *ports > 0, !others.is_empty())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let countable = Resources {
            cpus: proffer_proto_model::MilliCpus(self.cpus_milli),
            memory: proffer_proto_model::Bytes(self.memory_bytes),
            disk: proffer_proto_model::Bytes(self.disk_bytes),
            gpus: self.gpus,
            ..Resources::default()
        };
        let mut parts = Vec::new();
        if !countable.is_empty() {
            parts.push(countable.to_string());
        }
        match self.ports {
            0 => {}
            1 => parts.push("1 host port".to_owned()),
            many => parts.push(format!("{many} host ports")),
        }
        if !self.others.is_empty() {
            parts.push(self.others.clone());
        }
        if parts.is_empty() { f.write_str("nothing") } else { f.write_str(&parts.join(", ")) }
    }
}

/// As people read it: `3 agents: 200MiB memory short; tasks hold the rest`.
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let agents = if self.agents == 1 { "agent" } else { "agents" };
        let least = if self.is_least { "at least " } else { "" };
        write!(f, "{} {agents}: {least}{}", self.agents, self.obstacle)
    }
}

/// In words that follow "3 agents: ".
impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inactive => f.write_str("not attached"),
            Self::Constraint(rule) => f.write_str(&unmet(rule)),
            Self::GpusKept => f.write_str("has GPUs, which are kept for those who want GPUs"),
            Self::NeverFits(missing) => write!(f, "{missing} short even when empty: never fits"),
            Self::Short(missing) => write!(f, "{missing} short; tasks hold the rest"),
            Self::BelowMinimum => f.write_str("less is free than the smallest offer that may be made in the role"),
            Self::Reserved => f.write_str("what is free is reserved for other roles"),
            Self::Kept => f.write_str("what is free is kept for what other roles are guaranteed"),
            Self::Full => f.write_str("nothing worth an offer is free"),
            Self::OfferedToOthers => f.write_str("offered to other frameworks now"),
            Self::OfferedToIt => f.write_str("offered to this framework now, which has not answered yet"),
            Self::Refused { for_ms } => {
                write!(f, "{} s more of a pause after the framework declined", for_ms.div_ceil(1_000))
            }
            Self::None => f.write_str("could be offered"),
        }
    }
}

/// What is so on the agent that the rule is not met: `zone is not "b"`.
fn unmet(rule: &Constraint) -> String {
    let (subject, value) = (rule.subject.trim_start_matches('@'), &rule.value);
    match &rule.operator {
        ConstraintOperator::Exists => format!("{subject} is not set"),
        ConstraintOperator::NotExists => format!("{subject} is set"),
        ConstraintOperator::Equals => format!("{subject} is not {value}"),
        ConstraintOperator::NotEquals => format!("{subject} is {value}"),
        ConstraintOperator::Matches(pattern) => format!("{subject} does not match {pattern}"),
        ConstraintOperator::NotMatches(pattern) => format!("{subject} matches {pattern}"),
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inactive => f.write_str("the framework is not connected"),
            Self::OfferCap { most } => {
                write!(f, "the framework holds {most} offers, as many as it may: it has to answer some first")
            }
            Self::Limit { role } => write!(f, "quota of {role} reached: one more would be above its limit"),
            Self::KeptWithin { limited, promised } => write!(
                f,
                "kept for the guarantee of {promised} within the limit of {limited}: one more would leave less than is \
                 promised"
            ),
            Self::Covered => f.write_str("offers for all of it are out, or were used within the last second"),
        }
    }
}
