//! Preemption, off unless it is configured: a role that is short of its guarantee gets room of tasks that matter less.
//!
//! One at a time for each role: first the frameworks of the tasks are asked to leave, at the end of the notice what is
//! left is killed. Nothing of the plan is stored: a new master plans anew; a kill that was decided is stored with its
//! task. It never kills before the notice has passed, nor what would not make the wanted shape fit.

mod places;
mod plan;

use std::collections::BTreeSet;

use proffer_proto_model::{
    AgentId, DemandItem, FrameworkId, InverseCause, Now, Role, TaskKey, TaskReason, Unavailability, UnixMillis,
};

use self::plan::{Choice, Want, choose};
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

    /// One that is under way: is over, goes on with those that are still needed, or comes to its kills.
    fn go_on(&mut self, now: Now, role: &Role) {
        let Some(preemption) = self.preempting.get(role).cloned() else { return };
        let left: BTreeSet<TaskKey> = preemption.victims.iter().filter(|key| self.is_held(key)).cloned().collect();
        if left.is_empty() {
            self.preempting.remove(role);
            return self.look_at_always(&preemption.agent);
        }
        if preemption.is_killing {
            return;
        }
        let Some(needed) = self.still_needed(role, &preemption, &left) else {
            self.preempting.remove(role);
            return self.look_at_always(&preemption.agent);
        };
        let is_time = now.unix >= preemption.start;
        if let Some(known) = self.preempting.get_mut(role) {
            let is_less = left.difference(&needed).next().is_some();
            known.victims = needed.clone();
            known.is_killing = is_time;
            if is_less {
                self.look_at_always(&preemption.agent);
            }
        }
        if !is_time {
            return;
        }
        for key in needed {
            let Some(task) = self.tasks.get_mut(&key) else { continue };
            task.record.is_preempted = true;
            let was_asked = std::mem::replace(&mut task.record.is_kill_requested, true);
            self.put_task(&key);
            if !was_asked {
                self.send_kill(&preemption.agent, &key, TaskReason::Preempted);
            }
        }
    }

    fn is_held(&self, key: &TaskKey) -> bool {
        self.tasks.get(key).is_some_and(|task| task.is_charged)
    }

    /// Those of `left` that still have to go; `None` when nobody has to: the shape is not wanted or owed any more, fits
    /// somewhere, or would not fit here. Those who are leaving by themselves go first.
    fn still_needed(
        &self,
        role: &Role,
        preemption: &Preemption,
        left: &BTreeSet<TaskKey>,
    ) -> Option<BTreeSet<TaskKey>> {
        let Preemption { framework, item, agent, .. } = preemption;
        let same = |other: &&DemandItem| other.role == item.role && other.shape == item.shape && other.count != Some(0);
        let is_wanted = self.frameworks.get(framework).is_some_and(|f| f.demand.items.iter().any(|i| same(&i)));
        let want = self.want_of(role, item).filter(|_| is_wanted)?;
        if self.fits_somewhere(role, &want, item) || !self.may_go_to(agent, item) {
            return None;
        }
        let mut place = self.place(role, item, agent);
        let is_leaving = |key: &&TaskKey| self.tasks.get(*key).is_some_and(|task| task.record.is_kill_requested);
        let leaving: BTreeSet<TaskKey> = left.iter().filter(is_leaving).cloned().collect();
        for task in leaving.iter().filter_map(|key| self.candidate(item, key)) {
            place.free = place.free.saturating_sum(&task.usable);
        }
        if want.is_owed(&place.kept) && want.fits(&place.free) {
            return Some(leaving);
        }
        place.tasks.retain(|task| left.contains(&task.key));
        let choice = choose(&want, [place], &self.floors(role, Some(preemption)))?;
        Some(&leaving | &choice.victims)
    }

    /// The most important want of a role that is owed and fits nowhere, and who makes room for it. Of those that matter as
    /// much the largest: smaller ones find room more easily.
    fn find_room(&self, now: Now, role: &Role, left: &mut usize) -> Option<(FrameworkId, DemandItem, Choice)> {
        let state = self.roles.get(role)?;
        let mut wants: Vec<(&FrameworkId, &DemandItem, Want)> = Vec::new();
        for (id, framework) in self.frameworks.iter().filter(|(_, f)| f.session.is_some() && !f.record.is_removing) {
            for item in framework.demand.items.iter().filter(|item| is_within(&item.role, role)) {
                let want = self.want_of(role, item).filter(|_| item.count != Some(0));
                // On agents with reservations some of it may be held already.
                let want = want.filter(|want| want.is_owed(&state.kept));
                wants.extend(want.map(|want| (id, item, want)));
            }
        }
        wants.sort_by_key(|(_, item, want)| std::cmp::Reverse((item.priority, want.size())));
        wants.truncate(*left);
        let mut floors = None;
        wants.into_iter().find_map(|(id, item, want)| {
            *left = left.saturating_sub(1);
            let shape = item.shape.clone().unwrap_or_default();
            if self.check_room(&item.role, &shape, &Kept::new()).is_err() || self.fits_somewhere(role, &want, item) {
                return None;
            }
            let busy: BTreeSet<&AgentId> = self.preempting.values().map(|other| &other.agent).collect();
            let agents = self.agents.keys().filter(|agent| !busy.contains(agent) && !self.is_left_soon(now, agent));
            let agents = agents.filter(|agent| self.may_go_to(agent, item));
            let places = agents.map(|agent| self.place(role, item, agent));
            let floors = floors.get_or_insert_with(|| self.floors(role, None));
            Some((id.clone(), item.clone(), choose(&want, places, floors)?))
        })
    }

    fn is_left_soon(&self, now: Now, agent: &AgentId) -> bool {
        self.occasion(now, agent).is_some()
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
