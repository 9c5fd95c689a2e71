//! Roles: what each holds, its weight and its quota. Settings are stored before they are answered.

mod holdings;
mod quota;
mod weight;

pub(crate) use holdings::RoleState;

use proffer_proto_model::{Quota, Role};

use crate::registry::{Operation, RoleRecord};
use crate::state::State;
use crate::{Effect, FatalError, RolesCall};

/// Least weight of a role.
const MIN_WEIGHT: u32 = 1;
/// Most weight of a role.
const MAX_WEIGHT: u32 = 1_000_000;

/// Why an operator's request is refused.
type Refusal = FatalError;

impl State {
    /// An operator asks for something about a role.
    pub fn roles_call(&mut self, now: proffer_proto_model::Now, request: u64, call: RolesCall) {
        let result = match call {
            RolesCall::SetWeight { role, weight } => self.set_weight(&role, weight),
            RolesCall::SetQuota { role, quota, force } => self.set_quota(now, &role, *quota, force),
            RolesCall::RemoveQuota { role } => self.remove_quota(&role),
        };
        self.send.push(Effect::OperatorReply { request, result });
    }

    /// Takes in what an earlier master stored about roles.
    pub fn recover_role(&mut self, record: RoleRecord) {
        let RoleRecord { role, weight, quota } = record;
        self.allocator.set_weight(&role, weight);
        //ALLOC self.allocator.set_quota(&role, &quota);
        self.with_role(&role, |state| (state.weight, state.quota) = (weight, quota));
    }

    /// Stores the settings of a role as they are now; defaults need no record.
    fn put_role(&mut self, role: &Role) {
        let settings = self.roles.get(role).map(|state| (state.weight, state.quota.clone()));
        let operation = match settings {
            Some((weight, quota)) if weight != MIN_WEIGHT || !quota.is_empty() => {
                Operation::PutRole(Box::new(RoleRecord { role: role.clone(), weight, quota }))
            }
            _ => Operation::DeleteRole(role.clone()),
        };
        self.store.push(operation);
    }

    fn quota_of(&self, role: &Role) -> Quota {
        self.roles.get(role).map(|state| state.quota.clone()).unwrap_or_default()
    }
}

fn refused<T>(message: String) -> Result<T, Refusal> {
    Err(FatalError { is_not_found: false, message })
}
