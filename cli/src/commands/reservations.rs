//! `proffer reserve`, `unreserve` and `reservations`.

use std::collections::BTreeMap;

use proffer_proto_model::{Reserved, Role};
use proffer_proto_wire::operator::{Agent, ReserveRequest, UnreserveRequest};
use serde::Serialize;

use super::dry_run;
use crate::args::{ReserveArgs, UnreserveArgs};
use crate::client::Cluster;
use crate::output::{self, Format};
use crate::views::{ResourcesView, read};
use crate::{CliError, Outcome};

/// What is reserved on one agent under the same words, as JSON.
#[derive(Debug, Serialize)]
struct ReservationView {
    agent_id: String,
    hostname: String,
    role: String,
    refines: Vec<String>,
    resources: ResourcesView,
    labels: BTreeMap<String, String>,
    /// Set by the agent's own flags.
    is_static: bool,
    /// The framework with which it ends; null when it stays until somebody ends it.
    owner_framework_id: Option<String>,
}

pub(crate) async fn reserve(cluster: &Cluster, format: Format, args: ReserveArgs) -> Result<Outcome, CliError> {
    let agent = find(cluster, &args.agent).await?;
    let request = ReserveRequest {
        agent_id: agent.agent_id,
        role: args.role.into(),
        from_role: args.from.map(String::from).unwrap_or_default(),
        resources: Some(args.resources.0.clone().into()),
        labels: args.label.into_iter().collect(),
        dry_run: args.dry_run,
    };
    let answer = cluster.operator().await?.reserve(request).await;
    let answer = answer.map_err(|error| CliError::remote(&format!("reserve on {}", args.agent), error))?;
    if args.dry_run {
        let change = format!("{} would be reserved on {}", args.resources.0, args.agent);
        return dry_run::show(format, &change, answer.into_inner().consequences);
    }
    list_of(cluster, format, Some(&args.agent)).await
}

pub(crate) async fn unreserve(cluster: &Cluster, format: Format, args: UnreserveArgs) -> Result<Outcome, CliError> {
    let agent = find(cluster, &args.agent).await?;
    let (agent_id, resources) = (agent.agent_id, Some(args.resources.0.clone().into()));
    let (role, dry_run) = (args.role.into(), args.dry_run);
    let request = UnreserveRequest { agent_id, role, resources, force: args.force, dry_run };
    let answer = cluster.operator().await?.unreserve(request).await;
    let answer = answer.map_err(|error| CliError::remote(&format!("unreserve on {}", args.agent), error))?;
    if dry_run {
        let change = format!("{} would be given back on {}", args.resources.0, args.agent);
        return dry_run::show(format, &change, answer.into_inner().consequences);
    }
    list_of(cluster, format, Some(&args.agent)).await
}

pub(crate) async fn list(cluster: &Cluster, format: Format) -> Result<Outcome, CliError> {
    list_of(cluster, format, None).await
}

async fn list_of(cluster: &Cluster, format: Format, wanted: Option<&str>) -> Result<Outcome, CliError> {
    let mut agents = cluster.agents().await?;
    agents.retain(|agent| wanted.is_none_or(|wanted| is_it(agent, wanted)));
    let views: Result<Vec<Vec<ReservationView>>, CliError> = agents.into_iter().map(views).collect();
    let views: Vec<ReservationView> = views?.into_iter().flatten().collect();
    if format == Format::Json {
        output::json(&views)?;
        return Ok(Outcome::Good);
    }
    let row = |view: &ReservationView| {
        let labels = view.labels.iter().map(|(name, value)| format!("{name}={value}"));
        [
            view.agent_id.clone(),
            view.hostname.clone(),
            view.role.clone(),
            view.refines.join(" "),
            view.resources.shown(),
            match &view.owner_framework_id {
                Some(framework) => framework.clone(),
                None => (if view.is_static { "agent's flags" } else { "calls" }).to_owned(),
            },
            labels.collect::<Vec<_>>().join(","),
        ]
    };
    let head = ["AGENT", "HOST", "ROLE", "REFINES", "RESERVED", "SET BY", "LABELS"];
    output::table(head, views.iter().map(row).collect(), "nothing is reserved")?;
    Ok(Outcome::Good)
}

fn views(agent: Agent) -> Result<Vec<ReservationView>, CliError> {
    let view = |wire| {
        let Reserved { role, refines, resources, labels, is_static, owner } = read(wire)?;
        Ok(ReservationView {
            agent_id: agent.agent_id.clone(),
            hostname: agent.hostname.clone(),
            role: role.into(),
            refines: refines.into_iter().map(Role::into).collect(),
            resources: ResourcesView::new(Some(resources.into()))?,
            labels,
            is_static,
            owner_framework_id: owner.map(String::from),
        })
    };
    agent.reservations.iter().cloned().map(view).collect()
}

pub(super) fn is_it(agent: &Agent, wanted: &str) -> bool {
    agent.agent_id == wanted || agent.hostname == wanted
}

/// The one agent of that id or host name.
pub(super) async fn find(cluster: &Cluster, wanted: &str) -> Result<Agent, CliError> {
    let mut agents = cluster.agents().await?;
    agents.retain(|agent| is_it(agent, wanted));
    match <[Agent; 1]>::try_from(agents) {
        Ok([agent]) => Ok(agent),
        Err(agents) if agents.is_empty() => {
            Err(CliError::new(format!("there is no agent {wanted:?}"), "see `proffer agents`"))
        }
        Err(_) => {
            let message = format!("several agents have the host name {wanted:?}");
            Err(CliError::new(message, "name one by its id: `proffer agents`"))
        }
    }
}
