//! `proffer ps`: services and their instances.

use proffer_proto_wire::service::ListRequest;

use crate::args::PsArgs;
use crate::client::Cluster;
use crate::output::{self, Format};
use crate::views::ServiceView;
use crate::{CliError, Outcome};

pub(crate) async fn run(cluster: &Cluster, format: Format, args: PsArgs) -> Result<Outcome, CliError> {
    let answer = cluster.services().await?.list(ListRequest {}).await;
    let services = answer.map_err(|error| CliError::remote("list services", error))?.into_inner().services;
    let views: Result<Vec<ServiceView>, _> = services.into_iter().map(ServiceView::new).collect();
    let mut views = views?;
    if let Some(name) = args.service {
        views.retain(|service| service.name == name);
        if views.is_empty() {
            return Err(CliError::new(format!("there is no service {name:?}"), "see `proffer ps` for all"));
        }
    }
    if format == Format::Json {
        output::json(&views)?;
        return Ok(Outcome::Good);
    }
    let head = ["INSTANCE", "STATE", "IMAGE", "HOST", "PORTS", "RESTARTS", "SINCE", "MESSAGE"];
    output::table(head, rows(&views), "no services; create some with `proffer apply -f stack.yaml`")?;
    Ok(Outcome::Good)
}

fn rows(services: &[ServiceView]) -> Vec<[String; 8]> {
    let mut rows = Vec::new();
    for service in services {
        if service.instances.is_empty() {
            let message = if service.message.is_empty() { "scaled to 0" } else { service.message.as_str() };
            let (name, image) = (service.name.clone(), service.image.clone());
            let none = String::new;
            rows.push([name, none(), image, none(), none(), none(), none(), message.to_owned()]);
        }
        for instance in &service.instances {
            let status = instance.status.as_ref();
            let waits = instance.back_off_until_unix_ms > 0;
            let state = status.map_or(if waits { "BACK-OFF" } else { "WAITING" }.to_owned(), |s| s.shown_state());
            let message = [
                status.map_or("", |status| status.message.as_str()),
                instance.last_failure.as_str(),
                service.message.as_str(),
            ];
            rows.push([
                format!("{}.{}", service.name, instance.slot),
                state,
                service.image.clone(),
                instance.hostname.clone(),
                status.map(|s| s.shown_ports()).unwrap_or_default(),
                instance.restarts.to_string(),
                status.map(|s| output::age(s.unix_ms)).unwrap_or_default(),
                message.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned(),
            ]);
        }
    }
    rows
}
