//! Everything the master's engine can ask for, in one closed enum.

use proffer_proto_model::{
    AgentId, ClusterId, Epoch, FrameworkId, InverseEnd, InverseOffer, InverseOfferId, Offer, OfferId, OperationOutcome,
    RescindReason, Role, TaskId, TaskKey, TaskReason, TaskSpec, TaskStatus, Volume, task::KillPolicy,
};

use crate::{Consequences, SessionId};

/// Something to do once the frame is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send to a framework's stream.
    ToFramework {
        /// Which stream.
        session: SessionId,
        /// What.
        message: ToFramework,
    },
    /// Send to an agent's stream.
    ToAgent {
        /// Which stream.
        session: SessionId,
        /// What.
        message: ToAgent,
    },
    /// End a stream after all that was sent to it.
    Close {
        /// Which stream.
        session: SessionId,
    },
    /// Answer an operator.
    OperatorReply {
        /// The server's number of the request.
        request: u64,
        /// What comes of it, or what is wrong and what to do.
        result: Result<Consequences, FatalError>,
    },
    /// Answer [`crate::OperatorCall::Why`].
    WhyReply {
        /// The server's number of the request.
        request: u64,
        /// What stands against it, or what is wrong with the question.
        answer: Box<Result<crate::explain::Why, FatalError>>,
    },
}

/// What a framework is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToFramework {
    /// The answer to a subscription.
    Subscribed {
        /// Its id, to be kept.
        framework: FrameworkId,
        /// This master's generation.
        epoch: Epoch,
        /// The cluster.
        cluster: ClusterId,
        /// A heartbeat comes at least this often.
        heartbeat_interval_ms: u64,
    },
    /// New offers.
    Offers(Vec<Offer>),
    /// Offers withdrawn for one reason.
    Rescind {
        /// Which.
        offers: Vec<OfferId>,
        /// Why.
        reason: RescindReason,
    },
    /// Task updates.
    Status(Vec<TaskStatus>),
    /// Outcome of an operation with an id.
    OperationStatus {
        /// The framework's id for it.
        operation_id: String,
        /// How it ended.
        outcome: OperationOutcome,
        /// Why.
        message: String,
    },
    /// Requests to leave agents.
    InverseOffers(Vec<InverseOffer>),
    /// Requests to leave agents that are over.
    RescindInverse {
        /// Which.
        offers: Vec<InverseOfferId>,
        /// Why.
        end: InverseEnd,
    },
    /// An agent is lost.
    AgentLost {
        /// Which.
        agent: AgentId,
        /// Its host name.
        hostname: String,
    },
    /// A call was refused. [`Effect::Close`] follows a fatal one.
    Error {
        /// What kind.
        kind: FrameworkErrorKind,
        /// What is wrong, where, and what to do.
        message: String,
        /// The stream ends after it.
        is_fatal: bool,
    },
    /// The master is alive.
    Heartbeat,
}

/// Kinds of errors a framework is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameworkErrorKind {
    /// A field is wrong.
    Invalid,
    /// The framework id is not known here.
    UnknownFramework,
    /// Another stream subscribed with this identity.
    Superseded,
    /// The framework was removed for good.
    Removed,
    /// Subscribe must come first, and once.
    NotSubscribed,
    /// The name, or the inverse offer, belongs to somebody else.
    Forbidden,
    /// The inverse offer is not known.
    UnknownInverseOffer,
    /// The inverse offer is over, or of an earlier master.
    StaleInverseOffer,
    /// The master knows as many frameworks as it may.
    Full,
}

/// An operator's request that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FatalError {
    /// It does not exist.
    pub is_not_found: bool,
    /// What is wrong and what to do.
    pub message: String,
}

/// What an agent is told. Every message carries the epoch on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToAgent {
    /// The answer to an attach.
    Attached {
        /// Its id, to be kept.
        agent: AgentId,
        /// The cluster.
        cluster: ClusterId,
        /// A ping comes at least this often.
        ping_interval_ms: u64,
    },
    /// Starts a task. Sent again after an attach that did not list it.
    Launch {
        /// Whose.
        framework: FrameworkId,
        /// What.
        task: Box<TaskSpec>,
        /// The role that pays.
        role: Role,
    },
    /// Ends a task.
    Kill {
        /// Whose.
        framework: FrameworkId,
        /// Which.
        task: TaskId,
        /// Overrides the task's own.
        policy: Option<KillPolicy>,
        /// Why.
        reason: TaskReason,
    },
    /// Confirms an update.
    Acknowledge {
        /// Whose.
        framework: FrameworkId,
        /// Which task.
        task: TaskId,
        /// Which update.
        seq: u64,
    },
    /// Tasks the master believes the agent has.
    Expect(Vec<TaskKey>),
    /// Makes a volume. Sent again after an attach that did not list it.
    CreateVolume(Volume),
    /// Destroys a volume and its data. Sent again until the agent said that it is gone.
    DestroyVolume {
        /// Its number.
        number: u64,
    },
    /// Answer with a pong.
    Ping,
    /// Not wanted; [`Effect::Close`] follows.
    Refused {
        /// What is wrong and what to do.
        message: String,
        /// Coming back cannot help.
        is_final: bool,
    },
}
