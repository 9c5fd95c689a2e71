//! `proffer apply`: brings the services of a file to the service framework and waits until they run.

use std::time::Duration;

use futures_util::future::try_join_all;
use proffer_proto_wire::service::services_client::ServicesClient;
use proffer_proto_wire::service::{ApplyRequest, Change, ServiceSpec, WatchRequest, change};
use serde::Serialize;
use tonic::transport::Channel;

use crate::args::ApplyArgs;
use crate::client::Cluster;
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

pub(crate) async fn run(cluster: &Cluster, format: Format, args: ApplyArgs) -> Result<Outcome, CliError> {
    let stack = spec::load(&args.file)?;
    if stack.services.is_empty() {
        let fix = "add a service, or run its jobs with `proffer job run -f`";
        return Err(CliError::new(format!("{} has no services", args.file.display()), fix));
    }
    let mut client = cluster.services().await?;
    let services: Vec<ServiceSpec> = stack.services.into_iter().map(Into::into).collect();
    let names: Vec<String> = services.iter().map(|service| service.name.clone()).collect();
    let request = ApplyRequest { services, dry_run: args.dry_run };
    let answer = client.apply(request).await.map_err(|error| CliError::remote("apply", error))?.into_inner();
    let changes: Vec<ChangeView> = answer.changes.into_iter().map(ChangeView::new).collect();
    print(format, &changes)?;
    for job in &stack.jobs {
        eprintln!(
            "job {} is not started by apply; run it with `proffer job run -f FILE --name {}`",
            job.name, job.name
        );
    }
    if !args.dry_run && !args.wait.no_wait {
        wait(client, names, args.wait.timeout).await?;
    }
    Ok(Outcome::Good)
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
