//! Which tasks a name stands for. Asks, and never waits.

use proffer_proto_wire::batch::GetRequest;
use proffer_proto_wire::operator::Task;
use proffer_proto_wire::service::ListRequest;
use tonic::Code;

use crate::CliError;
use crate::client::Cluster;

/// What a name stands for.
pub(super) struct Found {
    /// Its tasks that the master knows, each with a label for people.
    pub(super) tasks: Vec<(String, Task)>,
    /// More may come.
    pub(super) is_growing: bool,
    /// Everybody who could know the name was asked.
    pub(super) is_certain: bool,
}

/// The tasks of that name: a task id, a service, a job, or a name of tasks.
///
/// # Errors
/// The master could not be asked.
pub(super) async fn find(cluster: &Cluster, name: &str) -> Result<Found, CliError> {
    let tasks = cluster.tasks(String::new(), true).await?;
    if let Some(task) = tasks.iter().find(|task| task_id(task) == name) {
        return Ok(Found { tasks: vec![(name.to_owned(), task.clone())], is_growing: false, is_certain: true });
    }
    // The frameworks know best which tasks are theirs; without them the names of the tasks must do.
    let service = service_tasks(cluster, name).await;
    let job = match &service {
        Ok(Some(_)) => Ok(None),
        _ => job_tasks(cluster, name).await,
    };
    let is_certain = service.is_ok() && job.is_ok();
    let by_name = || {
        let is_named = |task: &&Task| task.spec.as_ref().is_some_and(|spec| spec.name == name);
        tasks.iter().filter(is_named).map(|task| (task_id(task), task_id(task))).collect::<Vec<_>>()
    };
    let (ids, is_growing) = match (service.ok().flatten(), job.ok().flatten()) {
        (Some(ids), _) => (ids, true),
        (None, Some((ids, is_growing))) => (ids, is_growing),
        (None, None) => (by_name(), false),
    };
    let labelled =
        |(label, id): (String, String)| Some((label, tasks.iter().find(|task| task_id(task) == id)?.clone()));
    Ok(Found { tasks: ids.into_iter().filter_map(labelled).collect(), is_growing, is_certain })
}

/// The id of a task.
pub(super) fn task_id(task: &Task) -> String {
    task.spec.as_ref().map(|spec| spec.task_id.clone()).unwrap_or_default()
}

/// The instances of a service; `None` when there is no such service.
async fn service_tasks(cluster: &Cluster, name: &str) -> Result<Option<Vec<(String, String)>>, CliError> {
    let answer = cluster.services().await?.list(ListRequest {}).await;
    let services = answer.map_err(|error| CliError::remote("list services", error))?.into_inner().services;
    let service = services.into_iter().find(|service| service.spec.as_ref().is_some_and(|spec| spec.name == name));
    Ok(service.map(|service| {
        let with_task = service.instances.into_iter().filter(|instance| !instance.task_id.is_empty());
        with_task.map(|instance| (format!("{name}.{}", instance.slot), instance.task_id)).collect()
    }))
}

type JobTasks = (Vec<(String, String)>, bool);

/// The attempts of a job and whether more may come; `None` when there is no such job.
async fn job_tasks(cluster: &Cluster, name: &str) -> Result<Option<JobTasks>, CliError> {
    let job = match cluster.batch().await?.get(GetRequest { job_id: name.to_owned() }).await {
        Ok(job) => job.into_inner(),
        Err(status) if status.code() == Code::NotFound => return Ok(None),
        Err(status) => return Err(CliError::remote(&format!("look for job {name}"), status)),
    };
    let with_task = job.attempts.into_iter().filter(|attempt| !attempt.task_id.is_empty());
    let ids = with_task.map(|attempt| (format!("{name}.{}/{}", attempt.index, attempt.number), attempt.task_id));
    Ok(Some((ids.collect(), job.ended_unix_ms == 0)))
}
