//! The answer as one record with stable JSON fields.

use std::collections::BTreeSet;

use proffer_proto_model::{Constraint, DemandItem, Resources};
use proffer_proto_wire::operator::{self, AnswerCount, offer_record, why_group};
use proffer_proto_wire::scheduler::{decline_reason, rescind};
use proffer_proto_wire::{batch, common, service};
use serde::Serialize;

use crate::CliError;
use crate::commands::lists::{OfferView, TaskView};
use crate::views::{JobView, ResourcesView, ServiceView, read};

/// Why something is not started, as JSON. Exactly one of the first three is there, or none for a framework.
#[derive(Debug, Serialize)]
pub(super) struct WhyView {
    pub service: Option<ServiceView>,
    pub job: Option<JobView>,
    pub task: Option<TaskView>,
    /// Absent when the master could not be asked: see `problem`.
    pub framework: Option<FrameworkView>,
    pub problem: Option<String>,
    /// Of a service or job only what is wanted for it, else all that the framework wants.
    pub wants: Vec<ItemView>,
    pub wants_left_out: u32,
    /// What the master does about it now.
    pub notes: Vec<String>,
    pub answers: Vec<OfferView>,
    pub answers_since_start: Vec<CountView>,
}

/// The framework as JSON.
#[derive(Debug, Serialize)]
pub(super) struct FrameworkView {
    pub framework_id: String,
    pub name: String,
    pub connected: bool,
    pub removing: bool,
    pub offers: u32,
    pub max_offers: u32,
    pub agents: u32,
}

/// One wanted shape as JSON.
#[derive(Debug, Serialize)]
pub(super) struct ItemView {
    pub role: String,
    pub shape: Option<ResourcesView>,
    pub count: Option<u32>,
    pub ports: u32,
    pub constraints: Vec<String>,
    pub offered: u32,
    pub launched: u32,
    pub blocks: Vec<String>,
    pub groups: Vec<GroupView>,
}

/// Agents with the same obstacle as JSON.
#[derive(Debug, Serialize)]
pub(super) struct GroupView {
    pub obstacle: String,
    pub agents: u32,
    pub hostnames: Vec<String>,
    pub message: String,
    pub constraint: Option<String>,
    pub missing: Option<ResourcesView>,
    pub missing_ports: u32,
    pub refused_ms: u64,
}

/// How often offers ended so, as JSON.
#[derive(Debug, Serialize)]
pub(super) struct CountView {
    pub outcome: String,
    pub reason: String,
    pub count: u64,
    pub held_ms: u64,
}

/// What the master said, or why it could not be asked.
type Asked = Result<operator::WhyResponse, CliError>;

impl WhyView {
    pub fn of_service(service: service::Service, asked: Asked) -> Result<Self, CliError> {
        let spec = service.spec.clone().unwrap_or_default();
        let mut view = Self::of_demand(asked, (&spec.resources, &spec.constraints, &spec.role))?;
        view.service = Some(ServiceView::new(service)?);
        Ok(view)
    }

    pub fn of_job(job: batch::Job, asked: Asked) -> Result<Self, CliError> {
        let spec = job.spec.clone().unwrap_or_default();
        let mut view = Self::of_demand(asked, (&spec.resources, &spec.constraints, &spec.role))?;
        view.job = Some(JobView::new(job)?);
        Ok(view)
    }

    /// Keeps of the framework's demand what is for this shape, under these rules, in this role (or any, when empty).
    fn of_demand(
        asked: Asked,
        (shape, rules, role): (&Option<common::Resources>, &[common::Constraint], &str),
    ) -> Result<Self, CliError> {
        let mut response = match asked {
            Ok(response) => response,
            Err(error) => return Ok(Self { problem: Some(error.to_string()), ..Self::empty() }),
        };
        let shape: Resources = read(shape.clone().unwrap_or_default())?;
        let mut is_first = true;
        response.items.retain(|item| {
            let Some(item) = &item.item else { return false };
            let of = Resources::try_from(item.shape.clone().unwrap_or_default());
            let is_it =
                of.is_ok_and(|of| of == shape) && item.constraints == rules && (role.is_empty() || item.role == role);
            // Two services of one shape have the same answer.
            is_it && std::mem::take(&mut is_first)
        });
        Self::of_master(response)
    }

    pub fn of_master(response: operator::WhyResponse) -> Result<Self, CliError> {
        let framework = FrameworkView {
            framework_id: response.framework_id,
            name: response.framework_name,
            connected: response.connected,
            removing: response.removing,
            offers: response.offers,
            max_offers: response.max_offers,
            agents: response.agents,
        };
        Ok(Self {
            framework: Some(framework),
            task: response.task.map(TaskView::new).transpose()?,
            wants: response.items.into_iter().map(ItemView::new).collect::<Result<_, _>>()?,
            wants_left_out: response.items_left_out,
            notes: response.notes,
            answers: response.answers.into_iter().map(OfferView::new).collect::<Result<_, _>>()?,
            answers_since_start: response.counts.into_iter().map(CountView::new).collect(),
            ..Self::empty()
        })
    }

    fn empty() -> Self {
        Self {
            service: None,
            job: None,
            task: None,
            framework: None,
            problem: None,
            wants: Vec::new(),
            wants_left_out: 0,
            notes: Vec::new(),
            answers: Vec::new(),
            answers_since_start: Vec::new(),
        }
    }
}

impl ItemView {
    fn new(item: operator::WhyItem) -> Result<Self, CliError> {
        let wire = item.item.unwrap_or_default();
        let shape = wire.shape.clone().map(|shape| ResourcesView::new(Some(shape))).transpose()?;
        let DemandItem { role, shape: _, count, constraints, priority: _, ports } = read(wire)?;
        Ok(Self {
            role: role.into(),
            shape,
            count,
            ports,
            constraints: constraints.iter().map(Constraint::to_string).collect(),
            offered: item.offered,
            launched: item.launched,
            blocks: item.blocks,
            groups: item.groups.into_iter().map(GroupView::new).collect::<Result<_, _>>()?,
        })
    }
}

impl GroupView {
    fn new(group: operator::WhyGroup) -> Result<Self, CliError> {
        let obstacle = match group.obstacle() {
            why_group::Obstacle::Unspecified => "UNKNOWN",
            known => known.as_str_name(),
        };
        // Agents of one machine may share its name.
        let hostnames: BTreeSet<String> = group.hostnames.into_iter().collect();
        Ok(Self {
            obstacle: obstacle.to_owned(),
            agents: group.agents,
            hostnames: hostnames.into_iter().collect(),
            message: group.message,
            constraint: group.constraint.map(|wire| read(wire).map(|rule: Constraint| rule.to_string())).transpose()?,
            missing: group.missing.map(|missing| ResourcesView::new(Some(missing))).transpose()?,
            missing_ports: group.missing_ports,
            refused_ms: group.refused_ms,
        })
    }
}

impl CountView {
    fn new(counted: AnswerCount) -> Self {
        let (outcome, reason) = match counted.outcome() {
            offer_record::Outcome::Unspecified => ("UNKNOWN", ""),
            offer_record::Outcome::Outstanding => ("OUTSTANDING", ""),
            offer_record::Outcome::Accepted => ("ACCEPTED", ""),
            offer_record::Outcome::Declined => ("DECLINED", declined(counted.decline_reason())),
            offer_record::Outcome::Rescinded => ("RESCINDED", rescinded(counted.rescind_reason())),
        };
        Self { outcome: outcome.into(), reason: reason.into(), count: counted.count, held_ms: counted.held_ms }
    }
}

fn declined(reason: decline_reason::Kind) -> &'static str {
    match reason {
        decline_reason::Kind::Unspecified => "no reason given",
        decline_reason::Kind::NoDemand => "nothing wanted",
        decline_reason::Kind::ResourcesShort => "too small",
        decline_reason::Kind::Constraint => "constraint not met",
        decline_reason::Kind::BackOff => "backing off",
        decline_reason::Kind::Spread => "enough on this agent",
        decline_reason::Kind::Leftover => "left over",
        decline_reason::Kind::NotReady => "not ready",
        decline_reason::Kind::Other => "other",
    }
}

fn rescinded(reason: rescind::Reason) -> &'static str {
    match reason {
        rescind::Reason::Unspecified => "no reason given",
        rescind::Reason::Expired => "not answered in time",
        rescind::Reason::AgentLost => "agent lost",
        rescind::Reason::AgentChanged => "agent changed",
        rescind::Reason::DemandChanged => "demand changed",
        rescind::Reason::Operator => "operator",
        rescind::Reason::LostRace => "another was faster",
    }
}
