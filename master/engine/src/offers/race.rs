//! Offers of the same resources to several frameworks: the first that uses its own wins, the others are told at once.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_allocator::GrantId;
use proffer_proto_model::{AgentId, Now, OfferId, RescindReason};

use crate::state::{OpenOffer, State};

impl State {
    /// Withdraws all offers of these resources. Before anything is taken of them, as they are counted as out in offers
    /// until then.
    pub fn end_races(&mut self, now: Now, agent: &AgentId, races: &BTreeSet<GrantId>, reason: RescindReason) {
        let offers = self.agents.get(agent).map(|agent| agent.offers.clone()).unwrap_or_default();
        for offer in offers {
            if self.offers.get(&offer).is_some_and(|open| races.contains(&open.race)) {
                self.rescind(now, &offer, reason);
            }
        }
    }

    /// The open offers of these, of each race only one: together they hold nothing twice.
    pub fn apart<'a>(&'a self, offers: &'a BTreeSet<OfferId>) -> impl Iterator<Item = &'a OpenOffer> {
        let mut seen = BTreeSet::new();
        offers.iter().filter_map(|id| self.offers.get(id)).filter(move |open| seen.insert(open.race))
    }

    /// Who races races for one thing, and no framework against itself.
    pub fn audit_races(&self, broken: &mut Vec<String>) {
        let mut races: BTreeMap<GrantId, Vec<(&OfferId, &OpenOffer)>> = BTreeMap::new();
        for (id, open) in &self.offers {
            races.entry(open.race).or_default().push((id, open));
        }
        for offers in races.values() {
            let Some(((first, one), others)) = offers.split_first() else { continue };
            let mut frameworks = BTreeSet::from([&one.framework]);
            for (id, other) in others {
                let is_same = one.offer.agent == other.offer.agent && one.offer.resources == other.offer.resources;
                if !is_same || !one.share.pools.is_empty() {
                    broken.push(format!("offers {first} and {id} race for different things"));
                }
                if !frameworks.insert(&other.framework) {
                    broken.push(format!("offer {id}: framework {} races against itself", other.framework));
                }
            }
        }
    }
}
