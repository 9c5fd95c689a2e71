//! What is there, who holds it and who wants it: the state and the questions about it. Changes are made in `agents`,
//! `demands`, `holdings` and `waits`, grants in `pass`.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{AgentId, AgentInfo, FrameworkId, Moment, Placement, Resources, Role};

use crate::changes::Changes;
use crate::client::Client;
use crate::forget::ClientRef;
use crate::grants::{GrantId, Grants};
use crate::placement::Index;
use crate::pools::{OwnPool, Pools, ReservedParts};
use crate::quota::Need;
use crate::races::Races;
use crate::share::{Amounts, Kinds};
use crate::slots::Slots;
use crate::tree::{NodeId, Tree};
use crate::usable::Counted;

/// Resources of one agent given to one framework in one role, until [`Allocator::close`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its number.
    pub id: GrantId,
    /// To whom.
    pub framework: FrameworkId,
    /// In which role.
    pub role: Role,
    /// Of which agent.
    pub agent: AgentId,
    /// What.
    pub resources: Resources,
    /// The parts of it that are reserved.
    pub reserved: ReservedParts,
    /// The first grant of these very resources: its own number, but for those who race for them later.
    pub race: GrantId,
    /// Others are, or may be, granted the same.
    pub is_optimistic: bool,
}

/// What a closed grant was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// What it held.
    pub resources: Resources,
    /// What else was free on the agent when the grant was cut. A refusal covers it too, or the framework
    /// would be offered the same agent again at once.
    pub beside: Resources,
}

/// Steps done since the start. They grow with what changed, never with the size of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Agents looked at, each time they were.
    pub agents: u64,
    /// Frameworks weighed for an agent, each in one role, each time they were.
    pub clients: u64,
    /// Filters compared with what is left of an agent, and filters ended.
    pub filters: u64,
    /// Shares of roles and frameworks found anew.
    pub shares: u64,
    /// Moves in the order of those that want something.
    pub moves: u64,
    /// Shapes of old and new demands compared.
    pub shapes: u64,
}

#[derive(Debug)]
pub(crate) struct Agent {
    pub id: AgentId,
    /// Apart, as passes hardly ever need it: agents stay close together in memory.
    pub info: Box<AgentInfo>,
    /// Some of that.
    pub has_gpus: bool,
    pub room: Room,
    /// For whose guarantees it counts.
    pub counted: Counted,
    pub is_active: bool,
    /// Gave it back unused last: comes after the others on it, so that nobody can block it with a low share.
    pub returned_by: Option<ClientRef>,
    pub pools: Pools,
}

/// What is left of an agent.
#[derive(Debug)]
pub(crate) enum Room {
    /// So much of it is neither granted nor held.
    Left(Resources),
    /// It shrank below what is granted and held, which is this: it has nothing to give, in no kind.
    Over(Resources),
}

#[derive(Debug)]
pub(crate) struct Framework {
    pub id: FrameworkId,
    pub is_active: bool,
    pub grants_open: usize,
    /// Most open grants it may have now.
    pub most_grants: usize,
    /// Grants that are being cut from the agent a pass is looking at.
    pub grants_begun: usize,
    pub clients: BTreeSet<usize>,
    pub held: Amounts,
    /// In place of those of its roles.
    pub placement: Option<Placement>,
    /// It is in these; `None` when that was never said.
    pub roles: Option<BTreeSet<Role>>,
}

/// A role's places in the tree: its own, and that of the frameworks in it.
#[derive(Debug)]
pub(crate) struct RoleState {
    pub name: Role,
    pub node: NodeId,
    pub own: NodeId,
    pub placement: Option<Placement>,
    /// In place of the cluster's.
    pub min_offer: Option<Resources>,
    /// Its frameworks race for what they are granted.
    pub is_optimistic: bool,
    /// Reserved for it, on how many agents.
    pub pools: usize,
}

#[derive(Debug)]
pub(crate) struct OpenGrant {
    pub client: usize,
    pub agent: usize,
    pub resources: Resources,
    pub reserved: ReservedParts,
    /// The first grant of these very resources.
    pub race: GrantId,
    /// Nothing when it is the whole agent.
    pub beside: Option<Box<Resources>>,
    /// Serial of a wanted shape, and how many of it this stands for.
    pub covers: Vec<(u64, u32)>,
}

/// A client that would have got something but for want of room.
#[derive(Debug)]
pub(crate) struct TurnedAway {
    pub client: NodeId,
    pub need: Need,
    /// What is reserved for it on the agent.
    pub own: Vec<OwnPool>,
    /// By which classes of agents.
    pub reasons: Vec<(usize, usize, u64)>,
}

/// Decides who is offered what. See the crate's documentation.
#[derive(Debug, Default)]
pub struct Allocator {
    pub(crate) kinds: Kinds,
    pub(crate) tree: Tree,
    pub(crate) agents: Slots<AgentId, Agent>,
    pub(crate) frameworks: Slots<FrameworkId, Framework>,
    pub(crate) roles: Slots<Role, RoleState>,
    pub(crate) clients: Slots<(usize, usize), Client>,
    pub(crate) grants: Grants,
    pub(crate) clients_made: u64,
    pub(crate) max_grants: usize,
    pub(crate) changes: Changes,
    pub(crate) index: Index,
    /// The policy of roles that have none of their own.
    pub(crate) placement: Placement,
    /// The smallest offer of roles that have none of their own.
    pub(crate) min_offer: Resources,
    pub(crate) has_min_offers: bool,
    pub(crate) races: Races,
    /// Up to this stamp every agent was looked at for every client that is not lagging.
    pub(crate) looked: u64,
    /// During a pass: up to this stamp it has come.
    pub(crate) position: Option<u64>,
    /// Clients that may get something, and have not been tried on every agent up to `looked`.
    pub(crate) lagging: BTreeSet<usize>,
    /// Places in the tree where somebody was turned away, and that have room again: all below are tried again.
    pub(crate) awake: BTreeSet<NodeId>,
    /// Some role was promised something: what is free of all active agents is counted.
    pub(crate) is_counting_free: bool,
    pub(crate) free: Amounts,
    /// Of that, what was given to parts of the agent a pass is looking at.
    pub(crate) begun: Amounts,
    /// Who was turned away in the look at an agent for want of room, and what was needed.
    pub(crate) turned_away: RefCell<Vec<TurnedAway>>,
    /// When a client's filter of an agent ends.
    pub(crate) filter_ends: BTreeSet<(Moment, usize, usize)>,
    /// When launches of a client's shape count as wanted again, and how many.
    pub(crate) hold_ends: BTreeMap<(Moment, usize, u64), u32>,
    /// Counts the agents a pass looked at: a client marked with it can get nothing more of that agent.
    pub(crate) look: u64,
    pub(crate) agents_looked_at: u64,
    pub(crate) clients_looked_at: Cell<u64>,
    pub(crate) filters_looked_at: Cell<u64>,
    pub(crate) shapes_compared: u64,
}

impl Allocator {
    /// An empty cluster. No framework holds more than `max_grants_per_framework` open grants.
    pub fn new(max_grants_per_framework: usize) -> Self {
        Self { max_grants: max_grants_per_framework.max(1), ..Self::default() }
    }

    /// What is charged to the agent and out in grants; for checks.
    pub fn agent_used(&self, id: &AgentId) -> Option<Resources> {
        let agent = self.agents.get(self.agents.find(id)?)?;
        Some(match &agent.room {
            Room::Left(left) => agent.info.resources.saturating_minus(left),
            Room::Over(used) => used.clone(),
        })
    }

    /// What could be granted of the agent now; nothing when it is not active.
    pub fn agent_available(&self, id: &AgentId) -> Option<&Resources> {
        self.agents.get(self.agents.find(id)?)?.free()
    }

    /// The framework's dominant share of the cluster over all roles, in millionths.
    pub fn share_millionths(&self, id: &FrameworkId) -> u64 {
        let framework = self.frameworks.find(id).and_then(|slot| self.frameworks.get(slot));
        framework.map_or(0, |framework| framework.held.dominant_share(self.tree.total()).millionths())
    }

    /// Steps done since the start.
    pub fn work(&self) -> Work {
        Work {
            agents: self.agents_looked_at,
            clients: self.clients_looked_at.get(),
            filters: self.filters_looked_at.get(),
            shares: self.tree.ranked,
            moves: self.tree.moved,
            shapes: self.shapes_compared,
        }
    }
}
