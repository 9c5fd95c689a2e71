//! What an operator sets for roles during a run: guarantees and limits come, change, are forced and go, and so do
//! placement policies. At the end nothing is limited any more: everybody can have all it wants.

use proffer_master_engine::{Input, OperatorCall, PolicyChange, RolesCall};
use proffer_proto_model::{Bytes, Limit, MilliCpus, Placement, Quota, Resources, Role};

use crate::invariants::limits;
use crate::rng::Rng;
use crate::world::World;

impl World {
    /// Draws what is set for a role at one moment.
    pub(crate) fn set_quotas(&mut self) {
        if !self.faults.quotas.chance(self.faults.quota) {
            return;
        }
        let roles: Vec<String> = self.scenario.cast.iter().map(|part| part.role.clone()).collect();
        let rng = &mut self.faults.quotas;
        let Some(role) = rng.pick(&roles).and_then(|role| Role::new(role).ok()) else { return };
        let call = match rng.range(0, 9) {
            0 => RolesCall::RemoveQuota { role },
            1 | 2 => {
                let placements = [Placement::First, Placement::Pack, Placement::LeastLoaded];
                let placement = rng.pick(&placements).cloned();
                RolesCall::SetPolicy {
                    role,
                    change: Box::new(PolicyChange { placement: Some(placement), ..PolicyChange::default() }),
                }
            }
            _ => quota_of(rng, role),
        };
        self.sets_for_role(call);
    }

    /// Before anything runs some roles are limited: what is limited later is mostly above that, or far below.
    pub(crate) fn first_quotas(&mut self) {
        if self.faults.quota == 0 {
            return;
        }
        let roles: Vec<String> = self.scenario.cast.iter().map(|part| part.role.clone()).collect();
        for role in roles.into_iter().filter_map(|role| Role::new(role).ok()) {
            if self.faults.quotas.chance(600) {
                let call = quota_of(&mut self.faults.quotas, role);
                self.sets_for_role(call);
            }
        }
    }

    fn sets_for_role(&mut self, call: RolesCall) {
        let unforced = match &call {
            RolesCall::SetQuota { role, force: false, .. } => Some(role.clone()),
            _ => None,
        };
        self.master_handle(Input::Operator(OperatorCall::Roles { request: 1, call, is_dry_run: false }));
        if let Some(role) = unforced {
            limits::note_unforced(self, &role);
        }
    }

    /// At the end nobody is limited; those below first, whose guarantees rest on those above.
    pub(crate) fn end_quotas(&mut self) -> bool {
        let limited = self.master.registry.roles.iter().filter(|record| !record.quota.is_empty());
        let mut limited: Vec<Role> = limited.map(|record| record.role.clone()).collect();
        limited.reverse();
        let has_some = !limited.is_empty();
        for role in limited {
            self.sets_for_role(RolesCall::RemoveQuota { role });
        }
        has_some
    }
}

fn quota_of(rng: &mut Rng, role: Role) -> RolesCall {
    let limit = Limit {
        cpus: rng.chance(800).then(|| MilliCpus(500 * rng.range(2, 14))),
        memory: rng.chance(400).then(|| Bytes::mib(256 * rng.range(2, 14))),
        disk: rng.chance(100).then(|| Bytes::mib(100 * rng.range(0, 3))),
        ..Limit::default()
    };
    let most = limit.cpus.map_or(14, |most| most.0 / 500);
    let cpus = MilliCpus(if rng.chance(300) { 500 * rng.range(0, most) } else { 0 });
    let guarantee = Resources { cpus, ..Resources::default() };
    let quota = Box::new(Quota { guarantee, limit });
    RolesCall::SetQuota { role, quota, force: rng.chance(300) }
}
