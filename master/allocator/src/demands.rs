//! Frameworks come and go and say what they want. A client that may get something is wanting; one that has not been
//! tried on every agent since it may is lagging.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{Demand, DemandItem, FrameworkId, Role, Weight};

use crate::allocator::{Allocator, Framework, RoleState};
use crate::client::{Client, Tried};
use crate::quota::Need;
use crate::share::Amounts;

impl Allocator {
    /// Adds a framework, or makes a known one active or inactive. An inactive one gets nothing and has no filters.
    pub fn put_framework(&mut self, id: &FrameworkId, is_active: bool) {
        let slot = match self.frameworks.find(id) {
            Some(slot) => slot,
            None => {
                let framework = Framework {
                    id: id.clone(),
                    is_active,
                    grants_open: 0,
                    most_grants: self.max_grants,
                    grants_begun: 0,
                    clients: BTreeSet::new(),
                    held: Amounts::default(),
                    placement: None,
                    roles: None,
                };
                self.frameworks.insert(id.clone(), framework)
            }
        };
        let Some(framework) = self.frameworks.get_mut(slot) else { return };
        framework.is_active = is_active;
        if !is_active {
            for client in framework.clients.clone() {
                self.clear_filters(client);
            }
        }
        self.refresh_clients_of(slot);
    }

    /// Forgets a framework. All that was charged to it must have been recovered, all its grants closed.
    pub fn remove_framework(&mut self, id: &FrameworkId) {
        let Some((_, framework)) = self.frameworks.remove(id) else { return };
        for client in framework.clients {
            self.forget_client(client);
        }
    }

    /// The weight of a role beside its siblings, at any time; [`Weight::default`] when never set. Nothing that is
    /// granted is taken back.
    pub fn set_weight(&mut self, role: &Role, weight: Weight) {
        let slot = self.role_slot(role);
        if let Some(role) = self.roles.get(slot) {
            self.tree.set_weight(role.node, weight.milli());
        }
        self.forget_idle_role(slot);
    }

    /// All a framework wants now. Filters of a role end when more, or something else, is wanted of it.
    pub fn set_demand(&mut self, id: &FrameworkId, demand: &Demand) {
        let Some(framework) = self.frameworks.find(id) else { return };
        let mut by_role: BTreeMap<&Role, Vec<_>> = BTreeMap::new();
        for item in &demand.items {
            by_role.entry(&item.role).or_default().push(item.clone());
        }
        let named: BTreeSet<usize> = by_role.keys().map(|role| self.client_slot(framework, role)).collect();
        let all = self.frameworks.get(framework).map(|f| f.clients.clone()).unwrap_or_default();
        for gone in all.difference(&named) {
            self.replace_demand(*gone, Vec::new());
        }
        for (role, items) in by_role {
            let client = self.client_slot(framework, role);
            self.replace_demand(client, items);
        }
    }

    fn replace_demand(&mut self, client: usize, wanted: Vec<DemandItem>) {
        self.count_wanted(client, false);
        let least = self.clients.get(client).map(|state| self.min_offer_of(state.role)).unwrap_or_default();
        let Some(state) = self.clients.get_mut(client) else { return };
        let (has_news, compared) = state.replace_demand(wanted, &least, &mut self.kinds);
        self.shapes_compared += compared;
        let Some(state) = self.clients.get(client) else { return };
        let node = state.node;
        for item in state.items.iter().filter(|_| has_news) {
            if let Need::Shape(amounts) = &item.need {
                self.tree.note_task(amounts);
            }
        }
        self.count_wanted(client, true);
        self.choose_classes(node);
        if has_news {
            self.clear_filters(client);
        }
        self.end_holds(client);
        self.refresh_client(client);
        self.forget_idle_client(client);
    }

    /// Sorts all clients of a framework in: its cap or its being active changed.
    pub(crate) fn refresh_clients_of(&mut self, framework: usize) {
        for client in self.frameworks.get(framework).map(|f| f.clients.clone()).unwrap_or_default() {
            self.refresh_client(client);
        }
    }

    /// Sorts the client in among those that want something, and those not tried on every agent.
    pub(crate) fn refresh_client(&mut self, client: usize) {
        let Some(state) = self.clients.get_mut(client) else { return };
        let framework = self.frameworks.get(state.framework);
        let may_get = framework.is_some_and(|f| f.is_active && f.grants_open < f.most_grants);
        let missed = self.tree.gates_of(state.node).filter_map(|(_, gate)| gate.missed_from());
        let missed = missed.chain(self.tree.classes.missed_from()).min();
        let race_position = self.races.position_of(client);
        let raced = self.races.shown;
        let tried = Tried { position: self.position, looked: self.looked, race_position, raced };
        state.open_items(may_get, tried, missed);
        self.tree.set_wanting(state.node, state.is_wanting());
        if self.tree.has_gates && !state.needs.iter().eq(state.open_needs()) {
            let needs = state.open_needs().cloned().collect();
            self.count_needs(client, needs);
        }
        let Some(state) = self.clients.get(client) else { return };
        if state.looked_until().is_some() {
            self.lagging.insert(client);
        } else {
            self.lagging.remove(&client);
        }
        self.refresh_racer(client);
    }

    pub(crate) fn role_slot(&mut self, role: &Role) -> usize {
        if let Some(slot) = self.roles.find(role) {
            return slot;
        }
        let above = role.parent().map(|parent| self.role_slot(&parent));
        let above = above.and_then(|slot| self.roles.get(slot)).map(|parent| parent.node);
        let node = self.tree.add_role(above);
        let own = self.tree.add_own(node);
        self.roles.insert(
            role.clone(),
            RoleState {
                name: role.clone(),
                node,
                own,
                placement: None,
                min_offer: None,
                is_optimistic: false,
                pools: 0,
            },
        )
    }

    /// The framework in the role, if anything is known of it.
    pub(crate) fn find_client(&self, framework: &FrameworkId, role: &Role) -> Option<usize> {
        self.clients.find(&(self.frameworks.find(framework)?, self.roles.find(role)?))
    }

    pub(crate) fn client_slot(&mut self, framework: usize, role: &Role) -> usize {
        let role = self.role_slot(role);
        if let Some(slot) = self.clients.find(&(framework, role)) {
            return slot;
        }
        let slot = self.clients.next_slot();
        let Some(own) = self.roles.get(role).map(|role| role.own) else { return slot };
        let node = self.tree.add_client(own, slot);
        self.clients_made += 1;
        let slot = self.clients.insert((framework, role), Client::new(framework, role, node, self.clients_made));
        if let Some(framework) = self.frameworks.get_mut(framework) {
            framework.clients.insert(slot);
        }
        slot
    }
}
