//! Quota: what a role is promised and may hold at most, checked against its family, its use and the cluster.

use proffer_proto_model::{Now, OfferId, Quota, RescindReason, Resources, Role};

use super::holdings::is_within;
use crate::reservations::Kept;
use crate::state::{State, countable};

impl State {
    /// Sets all of a role's quota; an empty one ends it. Setting what is there already stores nothing.
    pub(super) fn set_quota(&mut self, now: Now, role: &Role, quota: Quota) {
        if self.quota_of(role) == quota {
            return;
        }
        self.with_role(role, |state| state.quota = quota.clone());
        self.put_role(role);
        self.allocator.set_quota(role, Some(&quota).filter(|quota| !quota.is_empty()));
        self.withdraw_above_limit(now, role);
    }

    /// `force` allows a limit below what is held now and more promises than the cluster can keep.
    pub(super) fn check_quota(&self, role: &Role, quota: &Quota, force: bool) -> Result<(), String> {
        if quota.is_empty() {
            return Err(format!(
                "quota: it promises and limits nothing to role {role}; give a guarantee or a limit, or remove the quota"
            ));
        }
        quota.check().map_err(|error| format!("quota: of role {role}: {error}"))?;
        self.check_role_above(role, &quota.guarantee)?;
        self.check_roles_below(role, &quota.guarantee)?;
        if force {
            return Ok(());
        }
        let state = self.roles.get(role);
        let held = state.map(|state| state.limited()).unwrap_or_default();
        if let Some((kind, held, limit)) = quota.limit.exceeded_by(&held) {
            let (who, end) = match state.is_some_and(|state| !state.kept.is_empty()) {
                true => ("tasks and reservations", "end some of its tasks or reservations"),
                false => ("tasks", "end some of its tasks"),
            };
            return Err(format!(
                "quota.limit of role {role}: its {who} hold {held} {kind} now, more than the limit of {limit}; raise the \
                 limit, {end}, or force it: then nothing new starts until enough has ended{}",
                state.map(|state| on_unreachable(&state.away)).unwrap_or_default()
            ));
        }
        self.check_capacity(role, &quota.guarantee)
    }

    /// What a role promises to the roles in it must be promised to itself.
    fn check_role_above(&self, role: &Role, guarantee: &Resources) -> Result<(), String> {
        let Some(above) = role.parent().filter(|_| !guarantee.is_empty()) else { return Ok(()) };
        let sum = self.guarantees_in(Some(&above), role).saturating_sum(guarantee);
        let promised = self.quota_of(&above).guarantee;
        let Some(lack) = promised.shortage(&sum) else { return Ok(()) };
        Err(format!(
            "quota.guarantee of role {role}: the roles in {above} would be promised {sum} together, and {above} itself is \
             promised {}; raise the guarantee of {above} by {} first",
            shown(&promised),
            lack.0
        ))
    }

    /// A role cannot be promised less than the roles in it together.
    pub(super) fn check_roles_below(&self, role: &Role, guarantee: &Resources) -> Result<(), String> {
        let sum = self.guarantees_in(Some(role), role);
        let Some(lack) = guarantee.shortage(&sum) else { return Ok(()) };
        Err(format!(
            "quota.guarantee of role {role}: the roles in it are promised {sum} together, {} more than {role} would be; \
             lower their guarantees first",
            lack.0
        ))
    }

    fn check_capacity(&self, role: &Role, guarantee: &Resources) -> Result<(), String> {
        if guarantee.is_empty() || role.parent().is_some() {
            return Ok(());
        }
        let sum = self.guarantees_in(None, role).saturating_sum(guarantee);
        let known = self.agents.values().filter(|agent| !agent.record.is_unreachable);
        let total = known
            .fold(Resources::default(), |total, agent| total.saturating_sum(&countable(&agent.record.info.resources)));
        let Some(lack) = total.shortage(&sum) else { return Ok(()) };
        Err(format!(
            "quota.guarantee of role {role}: all roles would be promised {sum} together and the cluster has {}; add agents \
             with {}, lower a guarantee, or force it: then the promise is kept as agents come",
            shown(&total),
            lack.0
        ))
    }

    /// The sum of what the roles right below `above` are promised, without `except`.
    fn guarantees_in(&self, above: Option<&Role>, except: &Role) -> Resources {
        let family = self.roles.iter().filter(|(role, _)| *role != except && role.parent().as_ref() == above);
        family.fold(Resources::default(), |sum, (_, state)| sum.saturating_sum(&state.quota.guarantee))
    }

    /// Whether a role has room for `more` under its limit and those above, when so much of it is `reserved` by role:
    /// what is wrong otherwise.
    pub fn check_room(&self, role: &Role, more: &Resources, reserved: &Kept) -> Result<(), String> {
        let mut next = Some(role.clone());
        while let Some(role) = next {
            if let Some(state) = self.roles.get(&role).filter(|state| !state.quota.limit.is_empty()) {
                let within = reserved.iter().filter(|(of, _)| is_within(of, &role));
                let new = within.fold(countable(more), |rest, (_, part)| rest.saturating_minus(part));
                // What is out in other offers is not counted: of those that are accepted, the first get the room.
                // A kind of which nothing new is taken may be above a limit that was forced.
                let held = in_kinds_of(&new, state.limited()).saturating_sum(&new);
                if let Some((kind, held, limit)) = state.quota.limit.exceeded_by(&held) {
                    return Err(format!(
                        "limit of role {role}: with this it would hold {held} {kind}, more than {limit}; wait until \
                         tasks of the role end, or have the limit raised (`proffer quota set`){}",
                        on_unreachable(&state.away)
                    ));
                }
            }
            next = role.parent();
        }
        Ok(())
    }

    /// Whether so much more may be reserved for a role, of what is reserved for another above it or not at all.
    pub fn check_reservation(&self, role: &Role, from: Option<&Role>, more: &Resources) -> Result<(), String> {
        let reserved = from.map(|from| Kept::from([(from.clone(), countable(more))])).unwrap_or_default();
        self.check_room(role, more, &reserved).map_err(|wrong| format!("resources: {wrong}"))
    }

    /// Offers that a lower limit does not allow any more: nobody may use them.
    fn withdraw_above_limit(&mut self, now: Now, role: &Role) {
        let Some(state) = self.roles.get(role) else { return };
        let of_role = || self.offers.values().filter(|open| is_within(&open.offer.role, role));
        let offered = of_role().fold(Resources::default(), |sum, open| {
            // What is reserved for the role is counted already.
            let pools =
                self.agents.get(&open.offer.agent).map(|agent| agent.record.pools.as_slice()).unwrap_or_default();
            let own = pools.iter().filter(|pool| is_within(&pool.role, role));
            let own = own.fold(Resources::default(), |sum, pool| sum.saturating_sum(&open.share.of(Some(pool.id))));
            sum.saturating_sum(&countable(&open.offer.resources.saturating_minus(&own)))
        });
        if state.quota.limit.exceeded_by(&state.limited().saturating_sum(&offered)).is_none() {
            return;
        }
        let offers: Vec<OfferId> = of_role().map(|open| open.offer.id.clone()).collect();
        for offer in offers {
            self.rescind(now, &offer, RescindReason::Operator);
        }
    }
}

/// The amount without the kinds of which `new` has nothing.
fn in_kinds_of(new: &Resources, amount: Resources) -> Resources {
    let Resources { cpus, memory, disk, gpus, scalars, .. } = amount;
    let mut kept = Resources { scalars, ..Resources::default() };
    if new.cpus.0 > 0 {
        kept.cpus = cpus;
    }
    if new.memory.0 > 0 {
        kept.memory = memory;
    }
    if new.disk.0 > 0 {
        kept.disk = disk;
    }
    if new.gpus > 0 {
        kept.gpus = gpus;
    }
    kept.scalars.retain(|name, _| new.scalars.contains_key(name));
    kept
}

/// The part of what is held that no task has to end for.
fn on_unreachable(away: &Resources) -> String {
    match away.is_empty() {
        true => String::new(),
        false => format!(
            "; {away} of it is held on unreachable agents: mark those gone that never come back (`proffer agents gone`)"
        ),
    }
}

fn shown(amount: &Resources) -> String {
    if amount.is_empty() { "nothing".to_owned() } else { amount.to_string() }
}
