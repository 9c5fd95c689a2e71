//! Outcomes of operations on volumes, as frameworks hear them: pending when recorded, done or failed only when the agent
//! has said so, or cannot say it any more. Who waits is stored with the volume, and what nobody was there to hear is
//! stored with its framework, so that neither a new master nor an absent framework loses it.

use proffer_proto_model::{AgentId, FrameworkId, OperationOutcome};

use crate::ToFramework;
use crate::registry::{Awaited, Operation, Untold, VolumeRecord};
use crate::state::State;

/// An operation that is over.
pub(crate) type Settled = (Awaited, OperationOutcome, String);

impl VolumeRecord {
    /// Nobody waits for it any more: gives who did, with the outcome.
    pub(super) fn settle(&mut self, outcome: OperationOutcome, message: impl Into<String>) -> Option<Settled> {
        self.awaited.take().map(|awaited| (awaited, outcome, message.into()))
    }
}

impl State {
    /// Tells each framework that waits; one that is not there hears it when it comes back.
    pub(crate) fn tell_outcomes(&mut self, settled: impl IntoIterator<Item = Settled>) {
        for (Awaited { framework, operation_id }, outcome, message) in settled {
            let Some(known) = self.frameworks.get_mut(&framework) else { continue };
            if known.session.is_some() {
                self.tell_framework(&framework, ToFramework::OperationStatus { operation_id, outcome, message });
            } else {
                known.record.untold.push(Untold { operation_id, outcome, message });
                self.store.push(Operation::PutFramework(known.record.clone()));
            }
        }
    }

    /// Tells a framework that came back what it missed.
    pub(crate) fn tell_missed_outcomes(&mut self, id: &FrameworkId) {
        let Some(known) = self.frameworks.get_mut(id).filter(|known| !known.record.untold.is_empty()) else { return };
        let missed = std::mem::take(&mut known.record.untold);
        self.store.push(Operation::PutFramework(known.record.clone()));
        for Untold { operation_id, outcome, message } in missed {
            self.tell_framework(id, ToFramework::OperationStatus { operation_id, outcome, message });
        }
    }

    /// The agent never comes back: what was under way there cannot be done any more.
    pub(crate) fn fail_awaited(&mut self, agent: &AgentId, why: &str) {
        let Some(place) = self.agents.get_mut(agent) else { return };
        let each = place.record.volumes.iter_mut();
        let settled: Vec<Settled> = each.filter_map(|known| known.settle(OperationOutcome::Failed, why)).collect();
        self.tell_outcomes(settled);
    }
}
