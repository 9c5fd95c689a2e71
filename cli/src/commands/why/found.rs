//! Finds a name among services and jobs. A framework that cannot be asked is remembered, not fatal: the master may know.

use proffer_proto_wire::{batch, service};
use tonic::Code;

use crate::CliError;
use crate::client::Cluster;

/// What has the name, with the id of its framework.
pub(super) enum Found {
    /// A service.
    Service {
        /// As its framework tells it.
        service: Box<service::Service>,
        /// Whose.
        framework: String,
    },
    /// A job.
    Job {
        /// With its attempts.
        job: Box<batch::Job>,
        /// Whose.
        framework: String,
    },
}

/// What looking brought.
#[derive(Default)]
pub(super) struct Looked {
    /// The service or job, if there is one.
    pub found: Option<Found>,
    /// Names of services and jobs, for near misses.
    pub names: Vec<String>,
    /// Why some could not be asked.
    pub not_asked: Vec<String>,
}

/// Looks among services, then among jobs.
pub(super) async fn look(cluster: &Cluster, name: &str) -> Result<Looked, CliError> {
    let mut looked = Looked::default();
    // Without a master nothing can be found: that is told as it is.
    let frameworks = cluster.frameworks().await?;
    let id = |wanted: &str| {
        let mut infos = frameworks.iter().filter(|f| f.connected).filter_map(|f| f.info.as_ref());
        infos.find(|info| info.name == wanted).map(|info| info.framework_id.clone())
    };
    let is_known = |wanted: &str| frameworks.iter().filter_map(|f| f.info.as_ref()).any(|info| info.name == wanted);
    match id("service") {
        Some(framework) => match services(cluster).await {
            Ok(services) => {
                for service in services {
                    let of = service.spec.as_ref().map(|spec| spec.name.clone()).unwrap_or_default();
                    if of == name {
                        looked.found = Some(Found::Service { service: Box::new(service), framework });
                        return Ok(looked);
                    }
                    looked.names.push(of);
                }
            }
            Err(error) => looked.not_asked.push(error.to_string()),
        },
        None if is_known("service") => looked.not_asked.push("the service framework is not connected".to_owned()),
        None => {}
    }
    match id("batch") {
        Some(framework) => match job(cluster, name, &mut looked.names).await {
            Ok(job) => looked.found = job.map(|job| Found::Job { job: Box::new(job), framework }),
            Err(error) => looked.not_asked.push(error.to_string()),
        },
        None if is_known("batch") => looked.not_asked.push("the batch framework is not connected".to_owned()),
        None => {}
    }
    Ok(looked)
}

async fn services(cluster: &Cluster) -> Result<Vec<service::Service>, CliError> {
    let answer = cluster.services().await?.list(service::ListRequest {}).await;
    Ok(answer.map_err(|error| CliError::remote("list services", error))?.into_inner().services)
}

async fn job(cluster: &Cluster, name: &str, names: &mut Vec<String>) -> Result<Option<batch::Job>, CliError> {
    let mut client = cluster.batch().await?;
    match client.get(batch::GetRequest { job_id: name.to_owned() }).await {
        Ok(job) => Ok(Some(job.into_inner())),
        Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => {
            let jobs = client.list(batch::ListRequest {}).await;
            let jobs = jobs.map_err(|error| CliError::remote("list jobs", error))?.into_inner().jobs;
            names.extend(jobs.into_iter().filter_map(|job| job.spec).map(|spec| spec.name));
            Ok(None)
        }
        Err(status) => Err(CliError::remote(&format!("find job {name}"), status)),
    }
}
