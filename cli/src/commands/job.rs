//! `proffer job`: run, ls, status, cancel.

use indicatif::ProgressBar;
use proffer_proto_model::Resources;
use proffer_proto_model::task::{ContainerSpec, ResourceLimits};
use proffer_proto_wire::batch::batch_client::BatchClient;
use proffer_proto_wire::batch::{CancelRequest, GetRequest, ListRequest, RunRequest, WatchRequest};
use serde::Serialize;
use tonic::Code;
use tonic::transport::Channel;

use crate::args::{JobArgs, JobCommand, JobRunArgs};
use crate::client::Cluster;
use crate::output::{self, Format, age};
use crate::progress::Bars;
use crate::spec::{self, JobSpec};
use crate::views::{AttemptView, JobView};
use crate::{CliError, Outcome};

/// Most ended attempts shown below a job.
const SHOWN_FAILURES: usize = 20;

pub(crate) async fn run(cluster: &Cluster, format: Format, args: JobArgs) -> Result<Outcome, CliError> {
    match args.command {
        JobCommand::Run(args) => start(cluster, format, *args).await,
        JobCommand::Ls => list(cluster, format).await,
        JobCommand::Status { job } => status(cluster, format, job).await,
        JobCommand::Cancel { job } => cancel(cluster, format, job).await,
    }
}

/// A job that was taken, as JSON.
#[derive(Debug, Serialize)]
struct Taken {
    job_id: String,
}

async fn start(cluster: &Cluster, format: Format, args: JobRunArgs) -> Result<Outcome, CliError> {
    let detach = args.detach;
    let job = job_of(args)?;
    let name = job.name.clone();
    let mut client = cluster.batch().await?;
    let answer = client.run(RunRequest { job: Some(job.into()) }).await;
    let answer = answer.map_err(|error| CliError::remote(&format!("run job {name}"), error))?;
    let job_id = answer.into_inner().job_id;
    if detach {
        match format {
            Format::Json => output::json(&Taken { job_id })?,
            Format::Table => output::say(&job_id)?,
        }
        return Ok(Outcome::Good);
    }
    let bar = Bars::default().counting(&job_id, 0);
    let what = format!("watch job {job_id}");
    let opened = client.watch(WatchRequest { job_id: job_id.clone() }).await;
    let mut stream = opened.map_err(|error| CliError::remote(&what, error))?.into_inner();
    while let Some(job) = stream.message().await.map_err(|error| CliError::remote(&what, error))? {
        let view = JobView::new(job)?;
        show(&bar, &view);
        if view.has_ended() {
            bar.finish_and_clear();
            print(format, &view)?;
            return Ok(if view.state == "SUCCEEDED" { Outcome::Good } else { Outcome::Bad });
        }
    }
    let fix = format!("it goes on; see `proffer job status {job_id}`");
    Err(CliError::new(format!("the batch framework stopped telling about job {job_id}"), fix))
}

/// What happened to a job of a file, as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct JobChange {
    job: String,
    change: &'static str,
    job_id: Option<String>,
    completions: u32,
}

impl JobChange {
    /// The same in a line.
    pub(crate) fn told(&self) -> String {
        let Self { job, change, job_id, completions } = self;
        match job_id {
            None => format!("job {job} would be started: {completions} tasks"),
            Some(id) if *change == "started" => {
                format!("job {job} started: {completions} tasks; see `proffer job status {id}`")
            }
            Some(id) => format!(
                "job {job} is left alone, it was started before: see `proffer job status {id}`; \
                 `proffer job run -f FILE --name {job}` runs it again"
            ),
        }
    }
}

/// Starts the jobs that no earlier one has the name of: applying a file twice runs them once.
pub(crate) async fn start_missing(
    mut client: BatchClient<Channel>,
    jobs: Vec<JobSpec>,
    is_dry_run: bool,
) -> Result<Vec<JobChange>, CliError> {
    let mut changes = Vec::new();
    for spec in jobs {
        let (job, completions) = (spec.name.clone(), spec.completions);
        let (change, job_id) = match client.get(GetRequest { job_id: job.clone() }).await {
            Ok(known) => ("unchanged", Some(known.into_inner().job_id)),
            Err(status) if status.code() != Code::NotFound => {
                return Err(CliError::remote(&format!("look for job {job}"), status));
            }
            Err(_) if is_dry_run => ("started", None),
            Err(_) => {
                let answer = client.run(RunRequest { job: Some(spec.into()) }).await;
                let answer = answer.map_err(|error| CliError::remote(&format!("run job {job}"), error))?;
                ("started", Some(answer.into_inner().job_id))
            }
        };
        changes.push(JobChange { job, change, job_id, completions });
    }
    Ok(changes)
}

fn show(bar: &ProgressBar, job: &JobView) {
    bar.set_length(job.completions.into());
    bar.set_position(job.succeeded.into());
    bar.set_message(format!(
        "{} running, {} retried, {} failed {}",
        job.running,
        job.retried,
        job.failed,
        output::clean(&job.message)
    ));
}

/// The job of the flags, or the one of the file that they name.
fn job_of(args: JobRunArgs) -> Result<JobSpec, CliError> {
    if let Some(file) = &args.file {
        let mut jobs = spec::load(file)?.jobs;
        if let Some(name) = &args.name {
            jobs.retain(|job| job.name == *name);
        }
        let (file, count) = (file.display(), jobs.len());
        return match (jobs.pop(), count) {
            (Some(job), 1) => Ok(job),
            (None, _) => Err(CliError::new(format!("{file} has no such job"), "add it below \"jobs:\"")),
            _ => Err(CliError::new(format!("{file} has {count} jobs"), "say which with --name")),
        };
    }
    let image = args.image.unwrap_or_default();
    let image = spec::parse_image(&image).map_err(|error| CliError::new(format!("--image {error}"), "see --help"))?;
    let name = args.name.unwrap_or_else(|| name_of(&image));
    spec::check_name(&name).map_err(|error| CliError::new(format!("the job {error}"), "give one with --name"))?;
    Ok(JobSpec {
        name,
        container: ContainerSpec { image, command: args.args, env: args.env, ..ContainerSpec::default() },
        completions: args.completions,
        parallelism: args.parallelism.unwrap_or(args.completions),
        retries: args.retries,
        attempt_timeout_ms: args.attempt_timeout.map_or(0, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
        resources: Resources::new(args.cpus, args.memory),
        limits: ResourceLimits::default(),
        constraints: Vec::new(),
        labels: Default::default(),
        role: None,
        priority: args.priority,
        is_revocable: args.revocable,
    })
}

/// A name from an image: `127.0.0.1:5000/team/hello:1` gives `hello`.
fn name_of(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split([':', '@']).next().unwrap_or(last).to_lowercase().replace(['_', '.'], "-")
}

async fn list(cluster: &Cluster, format: Format) -> Result<Outcome, CliError> {
    let answer = cluster.batch().await?.list(ListRequest {}).await;
    let jobs = answer.map_err(|error| CliError::remote("list jobs", error))?.into_inner().jobs;
    let views: Result<Vec<JobView>, _> = jobs.into_iter().map(JobView::new).collect();
    let views = views?;
    if format == Format::Json {
        output::json(&views)?;
        return Ok(Outcome::Good);
    }
    let row = |job: &JobView| {
        [
            job.job_id.clone(),
            job.state.to_owned(),
            format!("{}/{}", job.succeeded, job.completions),
            job.running.to_string(),
            job.retried.to_string(),
            job.failed.to_string(),
            age(job.created_unix_ms),
            job.message.clone(),
        ]
    };
    let head = ["JOB", "STATE", "DONE", "RUNNING", "RETRIED", "FAILED", "AGE", "MESSAGE"];
    output::table(head, views.iter().map(row).collect(), "no jobs; run one with `proffer job run`")?;
    Ok(Outcome::Good)
}

async fn status(cluster: &Cluster, format: Format, job_id: String) -> Result<Outcome, CliError> {
    let what = format!("read job {job_id}");
    let answer = cluster.batch().await?.get(GetRequest { job_id }).await;
    let job = JobView::new(answer.map_err(|error| CliError::remote(&what, error))?.into_inner())?;
    if format == Format::Json {
        output::json(&job)?;
        return Ok(Outcome::Good);
    }
    summary(&job)?;
    attempts(job.attempts.iter().collect())?;
    Ok(Outcome::Good)
}

/// A job that was cancelled, as JSON.
#[derive(Debug, Serialize)]
struct Cancelled {
    job: String,
    killed: u32,
}

async fn cancel(cluster: &Cluster, format: Format, job: String) -> Result<Outcome, CliError> {
    let answer = cluster.batch().await?.cancel(CancelRequest { job_id: job.clone() }).await;
    let killed = answer.map_err(|error| CliError::remote(&format!("cancel job {job}"), error))?.into_inner().killed;
    match format {
        Format::Json => output::json(&Cancelled { job, killed })?,
        Format::Table => output::say(&format!("job {job} cancelled ({killed} attempts are being killed)"))?,
    }
    Ok(Outcome::Good)
}

/// A job that has ended: the sum, and the attempts that did not go well.
fn print(format: Format, job: &JobView) -> Result<(), CliError> {
    if format == Format::Json {
        return output::json(job);
    }
    summary(job)?;
    let is_bad = |attempt: &&AttemptView| attempt.status.as_ref().is_some_and(|status| status.state != "FINISHED");
    let bad: Vec<&AttemptView> = job.attempts.iter().filter(is_bad).collect();
    let hidden = bad.len().saturating_sub(SHOWN_FAILURES);
    if !bad.is_empty() {
        attempts(bad.into_iter().take(SHOWN_FAILURES).collect())?;
    }
    if hidden > 0 {
        output::say(&format!("... and {hidden} more; see `proffer job status {}`", job.job_id))?;
    }
    Ok(())
}

fn summary(job: &JobView) -> Result<(), CliError> {
    let JobView { job_id, state, succeeded, completions, retried, failed, message, .. } = job;
    output::say(&format!(
        "job {job_id} {state}: {succeeded} of {completions} tasks succeeded, {retried} attempts retried, {failed} failed for good"
    ))?;
    if message.is_empty() { Ok(()) } else { output::say(message) }
}

fn attempts(list: Vec<&AttemptView>) -> Result<(), CliError> {
    let row = |attempt: &AttemptView| {
        let status = attempt.status.as_ref();
        [
            attempt.index.to_string(),
            attempt.number.to_string(),
            status.map_or_else(|| "WAITING".to_owned(), |s| s.shown_state()),
            status.and_then(|s| s.exit_code).map(|code| code.to_string()).unwrap_or_default(),
            attempt.hostname.clone(),
            attempt.task_id.clone(),
            status.map(|s| s.message.clone()).unwrap_or_default(),
        ]
    };
    let head = ["INDEX", "ATTEMPT", "STATE", "EXIT", "HOST", "TASK", "MESSAGE"];
    output::table(head, list.into_iter().map(row).collect(), "no attempts yet")
}
