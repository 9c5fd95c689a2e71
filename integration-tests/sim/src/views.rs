//! What the master's readers know: a read model as the server keeps it, of what engines say changed. Decides nothing.

use std::collections::BTreeMap;

use proffer_master_engine::view::{AgentView, Change, FrameworkView, OfferOutcome, OfferView};
use proffer_proto_model::{AgentId, FrameworkId, OfferId};

/// What readers of the living master know.
#[derive(Debug, Default)]
pub struct Views {
    /// All agents.
    pub agents: BTreeMap<AgentId, AgentView>,
    /// All frameworks.
    pub frameworks: BTreeMap<FrameworkId, FrameworkView>,
    /// Offers that have not ended.
    pub offers: BTreeMap<OfferId, OfferView>,
    /// Offers made since they were taken, in the order in which they were made.
    made: Vec<OfferId>,
}

impl Views {
    /// Takes in what changed.
    pub fn take_in(&mut self, changes: Vec<Change>) {
        let mut made = Vec::new();
        for change in changes {
            match change {
                Change::Agent(view) => drop(self.agents.insert(view.id.clone(), *view)),
                Change::AgentRemoved(id) => drop(self.agents.remove(&id)),
                Change::Framework(view) => drop(self.frameworks.insert(view.id.clone(), *view)),
                Change::FrameworkRemoved(id) => drop(self.frameworks.remove(&id)),
                Change::Offer(view) if view.outcome == OfferOutcome::Outstanding => {
                    made.push(view.offer.id.clone());
                    self.offers.insert(view.offer.id.clone(), *view);
                }
                Change::Offer(view) => drop(self.offers.remove(&view.offer.id)),
                _ => {}
            }
        }
        // Ids are numbers in the order of the offers, and not all as long.
        made.sort_by_key(|id| (id.as_str().len(), id.clone()));
        self.made.extend(made);
    }

    /// The offers made since the last call that have not ended, in order.
    pub fn take_made(&mut self) -> Vec<OfferView> {
        let made = std::mem::take(&mut self.made);
        made.iter().filter_map(|id| self.offers.get(id)).cloned().collect()
    }
}
