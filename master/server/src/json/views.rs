//! The bodies of the answers, with the field names of the command's `-o json`. Their schemas are made from them.

use std::collections::BTreeMap;

use proffer_master_engine::registry::TaskRecord;
use proffer_master_engine::view::{AgentState, AgentView, FrameworkView, OfferOutcome, OfferView};
use proffer_proto_model::resources::format_milli;
use proffer_proto_model::task::Protocol;
use proffer_proto_model::{AttributeValue, DeclineKind, DeclineReason, Resources, TaskStatus};
use schemars::JsonSchema;
use serde::Serialize;

use super::problem::ProblemBody;
use crate::clock::unix_now;
use crate::metrics::{decline_kind, rescind_kind};
use crate::read_models::{ClusterSummary, ReadModels};

/// An amount of resources; units are in the names.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ResourcesBody {
    /// CPUs in thousandths.
    cpus_milli: u64,
    memory_bytes: u64,
    disk_bytes: u64,
    gpus: u32,
    /// Host ports as ranges, e.g. 31000-31999; empty in sums over agents.
    ports: String,
    /// Other kinds in thousandths, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    scalars_milli: BTreeMap<String, u64>,
}

impl From<&Resources> for ResourcesBody {
    fn from(of: &Resources) -> Self {
        Self {
            cpus_milli: of.cpus.0,
            memory_bytes: of.memory.0,
            disk_bytes: of.disk.0,
            gpus: of.gpus,
            ports: of.ports.to_string(),
            scalars_milli: of.scalars.clone(),
        }
    }
}

/// The cluster in one view.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ClusterBody {
    /// Made at the master's first start.
    cluster_id: String,
    /// The master's generation.
    epoch: u64,
    /// Version of the master's software.
    version: String,
    /// When this master started, in milliseconds since 1970.
    started_unix_ms: u64,
    /// What attached agents have.
    total: ResourcesBody,
    /// What tasks hold of it.
    allocated: ResourcesBody,
    /// What is out in offers.
    offered: ResourcesBody,
    ports_total: u64,
    ports_allocated: u64,
    ports_offered: u64,
    agents_attached: u32,
    agents_detached: u32,
    frameworks_connected: u32,
    frameworks_disconnected: u32,
    /// Outstanding offers.
    offers: u32,
    /// Tasks that have not ended.
    tasks_active: u32,
}

impl From<ClusterSummary> for ClusterBody {
    fn from(of: ClusterSummary) -> Self {
        Self {
            cluster_id: of.cluster.to_string(),
            epoch: of.epoch.0,
            version: of.version.to_owned(),
            started_unix_ms: of.started.0,
            total: (&of.total).into(),
            allocated: (&of.allocated).into(),
            offered: (&of.offered).into(),
            ports_total: of.ports.total,
            ports_allocated: of.ports.allocated,
            ports_offered: of.ports.offered,
            agents_attached: of.agents_attached,
            agents_detached: of.agents_detached,
            frameworks_connected: of.frameworks_connected,
            frameworks_disconnected: of.frameworks_disconnected,
            offers: of.offers,
            tasks_active: of.tasks_active,
        }
    }
}

/// An agent.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AgentBody {
    agent_id: String,
    hostname: String,
    /// ATTACHED, DETACHED or UNREACHABLE.
    state: &'static str,
    /// Where its own API answers.
    api_address: String,
    /// Address at which published ports answer.
    address: String,
    region: String,
    zone: String,
    version: String,
    attributes: BTreeMap<String, String>,
    /// Tasks that have not ended.
    tasks_active: u32,
    total: ResourcesBody,
    allocated: ResourcesBody,
    offered: ResourcesBody,
}

impl AgentBody {
    pub(super) fn new(of: &AgentView) -> Self {
        let info = of.info.clone();
        let attributes = info.attributes.into_iter().map(|attribute| match attribute.value {
            AttributeValue::Text(text) => (attribute.name, text),
            AttributeValue::ScalarMilli(milli) => (attribute.name, format_milli(milli)),
        });
        Self {
            agent_id: of.id.to_string(),
            hostname: info.hostname,
            state: match of.state {
                AgentState::Attached => "ATTACHED",
                AgentState::Detached => "DETACHED",
                AgentState::Unreachable => "UNREACHABLE",
            },
            api_address: info.api_address,
            address: info.address,
            region: info.region,
            zone: info.zone,
            version: info.version,
            attributes: attributes.collect(),
            tasks_active: of.tasks_active,
            total: (&info.resources).into(),
            allocated: (&of.allocated).into(),
            offered: (&of.offered).into(),
        }
    }
}

/// A framework.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FrameworkBody {
    framework_id: String,
    name: String,
    principal: String,
    roles: Vec<String>,
    /// Where its own API answers.
    api_address: String,
    hostname: String,
    connected: bool,
    /// Tasks that have not ended.
    tasks_active: u32,
    /// How many shapes it still wants; what it wants without bound is not counted.
    wants: u64,
    /// Dominant share of the cluster in millionths.
    share_millionths: u64,
    allocated: ResourcesBody,
    offered: ResourcesBody,
}

impl FrameworkBody {
    pub(super) fn new(of: &FrameworkView) -> Self {
        let info = of.info.clone();
        Self {
            framework_id: of.id.to_string(),
            name: info.name,
            principal: info.principal,
            roles: info.roles.into_iter().map(String::from).collect(),
            api_address: info.api_address,
            hostname: info.hostname,
            connected: of.is_connected,
            tasks_active: of.tasks_active,
            wants: of.demand.items.iter().map(|item| u64::from(item.count.unwrap_or(0))).sum(),
            share_millionths: of.share_millionths,
            allocated: (&of.allocated).into(),
            offered: (&of.offered).into(),
        }
    }
}

/// Offers.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct OffersBody {
    /// Ordered by id.
    pub(super) outstanding: Vec<OfferBody>,
    /// Answered or withdrawn, newest first.
    pub(super) history: Vec<OfferBody>,
}

/// An offer and what became of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct OfferBody {
    offer_id: String,
    framework_id: String,
    /// Its name.
    framework: String,
    agent_id: String,
    hostname: String,
    role: String,
    /// OUTSTANDING, ACCEPTED, DECLINED or RESCINDED.
    outcome: &'static str,
    /// Kind of the decline or reason of the withdrawal, one word; empty otherwise.
    reason_kind: &'static str,
    /// The same in words, with what was missing.
    reason: String,
    /// In milliseconds since 1970.
    sent_unix_ms: u64,
    held_ms: u64,
    resources: ResourcesBody,
}

impl OfferBody {
    pub(super) fn new(of: &OfferView, readers: &ReadModels) -> Self {
        let (outcome, reason_kind, reason) = match &of.outcome {
            OfferOutcome::Outstanding => ("OUTSTANDING", "", String::new()),
            OfferOutcome::Accepted { .. } => ("ACCEPTED", "", String::new()),
            OfferOutcome::Declined(reason) => ("DECLINED", decline_kind(&reason.kind), decline_text(reason)),
            OfferOutcome::Rescinded(reason) => {
                let kind = rescind_kind(*reason);
                ("RESCINDED", kind, kind.replace('_', " "))
            }
        };
        let is_held = of.outcome == OfferOutcome::Outstanding;
        Self {
            offer_id: of.offer.id.to_string(),
            framework_id: of.framework.to_string(),
            framework: readers.framework_name(&of.framework),
            agent_id: of.offer.agent.to_string(),
            hostname: of.offer.hostname.clone(),
            role: of.offer.role.to_string(),
            outcome,
            reason_kind,
            reason,
            sent_unix_ms: of.sent.0,
            held_ms: if is_held { unix_now().0.saturating_sub(of.sent.0) } else { of.held_ms },
            resources: (&of.offer.resources).into(),
        }
    }
}

/// Why an offer was declined, in the words of the command.
fn decline_text(reason: &DeclineReason) -> String {
    let kind = match &reason.kind {
        DeclineKind::Unspecified => return reason.message.clone(),
        DeclineKind::NoDemand => "nothing wanted".to_owned(),
        DeclineKind::ResourcesShort { shortage } => format!("short of {shortage}"),
        DeclineKind::Constraint { constraint: Some(rule) } => {
            format!("constraint {} {:?} {}", rule.subject, rule.operator, rule.value)
        }
        DeclineKind::Constraint { constraint: None } => "constraint".to_owned(),
        DeclineKind::BackOff => "backing off".to_owned(),
        DeclineKind::Spread => "enough on this agent".to_owned(),
        DeclineKind::Leftover => "left over".to_owned(),
        DeclineKind::NotReady => "not ready".to_owned(),
        DeclineKind::Other => "other".to_owned(),
    };
    if reason.message.is_empty() { kind } else { format!("{kind}: {}", reason.message) }
}

/// A task.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TaskBody {
    framework_id: String,
    /// Its name.
    framework: String,
    task_id: String,
    name: String,
    image: String,
    agent_id: String,
    hostname: String,
    /// The role that pays for it.
    role: String,
    resources: ResourcesBody,
    status: StatusBody,
}

impl TaskBody {
    pub(super) fn new(of: &TaskRecord, readers: &ReadModels) -> Self {
        Self {
            framework_id: of.key.framework.to_string(),
            framework: readers.framework_name(&of.key.framework),
            task_id: of.key.task.to_string(),
            name: of.spec.name.clone(),
            image: of.spec.container.image.clone(),
            agent_id: of.agent.to_string(),
            hostname: readers.hostname(&of.agent),
            role: of.role.to_string(),
            resources: (&of.spec.resources).into(),
            status: (&of.status).into(),
        }
    }
}

/// The latest known status of a task.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StatusBody {
    /// E.g. RUNNING.
    state: String,
    reason: String,
    message: String,
    /// In milliseconds since 1970.
    unix_ms: u64,
    exit_code: Option<u32>,
    signal: Option<u32>,
    peak_memory_bytes: Option<u64>,
    pid: Option<u32>,
    container_id: Option<String>,
    address: Option<String>,
    ports: Vec<PortBody>,
}

/// A published port.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PortBody {
    name: String,
    host_address: String,
    host_port: u16,
    container_port: u16,
    /// tcp or udp.
    protocol: &'static str,
}

impl From<&TaskStatus> for StatusBody {
    fn from(of: &TaskStatus) -> Self {
        let container = of.container.as_ref();
        let ports = container.into_iter().flat_map(|c| c.ports.iter().map(move |port| (c, port)));
        let ports = ports.map(|(container, port)| PortBody {
            name: port.name.clone(),
            host_address: container.host_address.clone(),
            host_port: port.host_port,
            container_port: port.container_port,
            protocol: match port.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            },
        });
        Self {
            state: of.state.to_string(),
            reason: of.reason.to_string(),
            message: of.message.clone(),
            unix_ms: of.at.0,
            exit_code: of.exit_code,
            signal: of.signal,
            peak_memory_bytes: of.peak_memory_bytes,
            pid: container.map(|c| c.pid).filter(|pid| *pid > 0),
            container_id: container.map(|c| c.container_id.clone()),
            address: container.map(|c| c.address.clone()).filter(|address| !address.is_empty()),
            ports: ports.collect(),
        }
    }
}

/// One line of the event stream.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EventLine {
    /// Grows by one with every line.
    pub(super) index: u64,
    #[serde(flatten)]
    pub(super) event: EventBody,
}

/// What a line says: `event` names it, `data` holds it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub(super) enum EventBody {
    /// An agent is new or changed.
    Agent(AgentBody),
    /// An agent is forgotten: its id.
    AgentRemoved(String),
    /// A framework is new or changed.
    Framework(FrameworkBody),
    /// A framework is removed: its id.
    FrameworkRemoved(String),
    /// An offer was sent, or ended: accepted, declined or rescinded.
    Offer(OfferBody),
    /// A task is new or changed.
    Task(TaskBody),
    /// The snapshot is complete; what follows are changes.
    SnapshotEnd,
    /// Nothing happened for a while; the stream lives.
    Alive,
    /// The stream ends after this line.
    Error(ProblemBody),
}
