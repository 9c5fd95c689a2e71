//! The scheduler API: the calls of a framework and the events of the master.

use proffer_proto_wire::scheduler as wire;
use wire::call::Call as WireCall;
use wire::error::Kind as WireErrorKind;
use wire::event::Event as WireEvent;

use super::check::{self, Checked, Within};
use super::inverse::{inverse_offers, rescind_inverse};
use super::offer::rescind_reason;
use super::operation::{accept_from_wire, operation_id, operation_outcome};
use super::status::task_source;
use super::{Defect, MAX_ENTRIES, MAX_TEXT_BYTES, WireError};
use crate::task::KillPolicy;
use crate::{
    Accept, AgentId, ClusterId, DeclineReason, Demand, Epoch, Filter, FrameworkId, FrameworkInfo, InverseEnd,
    InverseOffer, InverseOfferId, InverseReply, Offer, OfferId, OperationOutcome, RescindReason, TaskId, TaskSource,
    TaskStatus,
};

/// What a framework says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchedulerCall {
    /// Joins, or comes back.
    Subscribe {
        /// Who.
        framework: FrameworkInfo,
        /// What it wants from the start.
        demand: Demand,
    },
    /// A new description of itself.
    Update(FrameworkInfo),
    /// All it wants now.
    Demand(Demand),
    /// Uses offers.
    Accept(Accept),
    /// Gives offers back.
    Decline {
        /// Which; never empty.
        offers: Vec<OfferId>,
        /// Why.
        reason: DeclineReason,
        /// How long not to see the same again.
        filter: Filter,
    },
    /// Ends a task.
    Kill {
        /// Which.
        task: TaskId,
        /// Its agent, if known.
        agent: Option<AgentId>,
        /// Overrides the task's own policy.
        policy: Option<KillPolicy>,
    },
    /// Confirms updates.
    Acknowledge(Vec<Acknowledgement>),
    /// Asks for the state of these tasks; empty for all.
    Reconcile(Vec<(TaskId, Option<AgentId>)>),
    /// Answers inverse offers.
    InverseReply(InverseReply),
    /// Ends the framework and its tasks.
    Teardown,
}

/// Confirms one update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The task.
    pub task: TaskId,
    /// The agent named in the status.
    pub agent: Option<AgentId>,
    /// The number in the status, from 1.
    pub seq: u64,
    /// The source in the status.
    pub source: TaskSource,
}

/// What the master says to a framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchedulerEvent {
    /// The answer to a subscription.
    Subscribed {
        /// Its id, to be kept.
        framework: FrameworkId,
        /// The master's generation.
        epoch: Epoch,
        /// A heartbeat comes at least this often, in milliseconds.
        heartbeat_interval_ms: u64,
        /// The cluster.
        cluster: ClusterId,
    },
    /// New offers.
    Offers(Vec<Offer>),
    /// Offers withdrawn.
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
    /// Something was refused.
    Error {
        /// What kind.
        kind: ErrorKind,
        /// What is wrong, where, and what to do.
        message: String,
        /// The stream ends after it.
        is_fatal: bool,
    },
    /// Calls come faster than the master takes them from one framework. None is lost: they wait in their order.
    TooFast {
        /// Send nothing for so long.
        retry_after_ms: u64,
        /// What is wrong and what to do.
        message: String,
    },
    /// The master is alive.
    Heartbeat,
}

/// Kinds of errors a framework is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
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
    /// The reader was too slow and was cut off.
    TooSlow,
    /// Something broke inside.
    Internal,
    /// The name belongs to another principal.
    Forbidden,
    /// Calls come too fast; [`SchedulerEvent::TooFast`] is how it is told.
    TooFast,
    /// The inverse offer is not known.
    UnknownInverseOffer,
    /// The inverse offer is over, or of an earlier master.
    StaleInverseOffer,
    /// The master knows as many frameworks as it may.
    Full,
}

check::same_enum!(error_kind: ErrorKind <-> WireErrorKind, unspecified None,
    [Invalid, UnknownFramework, Superseded, Removed, NotSubscribed, TooSlow, Internal, Forbidden, TooFast,
    UnknownInverseOffer, StaleInverseOffer, Full],
    "INVALID to FULL");

impl TryFrom<wire::Call> for SchedulerCall {
    type Error = WireError;

    fn try_from(wire::Call { call }: wire::Call) -> Result<Self, WireError> {
        match call {
            None => check::fail("", Defect::EmptyMessage),
            Some(WireCall::Subscribe(wire::Subscribe { framework, demand })) => Ok(Self::Subscribe {
                framework: check::convert("framework", framework).within("subscribe")?,
                demand: check::optional("demand", demand).within("subscribe")?.unwrap_or_default(),
            }),
            Some(WireCall::UpdateFramework(wire::UpdateFramework { framework })) => {
                Ok(Self::Update(check::convert("framework", framework).within("update_framework")?))
            }
            Some(WireCall::Demand(demand)) => Ok(Self::Demand(Demand::try_from(demand).within("demand")?)),
            Some(WireCall::Accept(accept)) => Ok(Self::Accept(accept_from_wire(accept).within("accept")?)),
            Some(WireCall::Decline(decline)) => {
                let (offers, reason, filter) = decline_from_wire(decline).within("decline")?;
                Ok(Self::Decline { offers, reason, filter })
            }
            Some(WireCall::Kill(kill)) => {
                let (task, agent, policy) = kill_from_wire(kill).within("kill")?;
                Ok(Self::Kill { task, agent, policy })
            }
            Some(WireCall::Acknowledge(acknowledge)) => {
                Ok(Self::Acknowledge(acknowledgements_from_wire(acknowledge).within("acknowledge")?))
            }
            Some(WireCall::Reconcile(reconcile)) => {
                Ok(Self::Reconcile(reconcile_from_wire(reconcile).within("reconcile")?))
            }
            Some(WireCall::InverseReply(reply)) => {
                Ok(Self::InverseReply(InverseReply::try_from(reply).within("inverse_reply")?))
            }
            Some(WireCall::Teardown(wire::Teardown {})) => Ok(Self::Teardown),
        }
    }
}

/// The offers, the reason and the filter of a Decline.
pub fn decline_from_wire(decline: wire::Decline) -> Result<(Vec<OfferId>, DeclineReason, Filter), WireError> {
    let wire::Decline { offer_ids, reason, filter } = decline;
    let unspecified = || DeclineReason::new(crate::DeclineKind::Unspecified);
    Ok((
        check::ids("offer_ids", &offer_ids)?,
        check::optional("reason", reason)?.unwrap_or_else(unspecified),
        check::optional("filter", filter)?.unwrap_or_default(),
    ))
}

/// The task, its agent and the policy of a Kill.
pub fn kill_from_wire(kill: wire::Kill) -> Result<(TaskId, Option<AgentId>, Option<KillPolicy>), WireError> {
    let wire::Kill { task_id, agent_id, kill_policy } = kill;
    Ok((
        check::id("task_id", &task_id)?,
        check::optional_id("agent_id", &agent_id)?,
        check::optional("kill_policy", kill_policy)?,
    ))
}

/// The updates an Acknowledge confirms.
pub fn acknowledgements_from_wire(acknowledge: wire::Acknowledge) -> Result<Vec<Acknowledgement>, WireError> {
    let wire::Acknowledge { acknowledgements } = acknowledge;
    check::list("acknowledgements", acknowledgements, MAX_ENTRIES)
}

/// The tasks a Reconcile asks for; empty for all.
pub fn reconcile_from_wire(reconcile: wire::Reconcile) -> Result<Vec<(TaskId, Option<AgentId>)>, WireError> {
    let wire::Reconcile { tasks } = reconcile;
    check::bounded("tasks", tasks.len(), MAX_ENTRIES)?;
    let each = tasks.into_iter().enumerate();
    each.map(|(at, wire::ReconcileTask { task_id, agent_id })| {
        let task = || Ok((check::id("task_id", &task_id)?, check::optional_id("agent_id", &agent_id)?));
        task().within(&format!("tasks[{at}]"))
    })
    .collect()
}

impl TryFrom<wire::Acknowledgement> for Acknowledgement {
    type Error = WireError;

    fn try_from(acknowledgement: wire::Acknowledgement) -> Result<Self, WireError> {
        let wire::Acknowledgement { task_id, agent_id, seq, source } = acknowledgement;
        if seq == 0 {
            return check::fail("seq", Defect::Zero);
        }
        Ok(Self {
            task: check::id("task_id", &task_id)?,
            agent: check::optional_id("agent_id", &agent_id)?,
            seq,
            source: task_source("source", source)?,
        })
    }
}

impl From<Acknowledgement> for wire::Acknowledgement {
    fn from(Acknowledgement { task, agent, seq, source }: Acknowledgement) -> Self {
        Self {
            task_id: task.into(),
            agent_id: agent.map(String::from).unwrap_or_default(),
            seq,
            source: proffer_proto_wire::common::TaskSource::from(source).into(),
        }
    }
}

impl SchedulerCall {
    /// A call on its way to the master.
    pub fn into_wire(self) -> wire::Call {
        let call = match self {
            SchedulerCall::Subscribe { framework, demand } => {
                WireCall::Subscribe(wire::Subscribe { framework: Some(framework.into()), demand: Some(demand.into()) })
            }
            SchedulerCall::Update(framework) => {
                WireCall::UpdateFramework(wire::UpdateFramework { framework: Some(framework.into()) })
            }
            SchedulerCall::Demand(demand) => WireCall::Demand(demand.into()),
            SchedulerCall::Accept(accept) => WireCall::Accept(accept.into()),
            SchedulerCall::Decline { offers, reason, filter } => WireCall::Decline(wire::Decline {
                offer_ids: offers.into_iter().map(String::from).collect(),
                reason: Some(reason.into()),
                filter: Some(filter.into()),
            }),
            SchedulerCall::Kill { task, agent, policy } => WireCall::Kill(wire::Kill {
                task_id: task.into(),
                agent_id: agent.map(String::from).unwrap_or_default(),
                kill_policy: policy.map(Into::into),
            }),
            SchedulerCall::Acknowledge(list) => WireCall::Acknowledge(wire::Acknowledge {
                acknowledgements: list.into_iter().map(Into::into).collect(),
            }),
            SchedulerCall::Reconcile(tasks) => {
                WireCall::Reconcile(wire::Reconcile { tasks: tasks.into_iter().map(reconcile_task).collect() })
            }
            SchedulerCall::InverseReply(reply) => WireCall::InverseReply(reply.into()),
            SchedulerCall::Teardown => WireCall::Teardown(wire::Teardown {}),
        };
        wire::Call { call: Some(call) }
    }
}

fn reconcile_task((task, agent): (TaskId, Option<AgentId>)) -> wire::ReconcileTask {
    wire::ReconcileTask { task_id: task.into(), agent_id: agent.map(String::from).unwrap_or_default() }
}

impl TryFrom<wire::Event> for SchedulerEvent {
    type Error = WireError;

    fn try_from(wire::Event { event }: wire::Event) -> Result<Self, WireError> {
        match event {
            None => check::fail("", Defect::EmptyMessage),
            Some(WireEvent::Subscribed(subscribed)) => subscribed_from(subscribed).within("subscribed"),
            Some(WireEvent::Offers(wire::Offers { offers })) => {
                Ok(Self::Offers(check::list("offers", offers, MAX_ENTRIES).within("offers")?))
            }
            Some(WireEvent::Rescind(wire::Rescind { offer_ids, reason })) => Ok(Self::Rescind {
                offers: check::ids("offer_ids", &offer_ids).within("rescind")?,
                reason: rescind_reason("reason", reason).within("rescind")?,
            }),
            Some(WireEvent::Status(wire::Status { statuses })) => {
                Ok(Self::Status(check::list("statuses", statuses, MAX_ENTRIES).within("status")?))
            }
            Some(WireEvent::OperationStatus(status)) => operation_status_from(status).within("operation_status"),
            Some(WireEvent::InverseOffers(offers)) => {
                Ok(Self::InverseOffers(inverse_offers(offers).within("inverse_offers")?))
            }
            Some(WireEvent::RescindInverse(rescind)) => {
                let (offers, end) = rescind_inverse(rescind).within("rescind_inverse")?;
                Ok(Self::RescindInverse { offers, end })
            }
            Some(WireEvent::AgentLost(wire::AgentLost { agent_id, hostname })) => Ok(Self::AgentLost {
                agent: check::id("agent_id", &agent_id).within("agent_lost")?,
                hostname: check::name("hostname", hostname).within("agent_lost")?,
            }),
            Some(WireEvent::Error(wire::Error { kind, message, fatal: false, retry_after_ms }))
                if kind == i32::from(WireErrorKind::TooFast) =>
            {
                let message = check::text("message", message, MAX_TEXT_BYTES).within("error")?;
                Ok(Self::TooFast { retry_after_ms, message })
            }
            Some(WireEvent::Error(wire::Error { kind, message, fatal, retry_after_ms: _ })) => Ok(Self::Error {
                kind: error_kind("kind", kind).within("error")?,
                message: check::text("message", message, MAX_TEXT_BYTES).within("error")?,
                is_fatal: fatal,
            }),
            Some(WireEvent::Heartbeat(wire::Heartbeat {})) => Ok(Self::Heartbeat),
        }
    }
}

fn subscribed_from(subscribed: wire::Subscribed) -> Checked<SchedulerEvent> {
    let wire::Subscribed { framework_id, epoch, heartbeat_interval_ms, cluster_id } = subscribed;
    Ok(SchedulerEvent::Subscribed {
        framework: check::id("framework_id", &framework_id)?,
        epoch: Epoch(epoch),
        heartbeat_interval_ms,
        cluster: check::id("cluster_id", &cluster_id)?,
    })
}

fn operation_status_from(status: wire::OperationStatus) -> Checked<SchedulerEvent> {
    let wire::OperationStatus { operation_id: id, outcome, message } = status;
    Ok(SchedulerEvent::OperationStatus {
        operation_id: operation_id("operation_id", id)?,
        outcome: operation_outcome("outcome", outcome)?,
        message: check::text("message", message, MAX_TEXT_BYTES)?,
    })
}

impl SchedulerEvent {
    /// An event on its way to a framework.
    pub fn into_wire(self) -> wire::Event {
        let event = match self {
            SchedulerEvent::Subscribed { framework, epoch, heartbeat_interval_ms, cluster } => {
                WireEvent::Subscribed(wire::Subscribed {
                    framework_id: framework.into(),
                    epoch: epoch.0,
                    heartbeat_interval_ms,
                    cluster_id: cluster.into(),
                })
            }
            SchedulerEvent::Offers(offers) => {
                WireEvent::Offers(wire::Offers { offers: offers.into_iter().map(Into::into).collect() })
            }
            SchedulerEvent::Rescind { offers, reason } => WireEvent::Rescind(wire::Rescind {
                offer_ids: offers.into_iter().map(String::from).collect(),
                reason: wire::rescind::Reason::from(reason).into(),
            }),
            SchedulerEvent::Status(statuses) => {
                WireEvent::Status(wire::Status { statuses: statuses.into_iter().map(Into::into).collect() })
            }
            SchedulerEvent::OperationStatus { operation_id, outcome, message } => {
                let outcome = wire::operation_status::Outcome::from(outcome).into();
                WireEvent::OperationStatus(wire::OperationStatus { operation_id, outcome, message })
            }
            SchedulerEvent::InverseOffers(offers) => WireEvent::InverseOffers(wire::InverseOffers {
                inverse_offers: offers.into_iter().map(Into::into).collect(),
            }),
            SchedulerEvent::RescindInverse { offers, end } => WireEvent::RescindInverse(wire::RescindInverse {
                inverse_offer_ids: offers.into_iter().map(String::from).collect(),
                end: wire::rescind_inverse::End::from(end).into(),
            }),
            SchedulerEvent::AgentLost { agent, hostname } => {
                WireEvent::AgentLost(wire::AgentLost { agent_id: agent.into(), hostname })
            }
            SchedulerEvent::Error { kind, message, is_fatal } => {
                let kind = WireErrorKind::from(kind).into();
                WireEvent::Error(wire::Error { kind, message, fatal: is_fatal, retry_after_ms: 0 })
            }
            SchedulerEvent::TooFast { retry_after_ms, message } => {
                let kind = WireErrorKind::TooFast.into();
                WireEvent::Error(wire::Error { kind, message, fatal: false, retry_after_ms })
            }
            SchedulerEvent::Heartbeat => WireEvent::Heartbeat(wire::Heartbeat {}),
        };
        wire::Event { event: Some(event) }
    }
}
