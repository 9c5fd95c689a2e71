//! Weights: how much a role's share counts beside the others'.

use std::collections::BTreeSet;

use proffer_proto_model::{Role, Weight};

use crate::state::State;

impl State {
    /// Every role is named once.
    pub(super) fn check_weights(&self, weights: &[(Role, Weight)]) -> Result<(), String> {
        if weights.is_empty() {
            return Err("weights: none is given; name a role and its weight".to_owned());
        }
        let mut seen = BTreeSet::new();
        match weights.iter().find(|(role, _)| !seen.insert(role)) {
            Some((twice, _)) => Err(format!("weights: role {twice} is there twice; give it once")),
            None => Ok(()),
        }
    }

    /// Sets weights. Setting what is there already stores nothing.
    pub(super) fn set_weights(&mut self, weights: &[(Role, Weight)]) {
        for (role, weight) in weights {
            if self.roles.get(role).map(|state| state.weight).unwrap_or_default() == *weight {
                continue;
            }
            self.with_role(role, |state| state.weight = *weight);
            self.allocator.set_weight(role, *weight);
            self.put_role(role);
        }
    }
}
