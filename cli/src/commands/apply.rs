//! `proffer apply`: brings the services and jobs of a file to their frameworks and waits until the services run.

use std::time::Duration;

use futures_util::future::try_join_all;
use proffer_proto_wire::service::services_client::ServicesClient;
use proffer_proto_wire::service::{ApplyRequest, Change, ServiceSpec, WatchRequest, change};
use serde::Serialize;
use tonic::transport::Channel;

use crate::args::ApplyArgs;
use crate::client::Cluster;
use crate::commands::job::{self, JobChange};
use crate::output::{self, Format};
use crate::progress::Bars;
use crate::spec;
use crate::views::ServiceView;
use crate::{CliError, Outcome};

/// What happened to a service, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct ChangeView {
    service: String,
    change: &'static str,
    instances_before: u32,
    instances_after: u32,
}

impl ChangeView {
    pub(crate) fn new(change: Change) -> Self {
        let kind = match change.kind() {
            change::Kind::Unspecified => "unknown",
            change::Kind::Created => "created",
            change::Kind::Updated => "updated",
            change::Kind::Scaled => "scaled",
            change::Kind::Unchanged => "unchanged",
        };
        let Change { service, kind: _, instances_before, instances_after } = change;
        Self { service, change: kind, instances_before, instances_after }
    }
}

/// Prints changes.
pub(crate) fn print(format: Format, changes: &[ChangeView]) -> Result<(), CliError> {
    if format == Format::Json {
        return output::json(changes);
    }
    let row = |change: &ChangeView| {
        let ChangeView { service, change, instances_before, instances_after } = change;
        let instances = if instances_before == instances_after {
            instances_after.to_string()
        } else {
            format!("{instances_before} -> {instances_after}")
        };
        [service.clone(), (*change).to_owned(), instances]
    };
    output::table(["SERVICE", "CHANGE", "INSTANCES"], changes.iter().map(row).collect(), "nothing to do")
}

/// One line of the answer, as JSON.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Applied {
    Service(ChangeView),
    Job(JobChange),
}

pub(crate) async fn run(cluster: &Cluster, format: Format, args: ApplyArgs) -> Result<Outcome, CliError> {
    let stack = spec::load(&args.file)?;
    if stack.services.is_empty() && stack.jobs.is_empty() {
        let fix = "add services below \"services:\" or jobs below \"jobs:\"";
        return Err(CliError::new(format!("{} has neither services nor jobs", args.file.display()), fix));
    }
    // Both are there before anything is changed.
    let batch = if stack.jobs.is_empty() { None } else { Some(cluster.batch().await?) };
    let services = if stack.services.is_empty() { None } else { Some(cluster.services().await?) };
    let names: Vec<String> = stack.services.iter().map(|service| service.name.clone()).collect();
    let mut applied = Vec::new();
    if let Some(mut client) = services.clone() {
        let services: Vec<ServiceSpec> = stack.services.into_iter().map(Into::into).collect();
        let request = ApplyRequest { services, dry_run: args.dry_run };
        let answer = client.apply(request).await.map_err(|error| CliError::remote("apply", error))?.into_inner();
        applied.extend(answer.changes.into_iter().map(|change| Applied::Service(ChangeView::new(change))));
    }
    if let Some(client) = batch {
        let changes = job::start_missing(client, stack.jobs, args.dry_run).await?;
        applied.extend(changes.into_iter().map(Applied::Job));
    }
    tell(format, applied)?;
    if let (Some(client), false, false) = (services, args.dry_run, args.wait.no_wait) {
        wait(client, names, args.wait.timeout).await?;
    }
    Ok(Outcome::Good)
}

fn tell(format: Format, applied: Vec<Applied>) -> Result<(), CliError> {
    if format == Format::Json {
        return output::json(&applied);
    }
    let (mut changes, mut jobs) = (Vec::new(), Vec::new());
    for one in applied {
        match one {
            Applied::Service(change) => changes.push(change),
            Applied::Job(job) => jobs.push(job.told()),
        }
    }
    if !changes.is_empty() {
        print(format, &changes)?;
    }
    jobs.iter().try_for_each(|line| output::say(line))
}

/// Waits until every service runs as wanted, with a bar for each.
pub(crate) async fn wait(
    client: ServicesClient<Channel>,
    names: Vec<String>,
    timeout: Duration,
) -> Result<(), CliError> {
    let bars = Bars::default();
    let each = names.into_iter().map(|name| wait_for(client.clone(), name, timeout, &bars));
    try_join_all(each).await.map(|_| ())
}

async fn wait_for(
    mut client: ServicesClient<Channel>,
    name: String,
    timeout: Duration,
    bars: &Bars,
) -> Result<(), CliError> {
    let bar = bars.counting(&name, 0);
    let mut last = String::new();
    let watched = async {
        let watch = format!("watch service {name}");
        let opened = client.watch(WatchRequest { service: name.clone() }).await;
        let mut stream = opened.map_err(|error| CliError::remote(&watch, error))?.into_inner();
        while let Some(service) = stream.message().await.map_err(|error| CliError::remote(&watch, error))? {
            let view = ServiceView::new(service)?;
            bar.set_length(view.wanted.into());
            bar.set_position(u64::try_from(view.done()).unwrap_or(u64::MAX));
            bar.set_message(output::clean(&view.message).into_owned());
            if view.is_complete() {
                bar.finish_with_message("running");
                return Ok(());
            }
            last = view.message;
        }
        Err(CliError::new(format!("the service framework stopped telling about {name}"), "see `proffer ps`"))
    };
    let Ok(result) = tokio::time::timeout(timeout, watched).await else {
        let why = if last.is_empty() { String::new() } else { format!(": {last}") };
        let seconds = timeout.as_secs();
        return Err(CliError::new(
            format!("service {name} is not complete after {}{why}", output::span(seconds)),
            format!("see `proffer ps {name}` and `proffer logs {name}`; it goes on being tried"),
        ));
    };
    result
}
