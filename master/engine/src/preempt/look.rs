//! One look for room: whose wants are owed and fit nowhere, and whose tasks would make room. Bounded: what it did not come
//! to, the next look goes on with; and when nothing changed since a look that found nothing, there is nothing to look for.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{AgentId, DemandItem, FrameworkId, Moment, Now, Role, UnixMillis};

use super::plan::{Choice, Want, choose};
use super::{Preemption, is_short};
use crate::roles::is_within;
use crate::state::State;

/// Wanted shapes that are looked at at a time, the most important of a role first.
const MOST_WANTS: usize = 64;

/// Agents and tasks that are looked at at a time, beside those of the last want.
const MOST_STEPS: u64 = 100_000;

/// Agents on which one role takes room back at a time.
const MOST_AT_ONCE: usize = 8;

/// It is looked after so long even when nothing changed: what follows from the time alone is noticed then.
const LOOK_ANYWAY_MS: u64 = 10_000;

/// How far the looks have come.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// The role that was looked at last.
    after: Option<Role>,
    /// A look ended within these roles, each before this want of it.
    resume: BTreeMap<Role, usize>,
    /// All was looked at and nothing found, at this count of changes and time.
    in_vain: Option<(u64, Moment)>,
    /// Agents and tasks that were looked at so far.
    pub steps: u64,
}

/// A shape that is owed to a role and to be found room for.
struct Wanted {
    framework: FrameworkId,
    item: DemandItem,
    want: Want,
}

/// What is left to do in one look.
struct Budget {
    wants: usize,
    until_steps: u64,
}

impl State {
    /// Finds room for roles that are short, and begins to take it back.
    pub(super) fn look_for_room(&mut self, now: Now, notice_ms: u64) {
        let changes = self.touched.count();
        let is_same = |(count, at): (u64, Moment)| count == changes && now.mono.0 < at.0.saturating_add(LOOK_ANYWAY_MS);
        if self.preempting.is_empty() && self.looks.in_vain.is_some_and(is_same) {
            return;
        }
        let promised = |(_, state): &(&Role, &crate::roles::RoleState)| !state.quota.guarantee.is_empty();
        let mut roles: Vec<Role> = self.roles.iter().filter(promised).map(|(role, _)| role.clone()).collect();
        let first = roles.partition_point(|role| self.looks.after.as_ref().is_some_and(|last| role <= last));
        roles.rotate_left(first);
        let known: BTreeSet<&Role> = roles.iter().collect();
        self.looks.resume.retain(|role, _| known.contains(role));
        self.looks.in_vain = None;
        let mut budget = Budget { wants: MOST_WANTS, until_steps: self.looks.steps.saturating_add(MOST_STEPS) };
        for role in roles {
            if self.is_over(&budget) {
                return;
            }
            self.looks.after = Some(role.clone());
            self.look_for_role(now, notice_ms, &role, &mut budget);
        }
        let is_in_vain = self.looks.resume.is_empty() && self.preempting.is_empty();
        self.looks.in_vain = is_in_vain.then_some((changes, now.mono));
    }

    fn is_over(&self, budget: &Budget) -> bool {
        budget.wants == 0 || self.looks.steps >= budget.until_steps
    }

    fn look_for_role(&mut self, now: Now, notice_ms: u64, role: &Role, budget: &mut Budget) {
        let from = self.looks.resume.remove(role).unwrap_or(0);
        // What is owed to a role within is taken for that one first, and counts for this one too.
        let related = |p: &Preemption| p.role != *role && (is_within(&p.role, role) || is_within(role, &p.role));
        if self.preempting.values().any(related) || !self.is_owed_anything(role) {
            return;
        }
        let mut left = MOST_AT_ONCE.saturating_sub(self.preempting.values().filter(|p| p.role == *role).count());
        // The end of a list that became shorter is its begin.
        let wants = self.wants_of(role);
        let mut at = if from < wants.len() { from } else { 0 };
        while left > 0 {
            let Some(wanted) = wants.get(at) else { return };
            if self.is_over(budget) {
                self.looks.resume.insert(role.clone(), at);
                return;
            }
            budget.wants -= 1;
            let mut steps = 0;
            let found = self.find_room(now, role, wanted, &mut steps);
            self.looks.steps += steps;
            // The same may want more than one.
            let Some((Choice { agent, victims }, limited)) = found else {
                at += 1;
                continue;
            };
            let (start, kill_at) = (UnixMillis(now.unix.0.saturating_add(notice_ms)), now.mono + notice_ms);
            let Wanted { framework, item, .. } = wanted;
            let (role, framework, item) = (role.clone(), framework.clone(), item.clone());
            self.look_at_always(&agent);
            let preemption = Preemption { role, framework, item, limited, victims, start, kill_at, is_killing: false };
            self.preempting.insert(agent, preemption);
            left -= 1;
        }
    }

    /// Nothing can be owed to a role that holds what it was promised, or has none of its own reservations free.
    fn is_owed_anything(&self, role: &Role) -> bool {
        self.roles.get(role).is_some_and(|state| {
            let held = state.consumed().saturating_sum(&self.offered_beside_own(role));
            !state.kept.is_empty() || is_short(&held, &state.quota.guarantee)
        })
    }

    /// The wants of a role that may be owed, the most important first. Of those that matter as much the largest: smaller ones
    /// find room more easily.
    fn wants_of(&self, role: &Role) -> Vec<Wanted> {
        let Some(state) = self.roles.get(role) else { return Vec::new() };
        let below = self.roles.range(role.clone()..).take_while(|(of, _)| of.as_str().starts_with(role.as_str()));
        let within = below.filter(|(of, _)| is_within(of, role)).flat_map(|(_, state)| &state.frameworks);
        let frameworks: BTreeSet<&FrameworkId> = within.collect();
        let there = frameworks.into_iter().filter_map(|id| Some((id, self.frameworks.get(id)?)));
        let mut wants = Vec::new();
        for (id, framework) in there.filter(|(_, f)| f.session.is_some() && !f.record.is_removing) {
            let items = framework.demand.items.iter();
            for item in items.filter(|item| is_within(&item.role, role) && item.count != Some(0)) {
                // On agents with reservations some of it may be held already.
                let want = self.want_of(role, item).filter(|want| want.is_owed(&state.kept));
                wants.extend(want.map(|want| Wanted { framework: id.clone(), item: item.clone(), want }));
            }
        }
        wants.sort_by_key(|wanted| std::cmp::Reverse((wanted.item.priority, wanted.want.size())));
        wants
    }

    /// Who makes room for a want that is owed and finds none, and the role within whose limit, when only that is in the way.
    fn find_room(&self, now: Now, role: &Role, wanted: &Wanted, steps: &mut u64) -> Option<(Choice, Option<Role>)> {
        let Wanted { item, want, .. } = wanted;
        let want = self.unmet(role, item, want.clone(), None, steps)?;
        *steps += self.agents.len() as u64;
        let is_busy = |agent| self.preempting.contains_key(agent);
        let agents = self.agents.keys().filter(|agent| !is_busy(*agent) && self.has_victims(agent, &want));
        let is_open = |agent: &AgentId| want.fits_elsewhere || self.may_go_to(agent, item);
        let agents = agents.filter(|agent| !self.is_left_soon(now, agent) && is_open(agent));
        let places = agents.filter_map(|agent| {
            *steps += self.agents.get(agent).map_or(0, |agent| agent.tasks.len() as u64);
            let place = self.place(role, item, &want, agent);
            (!place.tasks.is_empty()).then_some(place)
        });
        let limited = want.over.first().filter(|_| want.fits_elsewhere).map(|over| over.role.clone());
        Some((choose(&want, places, &self.floors(role, None))?, limited))
    }
}
