//! Preemption, off unless it is configured: a role that is short of its guarantee gets room of tasks that matter less.
//!
//! On one agent after the other or on several at once, as far as is owed: first the frameworks of the tasks are asked to leave, at the end of the notice what is
//! left is killed. Nothing of the plan is stored: a new master plans anew; a kill that was decided is stored with its
//! task. It never kills before the notice has passed, nor what would not make the wanted shape fit.

mod comes;
mod limits;
mod look;
mod places;
mod plan;

use std::collections::BTreeSet;

use proffer_proto_model::{
    AgentId, DemandItem, FrameworkId, InverseCause, Moment, Now, Resources, Role, TaskKey, TaskReason, Unavailability,
    UnixMillis,
};

pub(crate) use self::look::Looks;
use self::plan::choose;
use crate::inverse::Occasion;
use crate::state::{Agent, State, Task, countable};
use crate::timers::Timer;

/// How often it is looked whether a role is short.
const LOOK_MS: u64 = 1_000;

/// Room that is being taken back on one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preemption {
    role: Role,
    pub framework: FrameworkId,
    item: DemandItem,
    /// Only the limit of this role is in the way.
    limited: Option<Role>,
    pub victims: BTreeSet<TaskKey>,
    /// When what is left is killed, as people and frameworks are told.
    pub start: UnixMillis,
    /// The same, which no jump of the wall clock moves.
    kill_at: Moment,
    is_killing: bool,
}

impl State {
    /// Looks whether a role is short, when preemption is wanted at all.
    pub fn preempt(&mut self, now: Now) {
        let Some(notice_ms) = self.config.preemption_notice_ms else { return };
        // Where less is needed than was, those stay in peace who matter most, or have heard of it last.
        let mut under_way: Vec<_> = self.preempting.iter().collect();
        under_way.sort_by_key(|(agent, p)| (p.item.priority, std::cmp::Reverse(p.kill_at), (*agent).clone()));
        let under_way: Vec<AgentId> = under_way.into_iter().map(|(agent, _)| agent.clone()).collect();
        for agent in under_way {
            self.go_on(now, &agent);
        }
        self.look_for_room(now, notice_ms);
        self.start_timer(now.mono + LOOK_MS.min(notice_ms.max(1)), Timer::Preempt);
    }

    /// One that is under way: is over, goes on with those that are still needed, or comes to its kills.
    fn go_on(&mut self, now: Now, agent: &AgentId) {
        let Some(preemption) = self.preempting.get(agent).cloned() else { return };
        let left: BTreeSet<TaskKey> = preemption.victims.iter().filter(|key| self.is_held(key)).cloned().collect();
        if left.is_empty() {
            self.preempting.remove(agent);
            return self.look_at_always(agent);
        }
        if preemption.is_killing {
            return;
        }
        let Some(needed) = self.still_needed(agent, &preemption, &left) else {
            self.preempting.remove(agent);
            return self.look_at_always(agent);
        };
        let is_time = now.mono >= preemption.kill_at;
        if let Some(known) = self.preempting.get_mut(agent) {
            let is_less = left.difference(&needed).next().is_some();
            known.victims = needed.clone();
            known.is_killing = is_time;
            if is_less {
                self.look_at_always(agent);
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
                self.send_kill(agent, &key, TaskReason::Preempted);
            }
        }
    }

    fn is_held(&self, key: &TaskKey) -> bool {
        self.tasks.get(key).is_some_and(|task| task.is_charged)
    }

    /// Those of `left` that still have to go; `None` when nobody has to: the shape is not wanted or owed any more, finds
    /// room elsewhere, would not fit here, or is above a limit by now. Those who are leaving by themselves go first.
    fn still_needed(
        &self,
        agent: &AgentId,
        preemption: &Preemption,
        left: &BTreeSet<TaskKey>,
    ) -> Option<BTreeSet<TaskKey>> {
        let Preemption { role, framework, item, .. } = preemption;
        let items = &self.frameworks.get(framework)?.demand.items;
        items.iter().find(|other| are_alike(other, item) && other.count != Some(0))?;
        let want = self.unmet(role, item, self.want_of(role, item)?, Some(agent), &mut 0)?;
        if !want.fits_elsewhere && !self.may_go_to(agent, item) {
            return None;
        }
        let mut place = self.place(role, item, &want, agent);
        let is_leaving = |key: &&TaskKey| self.tasks.get(*key).is_some_and(|task| task.record.is_kill_requested);
        let leaving: BTreeSet<TaskKey> = left.iter().filter(is_leaving).cloned().collect();
        let going: Vec<_> = leaving.iter().filter_map(|key| self.candidate(item, key)).collect();
        for task in &going {
            place.free = place.free.saturating_sum(&task.usable);
        }
        let want = want.without(&going);
        if want.is_owed(&place.kept) && want.is_met_by(&place.free) {
            return Some(leaving);
        }
        place.tasks.retain(|task| left.contains(&task.key));
        let choice = choose(&want, [place], &self.floors(role, Some(preemption)))?;
        Some(&leaving | &choice.victims)
    }

    /// How many of that kind are wanted, by all.
    fn units(&self, item: &DemandItem) -> u32 {
        let there = self.frameworks.values().filter(|framework| framework.session.is_some());
        let alike = there.flat_map(|framework| &framework.demand.items).filter(|other| are_alike(other, item));
        alike.fold(0, |sum: u32, other| sum.saturating_add(other.count.unwrap_or(u32::MAX)))
    }

    fn is_left_soon(&self, now: Now, agent: &AgentId) -> bool {
        self.occasion(now, agent).is_some()
    }

    /// Why tasks of an agent shall go for another role, when they shall.
    pub fn preemption_on(&self, agent: &AgentId) -> Option<Occasion> {
        let preemption = self.preempting.get(agent)?;
        let role = &preemption.role;
        let shape = preemption.item.shape.as_ref().map(countable).unwrap_or_default();
        Some(Occasion {
            cause: InverseCause::Preemption,
            unavailability: Unavailability { start: preemption.start, duration_ms: 0 },
            message: format!(
                "role {role} is short of what its quota guarantees and wants {shape}, {}; these tasks are killed then to \
                 make room",
                match &preemption.limited {
                    Some(limited) => format!("for which the limit of {limited} leaves no room"),
                    None => "which is free nowhere".to_owned(),
                }
            ),
            only: Some(preemption.victims.clone()),
        })
    }

    /// In words, for whom room is being taken back now.
    pub fn preemption_notes(&self, now: Now, framework: &FrameworkId) -> Vec<String> {
        let own = self.preempting.iter().filter(|(_, preemption)| preemption.framework == *framework);
        own.map(|(agent, preemption)| {
            let Preemption { role, victims, kill_at, is_killing, .. } = preemption;
            let host = self.agents.get(agent).map(|a| a.record.info.hostname.as_str()).unwrap_or_default();
            let count = victims.len();
            let left_s = kill_at.0.saturating_sub(now.mono.0).div_ceil(1_000);
            let when =
                if *is_killing { "being killed".to_owned() } else { format!("asked to leave within {left_s} s") };
            format!("room for role {role} is being taken back on {host} ({agent}): {count} tasks are {when}")
        })
        .collect()
    }
}

impl Agent {
    /// A task that mattered so much holds nothing here any more.
    pub fn forget_rank(&mut self, rank: i64) {
        if let Some(count) = self.ranks.get_mut(&rank) {
            *count -= 1;
            if *count == 0 {
                self.ranks.remove(&rank);
            }
        }
    }

    /// So much may be free, or come back from offers. No is certain, yes is not.
    fn may_have_free(&self, shape: &Resources) -> bool {
        let (all, held) = (&self.record.info.resources, &self.allocated);
        all.cpus.0.saturating_sub(held.cpus.0) >= shape.cpus.0
            && all.memory.0.saturating_sub(held.memory.0) >= shape.memory.0
            && all.disk.0.saturating_sub(held.disk.0) >= shape.disk.0
            && all.gpus.saturating_sub(held.gpus) >= shape.gpus
    }
}

impl Task {
    /// How much it matters: whoever wants something of a higher rank may take it.
    pub fn rank(&self) -> i64 {
        if self.record.spec.is_revocable { i64::MIN } else { self.record.spec.priority.into() }
    }
}

/// Less is held than is promised, of some kind.
fn is_short(held: &Resources, promised: &Resources) -> bool {
    !promised.saturating_minus(&plan::only(held, promised)).is_empty()
}

/// What does for one does for the other.
fn are_alike(one: &DemandItem, other: &DemandItem) -> bool {
    let DemandItem { role, shape, count: _, constraints, priority: _, ports } = one;
    (role, shape, constraints, ports) == (&other.role, &other.shape, &other.constraints, &other.ports)
}
