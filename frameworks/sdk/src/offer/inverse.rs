//! A request to leave an agent, as a value that is answered once. One that is dropped without an answer says nothing.

use std::fmt;

use proffer_proto_model as model;
use proffer_proto_model::{
    AgentId, Filter, InverseAnswer, InverseCause, InverseOfferId, InverseReply, MAX_REFUSE_MS, MIN_ASK_AGAIN_MS,
    Resources, TaskId, Unavailability, UnixMillis,
};

use super::Outbox;

/// A request to leave an agent by a time: a maintenance window comes, an operator drains it, or a role is short of what
/// it was promised.
///
/// It may be kept and answered in a later event while it is not over. The answer is only for operators to see: tasks
/// that are left when the time has come are ended by the master, and each gets a status of its own.
#[must_use = "an inverse offer that is dropped is not answered"]
pub struct InverseOffer {
    facts: model::InverseOffer,
    filter: Option<Filter>,
    outbox: Outbox,
}

impl InverseOffer {
    pub(crate) fn new(facts: model::InverseOffer, outbox: Outbox) -> Self {
        Self { facts, filter: None, outbox }
    }

    /// Its name, never used again.
    pub fn id(&self) -> &InverseOfferId {
        &self.facts.id
    }

    /// The agent.
    pub fn agent(&self) -> &AgentId {
        &self.facts.agent
    }

    /// The agent's host name.
    pub fn hostname(&self) -> &str {
        &self.facts.hostname
    }

    /// What the request is for.
    pub fn cause(&self) -> InverseCause {
        self.facts.cause
    }

    /// When the agent, or the room of these tasks, is taken away.
    pub fn unavailability(&self) -> Unavailability {
        self.facts.unavailability
    }

    /// How long is left, in milliseconds, at a time as [`crate::Context::unix_now`] tells it.
    pub fn time_left_ms(&self, now: UnixMillis) -> u64 {
        self.facts.unavailability.begins_in_ms(now)
    }

    /// The framework's tasks in question, in order, as they were when the request was made.
    pub fn tasks(&self) -> &[TaskId] {
        &self.facts.tasks
    }

    /// What those tasks hold.
    pub fn resources(&self) -> &Resources {
        &self.facts.resources
    }

    /// Why, in the master's words.
    pub fn message(&self) -> &str {
        &self.facts.message
    }

    /// The same request comes again after this many milliseconds when tasks are still there; at least 1,000. Without
    /// this it does not.
    pub fn ask_again_after(mut self, ms: u64) -> Self {
        self.filter = Some(Filter { refuse_ms: ms.clamp(MIN_ASK_AGAIN_MS, MAX_REFUSE_MS) });
        self
    }

    /// The framework will leave in time. The message tells operators how; it may be empty.
    pub fn accept(self, message: impl Into<String>) {
        self.answer(InverseAnswer::Accepted, message.into());
    }

    /// The framework does not leave by itself. The message tells operators why.
    pub fn decline(self, message: impl Into<String>) {
        self.answer(InverseAnswer::Declined, message.into());
    }

    fn answer(self, answer: InverseAnswer, message: String) {
        let Self { facts, filter, outbox } = self;
        outbox.push_inverse(InverseReply { offers: vec![facts.id], answer, message, filter });
    }
}

impl fmt::Debug for InverseOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model::InverseOffer { id, agent, cause, tasks, .. } = &self.facts;
        write!(f, "InverseOffer({id} of {agent}: {cause:?}, {} tasks)", tasks.len())
    }
}
