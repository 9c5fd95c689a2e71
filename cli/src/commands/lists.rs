//! `proffer agents`, `frameworks`, `offers` and `tasks`.

use proffer_proto_model::{AttributeValue, DeclineKind, DeclineReason, FrameworkInfo, Offer};
use proffer_proto_wire::operator::agent::Mode;
use proffer_proto_wire::operator::{self, AgentState, ListOffersRequest, offer_record};
use serde::Serialize;

use crate::args::{OffersArgs, TasksArgs};
use crate::client::Cluster;
use crate::output::{self, Format, age, when};
use crate::views::{ResourcesView, StatusView, read};
use crate::{CliError, Outcome};

/// How an agent is drained, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct DrainView {
    pub(crate) since_unix_ms: u64,
    pub(crate) max_grace_ms: Option<u64>,
    pub(crate) mark_gone: bool,
    pub(crate) was_deactivated: bool,
}

/// An agent as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct AgentView {
    pub(crate) agent_id: String,
    pub(crate) hostname: String,
    pub(crate) state: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) drain: Option<DrainView>,
    pub(crate) api_address: String,
    pub(crate) address: String,
    pub(crate) region: String,
    pub(crate) zone: String,
    pub(crate) version: String,
    pub(crate) attributes: std::collections::BTreeMap<String, String>,
    pub(crate) tasks_active: u32,
    pub(crate) total: ResourcesView,
    pub(crate) allocated: ResourcesView,
    pub(crate) offered: ResourcesView,
}

impl AgentView {
    pub(crate) fn new(agent: operator::Agent) -> Result<Self, CliError> {
        let mode = match agent.mode() {
            Mode::Unspecified | Mode::Active => "ACTIVE",
            Mode::Deactivated => "DEACTIVATED",
            Mode::Draining => "DRAINING",
            Mode::Drained => "DRAINED",
            Mode::Gone => "GONE",
        };
        let drain = agent.drain.map(|drain| {
            let operator::Drain { since_unix_ms, max_grace_ms, mark_gone, was_deactivated } = drain;
            DrainView { since_unix_ms, max_grace_ms, mark_gone, was_deactivated }
        });
        let state = match agent.state() {
            AgentState::Unspecified => "UNKNOWN",
            AgentState::Attached => "ATTACHED",
            AgentState::Detached => "DETACHED",
            AgentState::Unreachable => "UNREACHABLE",
        };
        let attribute = |wire| -> Result<(String, String), CliError> {
            let proffer_proto_model::Attribute { name, value } = read(wire)?;
            Ok(match value {
                AttributeValue::Text(text) => (name, text),
                AttributeValue::ScalarMilli(milli) => (name, proffer_proto_model::resources::format_milli(milli)),
            })
        };
        Ok(Self {
            agent_id: agent.agent_id,
            hostname: agent.hostname,
            state,
            mode,
            drain,
            api_address: agent.api_address,
            address: agent.address,
            region: agent.region,
            zone: agent.zone,
            version: agent.version,
            attributes: agent.attributes.into_iter().map(attribute).collect::<Result<_, _>>()?,
            tasks_active: agent.tasks_active,
            total: ResourcesView::new(agent.total)?,
            allocated: ResourcesView::new(agent.allocated)?,
            offered: ResourcesView::new(agent.offered)?,
        })
    }

    /// What operators want of it when that is not work, and whether it is there.
    pub(crate) fn shown_state(&self) -> String {
        match (self.mode, self.state) {
            ("ACTIVE", state) => state.to_owned(),
            ("GONE", _) => "GONE".to_owned(),
            (mode, "ATTACHED") => mode.to_owned(),
            (mode, state) => format!("{mode}, {state}"),
        }
    }

    /// One sentence for people.
    pub(super) fn told(&self) -> String {
        let state = self.shown_state();
        format!("agent {} ({}) is {state}, {} tasks run there", self.agent_id, self.hostname, self.tasks_active)
    }
}

pub(crate) async fn agents(cluster: &Cluster, format: Format) -> Result<Outcome, CliError> {
    let views: Result<Vec<AgentView>, _> = cluster.agents().await?.into_iter().map(AgentView::new).collect();
    let views = views?;
    if format == Format::Json {
        output::json(&views)?;
        return Ok(Outcome::Good);
    }
    let row = |agent: &AgentView| {
        [
            agent.agent_id.clone(),
            agent.hostname.clone(),
            agent.shown_state(),
            agent.api_address.clone(),
            agent.tasks_active.to_string(),
            agent.allocated.shown(),
            agent.total.shown(),
            agent.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(","),
        ]
    };
    let head = ["AGENT", "HOST", "STATE", "API", "TASKS", "USED", "TOTAL", "ATTRIBUTES"];
    output::table(head, views.iter().map(row).collect(), "no agents; start one with `proffer agent`")?;
    Ok(Outcome::Good)
}

/// A framework as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct FrameworkView {
    pub(crate) framework_id: String,
    pub(crate) name: String,
    pub(crate) principal: String,
    pub(crate) roles: Vec<String>,
    pub(crate) api_address: String,
    pub(crate) hostname: String,
    pub(crate) connected: bool,
    pub(crate) tasks_active: u32,
    pub(crate) wants: u64,
    pub(crate) share_millionths: u64,
    pub(crate) allocated: ResourcesView,
    pub(crate) offered: ResourcesView,
}

impl FrameworkView {
    pub(crate) fn new(framework: operator::Framework) -> Result<Self, CliError> {
        let info: FrameworkInfo = read(framework.info.unwrap_or_default())?;
        let items = framework.demand.unwrap_or_default().items;
        Ok(Self {
            framework_id: info.id.map(String::from).unwrap_or_default(),
            name: info.name,
            principal: info.principal,
            roles: info.roles.into_iter().map(String::from).collect(),
            api_address: info.api_address,
            hostname: info.hostname,
            connected: framework.connected,
            tasks_active: framework.tasks_active,
            wants: items.iter().map(|item| u64::from(item.count)).sum(),
            share_millionths: framework.share_millionths,
            allocated: ResourcesView::new(framework.allocated)?,
            offered: ResourcesView::new(framework.offered)?,
        })
    }
}

pub(crate) async fn frameworks(cluster: &Cluster, format: Format) -> Result<Outcome, CliError> {
    let views: Result<Vec<_>, _> = cluster.frameworks().await?.into_iter().map(FrameworkView::new).collect();
    let views = views?;
    if format == Format::Json {
        output::json(&views)?;
        return Ok(Outcome::Good);
    }
    let row = |framework: &FrameworkView| {
        let share = framework.share_millionths;
        [
            framework.framework_id.clone(),
            framework.name.clone(),
            if framework.connected { "CONNECTED" } else { "DISCONNECTED" }.to_owned(),
            framework.roles.join(","),
            framework.tasks_active.to_string(),
            framework.wants.to_string(),
            framework.allocated.shown(),
            format!("{}.{}%", share / 10_000, share % 10_000 / 1_000),
            framework.api_address.clone(),
        ]
    };
    let head = ["FRAMEWORK", "NAME", "STATE", "ROLES", "TASKS", "WANTS", "USED", "SHARE", "API"];
    output::table(head, views.iter().map(row).collect(), "no frameworks; start `proffer service` or `proffer batch`")?;
    Ok(Outcome::Good)
}

/// An offer as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct OfferView {
    pub(crate) offer_id: String,
    pub(crate) framework_id: String,
    pub(crate) framework: String,
    pub(crate) agent_id: String,
    pub(crate) hostname: String,
    pub(crate) role: String,
    pub(crate) outcome: &'static str,
    pub(crate) reason: String,
    pub(crate) sent_unix_ms: u64,
    pub(crate) held_ms: u64,
    pub(crate) resources: ResourcesView,
    /// Others may be offered the same: the first that uses it has it.
    pub(crate) is_optimistic: bool,
    /// When the agent is not there next; `null` when nothing is planned.
    pub(crate) unavailability: Option<UnavailabilityView>,
}

/// A time at which an agent is not there for tasks.
#[derive(Debug, Serialize)]
pub(crate) struct UnavailabilityView {
    pub(crate) start_unix_ms: u64,
    pub(crate) duration_ms: u64,
}

impl OfferView {
    pub(crate) fn new(record: operator::OfferRecord) -> Result<Self, CliError> {
        let outcome = match record.outcome() {
            offer_record::Outcome::Unspecified => "UNKNOWN",
            offer_record::Outcome::Outstanding => "OUTSTANDING",
            offer_record::Outcome::Accepted => "ACCEPTED",
            offer_record::Outcome::Declined => "DECLINED",
            offer_record::Outcome::Rescinded => "RESCINDED",
        };
        let reason = match (outcome, record.decline_reason.clone()) {
            ("DECLINED", Some(reason)) => decline_text(read(reason)?),
            ("RESCINDED", _) => record.rescind_reason().as_str_name().to_lowercase().replace('_', " "),
            _ => String::new(),
        };
        let wire = record.offer.unwrap_or_default();
        let resources = ResourcesView::new(wire.resources.clone())?;
        let offer: Offer = read(wire)?;
        Ok(Self {
            offer_id: offer.id.into(),
            framework_id: record.framework_id,
            framework: record.framework_name,
            agent_id: offer.agent.into(),
            hostname: offer.hostname,
            role: offer.role.into(),
            outcome,
            reason,
            sent_unix_ms: record.sent_unix_ms,
            held_ms: record.held_ms,
            resources,
            is_optimistic: offer.is_optimistic,
            unavailability: offer
                .unavailability
                .map(|planned| UnavailabilityView { start_unix_ms: planned.start.0, duration_ms: planned.duration_ms }),
        })
    }
}

/// Why an offer was declined, in words.
fn decline_text(reason: DeclineReason) -> String {
    let kind = match reason.kind {
        DeclineKind::Unspecified => String::new(),
        DeclineKind::NoDemand => "nothing wanted".to_owned(),
        DeclineKind::ResourcesShort { shortage } => format!("short of {shortage}"),
        DeclineKind::Constraint { constraint: Some(rule) } => {
            format!("constraint {rule}")
        }
        DeclineKind::Constraint { constraint: None } => "constraint".to_owned(),
        DeclineKind::BackOff => "backing off".to_owned(),
        DeclineKind::Spread => "enough on this agent".to_owned(),
        DeclineKind::Leftover => "left over".to_owned(),
        DeclineKind::NotReady => "not ready".to_owned(),
        DeclineKind::Other => "other".to_owned(),
    };
    match (kind.is_empty(), reason.message.is_empty()) {
        (true, _) => reason.message,
        (false, true) => kind,
        (false, false) => format!("{kind}: {}", reason.message),
    }
}

/// All offers as JSON.
#[derive(Debug, Serialize)]
struct OffersView {
    outstanding: Vec<OfferView>,
    history: Vec<OfferView>,
}

pub(crate) async fn offers(cluster: &Cluster, format: Format, args: OffersArgs) -> Result<Outcome, CliError> {
    let answer = cluster.operator().await?.list_offers(ListOffersRequest { history: args.history }).await;
    let answer = answer.map_err(|error| CliError::remote("list offers", error))?.into_inner();
    let views = |records: Vec<operator::OfferRecord>| -> Result<Vec<OfferView>, CliError> {
        records.into_iter().map(OfferView::new).collect()
    };
    let all = OffersView { outstanding: views(answer.outstanding)?, history: views(answer.history)? };
    if format == Format::Json {
        output::json(&all)?;
        return Ok(Outcome::Good);
    }
    let row = |offer: &OfferView| {
        [
            offer.offer_id.clone(),
            offer.framework.clone(),
            offer.hostname.clone(),
            offer.role.clone(),
            (if offer.is_optimistic { "optimistic" } else { "exclusive" }).to_owned(),
            offer.outcome.to_owned(),
            offer.resources.shown(),
            format!("{} ms", offer.held_ms),
            age(offer.sent_unix_ms),
            offer.unavailability.as_ref().map(|planned| when(planned.start_unix_ms)).unwrap_or_default(),
            offer.reason.clone(),
        ]
    };
    let head =
        ["OFFER", "FRAMEWORK", "HOST", "ROLE", "MODE", "OUTCOME", "RESOURCES", "HELD", "AGE", "GONE AT", "REASON"];
    let rows = all.outstanding.iter().chain(&all.history).map(row).collect();
    output::table(head, rows, "no offers: nobody wants anything")?;
    Ok(Outcome::Good)
}

/// A task as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct TaskView {
    pub(crate) framework_id: String,
    pub(crate) framework: String,
    pub(crate) task_id: String,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) agent_id: String,
    pub(crate) hostname: String,
    pub(crate) role: String,
    pub(crate) resources: ResourcesView,
    pub(crate) status: Option<StatusView>,
}

impl TaskView {
    pub(crate) fn new(task: operator::Task) -> Result<Self, CliError> {
        let spec = task.spec.unwrap_or_default();
        Ok(Self {
            framework_id: task.framework_id,
            framework: task.framework_name,
            task_id: spec.task_id,
            name: spec.name,
            image: spec.container.unwrap_or_default().image,
            agent_id: task.agent_id,
            hostname: task.hostname,
            role: task.role,
            resources: ResourcesView::new(spec.resources)?,
            status: task.status.map(StatusView::new).transpose()?,
        })
    }
}

/// A misspelt framework must not look like one without tasks.
async fn check_framework(cluster: &Cluster, wanted: &str) -> Result<(), CliError> {
    let frameworks = cluster.frameworks().await?;
    let is_wanted = |f: &operator::Framework| {
        f.info.as_ref().is_some_and(|info| info.framework_id == wanted || info.name == wanted)
    };
    if frameworks.iter().any(is_wanted) {
        return Ok(());
    }
    Err(CliError::new(format!("there is no framework {wanted:?}"), "see `proffer frameworks` for names and ids"))
}

pub(crate) async fn tasks(cluster: &Cluster, format: Format, args: TasksArgs) -> Result<Outcome, CliError> {
    let tasks = cluster.tasks(String::new(), args.all).await?;
    let views: Result<Vec<TaskView>, _> = tasks.into_iter().map(TaskView::new).collect();
    let mut views = views?;
    if let Some(wanted) = args.framework {
        check_framework(cluster, &wanted).await?;
        views.retain(|task| task.framework_id == wanted || task.framework == wanted);
    }
    if format == Format::Json {
        output::json(&views)?;
        return Ok(Outcome::Good);
    }
    let row = |task: &TaskView| {
        let status = task.status.as_ref();
        [
            task.task_id.clone(),
            task.framework.clone(),
            status.map(|s| s.shown_state()).unwrap_or_default(),
            task.image.clone(),
            task.hostname.clone(),
            task.resources.shown(),
            status.and_then(|s| s.pid).map(|pid| pid.to_string()).unwrap_or_default(),
            status.map(|s| age(s.unix_ms)).unwrap_or_default(),
            status.map(|s| s.message.clone()).unwrap_or_default(),
        ]
    };
    let head = ["TASK", "FRAMEWORK", "STATE", "IMAGE", "HOST", "RESOURCES", "PID", "SINCE", "MESSAGE"];
    output::table(head, views.iter().map(row).collect(), "no tasks")?;
    Ok(Outcome::Good)
}
