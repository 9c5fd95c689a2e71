//! `proffer roles`, `weights` and `quota`.

use proffer_proto_model::resources::format_milli;
use proffer_proto_model::{Quota, Role};
use proffer_proto_wire::operator::{
    self, ListRolesRequest, RemoveQuotaRequest, RoleWeight, SetQuotaRequest, SetWeightsRequest,
};
use serde::Serialize;

use crate::args::{QuotaArgs, QuotaCommand, QuotaSetArgs, WeightArg, WeightsArgs, WeightsCommand};
use crate::client::Cluster;
use crate::output::{self, Format};
use crate::views::{ResourcesView, read};
use crate::{CliError, Outcome};

/// A role as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct RoleView {
    pub(crate) role: String,
    weight_milli: u32,
    guarantee: ResourcesView,
    limit: LimitView,
    policy: PolicyView,
    pub(crate) allocated: ResourcesView,
    offered: ResourcesView,
    reserved: ResourcesView,
    unreachable: ResourcesView,
    pub(crate) tasks_active: u32,
    share_millionths: u64,
    frameworks: Vec<RoleFrameworkView>,
}

/// A framework in a role as JSON.
#[derive(Debug, Serialize)]
struct RoleFrameworkView {
    framework_id: String,
    name: String,
}

/// A limit as JSON; kinds that are not limited are left out.
#[derive(Debug, Serialize)]
struct LimitView {
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus_milli: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpus: Option<u32>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    scalars_milli: std::collections::BTreeMap<String, u64>,
    #[serde(skip)]
    shown: String,
}

/// How a role is offered what is free, as JSON; what is as for the cluster is left out.
#[derive(Debug, Serialize)]
struct PolicyView {
    #[serde(skip_serializing_if = "Option::is_none")]
    placement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_offer: Option<ResourcesView>,
    is_optimistic: bool,
    #[serde(skip)]
    shown: String,
}

impl PolicyView {
    fn new(policy: operator::RolePolicy) -> Result<Self, CliError> {
        let operator::RolePolicy { placement, min_offer, offers } = policy;
        let is_optimistic = offers == i32::from(operator::OfferMode::Optimistic);
        let min_offer = min_offer.map(|least| ResourcesView::new(Some(least))).transpose()?;
        let least = min_offer.as_ref().map(|least| match least.shown() {
            nothing if nothing == NOTHING => "no least amount".to_owned(),
            some => format!("at least {some}"),
        });
        let mode = is_optimistic.then(|| "optimistic".to_owned());
        let shown = placement.clone().into_iter().chain(least).chain(mode).collect::<Vec<_>>().join(", ");
        Ok(Self { placement, min_offer, is_optimistic, shown })
    }
}

impl RoleView {
    pub(crate) fn new(role: operator::Role) -> Result<Self, CliError> {
        let quota = role.quota.unwrap_or_default();
        let guarantee = ResourcesView::new(quota.guarantee.clone())?;
        let Quota { limit, .. } = read(quota)?;
        let policy = PolicyView::new(role.policy.unwrap_or_default())?;
        let framework = |operator::RoleFramework { framework_id, name }: operator::RoleFramework| RoleFrameworkView {
            framework_id,
            name,
        };
        Ok(Self {
            role: role.role,
            weight_milli: role.weight_milli,
            guarantee,
            limit: LimitView {
                shown: if limit.is_empty() { String::new() } else { limit.to_string() },
                cpus_milli: limit.cpus.map(|most| most.0),
                memory_bytes: limit.memory.map(|most| most.0),
                disk_bytes: limit.disk.map(|most| most.0),
                gpus: limit.gpus,
                scalars_milli: limit.scalars,
            },
            policy,
            allocated: ResourcesView::new(role.allocated)?,
            offered: ResourcesView::new(role.offered)?,
            reserved: ResourcesView::new(role.reserved)?,
            unreachable: ResourcesView::new(role.unreachable)?,
            tasks_active: role.tasks_active,
            share_millionths: role.share_millionths,
            frameworks: role.frameworks.into_iter().map(framework).collect(),
        })
    }

    fn has_quota(&self) -> bool {
        !self.limit.shown.is_empty() || self.guarantee.shown() != NOTHING
    }

    /// For a column: nothing promised is a dash.
    fn guarantee(&self) -> String {
        Some(self.guarantee.shown()).filter(|shown| shown != NOTHING).unwrap_or_default()
    }
}

/// How no resources are shown.
const NOTHING: &str = "nothing";

pub(super) async fn views(cluster: &Cluster) -> Result<Vec<RoleView>, CliError> {
    let answer = cluster.operator().await?.list_roles(ListRolesRequest {}).await;
    let roles = answer.map_err(|error| CliError::remote("list roles", error))?.into_inner().roles;
    roles.into_iter().map(RoleView::new).collect()
}

pub(super) async fn list_roles(cluster: &Cluster, format: Format) -> Result<Outcome, CliError> {
    let views = views(cluster).await?;
    if format == Format::Json {
        output::json(&views)?;
        return Ok(Outcome::Good);
    }
    let row = |role: &RoleView| {
        let share = role.share_millionths;
        [
            role.role.clone(),
            format_milli(role.weight_milli.into()),
            format!("{}.{}%", share / 10_000, share % 10_000 / 1_000),
            role.tasks_active.to_string(),
            role.allocated.shown(),
            role.offered.shown(),
            role.guarantee(),
            role.limit.shown.clone(),
            role.policy.shown.clone(),
            role.frameworks.iter().map(|framework| framework.name.as_str()).collect::<Vec<_>>().join(","),
        ]
    };
    let head = ["ROLE", "WEIGHT", "SHARE", "TASKS", "USED", "OFFERED", "GUARANTEE", "LIMIT", "POLICY", "FRAMEWORKS"];
    output::table(head, views.iter().map(row).collect(), "no roles: there are no frameworks and no settings")?;
    Ok(Outcome::Good)
}

pub(crate) async fn weights(cluster: &Cluster, format: Format, args: WeightsArgs) -> Result<Outcome, CliError> {
    match args.command {
        WeightsCommand::Set { weights, dry_run } => set_weights(cluster, format, weights, dry_run).await,
        WeightsCommand::List => list_weights(cluster, format).await,
    }
}

/// A weight as JSON.
#[derive(Debug, Serialize)]
struct WeightView {
    role: String,
    weight_milli: u32,
}

async fn list_weights(cluster: &Cluster, format: Format) -> Result<Outcome, CliError> {
    let default = proffer_proto_model::Weight::default().milli();
    let all = views(cluster).await?.into_iter().filter(|role| role.weight_milli != default);
    let views: Vec<WeightView> =
        all.map(|RoleView { role, weight_milli, .. }| WeightView { role, weight_milli }).collect();
    if format == Format::Json {
        output::json(&views)?;
        return Ok(Outcome::Good);
    }
    let rows = views.iter().map(|view| [view.role.clone(), format_milli(view.weight_milli.into())]).collect();
    output::table(["ROLE", "WEIGHT"], rows, "every role has the weight 1")?;
    Ok(Outcome::Good)
}

async fn set_weights(
    cluster: &Cluster,
    format: Format,
    weights: Vec<WeightArg>,
    dry_run: bool,
) -> Result<Outcome, CliError> {
    let wire =
        |WeightArg { role, weight }: &WeightArg| RoleWeight { role: role.to_string(), weight_milli: weight.milli() };
    let request = SetWeightsRequest { weights: weights.iter().map(wire).collect(), dry_run };
    let answer = cluster.operator().await?.set_weights(request).await;
    let answer = answer.map_err(|error| CliError::remote("set the weights", error))?;
    if format == Format::Json {
        let view = |WeightArg { role, weight }| WeightView { role: String::from(role), weight_milli: weight.milli() };
        output::json(&weights.into_iter().map(view).collect::<Vec<_>>())?;
        return Ok(Outcome::Good);
    }
    for WeightArg { role, weight } in &weights {
        let done = if dry_run { "would get" } else { "has" };
        output::say(&format!("role {role} {done} the weight {weight}"))?;
    }
    say_notes(&answer.into_inner().notes)
}

pub(crate) async fn quota(cluster: &Cluster, format: Format, args: QuotaArgs) -> Result<Outcome, CliError> {
    match args.command {
        QuotaCommand::Set(args) => set_quota(cluster, format, args).await,
        QuotaCommand::Show { role: Some(role) } => show_quota(cluster, format, &role).await,
        QuotaCommand::Show { role: None } | QuotaCommand::List => {
            let mut views = views(cluster).await?;
            views.retain(RoleView::has_quota);
            print_quotas(format, &views)
        }
        QuotaCommand::Remove { role, dry_run } => remove_quota(cluster, format, &role, dry_run).await,
    }
}

async fn set_quota(cluster: &Cluster, format: Format, args: QuotaSetArgs) -> Result<Outcome, CliError> {
    let quota = args.quota();
    let QuotaSetArgs { role, force, dry_run, .. } = args;
    let request = SetQuotaRequest { role: role.to_string(), quota: Some(quota.clone().into()), force, dry_run };
    let answer = cluster.operator().await?.set_quota(request).await;
    let answer = answer.map_err(|error| CliError::remote(&format!("set the quota of {role}"), error))?;
    if format == Format::Json {
        output::json(&views(cluster).await?.iter().find(|view| view.role == role.as_str()))?;
        return Ok(Outcome::Good);
    }
    let done = if dry_run { "would be" } else { "is" };
    let most = if quota.limit.is_empty() { "not limited".to_owned() } else { format!("limited to {}", quota.limit) };
    let promised = &quota.guarantee;
    output::say(&format!("role {role} {done} promised {promised} and {most}"))?;
    say_notes(&answer.into_inner().notes)
}

async fn show_quota(cluster: &Cluster, format: Format, role: &Role) -> Result<Outcome, CliError> {
    let mut views = views(cluster).await?;
    views.retain(|view| view.role == role.as_str());
    match views.first() {
        None => Err(CliError::new(format!("there is no role {role}"), "see `proffer roles` for those in use")),
        Some(view) if !view.has_quota() => {
            let help = format!("set one with `proffer quota set {role} --limit cpus=…`");
            Err(CliError::new(format!("role {role} has no quota"), help))
        }
        Some(view) if format == Format::Json => {
            output::json(view)?;
            Ok(Outcome::Good)
        }
        Some(_) => print_quotas(format, &views),
    }
}

fn print_quotas(format: Format, views: &[RoleView]) -> Result<Outcome, CliError> {
    if format == Format::Json {
        output::json(views)?;
        return Ok(Outcome::Good);
    }
    let row = |role: &RoleView| {
        [
            role.role.clone(),
            role.guarantee(),
            role.limit.shown.clone(),
            role.allocated.shown(),
            role.reserved.shown(),
            role.unreachable.shown(),
            role.offered.shown(),
        ]
    };
    let head = ["ROLE", "GUARANTEE", "LIMIT", "USED", "RESERVED", "UNREACHABLE", "OFFERED"];
    let empty = "no role has a quota; set one with `proffer quota set ROLE --guarantee cpus=…`";
    output::table(head, views.iter().map(row).collect(), empty)?;
    Ok(Outcome::Good)
}

/// What was removed, as JSON.
#[derive(Debug, Serialize)]
struct Removed<'a> {
    role: &'a str,
    dry_run: bool,
}

async fn remove_quota(cluster: &Cluster, format: Format, role: &Role, dry_run: bool) -> Result<Outcome, CliError> {
    let request = RemoveQuotaRequest { role: role.to_string(), dry_run };
    let answer = cluster.operator().await?.remove_quota(request).await;
    answer.map_err(|error| CliError::remote(&format!("remove the quota of {role}"), error))?;
    match format {
        Format::Json => output::json(&Removed { role: role.as_str(), dry_run })?,
        Format::Table if dry_run => output::say(&format!("the quota of role {role} would be removed"))?,
        Format::Table => output::say(&format!("role {role} has no quota any more"))?,
    }
    Ok(Outcome::Good)
}

/// What the master says looks like a mistake.
pub(super) fn say_notes(notes: &[String]) -> Result<Outcome, CliError> {
    notes.iter().try_for_each(|note| output::say(note))?;
    Ok(Outcome::Good)
}
