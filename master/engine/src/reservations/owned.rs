//! What a framework reserved goes with it when it is removed for good: nobody else would know that it can go.
//!
//! Never touches what another framework's tasks use: that stays for its role, and is nobody's own from then on.

use std::collections::BTreeSet;

use proffer_proto_model::{AgentId, FrameworkId, Now, PoolId, RescindReason, Resources, Role, VolumeId};

use crate::VolumeName;
use crate::registry::{AgentRecord, Operation};
use crate::state::State;

impl AgentRecord {
    /// Is anything on it the framework's own?
    fn has_own(&self, framework: &FrameworkId) -> bool {
        let is_own = |owner: &Option<FrameworkId>| owner.as_ref() == Some(framework);
        self.pools.iter().any(|pool| is_own(&pool.owner)) || self.kept_volumes().any(|known| is_own(&known.owner))
    }

    /// What others refined from a pool that holds nothing any more is refined from what that came from: it must not go back
    /// to a reservation that has ended.
    fn refine_from_above(&mut self, ended: PoolId) {
        let Some(above) = self.pool(ended).filter(|pool| pool.resources.is_empty()).map(|pool| pool.parent) else {
            return;
        };
        let below = self.pools.iter_mut().filter(|pool| pool.parent == Some(ended));
        below.for_each(|pool| pool.parent = above);
    }

    /// What is the framework's own becomes nobody's.
    fn disown(&mut self, framework: &FrameworkId) {
        let owners = self.pools.iter_mut().map(|pool| &mut pool.owner);
        let owners = owners.chain(self.volumes.iter_mut().map(|known| &mut known.owner));
        owners.filter(|owner| owner.as_ref() == Some(framework)).for_each(|owner| *owner = None);
    }
}

impl State {
    /// The framework is removed for good and has no task left: its volumes and reservations end, unless it leaves them.
    pub(crate) fn end_owned(&mut self, now: Now, framework: &FrameworkId, leaves: bool) {
        let with_own = self.agents.iter().filter(|(_, agent)| agent.record.has_own(framework));
        let agents: Vec<AgentId> = with_own.map(|(id, _)| id.clone()).collect();
        for agent in agents {
            if !leaves {
                self.destroy_owned(&agent, framework);
                self.unreserve_owned(now, &agent, framework);
            }
            let Some(place) = self.agents.get_mut(&agent) else { continue };
            place.record.disown(framework);
            place.record.drop_empty_pools();
            self.store.push(Operation::PutAgent(Box::new(place.record.clone())));
            // The allocator knows nothing of one that is away until it comes back.
            match place.record.is_unreachable {
                true => self.count_kept(&agent),
                false => self.put_pools(&agent),
            }
            self.touched.agent(&agent);
        }
    }

    /// Its own volumes that no task of another framework mounts: those that others use stay.
    pub(crate) fn volumes_that_go_with(&self, framework: &FrameworkId) -> BTreeSet<VolumeName> {
        let mut going = BTreeSet::new();
        for (agent, place) in &self.agents {
            let own = place.record.kept_volumes().filter(|known| known.owner.as_ref() == Some(framework));
            for known in own {
                let (role, id) = (&known.volume.role, &known.volume.id);
                if self.volume_users(agent, role, id).iter().all(|(user, _)| user.framework == *framework) {
                    going.insert(VolumeName { agent: agent.clone(), role: role.clone(), id: id.clone() });
                }
            }
        }
        going
    }

    fn destroy_owned(&mut self, agent: &AgentId, framework: &FrameworkId) {
        let Some(place) = self.agents.get(agent) else { return };
        let own = place.record.kept_volumes().filter(|known| known.owner.as_ref() == Some(framework));
        let own: Vec<(Role, VolumeId)> =
            own.map(|known| (known.volume.role.clone(), known.volume.id.clone())).collect();
        for (role, id) in own {
            // Only what another framework uses is refused, and that stays.
            let mut share = self.free_share(agent);
            let _is_in_use = self.destroy_volume(agent, &mut share, &role, &id, None).is_err();
        }
    }

    /// Gives the free parts of its reservations back to what they came from; offers that hold some are withdrawn.
    fn unreserve_owned(&mut self, now: Now, agent: &AgentId, framework: &FrameworkId) {
        let Some(place) = self.agents.get(agent) else { return };
        let own = place.record.pools.iter().filter(|pool| pool.owner.as_ref() == Some(framework));
        let own: Vec<(PoolId, Option<PoolId>)> = own.map(|pool| (pool.id, pool.parent)).collect();
        let holds_own = |pools: &dyn Fn(PoolId) -> bool| own.iter().any(|(pool, _)| pools(*pool));
        let open = place.offers.iter().filter_map(|offer| self.offers.get(offer));
        let held: BTreeSet<_> =
            open.filter(|open| holds_own(&|pool| open.share.pools.contains_key(&pool))).map(|open| open.race).collect();
        self.end_races(now, agent, &held, RescindReason::AgentChanged);
        let mut free = self.free_share(agent);
        let Some(place) = self.agents.get_mut(agent) else { return };
        // What was refined last first: it goes back to one that may have to go as well.
        for (pool, parent) in own.into_iter().rev() {
            let part: Resources = free.of(Some(pool));
            free.add_to(parent, &part);
            place.record.move_part(Some(pool), parent, &part);
            place.record.refine_from_above(pool);
        }
    }
}
