//! Requests to leave agents: those that are open, and the latest that are over with their answers. Bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use dashmap::DashMap;
use proffer_master_engine::view::InverseView;
use proffer_proto_model::InverseOfferId;

use super::{ReadModels, lock, sorted};

/// Requests that are over and remembered.
const HISTORY: usize = 1_000;

/// All requests readers may ask for.
#[derive(Debug, Default)]
pub(super) struct InverseOffers {
    open: DashMap<InverseOfferId, Arc<InverseView>>,
    over: Mutex<VecDeque<Arc<InverseView>>>,
}

impl InverseOffers {
    /// A request was sent, answered or is over.
    pub(super) fn apply(&self, view: Arc<InverseView>) {
        let id = view.offer.id.clone();
        if view.ended.is_none() {
            self.open.insert(id, view);
            return;
        }
        self.open.remove(&id);
        let mut over = lock(&self.over);
        over.push_front(view);
        over.truncate(HISTORY);
    }
}

impl ReadModels {
    /// Requests to leave that are open, ordered by id.
    pub fn inverse_offers(&self) -> Vec<Arc<InverseView>> {
        sorted(&self.inverse.open)
    }

    /// The latest requests to leave that are over, newest first.
    pub fn inverse_history(&self, most: usize) -> Vec<Arc<InverseView>> {
        lock(&self.inverse.over).iter().take(most).cloned().collect()
    }
}
