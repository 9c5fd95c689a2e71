//! What roles hold on agents that are away: it may come back, so it counts for limits. It is no use to anybody now, so it
//! counts for no guarantee, and for nobody's share.

use proffer_proto_model::{Resources, Role};

use crate::allocator::Allocator;

impl Allocator {
    /// A role holds so much on agents that are away, or holds it there no more.
    pub fn count_away(&mut self, role: &Role, amount: &Resources, is_more: bool) {
        let slot = self.role_slot(role);
        let Some(node) = self.roles.get(slot).map(|role| role.node) else { return };
        let amounts = self.kinds.amounts(amount);
        self.tree.count_away(node, &amounts, is_more);
        if !is_more {
            self.forget_idle_role(slot);
        }
    }
}
