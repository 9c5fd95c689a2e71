//! A bound on the open grants of one framework, below that of all.

use proffer_proto_model::FrameworkId;

use crate::allocator::Allocator;

impl Allocator {
    /// Bounds the open grants of one framework, at most to what every framework may have. Grants that are open stay
    /// so.
    pub fn limit_grants(&mut self, id: &FrameworkId, most: usize) {
        let Some(slot) = self.frameworks.find(id) else { return };
        if let Some(framework) = self.frameworks.get_mut(slot) {
            framework.most_grants = most.min(self.max_grants);
            self.refresh_clients_of(slot);
        }
    }
}
