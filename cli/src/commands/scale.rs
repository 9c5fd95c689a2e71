//! `proffer scale` and `proffer rm`.

use proffer_proto_transport::{ErrorKind, RemoteError};
use proffer_proto_wire::service::{RemoveRequest, ScaleRequest, WatchRequest};
use serde::Serialize;

use super::apply::{self, ChangeView};
use crate::args::{RmArgs, ScaleArgs};
use crate::client::Cluster;
use crate::output::{self, Format};
use crate::{CliError, Outcome};

pub(crate) async fn scale(cluster: &Cluster, format: Format, args: ScaleArgs) -> Result<Outcome, CliError> {
    let ScaleArgs { service, instances, wait } = args;
    let mut client = cluster.services().await?;
    let answer = client.scale(ScaleRequest { service: service.clone(), instances }).await;
    let change = answer.map_err(|error| CliError::remote(&format!("scale {service}"), error))?.into_inner().change;
    let changes: Vec<ChangeView> = change.into_iter().map(ChangeView::new).collect();
    apply::print(format, &changes)?;
    if !wait.no_wait {
        apply::wait(client, vec![service], wait.timeout).await?;
    }
    Ok(Outcome::Good)
}

/// What was removed, as JSON.
#[derive(Debug, Serialize)]
struct Removed {
    service: String,
    instances: u32,
}

pub(crate) async fn remove(cluster: &Cluster, format: Format, args: RmArgs) -> Result<Outcome, CliError> {
    let RmArgs { service, wait } = args;
    let mut client = cluster.services().await?;
    let what = format!("remove {service}");
    let answer = client.remove(RemoveRequest { service: service.clone() }).await;
    let instances = answer.map_err(|error| CliError::remote(&what, error))?.into_inner().instances;
    if !wait.no_wait {
        let gone = async {
            let mut stream = match client.watch(WatchRequest { service: service.clone() }).await {
                Ok(stream) => stream.into_inner(),
                Err(status) => return unless_gone(&what, status),
            };
            loop {
                match stream.message().await {
                    Ok(Some(_)) => {}
                    // The stream ends with the service.
                    Ok(None) => return Ok(()),
                    Err(status) => return unless_gone(&what, status),
                }
            }
        };
        tokio::time::timeout(wait.timeout, gone).await.map_err(|_| {
            CliError::new(format!("service {service} is still being removed"), format!("see `proffer ps {service}`"))
        })??;
    }
    match format {
        Format::Json => output::json(&Removed { service, instances })?,
        Format::Table => output::say(&format!("service {service} removed ({instances} instances ended)"))?,
    }
    Ok(Outcome::Good)
}

fn unless_gone(what: &str, status: tonic::Status) -> Result<(), CliError> {
    let error = RemoteError::from(status);
    if error.kind == ErrorKind::NotFound { Ok(()) } else { Err(CliError::remote(what, error)) }
}
