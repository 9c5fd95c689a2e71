//! An agent opens a stream. Its id is stored before it is told; the newest stream of an id wins.

use std::collections::BTreeSet;

use proffer_proto_model::{AgentId, AgentInfo, ClusterId, Epoch, HeldVolume, Now, RescindReason, Resources};

use super::drain::told_gone;
use super::replace::Former;
use crate::registry::{AgentRecord, Operation};
use crate::reservations::Kept;
use crate::state::{Agent, State};
use crate::volumes::Settled;
use crate::{AttachedTask, Effect, SessionId, ToAgent};

/// Why an agent is not wanted, and whether coming back cannot help.
struct Refusal {
    message: String,
    is_final: bool,
}

impl State {
    /// An agent said who it is and all it has.
    #[allow(clippy::too_many_arguments)] // the fields of one input
    pub fn agent_attach(
        &mut self,
        now: Now,
        session: SessionId,
        info: AgentInfo,
        incarnation: u64,
        tasks: Vec<AttachedTask>,
        seen_epoch: Epoch,
        cluster: Option<ClusterId>,
        volumes: &[HeldVolume],
    ) {
        let refusal = check_reservations(&info)
            .and_then(|()| self.check_agent_home(&cluster, seen_epoch))
            .and_then(|()| self.check_agent_address(now, &info));
        if let Err(Refusal { message, is_final }) = refusal {
            self.send.push(Effect::ToAgent { session, message: ToAgent::Refused { message, is_final } });
            self.send.push(Effect::Close { session });
            return;
        }
        let id = self.agent_id(&info, cluster.is_some());
        if self.agents.get(&id).is_some_and(|agent| agent.record.mode.is_gone()) {
            let message = ToAgent::Refused { message: told_gone(&id), is_final: true };
            self.send.push(Effect::ToAgent { session, message });
            self.send.push(Effect::Close { session });
            return;
        }
        // A stream is one agent for life: whoever attaches as another one on it leaves the first.
        if let Some(first) = self.agent_sessions.get(&session).filter(|first| **first != id).cloned() {
            self.detach_agent(now, &first);
            self.expect_agent(now, &first);
        }
        self.drop_older_stream(now, &id, session);
        let (was_unreachable, orders, settled) = self.admit_agent(&id, info, incarnation, session, volumes);
        let attached = ToAgent::Attached {
            agent: id.clone(),
            cluster: self.cluster.clone(),
            ping_interval_ms: self.config.heartbeat_interval_ms,
        };
        self.tell_agent(&id, attached);
        self.tell_outcomes(settled);
        self.expect_agent(now, &id);
        self.start_pings(now, &id);
        orders.into_iter().for_each(|order| self.tell_agent(&id, order));
        self.sync_tasks(now, &id, tasks, was_unreachable);
        self.kill_for_drain(&id);
        self.touched.agent(&id);
    }

    fn check_agent_home(&self, cluster: &Option<ClusterId>, seen_epoch: Epoch) -> Result<(), Refusal> {
        if let Some(other) = cluster.as_ref().filter(|cluster| **cluster != self.cluster) {
            let message = format!(
                "the agent belongs to cluster {other}, this master to {}; point the agent to its own master, \
                 or give it an empty work directory",
                self.cluster
            );
            return Err(Refusal { message, is_final: true });
        }
        if seen_epoch > self.epoch {
            let message = format!(
                "this master is older (epoch {}) than one the agent has seen (epoch {}); the agent should try \
                 the other masters",
                self.epoch.0, seen_epoch.0
            );
            return Err(Refusal { message, is_final: false });
        }
        Ok(())
    }

    /// Two agents never share an address: the newer one replaces the older when that one is away.
    fn check_agent_address(&mut self, now: Now, info: &AgentInfo) -> Result<(), Refusal> {
        match self.former_agent(info) {
            None => Ok(()),
            Some(Former::Away(id)) => {
                self.agent_replaced(now, &id);
                Ok(())
            }
            Some(Former::Attached(id)) => {
                let message = format!(
                    "agent {id} is attached from the same address, {} on host {}; if that was this agent before it \
                     lost its work directory, it is let in once the old connection is noticed to be dead; if not, \
                     give each agent an address of its own",
                    info.api_address, info.hostname
                );
                Err(Refusal { message, is_final: false })
            }
        }
    }

    /// The id the agent brings, when it is known or at least of this cluster; else a new one.
    fn agent_id(&mut self, info: &AgentInfo, is_of_this_cluster: bool) -> AgentId {
        match &info.id {
            Some(id) if is_of_this_cluster || self.agents.contains_key(id) => id.clone(),
            _ => loop {
                self.next_agent += 1;
                let id = AgentId::numbered(self.epoch.0, self.next_agent);
                if !self.agents.contains_key(&id) {
                    return id;
                }
            },
        }
    }

    /// What was offered of it is void: it may have less, and tasks that nobody here knows.
    fn drop_older_stream(&mut self, now: Now, id: &AgentId, session: SessionId) {
        let Some(agent) = self.agents.get(id) else { return };
        let older = agent.session;
        for offer in agent.offers.clone() {
            self.rescind(now, &offer, RescindReason::AgentChanged);
        }
        if let Some(older) = older.filter(|older| *older != session) {
            self.detach_agent(now, id);
            self.send.push(Effect::Close { session: older });
        }
    }

    /// Stores the agent as it describes itself now and connects it. Was it unreachable, what of its volumes must it be told
    /// again, and which operations on them are over?
    fn admit_agent(
        &mut self,
        id: &AgentId,
        info: AgentInfo,
        incarnation: u64,
        session: SessionId,
        volumes: &[HeldVolume],
    ) -> (bool, Vec<ToAgent>, Vec<Settled>) {
        let info = AgentInfo { id: Some(id.clone()), ..info };
        let known = self.agents.get(id).map(|agent| agent.record.clone());
        let mut record = match known.clone() {
            Some(known) => AgentRecord { info, incarnation, is_unreachable: false, ..known },
            None => AgentRecord::new(id.clone(), info, incarnation),
        };
        let reservations = record.info.reservations.clone();
        record.set_static_pools(&reservations);
        let (orders, settled) = record.sync_volumes(volumes);
        record.keep_volumes_covered();
        if known.as_ref() != Some(&record) {
            self.store.push(Operation::PutAgent(Box::new(record.clone())));
        }
        let agent = self.agents.entry(id.clone()).or_insert_with(|| Agent::new(record.clone()));
        agent.record = record;
        agent.session = Some(session);
        self.agent_sessions.insert(session, id.clone());
        self.put_room(id);
        (known.is_some_and(|record| record.is_unreachable), orders, settled)
    }
}

/// It cannot reserve more than it has.
fn check_reservations(info: &AgentInfo) -> Result<(), Refusal> {
    let add = |sum: Option<Resources>, more: &Resources| sum.and_then(|sum| sum.checked_add(more));
    let each = info.reservations.iter().map(|reservation| &reservation.resources);
    let sum = each.fold(Some(Resources::default()), add);
    if sum.is_some_and(|sum| info.resources.contains(&sum)) {
        return Ok(());
    }
    let message = format!(
        "the agent reserves more than it has, {}, or something twice; correct what it reserves (--reserve)",
        info.resources
    );
    Err(Refusal { message, is_final: true })
}

impl AgentRecord {
    /// An agent nobody knew before.
    fn new(id: AgentId, info: AgentInfo, incarnation: u64) -> Self {
        Self {
            id,
            info,
            incarnation,
            is_unreachable: false,
            mode: Default::default(),
            pools: Vec::new(),
            last_pool: 0,
            volumes: Vec::new(),
            last_volume: 0,
        }
    }
}

impl Agent {
    /// An agent without stream, tasks or offers.
    pub fn new(record: AgentRecord) -> Self {
        Self {
            record,
            session: None,
            lost_at: None,
            silent_since: None,
            ping_at: None,
            tasks: BTreeSet::new(),
            offers: BTreeSet::new(),
            allocated: Resources::default(),
            tasks_active: 0,
            kept: Kept::new(),
            is_kept_away: false,
        }
    }
}
