//! `proffer events` and `proffer offers --watch`: what happens in the cluster, one line for each change.

use std::io::{self, Write};

use proffer_proto_wire::operator::cluster_event::Event;
use proffer_proto_wire::operator::watch_request::Kind;
use proffer_proto_wire::operator::{ClusterEvent, WatchRequest};
use serde::Serialize;

use super::inverse::InverseOfferView;
use super::lists::{AgentView, FrameworkView, OfferView, TaskView};
use super::roles::RoleView;
use crate::args::{EventKind, EventsArgs};
use crate::client::Cluster;
use crate::output::{self, Format};
use crate::{CliError, Outcome};

/// An event as JSON, one on each line.
#[derive(Debug, Serialize)]
struct EventView {
    index: u64,
    #[serde(flatten)]
    event: Told,
}

/// Exactly one key, the kind of the event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Agent(Box<AgentView>),
    AgentRemoved(String),
    Framework(Box<FrameworkView>),
    FrameworkRemoved(String),
    Offer(Box<OfferView>),
    Task(Box<TaskView>),
    Role(Box<RoleView>),
    RoleRemoved(String),
    InverseOffer(Box<InverseOfferView>),
    SnapshotEnd(Empty),
}

/// `{}`
#[derive(Debug, Serialize)]
struct Empty {}

impl Told {
    fn new(event: Event) -> Result<Self, CliError> {
        Ok(match event {
            Event::Agent(agent) => Self::Agent(Box::new(AgentView::new(agent)?)),
            Event::AgentRemoved(id) => Self::AgentRemoved(id),
            Event::Framework(framework) => Self::Framework(Box::new(FrameworkView::new(framework)?)),
            Event::FrameworkRemoved(id) => Self::FrameworkRemoved(id),
            Event::Offer(offer) => Self::Offer(Box::new(OfferView::new(offer)?)),
            Event::Task(task) => Self::Task(Box::new(TaskView::new(task)?)),
            Event::Role(role) => Self::Role(Box::new(RoleView::new(role)?)),
            Event::InverseOffer(record) => Self::InverseOffer(Box::new(InverseOfferView::new(record))),
            Event::RoleRemoved(role) => Self::RoleRemoved(role),
            Event::SnapshotEnd(_) => Self::SnapshotEnd(Empty {}),
        })
    }

    /// For people; `None` for what they need not see.
    fn line(&self) -> Option<String> {
        Some(match self {
            Self::Agent(agent) => {
                let AgentView { agent_id, hostname, allocated, offered, .. } = &**agent;
                let state = agent.shown_state();
                let (used, offered) = (allocated.shown(), offered.shown());
                format!("agent      {hostname} ({agent_id}) {state}; used: {used}; offered: {offered}")
            }
            Self::AgentRemoved(id) => format!("agent      {id} FORGOTTEN"),
            Self::Framework(framework) => {
                let FrameworkView { framework_id, name, connected, tasks_active, wants, .. } = &**framework;
                let state = if *connected { "CONNECTED" } else { "DISCONNECTED" };
                format!("framework  {name} ({framework_id}) {state}; tasks: {tasks_active}; wants: {wants}")
            }
            Self::FrameworkRemoved(id) => format!("framework  {id} REMOVED"),
            Self::Offer(offer) => {
                let OfferView { offer_id, framework, hostname, outcome, held_ms, reason, .. } = &**offer;
                let what = offer.resources.shown();
                let after = if *outcome == "OUTSTANDING" { String::new() } else { format!(" after {held_ms} ms") };
                let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                format!("offer      {offer_id} {outcome}{after}{why}; {what} of {hostname} to {framework}")
            }
            Self::Task(task) => {
                let TaskView { task_id, framework, hostname, status, .. } = &**task;
                let state = status.as_ref().map(|s| s.shown_state()).unwrap_or_default();
                let message = status.as_ref().map_or("", |s| s.message.as_str());
                let colon = if message.is_empty() { "" } else { ": " };
                format!("task       {task_id} of {framework} on {hostname} {state}{colon}{message}")
            }
            Self::Role(role) => {
                let RoleView { role, tasks_active, allocated, .. } = &**role;
                format!("role       {role}; tasks: {tasks_active}; used: {}", allocated.shown())
            }
            Self::RoleRemoved(role) => format!("role       {role} FORGOTTEN"),
            Self::InverseOffer(view) => view.line(),
            Self::SnapshotEnd(_) => return None,
        })
    }
}

/// `proffer events`: what there is, and with `--follow` what changes from then on.
pub(crate) async fn run(cluster: &Cluster, format: Format, args: EventsArgs) -> Result<Outcome, CliError> {
    let EventsArgs { follow, kind, changes_only } = args;
    let kinds = kind.into_iter().map(|kind| match kind {
        EventKind::Agent => Kind::Agent.into(),
        EventKind::Framework => Kind::Framework.into(),
        EventKind::Offer => Kind::Offer.into(),
        EventKind::Task => Kind::Task.into(),
        EventKind::Role => Kind::Role.into(),
        EventKind::InverseOffer => Kind::InverseOffer.into(),
    });
    show(cluster, format, WatchRequest { kinds: kinds.collect(), changes_only }, follow || changes_only).await
}

/// `proffer offers --watch`: outstanding offers, then each as it is sent and as it ends.
pub(crate) async fn offers(cluster: &Cluster, format: Format) -> Result<Outcome, CliError> {
    let request = WatchRequest { kinds: vec![Kind::Offer.into()], changes_only: false };
    show(cluster, format, request, true).await
}

async fn show(cluster: &Cluster, format: Format, request: WatchRequest, follow: bool) -> Result<Outcome, CliError> {
    let failed = |error| CliError::remote("watch the cluster", error);
    let mut events = cluster.operator().await?.watch(request).await.map_err(failed)?.into_inner();
    while let Some(ClusterEvent { index, event }) = events.message().await.map_err(failed)? {
        // A kind this version does not know.
        let Some(event) = event else { continue };
        let view = EventView { index, event: Told::new(event)? };
        match format {
            Format::Json => json_line(&view)?,
            Format::Table => view.event.line().map_or(Ok(()), |line| output::say(&line.replace('\n', " ")))?,
        }
        if matches!(view.event, Told::SnapshotEnd(_)) && !follow {
            return Ok(Outcome::Good);
        }
    }
    Err(CliError::new("the master has ended the stream of events", "ask again"))
}

fn json_line(view: &EventView) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, view).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
