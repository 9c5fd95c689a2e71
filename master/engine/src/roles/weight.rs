//! Weights: how much a role's share counts beside the others'.

use proffer_proto_model::Role;

use super::{MAX_WEIGHT, MIN_WEIGHT, Refusal, refused};
use crate::state::State;

impl State {
    /// Sets a role's weight. Setting what is there already stores nothing.
    pub(super) fn set_weight(&mut self, role: &Role, weight: u32) -> Result<(), Refusal> {
        if !(MIN_WEIGHT..=MAX_WEIGHT).contains(&weight) {
            return refused(format!(
                "weight of role {role} is {weight}; give {MIN_WEIGHT} to {MAX_WEIGHT} ({MIN_WEIGHT} is what a role without a weight has)"
            ));
        }
        if self.roles.get(role).map_or(MIN_WEIGHT, |state| state.weight) != weight {
            self.with_role(role, |state| state.weight = weight);
            self.allocator.set_weight(role, weight);
            self.put_role(role);
        }
        Ok(())
    }
}
