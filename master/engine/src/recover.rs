//! The state of a new master from what the one before stored. Sends nothing: nobody is connected yet.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_allocator::Allocator;
use proffer_proto_model::{ClusterId, Epoch, Now};

use crate::agents::silent::Silent;
use crate::registry::{AgentMode, Registry};
use crate::state::{Agent, Framework, State};
use crate::timers::Timer;
use crate::{Config, RecoverError, Sharing};

/// Agents and frameworks come back first: before that everybody seems short.
const FIRST_LOOK_MS: u64 = 5_000;

impl State {
    /// Every known agent and framework is away, and the time to come back runs from now.
    pub fn recover(
        config: Config,
        cluster: ClusterId,
        epoch: Epoch,
        registry: Registry,
        now: Now,
    ) -> Result<Self, RecoverError> {
        let mut state = Self::empty(config, cluster, epoch);
        for record in registry.roles {
            let role = record.role.clone();
            if state.roles.contains_key(&role) {
                return Err(RecoverError(format!("role {role} is there twice")));
            }
            state.recover_role(record);
        }
        for record in registry.agents {
            let (id, is_unreachable) = (record.id.clone(), record.is_unreachable);
            if let AgentMode::Draining(_) = record.mode {
                state.draining.insert(id.clone());
            }
            if state.agents.insert(id.clone(), Agent::new(record)).is_some() {
                return Err(RecoverError(format!("agent {id} is there twice")));
            }
            match is_unreachable {
                // The allocator knows nothing of it until it comes back; its reservations count all the same.
                true => state.count_kept(&id),
                false => {
                    state.put_room(&id);
                    state.expect_agent(now, &id);
                }
            }
            state.touched.agent(&id);
        }
        for record in registry.frameworks {
            let id = record.id.clone();
            let wait_ms = if record.is_removing { 0 } else { record.info.failover_timeout_ms };
            if let Some(other) = state.framework_names.insert(record.info.name.clone(), id.clone()) {
                return Err(RecoverError(format!("frameworks {other} and {id} have the same name")));
            }
            state.move_between_roles(&id, &[], &record.info.roles);
            let mut framework = Framework::new(record);
            framework.removal_at = Some(now.mono + wait_ms);
            state.frameworks.insert(id.clone(), framework);
            state.allocator.put_framework(&id, false);
            state.start_timer(now.mono + wait_ms, Timer::RemoveFramework(id.clone()));
            state.touched.framework(&id);
        }
        for record in registry.tasks {
            let key = record.key.clone();
            if !state.frameworks.contains_key(&key.framework) {
                return Err(RecoverError(format!("task {key} is of an unknown framework")));
            }
            if !state.agents.contains_key(&record.agent) {
                return Err(RecoverError(format!("task {key} is on the unknown agent {}", record.agent)));
            }
            if state.tasks.contains_key(&key) {
                return Err(RecoverError(format!("task {key} is there twice")));
            }
            state.index_task(record);
            state.touched.task(&key);
        }
        state.recover_gangs();
        registry.removed.into_iter().for_each(|record| state.removed.recover(record));
        for record in registry.windows {
            state.recover_window(record);
        }
        if state.config.preemption_notice_ms.is_some() {
            state.start_timer(now.mono + FIRST_LOOK_MS, Timer::Preempt);
        }
        if !state.windows.is_empty() {
            // What was due while no master was there is done with the first tick.
            state.maintain_at = Some(now.mono);
            state.start_timer(now.mono, Timer::Maintenance);
        }
        Ok(state)
    }

    fn empty(config: Config, cluster: ClusterId, epoch: Epoch) -> Self {
        Self {
            allocator: allocator(&config),
            config,
            cluster,
            epoch,
            agents: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            framework_names: BTreeMap::new(),
            removed: Default::default(),
            tasks: BTreeMap::new(),
            roles: BTreeMap::new(),
            draining: BTreeSet::new(),
            windows: BTreeMap::new(),
            calendar: BTreeMap::new(),
            inverse: Default::default(),
            preempting: BTreeMap::new(),
            looks: Default::default(),
            leaving: BTreeSet::new(),
            silent: Silent::default(),
            maintain_at: None,
            next_window: 0,
            strays: BTreeMap::new(),
            offers: BTreeMap::new(),
            agent_sessions: BTreeMap::new(),
            framework_sessions: BTreeMap::new(),
            timers: BTreeSet::new(),
            next_agent: 0,
            next_framework: 0,
            next_offer: 0,
            next_gang: 0,
            gangs: BTreeMap::new(),
            touched: Default::default(),
            store: Vec::new(),
            send: Vec::new(),
        }
    }
}

fn allocator(config: &Config) -> Allocator {
    let Sharing { excluded_kinds, min_offer, placement, gpus_for_all } = &config.sharing;
    let mut allocator = Allocator::new(config.max_offers_per_framework);
    allocator.set_excluded_kinds(excluded_kinds.iter().map(String::as_str));
    if !min_offer.is_empty() {
        allocator.set_min_offer(None, Some(min_offer.clone()));
    }
    allocator.set_default_placement(placement.clone());
    allocator.set_gpus_for_all(*gpus_for_all);
    allocator
}
