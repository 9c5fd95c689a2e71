//! Recomputes the invariants from scratch. Slow on purpose: it trusts no running sum.

use std::collections::BTreeMap;

use proffer_proto_model::{AgentId, Resources};

use crate::reservations::is_for_role;
use crate::state::{State, countable};

impl State {
    /// Every broken invariant in words; empty when all hold.
    pub fn audit(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for id in self.agents.keys() {
            self.audit_agent(id, &mut broken);
            self.audit_pools(id, &mut broken);
            self.audit_volumes(id, &mut broken);
            self.audit_silence(id, &mut broken);
        }
        self.audit_frameworks(&mut broken);
        self.audit_tasks(&mut broken);
        self.audit_offers(&mut broken);
        self.audit_roles(&mut broken);
        self.audit_kept(&mut broken);
        self.audit_away(&mut broken);
        self.audit_inverse(&mut broken);
        self.removed.audit(&mut broken);
        self.audit_gangs(&mut broken);
        self.audit_races(&mut broken);
        broken
    }

    /// I1 and I2: what is offered and held is within what is there, and nothing is there twice.
    fn audit_agent(&self, id: &AgentId, broken: &mut Vec<String>) {
        let Some(agent) = self.agents.get(id) else { return };
        let mut sum = Some(Resources::default());
        let mut held = Resources::default();
        let mut ranks: BTreeMap<i64, u32> = BTreeMap::new();
        for task in agent.tasks.iter().filter_map(|key| self.tasks.get(key)).filter(|task| task.is_charged) {
            sum = sum.and_then(|sum| sum.checked_add(&task.record.resources));
            held = held.saturating_sum(&task.record.resources);
            *ranks.entry(task.rank()).or_default() += 1;
        }
        if ranks != agent.ranks {
            broken.push(format!("agent {id}: counts tasks of ranks {:?}, there are {ranks:?}", agent.ranks));
        }
        if held != agent.allocated {
            broken.push(format!("agent {id}: counts {} as held, its tasks hold {held}", agent.allocated));
        }
        // Those who race for something may all have it, until one of them does.
        for offer in self.apart(&agent.offers) {
            sum = sum.and_then(|sum| sum.checked_add(&offer.offer.resources));
        }
        let Some(sum) = sum else {
            broken.push(format!("I2: agent {id}: something is held or offered twice"));
            return;
        };
        let has_offers = !agent.offers.is_empty();
        let room = agent.record.room();
        if has_offers && !room.contains(&sum) {
            broken.push(format!("I1: agent {id}: {sum} is held and offered of {room}"));
        }
        if let Some(used) = self.allocator.agent_used(id)
            && used != sum
        {
            broken.push(format!("I1: agent {id}: the allocator counts {used}, tasks and offers are {sum}"));
        }
        if has_offers && !agent.record.mode.is_offered() {
            broken.push(format!("I3: agent {id} is {} and has offers outstanding", agent.record.mode));
        }
        if agent.record.mode.is_gone() && (agent.session.is_some() || !agent.tasks.is_empty()) {
            broken.push(format!("agent {id} is gone and has a stream or tasks"));
        }
        if has_offers && agent.session.is_none() {
            broken.push(format!("I3: agent {id} is away and has offers outstanding"));
        }
    }

    /// Each pool is used no further than it goes while it is offered, and offered to no other role.
    fn audit_pools(&self, id: &AgentId, broken: &mut Vec<String>) {
        let Some(agent) = self.agents.get(id) else { return };
        let record = &agent.record;
        let owners = record.pools.iter().map(|pool| &pool.owner);
        for owner in owners.chain(record.kept_volumes().map(|known| &known.owner)).flatten() {
            if !self.frameworks.contains_key(owner) {
                broken.push(format!("agent {id}: holds what is {owner}'s own, which is removed"));
            }
        }
        let open: Vec<_> = agent.offers.iter().filter_map(|offer| self.offers.get(offer)).collect();
        for offer in &open {
            if offer.share.total() != offer.offer.resources {
                broken.push(format!("offer {}: is split into {:?}", offer.offer.id, offer.share));
            }
            for pool in offer.share.pools.keys() {
                if !record.pool(*pool).is_some_and(|pool| is_for_role(&offer.offer, pool)) {
                    let role = &offer.offer.role;
                    broken.push(format!("offer {} for {role} holds pool {pool} of {id}", offer.offer.id));
                }
            }
        }
        for pool in &record.pools {
            let held = agent.tasks.iter().filter_map(|key| self.tasks.get(key)).filter(|task| task.is_charged);
            let parts = held.flat_map(|task| task.record.reserved.iter()).filter(|part| part.0 == pool.id);
            let mut used = parts.fold(Resources::default(), |sum, part| sum.saturating_sum(&part.1));
            let offered =
                open.iter().fold(Resources::default(), |sum, o| sum.saturating_sum(&o.share.of(Some(pool.id))));
            used.add(offered.clone());
            let room = record.room_of(pool);
            if !offered.is_empty() && !room.contains(&used) {
                broken.push(format!("pool {} of {id}: {used} is used of {room}", pool.id));
            }
            if let Some(counted) = self.allocator.pool_used(id, pool.id)
                && *counted != used
            {
                broken.push(format!("pool {} of {id}: the allocator counts {counted}, it is {used}", pool.id));
            }
            if pool.parent.is_some_and(|parent| record.pool(parent).is_none()) {
                broken.push(format!("pool {} of {id} is refined from one that is gone", pool.id));
            }
        }
        if !open.is_empty() && !record.info.resources.contains(&record.reserved()) {
            broken.push(format!("agent {id}: {} is reserved of {}", record.reserved(), record.info.resources));
        }
    }

    /// I15: a volume rests on a reservation of its own role, has one writer, and is shown to no other role.
    fn audit_volumes(&self, id: &AgentId, broken: &mut Vec<String>) {
        let Some(agent) = self.agents.get(id) else { return };
        let record = &agent.record;
        for known in &record.volumes {
            let volume = &known.volume;
            if volume.number > record.last_volume {
                broken.push(format!("I15: volume {} of {id} has a number that comes again", volume.number));
            }
            if !known.state.is_kept() {
                continue;
            }
            let held = record.held_by_volumes_of(known.pool);
            if !record.pool(known.pool).is_some_and(|p| p.role == volume.role && p.resources.contains(&held)) {
                broken.push(format!("I15: volume {} of {id} is not covered by pool {}", volume.id, known.pool));
            }
            if record.kept_volumes().filter(|o| o.volume.id == volume.id && o.volume.role == volume.role).count() > 1 {
                broken.push(format!("I15: volume {} of {} is twice on {id}", volume.id, volume.role));
            }
            let users = self.volume_users(id, &volume.role, &volume.id);
            // That one of them has ended is known for sure only with the update that says how: the next master hears it
            // again from the agent, and until then nothing is launched there.
            let is_told = agent.session.is_some();
            if is_told && users.len() > 1 && users.iter().any(|(_, writes)| *writes) {
                broken.push(format!("I15: volume {} of {id} is written by one and used by others", volume.id));
            }
        }
        for open in agent.offers.iter().filter_map(|offer| self.offers.get(offer)) {
            for shown in open.offer.volumes.iter().filter(|shown| !shown.role.holds(&open.offer.role)) {
                broken.push(format!("I15: offer {} for {} shows {}", open.offer.id, open.offer.role, shown.id));
            }
        }
    }

    /// I11: one live stream for each framework, and each stream for one.
    fn audit_frameworks(&self, broken: &mut Vec<String>) {
        for (id, framework) in &self.frameworks {
            if let Some(session) = framework.session
                && self.framework_sessions.get(&session) != Some(id)
            {
                broken.push(format!("I11: framework {id} has stream {} that is not its own", session.0));
            }
            if framework.session.is_none() && !framework.offers.is_empty() {
                broken.push(format!("I3: framework {id} is away and holds offers"));
            }
            let own = framework.tasks.iter().filter_map(|task| {
                self.tasks.get(&proffer_proto_model::TaskKey { framework: id.clone(), task: task.clone() })
            });
            let held = own
                .filter(|task| task.is_charged)
                .fold(Resources::default(), |sum, task| sum.saturating_sum(&countable(&task.record.resources)));
            if held != framework.allocated {
                broken.push(format!("framework {id}: counts {}, its tasks hold {held}", framework.allocated));
            }
        }
        for (session, id) in &self.framework_sessions {
            if self.frameworks.get(id).and_then(|f| f.session) != Some(*session) {
                broken.push(format!("I11: stream {} is kept for framework {id}, which has another", session.0));
            }
        }
        for (session, id) in &self.agent_sessions {
            if self.agents.get(id).and_then(|a| a.session) != Some(*session) {
                broken.push(format!("stream {} is kept for agent {id}, which has another", session.0));
            }
        }
    }

    /// I7 and I8: an ended task holds nothing, a living one holds what it was given.
    fn audit_tasks(&self, broken: &mut Vec<String>) {
        for (key, task) in &self.tasks {
            let state = task.record.status.state;
            if state.is_terminal() && task.is_charged {
                broken.push(format!("I7: task {key} is {state} and still holds resources"));
            }
            if self.leaving.contains(key) != (task.is_charged && task.record.is_kill_requested) {
                broken.push(format!("task {key}: counted as leaving={}, it is not so", self.leaving.contains(key)));
            }
            if !self.agents.get(&task.record.agent).is_some_and(|agent| agent.tasks.contains(key)) {
                broken.push(format!("task {key} is missing at agent {}", task.record.agent));
            }
            if !self.frameworks.get(&key.framework).is_some_and(|f| f.tasks.contains(&key.task)) {
                broken.push(format!("task {key} is missing at its framework"));
            }
        }
    }

    /// I3: every open offer is known on both sides, and only open ones are.
    fn audit_offers(&self, broken: &mut Vec<String>) {
        for (id, open) in &self.offers {
            let at_agent = self.agents.get(&open.offer.agent).is_some_and(|agent| agent.offers.contains(id));
            let at_framework = self.frameworks.get(&open.framework).is_some_and(|f| f.offers.contains(id));
            if !at_agent || !at_framework {
                broken.push(format!("I3: offer {id} is open and not known on both sides"));
            }
        }
        let known: usize = self.agents.values().map(|agent| agent.offers.len()).sum();
        if known != self.offers.len() {
            broken.push(format!("I3: agents know {known} offers, {} are open", self.offers.len()));
        }
    }
}
