//! Everything that can happen to a scheduler, in one closed enum.

use std::collections::BTreeMap;

use proffer_proto_model::{
    AgentId, FrameworkId, InverseEnd, InverseOfferId, OfferId, OperationOutcome, RescindReason, TaskId, TaskStatus,
};

use crate::{InverseOffer, Offer};

/// What a scheduler stored in earlier runs: its own keys with their bytes, in order.
pub type StoredState = BTreeMap<String, Vec<u8>>;

/// Everything that can happen to a scheduler.
///
/// Order: [`Event::Started`] once and first. Then, for each connection, [`Event::Connected`], the updates that reconciliation
/// brings, [`Event::Reconciled`], and only then offers.
// Events live one at a time; a box around the most frequent one would only cost.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Event {
    /// The run begins; nothing is connected yet. The place to restore state and to set the first demand.
    Started {
        /// What was stored with [`crate::Context::store`] and not forgotten.
        stored: StoredState,
    },
    /// A master accepted the framework.
    Connected {
        /// Its id, the same for its whole life.
        framework: FrameworkId,
        /// The store did not hold this identity: it is the first connection of the framework's life, or its store was lost. In the
        /// second case tasks of earlier runs come as statuses before the first offers.
        is_new: bool,
    },
    /// The master is lost. The SDK connects again by itself; tasks keep running; offers held are void.
    Disconnected,
    /// The present state of all known tasks was delivered; offers follow.
    Reconciled {
        /// Tasks the master did not answer for in time (30 s); their updates come later.
        unanswered: Vec<TaskId>,
    },
    /// New offers. Those that are dropped are declined by themselves.
    Offers(Vec<Offer>),
    /// Offers were withdrawn. Launches on them are reported as [`crate::TaskState::Dropped`].
    Rescinded {
        /// Which; offers that were answered already are left out.
        offers: Vec<OfferId>,
        /// Why.
        reason: RescindReason,
    },
    /// Requests to leave agents by a time. The same may come again: after a reconnect, and when that was asked for.
    InverseOffers(Vec<InverseOffer>),
    /// Requests to leave are over; answers to them mean nothing any more.
    InverseRescinded {
        /// Which.
        offers: Vec<InverseOfferId>,
        /// Why.
        end: InverseEnd,
    },
    /// A task changed its state, or its present state was asked for. Acknowledged after the handler returned `Ok`.
    Status(TaskStatus),
    /// An operation with an id ended, or is under way: `Pending` of volumes is followed by `Done` or `Failed` once the
    /// agent has said so, also when the scheduler was away or the master was replaced meanwhile.
    OperationStatus {
        /// The id given to the operation.
        operation_id: String,
        /// How it ended, or stands.
        outcome: OperationOutcome,
        /// Why, when it was not done.
        message: String,
    },
    /// An agent is lost; each of its tasks gets a status of its own.
    AgentLost {
        /// Which.
        agent: AgentId,
        /// Its host name.
        hostname: String,
    },
    /// A time asked for with [`crate::Context::wake_at`] or [`crate::Context::wake_after`] has come.
    Wake,
    /// Something was refused and the run goes on.
    Error {
        /// What is wrong, where, and what to do.
        message: String,
    },
}
