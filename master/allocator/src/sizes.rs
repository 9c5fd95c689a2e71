//! The smallest offer worth making, for the cluster and for roles: what is left of an agent is kept together until it is
//! so much, and a smaller piece is filled up to it.

use proffer_proto_model::{Resources, Role};

use crate::allocator::Allocator;
use crate::client::Client;

impl Allocator {
    /// No offer of a role holds less than this of any countable kind, except where a limit or a guarantee of others
    /// leaves less beside a whole shape. Without a role for all roles that have none of their own; `None` for none.
    /// Ports and sets are ignored. Costs as much as there are frameworks concerned.
    pub fn set_min_offer(&mut self, role: Option<&Role>, least: Option<Resources>) {
        let countable = |least: Resources| Resources { ports: Default::default(), sets: Default::default(), ..least };
        let least = least.map(countable);
        self.has_min_offers |= least.is_some();
        match role {
            None => self.min_offer = least.unwrap_or_default(),
            Some(role) => {
                let slot = self.role_slot(role);
                if let Some(state) = self.roles.get_mut(slot) {
                    state.min_offer = least;
                }
                self.forget_idle_role(slot);
            }
        }
        let of_role = role.and_then(|role| self.roles.find(role));
        let concerned = self.clients.iter().filter(|(_, client)| of_role.is_none_or(|role| client.role == role));
        for client in concerned.map(|(slot, _)| slot).collect::<Vec<_>>() {
            let Some(least) = self.clients.get(client).map(|state| self.min_offer_of(state.role)) else { continue };
            if let Some(state) = self.clients.get_mut(client) {
                state.set_least(&least, &mut self.kinds);
                state.look_at_all();
            }
            self.refresh_client(client);
        }
    }

    /// The smallest offer of a role.
    pub(crate) fn min_offer_of(&self, role: usize) -> Resources {
        let own = self.roles.get(role).and_then(|role| role.min_offer.as_ref());
        own.unwrap_or(&self.min_offer).clone()
    }

    /// What is left is less than an offer to the client may be. Who has a part of the agent may get more in any step.
    pub(crate) fn is_too_small(&self, client: &Client, left: &Resources) -> bool {
        if !self.has_min_offers || client.has_part {
            return false;
        }
        let own = self.roles.get(client.role).and_then(|role| role.min_offer.as_ref());
        !left.contains(own.unwrap_or(&self.min_offer))
    }

    /// What has to be added to a first piece, as far as it is left and may be taken.
    pub(crate) fn filling(&self, client: usize, agent: usize, piece: &Resources, left: &Resources) -> Resources {
        let Some(state) = self.clients.get(client).filter(|_| self.has_min_offers) else { return Resources::default() };
        let lack = least_of(&self.min_offer_of(state.role).saturating_minus(piece), left);
        match self.room_on(state.node, agent, left) {
            Some(room) => room.cut(&lack, &self.kinds),
            None => lack,
        }
    }
}

/// Of each countable kind the lesser amount.
fn least_of(one: &Resources, other: &Resources) -> Resources {
    let of_other = |name: &String| other.scalars.get(name).copied().unwrap_or(0);
    let scalars = one.scalars.iter().map(|(name, amount)| (name.clone(), of_other(name).min(*amount)));
    let mut least = Resources {
        cpus: one.cpus.min(other.cpus),
        memory: one.memory.min(other.memory),
        disk: one.disk.min(other.disk),
        gpus: one.gpus.min(other.gpus),
        scalars: scalars.collect(),
        ..Resources::default()
    };
    least.normalize();
    least
}
