//! Reserve and unreserve: by a framework out of its offers, by an operator out of what is free or only offered.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_allocator::{AgentPool, GrantId};
use proffer_proto_model::resources::Shortage;
use proffer_proto_model::{
    AgentId, AgentInfo, Bytes, FrameworkId, Now, Pool, PoolId, RescindReason, Resources, Role, VolumeId,
};

use super::words::{self, Lack};
use super::{PoolWords, Share};
use crate::registry::{AgentRecord, Awaited, Operation};
use crate::state::State;
use crate::volumes::{Maker, disk, home_of};
use crate::{Consequences, Effect, FatalError, VolumeName};

/// What an operator wants of an agent's reservations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorReservation {
    /// Reserves what is not reserved, or refines what is.
    Reserve {
        /// For whom.
        role: Role,
        /// The reservation it refines.
        from_role: Option<Role>,
        /// How much.
        resources: Resources,
        /// Free words.
        labels: BTreeMap<String, String>,
        /// Who asks.
        principal: String,
        /// The framework with which it ends.
        owner: Option<FrameworkId>,
    },
    /// Ends a reservation, or a part of it.
    Unreserve {
        /// Whose.
        role: Role,
        /// How much.
        resources: Resources,
        /// Also unused volumes that rest on it go, as many as must. Only for operators.
        is_forced: bool,
    },
    /// Makes a persistent volume of reserved disk.
    CreateVolume {
        /// Whose.
        role: Role,
        /// Its name.
        id: VolumeId,
        /// How much disk it takes.
        size: Bytes,
        /// The framework with which it is destroyed.
        owner: Option<FrameworkId>,
    },
    /// Destroys a persistent volume and its data.
    DestroyVolume {
        /// Whose.
        role: Role,
        /// Its name.
        id: VolumeId,
    },
}

impl OperatorReservation {
    /// The agent has to do something for it, beside the master's record.
    pub fn is_for_agent(&self) -> bool {
        matches!(self, Self::CreateVolume { .. } | Self::DestroyVolume { .. })
    }

    /// For whom it is.
    pub fn role(&self) -> &Role {
        match self {
            Self::Reserve { role, .. }
            | Self::Unreserve { role, .. }
            | Self::CreateVolume { role, .. }
            | Self::DestroyVolume { role, .. } => role,
        }
    }
}

/// What has to go so that an operator's wish can be.
struct Plan {
    /// The offers, by what they are of.
    races: BTreeSet<GrantId>,
    /// Unused volumes, by force.
    volumes: Vec<VolumeId>,
}

/// What moves from one pool to another; `None` is what is not reserved.
struct Move {
    from: Option<PoolId>,
    to: Target,
    part: Resources,
}

enum Target {
    /// Back to where it came from.
    Known(Option<PoolId>),
    /// The pool of these words, refined from where it comes from.
    Refined(Role),
}

impl State {
    /// Reserves out of `share`, in which the result is seen; `by` waits for what the agent has to do. Err says what is wrong, and then nothing has changed.
    pub fn reserve(
        &mut self,
        agent: &AgentId,
        share: &mut Share,
        reservation: &OperatorReservation,
        by: Option<Awaited>,
    ) -> Result<(), String> {
        let Some(record) = self.agents.get(agent).map(|agent| &agent.record) else {
            return Err(words::no_agent(agent));
        };
        let moves = match reservation {
            OperatorReservation::Reserve { role, from_role, resources, .. } => {
                let moves = moves_of_reserve(record, share, role, from_role.as_ref(), resources)?;
                self.check_reservation(role, from_role.as_ref(), resources)?;
                moves
            }
            OperatorReservation::Unreserve { role, resources, .. } => {
                moves_of_unreserve(record, share, role, resources)?
            }
            OperatorReservation::CreateVolume { role, id, size, owner } => {
                let by = Maker { awaited: by, owner: owner.clone() };
                return self.create_volume(agent, share, role, id, *size, by);
            }
            OperatorReservation::DestroyVolume { role, id } => return self.destroy_volume(agent, share, role, id, by),
        };
        let nothing = (BTreeMap::new(), String::new());
        let (labels, principal, owner) = match reservation {
            OperatorReservation::Reserve { labels, principal, owner, .. } => (labels, principal, owner.as_ref()),
            _ => (&nothing.0, &nothing.1, None),
        };
        let Some(record) = self.agents.get_mut(agent).map(|agent| &mut agent.record) else { return Ok(()) };
        for Move { from, to, part } in moves {
            let to = match to {
                Target::Known(to) => {
                    record.move_part(from, to, &part);
                    to
                }
                Target::Refined(role) => {
                    record.move_part(from, None, &part);
                    Some(record.grow_pool(from, PoolWords { role: &role, labels, principal, owner }, &part))
                }
            };
            share.take_from(from, &part);
            share.add_to(to, &part);
        }
        record.drop_empty_pools();
        self.store.push(Operation::PutAgent(Box::new(record.clone())));
        self.put_pools(agent);
        self.touched.agent(agent);
        Ok(())
    }

    /// An operator's wish; offers that hold what it needs are withdrawn.
    pub fn operator_reserve(&mut self, now: Now, request: u64, agent: &AgentId, wish: &OperatorReservation) {
        let result = self.plan(agent, wish).and_then(|plan| self.carry_out(now, agent, wish, plan));
        self.send.push(Effect::OperatorReply { request, result });
    }

    /// What comes of an operator's wish, or why it cannot be.
    pub fn check_operator_reserve(
        &self,
        agent: &AgentId,
        wish: &OperatorReservation,
    ) -> Result<Consequences, FatalError> {
        self.plan(agent, wish).map(|plan| self.consequences_of(agent, wish, &plan))
    }

    /// What has to go for it. Refused without disturbing anybody when even all offers would not do.
    fn plan(&self, id: &AgentId, wish: &OperatorReservation) -> Result<Plan, FatalError> {
        let Some(agent) = self.agents.get(id) else {
            return Err(FatalError { is_not_found: true, message: words::no_agent(id) });
        };
        if agent.record.mode.is_gone() {
            return Err(refused(format!("agent_id: agent {id} is gone for good; name another: `proffer agents`")));
        }
        if agent.session.is_none() {
            let message = format!("agent_id: agent {id} is not attached; try again when it is back");
            return Err(refused(message));
        }
        let mut free = self.free_share(id);
        let mut all = free.clone();
        self.apart(&agent.offers).for_each(|open| all.add(&open.share));
        let volumes = self.doomed_volumes(id, &all, wish);
        for known in volumes.iter().filter_map(|volume| agent.record.volume(wish.role(), volume)) {
            free.add_to(Some(known.pool), &disk(known.volume.size));
            all.add_to(Some(known.pool), &disk(known.volume.size));
        }
        self.check_wish(id, &all, wish).map_err(refused)?;
        let mut races = BTreeSet::new();
        let mut offers = agent.offers.iter().rev().filter_map(|offer| self.offers.get(offer));
        while self.check_wish(id, &free, wish).is_err()
            && let Some(open) = offers.next()
        {
            // It is free when the last offer of it has ended.
            if races.insert(open.race) {
                free.add(&open.share);
            }
        }
        Ok(Plan { races, volumes })
    }

    fn consequences_of(&self, id: &AgentId, wish: &OperatorReservation, plan: &Plan) -> Consequences {
        let Plan { races, volumes } = plan;
        let open = self.agents.get(id).into_iter().flat_map(|agent| &agent.offers);
        let open = open.filter_map(|offer| self.offers.get(offer));
        let of_wish = match wish {
            OperatorReservation::DestroyVolume { id, .. } => Some(id),
            _ => None,
        };
        let name = |volume: &VolumeId| VolumeName { agent: id.clone(), role: wish.role().clone(), id: volume.clone() };
        Consequences {
            offers: open.filter(|open| races.contains(&open.race)).count(),
            volumes: volumes.iter().chain(of_wish).map(name).collect(),
            ..Consequences::default()
        }
    }

    fn carry_out(
        &mut self,
        now: Now,
        id: &AgentId,
        wish: &OperatorReservation,
        plan: Plan,
    ) -> Result<Consequences, FatalError> {
        let consequences = self.consequences_of(id, wish, &plan);
        for volume in &plan.volumes {
            self.destroy_volume(id, &mut Share::default(), wish.role(), volume, None).map_err(refused)?;
        }
        self.end_races(now, id, &plan.races, RescindReason::Operator);
        let mut free = self.free_share(id);
        self.reserve(id, &mut free, wish, None).map_err(refused)?;
        Ok(consequences)
    }

    /// What of the agent is neither held by tasks nor offered. Recomputed: only for operators and checks.
    pub fn free_share(&self, id: &AgentId) -> Share {
        let Some(agent) = self.agents.get(id) else { return Share::default() };
        let record = &agent.record;
        let mut free =
            Share { unreserved: record.info.resources.saturating_minus(&record.reserved()), ..Share::default() };
        for pool in &record.pools {
            free.add_to(Some(pool.id), &pool.resources.saturating_minus(&record.held_by_volumes_of(pool.id)));
        }
        let mut used = Share::default();
        for task in agent.tasks.iter().filter_map(|key| self.tasks.get(key)).filter(|task| task.is_charged) {
            let is_there = |part: &&(PoolId, Resources)| record.pool(part.0).is_some();
            let parts: Vec<_> = task.record.reserved.iter().filter(is_there).cloned().collect();
            used.add(&Share::split(&task.record.resources, &parts));
        }
        self.apart(&agent.offers).for_each(|open| used.add(&open.share));
        free.take_from(None, &used.unreserved);
        used.pools.iter().for_each(|(pool, part)| free.take_from(Some(*pool), part));
        free
    }

    /// Tells the allocator the agent's pools as they are now.
    pub fn put_pools(&mut self, id: &AgentId) {
        let Some(agent) = self.agents.get(id) else { return };
        let record = &agent.record;
        let pool = |pool: &Pool| {
            let resources = record.room_of(pool);
            let beside = pool.resources.saturating_minus(&resources);
            AgentPool { id: pool.id, role: pool.role.clone(), resources, beside }
        };
        let pools = record.pools.iter().map(pool).collect();
        self.allocator.set_pools(id, pools);
        self.count_kept(id);
    }

    /// Tells the allocator what of the agent can be granted now: all but its volumes, and its pools.
    pub fn put_room(&mut self, id: &AgentId) {
        let Some(agent) = self.agents.get(id) else { return };
        let is_active = agent.session.is_some() && agent.record.mode.is_offered();
        let info = AgentInfo { resources: agent.record.room(), ..agent.record.info.clone() };
        let is_elsewhere = self.allocator.put_agent(id, &info, is_active);
        self.put_pools(id);
        if is_elsewhere {
            let tasks = self.agents.get(id).into_iter().flat_map(|agent| &agent.tasks);
            let frameworks = tasks.map(|key| key.framework.clone()).collect();
            self.recount_places(&frameworks);
        }
    }

    /// Would it be done out of this share? Changes nothing.
    pub(crate) fn check_wish(&self, id: &AgentId, share: &Share, wish: &OperatorReservation) -> Result<(), String> {
        let Some(agent) = self.agents.get(id) else { return Err(words::no_agent(id)) };
        let record = &agent.record;
        match wish {
            OperatorReservation::Reserve { role, from_role, resources, .. } => {
                moves_of_reserve(record, share, role, from_role.as_ref(), resources)?;
                self.check_reservation(role, from_role.as_ref(), resources)
            }
            OperatorReservation::Unreserve { role, resources, .. } => {
                moves_of_unreserve(record, share, role, resources).map(drop)
            }
            OperatorReservation::CreateVolume { role, id: volume, size, .. } => {
                home_of(record, id, share, role, volume, *size).map(drop)
            }
            OperatorReservation::DestroyVolume { role, id: volume } => self.check_destroy(id, role, volume).map(drop),
        }
    }
}

fn refused(message: String) -> FatalError {
    FatalError { is_not_found: false, message }
}

fn moves_of_reserve(
    record: &AgentRecord,
    share: &Share,
    role: &Role,
    from_role: Option<&Role>,
    resources: &Resources,
) -> Result<Vec<Move>, String> {
    if resources.is_empty() {
        return Err(words::nothing_named());
    }
    let Some(from_role) = from_role else {
        if let Some(Shortage(missing)) = share.unreserved.shortage(resources) {
            let lack = Lack { missing, have: share.unreserved.clone() };
            return Err(words::too_much(record, resources, &lack));
        }
        let to = Target::Refined(role.clone());
        return Ok(vec![Move { from: None, to, part: resources.clone() }]);
    };
    if from_role == role || !from_role.holds(role) {
        return Err(words::not_below(role, from_role));
    }
    let of = |pool: &&Pool| pool.role == *from_role;
    let parts = take_parts(record.pools.iter().filter(of), share, resources);
    let parts = parts.map_err(|lack| words::too_much_to_refine(record, from_role, &lack))?;
    let refine =
        |(pool, part): (&Pool, Resources)| Move { from: Some(pool.id), to: Target::Refined(role.clone()), part };
    Ok(parts.into_iter().map(refine).collect())
}

fn moves_of_unreserve(
    record: &AgentRecord,
    share: &Share,
    role: &Role,
    resources: &Resources,
) -> Result<Vec<Move>, String> {
    if resources.is_empty() {
        return Err(words::nothing_named());
    }
    let pools = &record.pools;
    if !pools.iter().any(|pool| pool.role == *role) {
        return Err(words::nothing_reserved(record, role));
    }
    // The newest first.
    let of = |pool: &&Pool| pool.role == *role && !pool.is_static;
    let parts = take_parts(pools.iter().rev().filter(of), share, resources);
    let parts = parts.map_err(|lack| words::too_much_to_end(record, role, &lack))?;
    let back = |(pool, part): (&Pool, Resources)| Move { from: Some(pool.id), to: Target::Known(pool.parent), part };
    Ok(parts.into_iter().map(back).collect())
}

/// Parts of pools in their order that make up an amount; else what is missing, and what there is.
fn take_parts<'a>(
    pools: impl Iterator<Item = &'a Pool>,
    share: &Share,
    resources: &Resources,
) -> Result<Vec<(&'a Pool, Resources)>, Box<Lack>> {
    let (mut rest, mut have) = (resources.clone(), Resources::default());
    let mut parts = Vec::new();
    for pool in pools {
        let there = share.of(Some(pool.id));
        let part = there.common(&rest);
        have.add(there);
        if !part.is_empty() {
            rest = rest.saturating_minus(&part);
            parts.push((pool, part));
        }
    }
    if rest.is_empty() { Ok(parts) } else { Err(Box::new(Lack { missing: rest, have })) }
}
