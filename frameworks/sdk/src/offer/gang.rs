//! Tasks that start on several agents together or not at all.

use std::ops::Add;

use proffer_proto_model::{Operation, Role, TaskSpec};

use super::load::Load;
use super::{Answer, DoesNotFit, Launched, Offer};

/// Tasks on several offers that are launched together: all start or none does.
///
/// Add offers with their tasks, then [`Gang::launch`] it. A gang that is dropped before launches nothing, and its offers are
/// given back.
#[derive(Debug, Default)]
#[must_use = "a gang launches nothing before `launch` is called"]
pub struct Gang {
    offers: Vec<Offer>,
    is_launched: bool,
}

/// The offer does not become part of the gang. It is given back unchanged.
#[derive(Debug, thiserror::Error)]
pub enum NotAdded {
    /// The tasks do not fit.
    #[error("{reason}")]
    DoesNotFit {
        /// What is missing where.
        reason: DoesNotFit,
        /// The offer.
        offer: Box<Offer>,
    },
    /// All offers of a gang must be made for one role.
    #[error("offer {} is made for role {}, the gang for {expected}", offer.id(), offer.role())]
    OtherRole {
        /// The gang's role.
        expected: Role,
        /// The offer.
        offer: Box<Offer>,
    },
    /// Something was launched on the offer before.
    #[error("offer {} was used already; add it before anything is launched on it", offer.id())]
    Used {
        /// The offer.
        offer: Box<Offer>,
    },
}

impl Gang {
    /// A gang without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an offer and the tasks that shall start on its agent.
    pub fn add(&mut self, mut offer: Offer, tasks: Vec<TaskSpec>) -> Result<Vec<Launched>, NotAdded> {
        if !offer.operations.is_empty() {
            return Err(NotAdded::Used { offer: Box::new(offer) });
        }
        if let Some(first) = self.offers.first().filter(|first| first.role() != offer.role()) {
            return Err(NotAdded::OtherRole { expected: first.role().clone(), offer: Box::new(offer) });
        }
        let others = self.offers.iter().map(|offer| offer.load).fold(Load::default(), Load::add);
        let launched = offer.check_room(&tasks, others).and_then(|_| offer.launch_group(tasks));
        match launched {
            Ok(launched) => {
                self.offers.push(offer);
                Ok(launched)
            }
            Err(reason) => Err(NotAdded::DoesNotFit { reason, offer: Box::new(offer) }),
        }
    }

    /// Launches all of it when the event has been handled. A task is reported as [`crate::TaskState::Dropped`] when one
    /// of the offers is void by then, and so are all others.
    pub fn launch(mut self) {
        self.is_launched = true;
    }
}

impl Drop for Gang {
    fn drop(&mut self) {
        let mut all = Vec::new();
        for offer in &mut self.offers {
            for operation in offer.operations.drain(..) {
                if let Operation::LaunchGroup { tasks, .. } = operation {
                    all.extend(tasks);
                }
            }
        }
        // Without tasks, or not launched: each offer answers for itself that it was not used.
        let (true, false, Some(first)) = (self.is_launched, all.is_empty(), self.offers.first()) else { return };
        first.outbox.push(Answer {
            offers: self.offers.iter().map(|offer| offer.facts.id.clone()).collect(),
            operations: vec![Operation::LaunchGroup { operation_id: String::new(), tasks: all }],
            reason: None,
            filter: first.filter,
        });
        self.offers.iter_mut().for_each(|offer| offer.is_answered = true);
    }
}
