//! What became of the offers to each framework: the latest in full, all as counts. Bounded for each framework.

use std::collections::VecDeque;
use std::sync::Arc;

use proffer_master_engine::registry::TaskRecord;
use proffer_master_engine::view::{OfferOutcome, OfferView};
use proffer_proto_model::{DeclineKind, DeclineReason, FrameworkId, Resources};

use super::ReadModels;

/// Answers of one framework that are remembered in full.
const LATEST: usize = 100;

/// What became of the offers to one framework since this master started.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The latest, newest first.
    pub latest: VecDeque<Arc<OfferView>>,
    /// All of them by outcome and kind of reason, in the order in which each was first seen.
    pub counts: Vec<Count>,
}

/// How often offers ended so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// What became of them, the reason without its details.
    pub outcome: OfferOutcome,
    /// How often.
    pub count: u64,
    /// How long they were held in sum, in milliseconds.
    pub held_ms: u64,
}

impl Ledger {
    fn note(&mut self, offer: &Arc<OfferView>) {
        let outcome = without_details(&offer.outcome);
        match self.counts.iter_mut().find(|known| known.outcome == outcome) {
            Some(known) => {
                known.count += 1;
                known.held_ms = known.held_ms.saturating_add(offer.held_ms);
            }
            None => self.counts.push(Count { outcome, count: 1, held_ms: offer.held_ms }),
        }
        self.latest.push_front(Arc::clone(offer));
        self.latest.truncate(LATEST);
    }
}

/// The kinds only: there are few of them, however different the details are.
fn without_details(outcome: &OfferOutcome) -> OfferOutcome {
    match outcome {
        OfferOutcome::Outstanding => OfferOutcome::Outstanding,
        OfferOutcome::Accepted { .. } => OfferOutcome::Accepted { leftover: None, is_used: true },
        OfferOutcome::Rescinded(reason) => OfferOutcome::Rescinded(*reason),
        OfferOutcome::Declined(reason) => {
            let kind = match &reason.kind {
                DeclineKind::ResourcesShort { .. } => DeclineKind::ResourcesShort { shortage: Resources::default() },
                DeclineKind::Constraint { .. } => DeclineKind::Constraint { constraint: None },
                plain => plain.clone(),
            };
            OfferOutcome::Declined(DeclineReason::new(kind))
        }
    }
}

impl ReadModels {
    /// Counts an offer that has ended. One of a framework that is gone is not counted any more.
    pub(super) fn note_answer(&self, offer: &Arc<OfferView>) {
        if self.frameworks.contains_key(&offer.framework) {
            self.ledgers.entry(offer.framework.clone()).or_default().note(offer);
        }
    }

    /// What became of the offers to a framework.
    pub fn ledger(&self, framework: &FrameworkId) -> Ledger {
        self.ledgers.get(framework).map(|ledger| ledger.clone()).unwrap_or_default()
    }

    /// The tasks of that id, of whatever framework, those that live first.
    pub fn tasks_of_id(&self, task: &str) -> Vec<Arc<TaskRecord>> {
        let named = self.tasks.iter().filter(|entry| entry.key().task.as_str() == task);
        let mut found: Vec<_> = named.map(|entry| Arc::clone(entry.value())).collect();
        found.sort_by(|a, b| {
            let rank = |task: &TaskRecord| task.status.state.is_terminal();
            rank(a).cmp(&rank(b)).then_with(|| a.key.cmp(&b.key))
        });
        found
    }
}
