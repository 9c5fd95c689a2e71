//! Preemption, off unless it is configured: a role that is short of its guarantee gets room of tasks that matter less.
//!
//! One at a time for each role: first the frameworks of the tasks are asked to leave, at the end of the notice what is
//! left is killed. Nothing of the plan is stored: a new master plans anew; a kill that was decided is stored with its
//! task. It never kills before the notice has passed, nor what would not make the wanted shape fit.

mod plan;

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{
    AgentId, DemandItem, FrameworkId, InverseCause, Now, Resources, Role, TaskKey, TaskReason, Unavailability,
    UnixMillis,
};

use self::plan::{Candidate, Choice, Floor, Place, Want, choose, only};
use crate::inverse::Occasion;
use crate::reservations::Kept;
use crate::roles::is_within;
use crate::state::{State, countable};
use crate::timers::Timer;

/// How often it is looked whether a role is short.
const LOOK_MS: u64 = 1_000;

/// Wanted shapes that are looked at at a time, the most important of a role first: each may look at every agent. The
/// next look goes on with the next role.
const MOST_WANTS: usize = 64;

/// Room that is being taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preemption {
    pub framework: FrameworkId,
    item: DemandItem,
    pub agent: AgentId,
    pub victims: BTreeSet<TaskKey>,
    /// When what is left is killed.
    pub start: UnixMillis,
    is_killing: bool,
}

impl State {
    /// Looks whether a role is short, when preemption is wanted at all.
    pub fn preempt(&mut self, now: Now) {
        let Some(notice_ms) = self.config.preemption_notice_ms else { return };
        for role in self.preempting.keys().cloned().collect::<Vec<_>>() {
            self.go_on(now, &role);
        }
        let promised = |(_, state): &(&Role, &crate::roles::RoleState)| !state.quota.guarantee.is_empty();
        let mut roles: Vec<Role> = self.roles.iter().filter(promised).map(|(role, _)| role.clone()).collect();
        let first = roles.partition_point(|role| self.preempt_after.as_ref().is_some_and(|last| role <= last));
        roles.rotate_left(first);
        let mut wants = MOST_WANTS;
        for role in roles {
            if wants == 0 {
                break;
            }
            self.preempt_after = Some(role.clone());
            // What is owed to a role within is taken for that one first, and counts for this one too.
            let is_busy = self.preempting.keys().any(|busy| is_within(busy, &role) || is_within(&role, busy));
            if !is_busy && let Some((framework, item, choice)) = self.find_room(now, &role, &mut wants) {
                let start = UnixMillis(now.unix.0.saturating_add(notice_ms));
                let Choice { agent, victims } = choice;
                self.look_at_always(&agent);
                let preemption = Preemption { framework, item, agent, victims, start, is_killing: false };
                self.preempting.insert(role, preemption);
            }
        }
        self.start_timer(now.mono + LOOK_MS.min(notice_ms.max(1)), Timer::Preempt);
    }

    /// One that is under way: is over, goes on, or comes to its kills.
    fn go_on(&mut self, now: Now, role: &Role) {
        let Some(preemption) = self.preempting.get(role).cloned() else { return };
        let left: Vec<TaskKey> = preemption.victims.iter().filter(|key| self.is_held(key)).cloned().collect();
        if left.is_empty() || (!preemption.is_killing && !self.is_still_wanted(role, &preemption, &left)) {
            self.preempting.remove(role);
            return self.look_at_always(&preemption.agent);
        }
        if preemption.is_killing || now.unix < preemption.start {
            return;
        }
        for key in left {
            let Some(task) = self.tasks.get_mut(&key) else { continue };
            task.record.is_preempted = true;
            let was_asked = std::mem::replace(&mut task.record.is_kill_requested, true);
            self.put_task(&key);
            if !was_asked {
                self.send_kill(&preemption.agent, &key, TaskReason::Preempted);
            }
        }
        if let Some(preemption) = self.preempting.get_mut(role) {
            preemption.is_killing = true;
        }
    }

    fn is_held(&self, key: &TaskKey) -> bool {
        self.tasks.get(key).is_some_and(|task| task.is_charged)
    }

    /// The same shape is still wanted, owed, fits nowhere, and fits here once these have gone.
    fn is_still_wanted(&self, role: &Role, preemption: &Preemption, left: &[TaskKey]) -> bool {
        let Preemption { framework, item, agent, .. } = preemption;
        let same = |other: &&DemandItem| other.role == item.role && other.shape == item.shape;
        let is_wanted = self.frameworks.get(framework).is_some_and(|f| f.demand.items.iter().any(|i| same(&i)));
        let Some(want) = self.want_of(role, item).filter(|want| is_wanted && want.is_owed()) else { return false };
        if self.fits_somewhere(&want, item) || !self.may_go_to(agent, item) {
            return false;
        }
        let held = left.iter().filter_map(|key| self.tasks.get(key)).map(|task| &task.record.resources);
        want.fits(&held.fold(self.free_of(agent), |sum, more| sum.saturating_sum(more)))
    }

    /// The most important want of a role that is owed and fits nowhere, and who makes room for it.
    fn find_room(&self, now: Now, role: &Role, left: &mut usize) -> Option<(FrameworkId, DemandItem, Choice)> {
        let mut wants: Vec<(&FrameworkId, &DemandItem, Want)> = Vec::new();
        for (id, framework) in self.frameworks.iter().filter(|(_, f)| f.session.is_some() && !f.record.is_removing) {
            for item in framework.demand.items.iter().filter(|item| is_within(&item.role, role)) {
                let want = self.want_of(role, item).filter(|want| want.is_owed() && item.count != Some(0));
                wants.extend(want.map(|want| (id, item, want)));
            }
        }
        wants.sort_by_key(|(_, item, _)| std::cmp::Reverse(item.priority));
        let floors = self.floors(role);
        wants.truncate(*left);
        wants.into_iter().find_map(|(id, item, want)| {
            *left = left.saturating_sub(1);
            let shape = item.shape.clone().unwrap_or_default();
            if self.check_room(&item.role, &shape, &Kept::new()).is_err() || self.fits_somewhere(&want, item) {
                return None;
            }
            let busy: BTreeSet<&AgentId> = self.preempting.values().map(|other| &other.agent).collect();
            let agents = self.agents.keys().filter(|agent| !busy.contains(agent) && !self.is_left_soon(now, agent));
            let places = agents.filter(|agent| self.may_go_to(agent, item)).map(|agent| self.place(role, agent));
            Some((id.clone(), item.clone(), choose(&want, places, &floors)?))
        })
    }

    fn want_of(&self, role: &Role, item: &DemandItem) -> Option<Want> {
        let state = self.roles.get(role)?;
        let promised = state.quota.guarantee.clone();
        let held = state.allocated.saturating_sum(&state.offered);
        let owed = promised.saturating_minus(&only(&held, &promised));
        let shape = item.shape.clone()?;
        Some(Want { shape, ports: item.ports, priority: item.priority, owed, promised })
    }

    /// What roles outside hold and were promised. One that holds both sides neither wins nor loses.
    fn floors(&self, role: &Role) -> BTreeMap<Role, Floor> {
        let others = self.roles.iter().filter(|(other, state)| {
            !state.quota.guarantee.is_empty() && !is_within(role, other) && !is_within(other, role)
        });
        let floor = |state: &crate::roles::RoleState| Floor {
            held: state.allocated.clone(),
            promised: state.quota.guarantee.clone(),
        };
        others.map(|(other, state)| (other.clone(), floor(state))).collect()
    }

    fn fits_somewhere(&self, want: &Want, item: &DemandItem) -> bool {
        self.agents.keys().any(|agent| self.may_go_to(agent, item) && want.fits(&self.free_of(agent)))
    }

    /// The agent takes work of this want. Agents with reservations are left out: who may have what there is another
    /// matter.
    fn may_go_to(&self, agent: &AgentId, item: &DemandItem) -> bool {
        self.agents.get(agent).is_some_and(|agent| {
            let record = &agent.record;
            let is_there = agent.session.is_some() && record.mode.is_offered() && record.pools.is_empty();
            is_there && item.constraints.iter().all(|rule| rule.is_met_by(&record.info))
        })
    }

    fn is_left_soon(&self, now: Now, agent: &AgentId) -> bool {
        self.occasion(now, agent).is_some()
    }

    /// What no task holds; offers may come back and count as free.
    fn free_of(&self, agent: &AgentId) -> Resources {
        let free = self.agents.get(agent).map(|agent| agent.record.info.resources.saturating_minus(&agent.allocated));
        free.unwrap_or_default()
    }

    fn place(&self, role: &Role, agent: &AgentId) -> Place {
        let keys = self.agents.get(agent).map(|agent| &agent.tasks).into_iter().flatten();
        let tasks = keys
            .filter_map(|key| self.tasks.get(key))
            .filter(|task| task.is_charged && !task.record.is_kill_requested && !is_within(&task.record.role, role));
        let candidate = |task: &crate::state::Task| Candidate {
            key: task.record.key.clone(),
            role: task.record.role.clone(),
            priority: task.record.spec.priority,
            is_revocable: task.record.spec.is_revocable,
            since: task.record.status.at.0,
            resources: task.record.resources.clone(),
        };
        Place { agent: agent.clone(), free: self.free_of(agent), tasks: tasks.map(candidate).collect() }
    }

    /// Why tasks of an agent shall go for another role, when they shall.
    pub fn preemption_on(&self, agent: &AgentId) -> Option<Occasion> {
        let (role, preemption) = self.preempting.iter().find(|(_, preemption)| preemption.agent == *agent)?;
        let shape = preemption.item.shape.as_ref().map(countable).unwrap_or_default();
        Some(Occasion {
            cause: InverseCause::Preemption,
            unavailability: Unavailability { start: preemption.start, duration_ms: 0 },
            message: format!(
                "role {role} is short of what its quota guarantees and wants {shape}, which is free nowhere; these \
                 tasks are killed then to make room"
            ),
            only: Some(preemption.victims.clone()),
        })
    }

    /// In words, for whom room is being taken back now.
    pub fn preemption_notes(&self, now: Now, framework: &FrameworkId) -> Vec<String> {
        let own = self.preempting.iter().filter(|(_, preemption)| preemption.framework == *framework);
        own.map(|(role, preemption)| {
            let Preemption { agent, victims, start, is_killing, .. } = preemption;
            let host = self.agents.get(agent).map(|a| a.record.info.hostname.as_str()).unwrap_or_default();
            let count = victims.len();
            let left_s = start.0.saturating_sub(now.unix.0).div_ceil(1_000);
            let when =
                if *is_killing { "being killed".to_owned() } else { format!("asked to leave within {left_s} s") };
            format!("room for role {role} is being taken back on {host} ({agent}): {count} tasks are {when}")
        })
        .collect()
    }
}
