//! How a role is offered what is free: which agents come first, and the smallest offer worth making.

use proffer_proto_model::{OfferMode, Placement, Resources, Role, RolePolicy};

use crate::state::State;

/// What an operator changes of a role's policy; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyChange {
    /// `Some(None)` for the cluster's.
    pub placement: Option<Option<Placement>>,
    /// `Some(None)` for the cluster's; empty amounts for none.
    pub min_offer: Option<Option<Resources>>,
    /// For offers made from now on.
    pub offers: Option<OfferMode>,
}

impl PolicyChange {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn of(&self, before: RolePolicy) -> RolePolicy {
        let Self { placement, min_offer, offers } = self.clone();
        RolePolicy {
            placement: placement.unwrap_or(before.placement),
            min_offer: min_offer.unwrap_or(before.min_offer),
            offers: offers.unwrap_or(before.offers),
        }
    }
}

impl State {
    pub(super) fn check_policy(&self, role: &Role, change: &PolicyChange) -> Result<(), String> {
        if change.is_empty() {
            return Err(format!(
                "placement: nothing of role {role} is to be changed; give a placement, a min_offer or offers"
            ));
        }
        change.of(self.policy_of(role)).check().map_err(|error| error.to_string())
    }

    /// Setting what is there already stores nothing. Offers that are out stay as they are.
    pub(super) fn set_policy(&mut self, role: &Role, change: PolicyChange) {
        let before = self.policy_of(role);
        let policy = change.of(before.clone());
        if policy != before {
            self.apply_policy(role, policy);
            self.put_role(role);
        }
    }

    /// Takes a policy in without storing it.
    pub(super) fn apply_policy(&mut self, role: &Role, policy: RolePolicy) {
        let before = self.policy_of(role);
        if policy.placement != before.placement {
            self.allocator.set_placement(role, policy.placement.clone());
            let of_role = self.frameworks.iter().filter(|(_, framework)| framework.record.info.roles.contains(role));
            let of_role = of_role.map(|(id, _)| id.clone()).collect();
            self.recount_places(&of_role);
        }
        if policy.min_offer != before.min_offer {
            self.allocator.set_min_offer(Some(role), policy.min_offer.clone());
        }
        if policy.offers != before.offers {
            self.allocator.set_optimistic(role, policy.offers == OfferMode::Optimistic);
        }
        self.with_role(role, |state| state.policy = policy);
    }

    fn policy_of(&self, role: &Role) -> RolePolicy {
        self.roles.get(role).map(|state| state.policy.clone()).unwrap_or_default()
    }
}
