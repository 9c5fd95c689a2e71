//! Limits in the way of a want: what has to go within them first. Changes nothing.
//!
//! All that room is being taken back for takes its part of the limits; what goes for it gives its part back.

use proffer_proto_model::{AgentId, DemandItem, Limit, MilliCpus, Resources, Role, TaskKey};

use super::plan::{Over, Want, only};
use super::{Preemption, are_alike};
use crate::roles::is_within;
use crate::state::{State, countable};

impl State {
    /// The want with what is owed to it beyond all that comes anyway, and with what has to go within limits before it can
    /// be had; `None` when nobody has to go for it. What is taken back on the agent `but` does not count.
    /// Counts the agents that were looked at in `steps`.
    pub(super) fn unmet(
        &self,
        role: &Role,
        item: &DemandItem,
        want: Want,
        but: Option<&AgentId>,
        steps: &mut u64,
    ) -> Option<Want> {
        // What the role is offered counts as held for what is owed to it: so it does here.
        let more = countable(&want.shape).saturating_sum(&only(&self.offered_beside_own(role), &want.shape));
        let over = self.over_limits(&item.role, &more, but);
        if over.is_empty() {
            return self.uncovered(role, item, want, self.units(item), but, steps);
        }
        let units = self.units(item).saturating_sub(self.offered_units(role, &want.shape));
        let (want, awaited) = self.beyond_awaited(role, item, want, units, but)?;
        let fits_elsewhere = self.uncovered(role, item, want.clone(), awaited.saturating_add(1), but, steps).is_none();
        Some(Want { over, fits_elsewhere, ..want })
    }

    /// What has to go within roles before their limits let a role hold so much more.
    fn over_limits(&self, role: &Role, more: &Resources, but: Option<&AgentId>) -> Vec<Over> {
        let path = std::iter::successors(Some(role.clone()), Role::parent);
        let over = path.filter_map(|role| {
            let state = self.roles.get(&role).filter(|state| !state.quota.limit.is_empty())?;
            let mut held = state.limited();
            for (_, other) in self.preempting.iter().filter(|(agent, _)| but != Some(*agent)) {
                if is_within(&other.item.role, &role) {
                    held = held.saturating_sum(&other.item.shape.as_ref().map(countable).unwrap_or_default());
                }
                held = held.saturating_minus(&self.lost_with(other, &role));
            }
            let amount = only(&above(&state.quota.limit, &held.saturating_sum(more)), more);
            (!amount.is_empty()).then_some(Over { role, amount })
        });
        over.collect()
    }

    /// What a role loses with those who are still to go.
    fn lost_with(&self, preemption: &Preemption, role: &Role) -> Resources {
        let is_left = |key: &&TaskKey| self.is_held(key);
        let left = preemption.victims.iter().filter(is_left).filter_map(|key| self.candidate(&preemption.item, key));
        let within = left.filter(|task| is_within(&task.role, role));
        within.fold(Resources::default(), |sum, task| sum.saturating_sum(&countable(&task.lost_by(role))))
    }

    /// The want with what is owed beyond all that room is being taken back for, and for how many of its kind that is;
    /// `None` when those are as many as are wanted.
    fn beyond_awaited(
        &self,
        role: &Role,
        item: &DemandItem,
        want: Want,
        units: u32,
        but: Option<&AgentId>,
    ) -> Option<(Want, u32)> {
        let (mut want, mut awaited) = (want, 0);
        for (_, other) in self.preempting.iter().filter(|(agent, p)| p.role == *role && but != Some(*agent)) {
            awaited += u32::from(are_alike(&other.item, item));
            let shape = other.item.shape.clone().unwrap_or_default();
            want.owed = want.owed.saturating_minus(&only(&shape, &want.promised));
        }
        (awaited < units).then_some((want, awaited))
    }

    /// How many of a shape what the role is offered now stands for.
    fn offered_units(&self, role: &Role, shape: &Resources) -> u32 {
        let (offered, shape) = (self.offered_beside_own(role), countable(shape));
        let scalar = |name: &String| offered.scalars.get(name).copied().unwrap_or(0);
        let times = [
            offered.cpus.0.checked_div(shape.cpus.0),
            offered.memory.0.checked_div(shape.memory.0),
            offered.disk.0.checked_div(shape.disk.0),
            u64::from(offered.gpus).checked_div(shape.gpus.into()),
        ];
        let further = shape.scalars.iter().map(|(name, each)| scalar(name).checked_div(*each));
        let times = times.into_iter().chain(further).flatten().min().unwrap_or(0);
        u32::try_from(times).unwrap_or(u32::MAX)
    }
}

/// So much of an amount is more than a limit allows.
fn above(limit: &Limit, held: &Resources) -> Resources {
    let Limit { cpus, memory, disk, gpus, scalars } = limit;
    let mut most = Resources {
        disk: disk.unwrap_or(held.disk),
        gpus: gpus.unwrap_or(held.gpus),
        scalars: held.scalars.clone(),
        ..Resources::new(cpus.unwrap_or(MilliCpus(held.cpus.0)), memory.unwrap_or(held.memory))
    };
    most.scalars.extend(scalars.clone());
    held.saturating_minus(&most)
}
