//! What each role holds, with all roles below it. Kept as sums that change with every task and offer.

use std::collections::BTreeSet;

use proffer_proto_model::{FrameworkId, Quota, Resources, Role, RolePolicy, Weight};

use crate::state::{State, countable};
use crate::view::RoleView;

/// A role: known while it has settings, frameworks, tasks or offers.
#[derive(Debug, Default)]
pub(crate) struct RoleState {
    pub weight: Weight,
    pub quota: Quota,
    pub policy: RolePolicy,
    /// Of tasks in it and in roles below. Without ports and sets: they are names within one agent.
    pub allocated: Resources,
    /// Out in offers to it and to roles below, without ports and sets.
    pub offered: Resources,
    /// Reserved for it and roles below and not held by tasks, without ports and sets.
    pub kept: Resources,
    /// The same, and what tasks hold, of agents that cannot be reached: it counts for the limit and for nothing else.
    pub away: Resources,
    pub tasks_active: u32,
    /// In the role itself.
    pub frameworks: BTreeSet<FrameworkId>,
}

impl RoleState {
    /// What counts for the guarantee, beside what is only offered.
    pub fn consumed(&self) -> Resources {
        self.allocated.saturating_sum(&self.kept)
    }

    /// What counts for the limit, beside what is only offered: all that may turn out to run.
    pub fn limited(&self) -> Resources {
        self.consumed().saturating_sum(&self.away)
    }

    fn is_idle(&self) -> bool {
        let Self { weight, quota, policy, allocated, offered, kept, away, tasks_active, frameworks } = self;
        let has_use = !allocated.is_empty()
            || !offered.is_empty()
            || !kept.is_empty()
            || !away.is_empty()
            || *tasks_active > 0
            || !frameworks.is_empty();
        *weight == Weight::default() && quota.is_empty() && policy.is_empty() && !has_use
    }
}

impl State {
    /// Changes a role; it is forgotten when nothing is left to know of it.
    pub(super) fn with_role(&mut self, role: &Role, change: impl FnOnce(&mut RoleState)) {
        let state = self.roles.entry(role.clone()).or_default();
        change(state);
        if state.is_idle() {
            self.roles.remove(role);
        }
        self.touched.role(role);
    }

    /// Counts a task in, in its role and all above.
    pub fn count_task_in_roles(&mut self, role: &Role, resources: &Resources) {
        let more = countable(resources);
        self.for_role_and_above(role, |state| {
            state.allocated = state.allocated.saturating_sum(&more);
            state.tasks_active += 1;
        });
    }

    /// Counts a task out.
    pub fn uncount_task_in_roles(&mut self, role: &Role, resources: &Resources) {
        let less = countable(resources);
        self.for_role_and_above(role, |state| {
            state.allocated = state.allocated.saturating_minus(&less);
            state.tasks_active = state.tasks_active.saturating_sub(1);
        });
    }

    /// Counts an offer in, in its role and all above.
    pub fn count_offer_in_roles(&mut self, role: &Role, resources: &Resources) {
        let more = countable(resources);
        self.for_role_and_above(role, |state| state.offered = state.offered.saturating_sum(&more));
    }

    /// Counts an offer out.
    pub fn uncount_offer_in_roles(&mut self, role: &Role, resources: &Resources) {
        let less = countable(resources);
        self.for_role_and_above(role, |state| state.offered = state.offered.saturating_minus(&less));
    }

    /// A framework leaves roles and joins others; those in both lists stay as they are.
    pub fn move_between_roles(&mut self, id: &FrameworkId, from: &[Role], to: &[Role]) {
        for left in from.iter().filter(|role| !to.contains(role)) {
            self.with_role(left, |state| {
                state.frameworks.remove(id);
            });
        }
        for joined in to {
            if self.roles.get(joined).is_none_or(|state| !state.frameworks.contains(id)) {
                self.with_role(joined, |state| {
                    state.frameworks.insert(id.clone());
                });
            }
        }
    }

    /// The running sums against tasks, offers and frameworks counted again.
    pub fn audit_roles(&self, broken: &mut Vec<String>) {
        let tasks = || self.tasks.values().filter(|task| task.is_charged);
        for (role, state) in &self.roles {
            let held = tasks().filter(|task| is_within(&task.record.role, role)).map(|task| &task.record.resources);
            let held = held.fold(Resources::default(), |sum, more| sum.saturating_sum(&countable(more)));
            let open = self.offers.values().map(|open| &open.offer).filter(|offer| is_within(&offer.role, role));
            let offered =
                open.fold(Resources::default(), |sum, offer| sum.saturating_sum(&countable(&offer.resources)));
            if held != state.allocated || offered != state.offered {
                let (a, o) = (&state.allocated, &state.offered);
                broken.push(format!("role {role}: counts {a} and {o} offered, it is {held} and {offered}"));
            }
            let own = self.frameworks.iter().filter(|(_, f)| f.record.info.roles.contains(role));
            if !own.map(|(id, _)| id).eq(&state.frameworks) {
                broken.push(format!("role {role}: lists other frameworks than there are in it"));
            }
        }
        let used = tasks().map(|task| &task.record.role).chain(self.offers.values().map(|open| &open.offer.role));
        for role in used.filter(|role| !self.roles.contains_key(role)) {
            broken.push(format!("role {role} is in use and not known"));
        }
        self.audit_allocator_roles(broken);
    }

    /// The allocator knows no role that nobody needs: one that is known here, has a reservation, or is above such a one.
    fn audit_allocator_roles(&self, broken: &mut Vec<String>) {
        let reserved = self.agents.values().flat_map(|agent| &agent.record.pools).map(|pool| &pool.role);
        let needed: BTreeSet<&Role> = self.roles.keys().chain(reserved).collect();
        for role in self.allocator.roles_known() {
            if !needed.iter().any(|needed| is_within(needed, role)) {
                broken.push(format!("role {role} is kept by the allocator and nobody needs it"));
            }
        }
    }

    pub(crate) fn role_view(&self, role: &Role, state: &RoleState) -> RoleView {
        let RoleState { weight, quota, policy, allocated, offered, kept, away, tasks_active, frameworks } = state;
        RoleView {
            role: role.clone(),
            weight: *weight,
            quota: quota.clone(),
            policy: policy.clone(),
            allocated: allocated.clone(),
            offered: offered.clone(),
            reserved: kept.clone(),
            unreachable: away.clone(),
            tasks_active: *tasks_active,
            frameworks: frameworks.iter().cloned().collect(),
        }
    }

    pub(crate) fn for_role_and_above(&mut self, role: &Role, change: impl Fn(&mut RoleState)) {
        let mut next = Some(role.clone());
        while let Some(role) = next {
            self.with_role(&role, &change);
            next = role.parent();
        }
    }
}

/// The role is `above`, or below it.
pub(crate) fn is_within(role: &Role, above: &Role) -> bool {
    role.as_str().strip_prefix(above.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
