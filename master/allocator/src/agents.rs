//! Agents come, change and go. One that changed for the better gets a new stamp: the next pass looks at it.

use proffer_proto_model::{AgentId, AgentInfo, Resources};

use crate::allocator::{Agent, Allocator};

impl Agent {
    /// Something of it may be granted.
    pub fn is_free(&self) -> bool {
        self.is_active && !self.available.is_empty()
    }
}

impl Allocator {
    /// Adds an agent, or takes a known one's new description. What is charged to a known one stays.
    pub fn put_agent(&mut self, id: &AgentId, info: &AgentInfo, is_active: bool) {
        let old = self.agents.find(id).and_then(|slot| self.agents.get(slot));
        let (used, stamp) = old.map(|agent| (agent.used.clone(), agent.stamp)).unwrap_or_default();
        if let Some(old) = old.map(|agent| agent.info.resources.clone()) {
            let old = self.kinds.amounts(&old);
            self.total.sub(&old);
        }
        let more = self.kinds.amounts(&info.resources);
        self.total.add(&more);
        // Without anything available all of it counts as new: its attributes may suit others than before.
        let available = Resources::default();
        let agent = Agent { id: id.clone(), info: info.clone(), used, available, is_active, stamp, returned_by: None };
        let slot = self.agents.insert(id.clone(), agent);
        self.refresh_agent(slot);
    }

    /// Offers the agent's resources, or stops to. Unknown agents are ignored.
    pub fn set_agent_active(&mut self, id: &AgentId, is_active: bool) {
        let Some(slot) = self.agents.find(id) else { return };
        if let Some(agent) = self.agents.get_mut(slot) {
            agent.is_active = is_active;
        }
        self.refresh_agent(slot);
    }

    /// Forgets an agent. All that was charged to it must have been recovered, all its grants closed.
    pub fn remove_agent(&mut self, id: &AgentId) {
        let Some((slot, agent)) = self.agents.remove(id) else { return };
        let less = self.kinds.amounts(&agent.info.resources);
        self.total.sub(&less);
        self.by_stamp.remove(&agent.stamp);
        let clients: Vec<usize> = self.clients.iter().map(|(client, _)| client).collect();
        for client in clients {
            self.clear_filters_of(client, slot);
        }
    }

    pub(crate) fn use_agent(&mut self, slot: usize, resources: &Resources) {
        if let Some(agent) = self.agents.get_mut(slot) {
            agent.used = agent.used.saturating_sum(resources);
        }
        self.refresh_agent(slot);
    }

    pub(crate) fn free_agent(&mut self, slot: usize, resources: &Resources) {
        if let Some(agent) = self.agents.get_mut(slot) {
            agent.used = agent.used.saturating_minus(resources);
        }
        self.refresh_agent(slot);
    }

    /// Recomputes what is available; an agent with more than before is looked at again.
    fn refresh_agent(&mut self, slot: usize) {
        let Some(agent) = self.agents.get_mut(slot) else { return };
        // An agent that shrank below what its tasks hold has nothing to give, in no kind, until enough has ended.
        let available = agent.info.resources.checked_sub(&agent.used).unwrap_or_default();
        let was_listed = self.by_stamp.get(&agent.stamp) == Some(&slot);
        let has_more = !agent.available.contains(&available);
        agent.available = available;
        if !agent.is_free() {
            if was_listed {
                self.by_stamp.remove(&agent.stamp);
            }
        } else if has_more || !was_listed {
            self.look_at_agent(slot);
        }
    }

    /// The next pass tries the agent for everybody.
    pub(crate) fn look_at_agent(&mut self, slot: usize) {
        let Some(agent) = self.agents.get_mut(slot).filter(|agent| agent.is_free()) else { return };
        if self.by_stamp.get(&agent.stamp) == Some(&slot) {
            self.by_stamp.remove(&agent.stamp);
        }
        self.last_stamp += 1;
        agent.stamp = self.last_stamp;
        self.by_stamp.insert(self.last_stamp, slot);
    }
}
