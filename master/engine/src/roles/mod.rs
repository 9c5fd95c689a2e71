//! Roles: what each holds, its weight and its quota. Settings are stored before they are answered.

mod away;
mod holdings;
mod policy;
mod quota;
mod weight;

pub(crate) use holdings::{RoleState, is_within};
pub use policy::PolicyChange;

use proffer_proto_model::{Now, Quota, Role, Weight};

use crate::registry::{Operation, RoleRecord};
use crate::state::State;
use crate::{Consequences, Effect, FatalError, RolesCall};

impl State {
    /// An operator asks for something about roles: all of it is done, or nothing.
    pub fn roles_call(&mut self, now: Now, request: u64, call: RolesCall, is_dry_run: bool) {
        let result = self.check_roles_call(&call).map(|()| Consequences::default());
        if result.is_ok() && !is_dry_run {
            match call {
                RolesCall::SetWeights { weights } => self.set_weights(&weights),
                RolesCall::SetQuota { role, quota, .. } => self.set_quota(now, &role, *quota),
                RolesCall::SetPolicy { role, change } => self.set_policy(&role, *change),
                RolesCall::RemoveQuota { role } => self.set_quota(now, &role, Quota::default()),
            }
        }
        self.send.push(Effect::OperatorReply { request, result });
    }

    /// Could it be done?
    pub fn check_roles_call(&self, call: &RolesCall) -> Result<(), FatalError> {
        let checked = match call {
            RolesCall::SetWeights { weights } => self.check_weights(weights),
            RolesCall::SetQuota { role, quota, force } => self.check_quota(role, quota, *force),
            RolesCall::SetPolicy { role, change } => self.check_policy(role, change),
            RolesCall::RemoveQuota { role } if self.quota_of(role).is_empty() => {
                let message = format!("role: {role} has no quota; `proffer quota list` shows the roles that have one");
                return Err(FatalError { is_not_found: true, message });
            }
            RolesCall::RemoveQuota { role } => self.check_roles_below(role, &Default::default()),
        };
        checked.map_err(|message| FatalError { is_not_found: false, message })
    }

    /// Takes in what an earlier master stored about roles.
    pub fn recover_role(&mut self, record: RoleRecord) {
        let RoleRecord { role, weight, quota, policy } = record;
        self.allocator.set_weight(&role, weight);
        self.allocator.set_quota(&role, Some(&quota).filter(|quota| !quota.is_empty()));
        self.with_role(&role, |state| (state.weight, state.quota) = (weight, quota));
        self.apply_policy(&role, policy);
    }

    /// Stores the settings of a role as they are now; defaults need no record.
    fn put_role(&mut self, role: &Role) {
        let settings = self.roles.get(role).map(|state| (state.weight, state.quota.clone(), state.policy.clone()));
        let operation = match settings {
            Some((weight, quota, policy)) if weight != Weight::default() || !quota.is_empty() || !policy.is_empty() => {
                Operation::PutRole(Box::new(RoleRecord { role: role.clone(), weight, quota, policy }))
            }
            _ => Operation::DeleteRole(role.clone()),
        };
        self.store.push(operation);
    }

    fn quota_of(&self, role: &Role) -> Quota {
        self.roles.get(role).map(|state| state.quota.clone()).unwrap_or_default()
    }
}
