//! Agents come, change and go. One that changed for the better gets a new stamp: the next pass looks at it.

use proffer_proto_model::{AgentId, AgentInfo, Resources};

use crate::allocator::{Agent, Allocator, Room};
use crate::usable::Counted;

impl Agent {
    /// What of it may be granted; never nothing.
    pub fn free(&self) -> Option<&Resources> {
        match &self.room {
            Room::Left(left) if self.is_active && !left.is_empty() => Some(left),
            _ => None,
        }
    }
}

impl Allocator {
    /// Adds an agent, or takes a known one's new description. What is charged to a known one stays; who refused it may
    /// want it now when its name, place or attributes are others.
    /// True when a known one is elsewhere: then [`Allocator::recount_places`] of those who hold something of it.
    pub fn put_agent(&mut self, id: &AgentId, info: &AgentInfo, is_active: bool) -> bool {
        let used = self.agent_used(id).unwrap_or_default();
        if let Some(slot) = self.agents.find(id) {
            self.count_free(slot, false);
        }
        let old = self.agents.find(id).and_then(|slot| Some((slot, self.agents.get(slot)?)));
        let is_another = |old: &AgentInfo| !is_same_place(old, info);
        let elsewhere = old.filter(|(_, agent)| is_another(&agent.info)).map(|(slot, _)| slot);
        if let Some(slot) = elsewhere {
            self.clear_all_filters_of(slot);
        }
        let old = self.agents.find(id).and_then(|slot| self.agents.get(slot));
        if let Some(old) = old.map(|agent| self.kinds.amounts(&agent.info.resources)) {
            self.tree.sub_total(&old);
        }
        self.tree.add_total(&self.kinds.amounts(&info.resources));
        let room = room(&info.resources, used);
        let known = self.agents.find(id).and_then(|slot| self.agents.get_mut(slot));
        let pools = known.and_then(|agent| agent.pools.take());
        let (id, info) = (id.clone(), Box::new(info.clone()));
        let has_gpus = info.resources.gpus > 0;
        let counted = Counted::default();
        let agent = Agent { id: id.clone(), info, has_gpus, room, counted, is_active, returned_by: None, pools };
        let slot = self.agents.insert(id, agent);
        // All of it counts as new: its attributes may suit others than before.
        self.count_and_list(slot, true);
        elsewhere.is_some()
    }

    /// Offers the agent's resources, or stops to. Unknown agents are ignored.
    pub fn set_agent_active(&mut self, id: &AgentId, is_active: bool) {
        let Some(slot) = self.agents.find(id) else { return };
        self.count_free(slot, false);
        if let Some(agent) = self.agents.get_mut(slot) {
            agent.is_active = is_active;
        }
        self.count_and_list(slot, false);
        if is_active {
            self.show_races_on(slot);
        }
    }

    /// Agents with GPUs are offered to everybody, or only to frameworks that want GPUs in the role: so it is at first.
    pub fn set_gpus_for_all(&mut self, is_for_all: bool) {
        let agents = self.agents.iter().filter(|(_, agent)| agent.has_gpus).map(|(slot, _)| slot);
        for slot in agents.collect::<Vec<_>>() {
            self.count_free(slot, false);
            self.tree.classes.gpus_for_all = is_for_all;
            self.count_and_list(slot, true);
            self.show_races_on(slot);
        }
        self.tree.classes.gpus_for_all = is_for_all;
    }

    /// Forgets an agent. All that was charged to it must have been recovered, all its grants closed.
    pub fn remove_agent(&mut self, id: &AgentId) {
        if let Some(slot) = self.agents.find(id) {
            self.count_free(slot, false);
            self.count_kept(slot, false);
        }
        let Some((slot, agent)) = self.agents.remove(id) else { return };
        self.tree.sub_total(&self.kinds.amounts(&agent.info.resources));
        self.changes.remove(slot);
        self.clear_all_filters_of(slot);
        for pool in agent.pools.into_iter().flat_map(|pools| *pools) {
            self.count_pool(pool.role(), false);
        }
    }

    fn clear_all_filters_of(&mut self, slot: usize) {
        let clients: Vec<usize> = self.clients.iter().map(|(client, _)| client).collect();
        for client in clients {
            self.clear_filters_of(client, slot);
        }
    }

    /// Takes what a grant or a task holds of the agent.
    pub(crate) fn use_agent(&mut self, slot: usize, resources: &Resources) {
        self.count_free(slot, false);
        let Some(agent) = self.agents.get_mut(slot) else { return };
        match &mut agent.room {
            Room::Left(left) => {
                if !left.take(resources) {
                    let used = agent.info.resources.saturating_minus(left).saturating_sum(resources);
                    agent.room = Room::Over(used);
                }
            }
            Room::Over(used) => used.add(resources.clone()),
        }
        self.count_and_list(slot, false);
    }

    /// Takes all that is left of the agent.
    pub(crate) fn use_whole_agent(&mut self, slot: usize) -> Resources {
        self.count_free(slot, false);
        let Some(agent) = self.agents.get_mut(slot) else { return Resources::default() };
        let whole = match &mut agent.room {
            Room::Left(left) => std::mem::take(left),
            Room::Over(_) => Resources::default(),
        };
        self.count_and_list(slot, false);
        whole
    }

    /// Gives back what a grant or a task held of the agent, which the next pass looks at again.
    pub(crate) fn free_agent(&mut self, slot: usize, resources: Resources) {
        self.count_free(slot, false);
        let Some(agent) = self.agents.get_mut(slot) else { return };
        match &mut agent.room {
            Room::Left(left) if left.is_empty() => *left = resources,
            Room::Left(left) => left.add(resources),
            Room::Over(used) => {
                let used = used.saturating_minus(&resources);
                agent.room = room(&agent.info.resources, used);
            }
        }
        self.count_and_list(slot, true);
    }

    fn count_and_list(&mut self, slot: usize, has_more: bool) {
        let is_for_more = self.count_free(slot, true);
        self.list_agent(slot, has_more || is_for_more);
    }

    /// Lists the agent when something of it is free; the next pass looks at it if it has more than before.
    fn list_agent(&mut self, slot: usize, has_more: bool) {
        if self.agents.get(slot).and_then(Agent::free).is_none() {
            self.changes.remove(slot);
        } else if has_more || !self.changes.is_listed(slot) {
            self.changes.push(slot);
        }
    }

    /// The next pass tries the agent for everybody.
    pub(crate) fn look_at_agent(&mut self, slot: usize) {
        self.list_agent(slot, true);
    }
}

/// What is left of `total` when so much is used.
fn room(total: &Resources, used: Resources) -> Room {
    match total.checked_sub(&used) {
        Some(left) => Room::Left(left),
        None => Room::Over(used),
    }
}

/// What constraints see of it is the same: who refused it would refuse it again.
fn is_same_place(old: &AgentInfo, new: &AgentInfo) -> bool {
    (&old.hostname, &old.region, &old.zone, &old.attributes) == (&new.hostname, &new.region, &new.zone, &new.attributes)
}
