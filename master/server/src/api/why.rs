//! The operator's question "why is it not started?": finds the subject in the read models, asks the owner for what
//! stands against its framework's demand, and adds what the ledger knows.

use std::sync::Arc;

use proffer_master_engine::explain::{Explanation, Group, Missing, Obstacle, Why};
use proffer_master_engine::registry::TaskRecord;
use proffer_master_engine::view::OfferOutcome;
use proffer_proto_model::{AgentId, Bytes, FrameworkId, MilliCpus, Resources, Role};
use proffer_proto_transport::{ErrorKind, to_status};
use proffer_proto_wire::operator as wire;
use proffer_proto_wire::operator::offer_record::Outcome;
use proffer_proto_wire::operator::why_group;
use proffer_proto_wire::scheduler::DeclineReason;
use proffer_proto_wire::scheduler::rescind::Reason;
use tokio::sync::oneshot;
use tonic::Status;

use super::operator::{OperatorApi, rescinded};
use crate::owner::ToOwner;
use crate::read_models::{Count, Ledger};

/// Most answers of the framework in one answer.
const MAX_ANSWERS: usize = 20;

/// What was asked about.
struct Subject {
    framework: FrameworkId,
    task: Option<Arc<TaskRecord>>,
    role: Option<Role>,
}

impl OperatorApi {
    pub(super) async fn answer_why(&self, request: wire::WhyRequest) -> Result<wire::WhyResponse, Status> {
        let Subject { framework, task, role } = self.subject(request)?;
        let gone = || to_status(ErrorKind::Unavailable, "this master is stopping; try again");
        let (reply, answer) = oneshot::channel();
        self.owner.send(ToOwner::Why(framework, role, reply)).await.map_err(|_| gone())?;
        let why = answer.await.map_err(|_| gone())?.map_err(|error| {
            let kind = if error.is_not_found { ErrorKind::NotFound } else { ErrorKind::Invalid };
            to_status(kind, error.message)
        })?;
        Ok(self.why_response(why, task))
    }

    /// Finds the framework or task of that name.
    fn subject(&self, request: wire::WhyRequest) -> Result<Subject, Status> {
        let wire::WhyRequest { name, framework_id, role } = request;
        let invalid =
            |field: &str, error: &dyn std::fmt::Display| to_status(ErrorKind::Invalid, format!("{field}: {error}"));
        let role = Some(role).filter(|role| !role.is_empty()).map(Role::new).transpose();
        let role = role.map_err(|error| invalid("role", &error))?;
        let of = Some(framework_id).filter(|id| !id.is_empty()).map(FrameworkId::new).transpose();
        let of = of.map_err(|error| invalid("framework_id", &error))?;
        match (name.is_empty(), of) {
            (true, None) => Err(to_status(ErrorKind::Invalid, "name: is empty; give a task, or a framework")),
            (true, Some(framework)) => Ok(Subject { framework, task: None, role }),
            (false, of) => self.named(&name, of, role),
        }
    }

    fn named(&self, name: &str, of: Option<FrameworkId>, role: Option<Role>) -> Result<Subject, Status> {
        let frameworks = self.readers.frameworks();
        let is_named = |f: &&Arc<proffer_master_engine::view::FrameworkView>| {
            of.is_none() && (f.id.as_str() == name || f.info.name == name)
        };
        // Of several of one name the one that is there.
        if let Some(found) = frameworks.iter().filter(is_named).max_by_key(|f| f.is_connected) {
            return Ok(Subject { framework: found.id.clone(), task: None, role });
        }
        let mut tasks = self.readers.tasks_of_id(name);
        tasks.retain(|task| of.as_ref().is_none_or(|of| task.key.framework == *of));
        let Some(task) = tasks.into_iter().next() else {
            let message =
                format!("name: there is no task and no framework {name:?}; see the lists of tasks and frameworks");
            return Err(to_status(ErrorKind::NotFound, message));
        };
        let role = role.or_else(|| Some(task.role.clone()));
        let framework = task.key.framework.clone();
        if frameworks.iter().all(|known| known.id != framework) {
            let (state, reason) = (task.status.state, task.status.reason);
            let message = format!(
                "name: task {name} ended as {state} ({reason}), and its framework {framework} is gone; start that again"
            );
            return Err(to_status(ErrorKind::NotFound, message));
        }
        // The framework may have left the role meanwhile: then all it wants is of interest.
        let role = role.filter(|role| frameworks.iter().any(|f| f.id == framework && f.info.roles.contains(role)));
        Ok(Subject { framework, task: Some(task), role })
    }

    fn why_response(&self, why: Why, task: Option<Arc<TaskRecord>>) -> wire::WhyResponse {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let Why { framework, is_connected, is_removing, offers, max_offers, agents, items, items_left_out, notes } =
            why;
        let Ledger { latest, mut counts } = self.readers.ledger(&framework);
        counts.sort_by_key(|counted| std::cmp::Reverse(counted.count));
        wire::WhyResponse {
            framework_name: self.readers.framework_name(&framework),
            framework_id: framework.to_string(),
            connected: is_connected,
            removing: is_removing,
            task: task.map(|task| self.task(&task)),
            agents: count(agents),
            offers: count(offers),
            max_offers: count(max_offers),
            items: items.into_iter().map(|item| self.why_item(item)).collect(),
            items_left_out: count(items_left_out),
            notes,
            answers: latest.iter().take(MAX_ANSWERS).map(|offer| self.offer(offer)).collect(),
            counts: counts.into_iter().map(answer_count).collect(),
        }
    }

    fn why_item(&self, explanation: Explanation) -> wire::WhyItem {
        let Explanation { item, offered, launched, blocks, groups } = explanation;
        wire::WhyItem {
            item: Some(item.into()),
            offered,
            launched,
            blocks: blocks.iter().map(ToString::to_string).collect(),
            groups: groups.into_iter().map(|group| self.why_group(group)).collect(),
        }
    }

    fn why_group(&self, group: Group) -> wire::WhyGroup {
        use why_group::Obstacle as Kind;
        let message = group.to_string();
        let Group { obstacle, is_least: _, agents, examples } = group;
        let kind = match &obstacle {
            Obstacle::None => Kind::None,
            Obstacle::Inactive => Kind::Inactive,
            Obstacle::Constraint(_) | Obstacle::GpusKept => Kind::ConstraintNotMet,
            Obstacle::NeverFits(_) => Kind::NeverFits,
            Obstacle::Short(_) | Obstacle::Full | Obstacle::BelowMinimum => Kind::Short,
            Obstacle::Reserved | Obstacle::Kept => Kind::ReservedForOthers,
            Obstacle::OfferedToOthers => Kind::OfferedToOthers,
            Obstacle::OfferedToIt => Kind::OfferedToIt,
            Obstacle::Refused { .. } => Kind::Refused,
        };
        let mut told = wire::WhyGroup {
            obstacle: kind.into(),
            agents,
            hostnames: examples.iter().map(|agent| self.name_of(agent)).collect(),
            message,
            ..Default::default()
        };
        match obstacle {
            Obstacle::Constraint(rule) => told.constraint = Some(rule.into()),
            Obstacle::NeverFits(missing) | Obstacle::Short(missing) => {
                told.missing_ports = missing.ports;
                told.missing = Some(countable(&missing).into());
            }
            Obstacle::Refused { for_ms } => told.refused_ms = for_ms,
            Obstacle::None
            | Obstacle::Inactive
            | Obstacle::GpusKept
            | Obstacle::Full
            | Obstacle::BelowMinimum
            | Obstacle::Reserved
            | Obstacle::Kept
            | Obstacle::OfferedToOthers
            | Obstacle::OfferedToIt => {}
        }
        told
    }

    fn name_of(&self, agent: &AgentId) -> String {
        let hostname = self.readers.hostname(agent);
        if hostname.is_empty() { agent.to_string() } else { hostname }
    }
}

fn countable(missing: &Missing) -> Resources {
    let Missing { cpus_milli, memory_bytes, disk_bytes, gpus, ports: _, others: _ } = missing;
    Resources { disk: Bytes(*disk_bytes), gpus: *gpus, ..Resources::new(MilliCpus(*cpus_milli), Bytes(*memory_bytes)) }
}

fn answer_count(counted: Count) -> wire::AnswerCount {
    let Count { outcome, count, held_ms } = counted;
    let mut told = wire::AnswerCount { count, held_ms, ..Default::default() };
    let outcome = match outcome {
        OfferOutcome::Outstanding => Outcome::Outstanding,
        OfferOutcome::Accepted { .. } => Outcome::Accepted,
        OfferOutcome::Declined(reason) => {
            told.decline_reason = DeclineReason::from(reason).kind;
            Outcome::Declined
        }
        OfferOutcome::Rescinded(reason) => {
            let reason: Reason = rescinded(reason);
            told.rescind_reason = reason.into();
            Outcome::Rescinded
        }
    };
    told.outcome = outcome.into();
    told
}
