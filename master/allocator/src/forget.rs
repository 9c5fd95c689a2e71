//! What nobody needs any more is forgotten: clients of roles their framework has left, and roles that nobody uses. A
//! framework that goes through role after role leaves nothing behind. Never forgets what is held, wanted or set.

use proffer_proto_model::{FrameworkId, Role, Weight};

use crate::allocator::Allocator;
use crate::share::Amounts;
use crate::tree::{NodeId, Tree};

/// A client, never mistaken for a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientRef {
    pub slot: usize,
    /// Counts all clients ever made.
    pub serial: u64,
}

impl Allocator {
    /// The roles a framework is in now. What was counted of it in others is forgotten as soon as it wants and holds nothing
    /// there; of a framework whose roles were never given everything is kept until it ends. Unknown ones are ignored.
    pub fn set_roles(&mut self, id: &FrameworkId, roles: &[Role]) {
        let Some(slot) = self.frameworks.find(id) else { return };
        let Some(framework) = self.frameworks.get_mut(slot) else { return };
        framework.roles = Some(roles.iter().cloned().collect());
        for client in framework.clients.clone() {
            self.forget_idle_client(client);
        }
    }

    /// The roles that are known, with those above them, sorted; for checks.
    pub fn roles_known(&self) -> Vec<&Role> {
        self.roles.by_name().into_iter().map(|(role, _)| role).collect()
    }

    /// Places in the tree of roles, used ones and unused; for checks.
    pub fn places_made(&self) -> usize {
        self.tree.len()
    }

    /// Forgets a client of a role that its framework has left when it wants and holds nothing.
    pub(crate) fn forget_idle_client(&mut self, client: usize) {
        let Some(state) = self.clients.get(client) else { return };
        if state.uses > 0 || !state.items.is_empty() || self.tree.is_holding(state.node) {
            return;
        }
        let role = self.roles.get(state.role).map(|role| &role.name);
        let framework = self.frameworks.get(state.framework);
        let roles = framework.and_then(|framework| framework.roles.as_ref());
        if roles.zip(role).is_some_and(|(roles, role)| !roles.contains(role)) {
            self.forget_client(client);
        }
    }

    /// Forgets a client that holds nothing. Its number may be used again at once.
    pub(crate) fn forget_client(&mut self, client: usize) {
        self.forget_racer(client);
        self.clear_filters(client);
        self.count_needs(client, Vec::new());
        self.count_wanted(client, false);
        self.end_holds(client);
        self.lagging.remove(&client);
        let Some((framework, node, role)) = self.clients.get(client).map(|c| (c.framework, c.node, c.role)) else {
            return;
        };
        self.choose_classes(node);
        self.tree.remove(node);
        self.clients.remove(&(framework, role));
        if let Some(framework) = self.frameworks.get_mut(framework) {
            framework.clients.remove(&client);
        }
        self.forget_idle_role(role);
    }

    /// Forgets a role in which there is nobody and nothing, and for which nothing is set; then the one above likewise.
    pub(crate) fn forget_idle_role(&mut self, slot: usize) {
        let mut next = Some(slot);
        while let Some(state) = next.and_then(|slot| self.roles.get(slot)) {
            let is_plain = state.placement.is_none() && state.min_offer.is_none() && !state.is_optimistic;
            if !is_plain || state.pools > 0 || !self.tree.is_idle(state.node, state.own) {
                return;
            }
            let (name, node, own) = (state.name.clone(), state.node, state.own);
            for place in [own, node] {
                self.awake.remove(&place);
                self.forget_races_of(place);
                self.tree.remove(place);
            }
            self.roles.remove(&name);
            next = name.parent().and_then(|above| self.roles.find(&above));
        }
    }

    /// A role has a pool more on some agent, or one less.
    pub(crate) fn count_pool(&mut self, role: &Role, is_more: bool) {
        let Some(slot) = self.roles.find(role) else { return };
        if let Some(state) = self.roles.get_mut(slot) {
            state.pools = if is_more { state.pools + 1 } else { state.pools.saturating_sub(1) };
        }
        self.forget_idle_role(slot);
    }

    /// Who gave the agent back unused last, if it is still there.
    pub(crate) fn returned_by(&self, agent: usize) -> Option<usize> {
        let by = self.agents.get(agent)?.returned_by?;
        self.clients.get(by.slot).filter(|client| client.serial == by.serial).map(|_| by.slot)
    }
}

impl Tree {
    /// Something is held at a node or below.
    pub fn is_holding(&self, node: NodeId) -> bool {
        *self.held(node) != Amounts::default()
    }

    /// Nobody is in the role of a node or below, nothing is held, not even on agents that are away, kept or set there.
    fn is_idle(&self, role: NodeId, own: NodeId) -> bool {
        let is_gate_idle = self.gate(role).is_none_or(|gate| gate.limit.is_none() && !gate.is_promised());
        is_gate_idle
            && self.is_only_child(role, own)
            && self.weight_milli(role) == Weight::default().milli()
            && !self.has_away(role)
            && !self.has_kept(role)
            && !self.is_holding(role)
    }
}
