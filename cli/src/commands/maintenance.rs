//! `proffer maintenance`: windows in which agents take no work.

use std::collections::BTreeMap;

use proffer_proto_wire::operator::{
    self, ListMaintenanceRequest, RemoveMaintenanceRequest, ScheduleMaintenanceRequest,
};
use serde::Serialize;

use super::drain::pick;
use super::dry_run;
use super::inverse::{self, InverseOfferView};
use crate::args::{MaintenanceAddArgs, MaintenanceArgs, MaintenanceCommand};
use crate::client::Cluster;
use crate::output::{self, Format, span, when};
use crate::{CliError, Outcome};

/// A window as JSON.
#[derive(Debug, Serialize)]
struct WindowView {
    window_id: String,
    state: &'static str,
    agent_ids: Vec<String>,
    hostnames: Vec<String>,
    start_unix_ms: u64,
    duration_ms: u64,
    action: &'static str,
    max_grace_ms: Option<u64>,
    inverse_offers: Vec<InverseOfferView>,
}

impl WindowView {
    fn new(window: operator::MaintenanceWindow, hosts: &BTreeMap<String, String>) -> Self {
        Self {
            hostnames: window.agent_ids.iter().map(|id| hosts.get(id).unwrap_or(id).clone()).collect(),
            window_id: window.window_id,
            state: if window.open { "OPEN" } else { "PLANNED" },
            agent_ids: window.agent_ids,
            start_unix_ms: window.start_unix_ms,
            duration_ms: window.duration_ms,
            action: if window.deactivate_only { "DEACTIVATE" } else { "DRAIN" },
            max_grace_ms: window.max_grace_ms,
            inverse_offers: window.inverse_offers.into_iter().map(InverseOfferView::new).collect(),
        }
    }

    fn start(&self) -> String {
        when(self.start_unix_ms)
    }

    /// How many said what.
    fn answers(&self) -> String {
        let count = |answer: &str| self.inverse_offers.iter().filter(|view| view.answer == answer).count();
        let words = [("accepted", count("ACCEPTED")), ("declined", count("DECLINED")), ("silent", count("NONE"))];
        let told = words.iter().filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}"));
        told.collect::<Vec<_>>().join(", ")
    }
}

pub(crate) async fn run(cluster: &Cluster, format: Format, args: MaintenanceArgs) -> Result<Outcome, CliError> {
    match args.command {
        MaintenanceCommand::Add(args) => add(cluster, format, args).await,
        MaintenanceCommand::Requests { history } => inverse::run(cluster, format, history).await,
        MaintenanceCommand::Ls => list(cluster, format).await,
        MaintenanceCommand::Remove { window, dry_run } => {
            let request = RemoveMaintenanceRequest { window_id: window.clone(), dry_run };
            let answer = cluster.operator().await?.remove_maintenance(request).await;
            let answer = answer.map_err(|error| CliError::remote(&format!("remove window {window}"), error))?;
            if dry_run {
                let change = format!("window {window} would be taken back");
                return dry_run::show(format, &change, answer.into_inner().consequences);
            }
            match format {
                Format::Json => output::json(&serde_json::json!({ "window_id": window }))?,
                Format::Table => output::say(&format!("window {window} is taken back"))?,
            }
            Ok(Outcome::Good)
        }
    }
}

async fn add(cluster: &Cluster, format: Format, args: MaintenanceAddArgs) -> Result<Outcome, CliError> {
    let MaintenanceAddArgs { agents, start, duration, grace, deactivate, dry_run } = args;
    let known = cluster.agents().await?;
    let agent_ids = agents.iter().map(|wanted| pick(&known, wanted)).collect::<Result<_, _>>()?;
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let request = ScheduleMaintenanceRequest {
        agent_ids,
        start_unix_ms: start.unix_ms(),
        duration_ms: ms(duration),
        deactivate_only: deactivate,
        max_grace_ms: grace.map(ms),
        dry_run,
    };
    let answer = cluster.operator().await?.schedule_maintenance(request).await;
    let window = answer.map_err(|error| CliError::remote("plan the window", error))?.into_inner();
    if dry_run {
        let view = WindowView::new(window.clone(), &hosts(&known));
        let (hosts, start) = (view.hostnames.join(", "), view.start());
        let change = format!("a window of {hosts} would be planned from {start}");
        return dry_run::show(format, &change, window.consequences);
    }
    let view = WindowView::new(window, &hosts(&known));
    match format {
        Format::Json => output::json(&view)?,
        Format::Table => {
            let (id, hosts, start) = (&view.window_id, view.hostnames.join(", "), view.start());
            let seconds = view.duration_ms / 1_000;
            output::say(&format!("window {id} of {hosts}: from {start} for {}", span(seconds)))?;
        }
    }
    Ok(Outcome::Good)
}

async fn list(cluster: &Cluster, format: Format) -> Result<Outcome, CliError> {
    let hosts = hosts(&cluster.agents().await?);
    let answer = cluster.operator().await?.list_maintenance(ListMaintenanceRequest {}).await;
    let windows = answer.map_err(|error| CliError::remote("list windows", error))?.into_inner().windows;
    let views: Vec<WindowView> = windows.into_iter().map(|window| WindowView::new(window, &hosts)).collect();
    if format == Format::Json {
        output::json(&views)?;
        return Ok(Outcome::Good);
    }
    let row = |view: &WindowView| {
        [
            view.window_id.clone(),
            view.state.to_owned(),
            view.hostnames.join(","),
            view.start(),
            span(view.duration_ms / 1_000),
            view.action.to_owned(),
            view.answers(),
        ]
    };
    let head = ["WINDOW", "STATE", "HOSTS", "START", "DURATION", "ACTION", "ANSWERS"];
    output::table(head, views.iter().map(row).collect(), "no maintenance is planned")?;
    let asked: Vec<InverseOfferView> = views.into_iter().flat_map(|view| view.inverse_offers).collect();
    if !asked.is_empty() {
        output::say("")?;
        inverse::table(&asked, "")?;
    }
    Ok(Outcome::Good)
}

fn hosts(agents: &[operator::Agent]) -> BTreeMap<String, String> {
    agents.iter().map(|agent| (agent.agent_id.clone(), agent.hostname.clone())).collect()
}
