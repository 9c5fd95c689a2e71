//! The gRPC API. Checks requests, asks the scheduler through its handle, and answers once what it did is stored.

use std::time::Duration;

use proffer_proto_transport::{ErrorKind, Shutdown, to_status};
use proffer_proto_wire::batch as wire;
use proffer_sdk::{Handle, Stopped};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::scheduler::{Batch, Refused};
use crate::spec::JobSpec;
use crate::wire::{job_to_wire, list};

/// Shortest time between two messages to one watcher: changes in between become one.
const WATCH_PAUSE: Duration = Duration::from_millis(100);

/// Messages that may wait for a slow watcher.
const WATCH_QUEUE: usize = 2;

/// Watchers at once.
const MAX_WATCHERS: usize = 256;

/// The API of the batch framework.
#[derive(Debug, Clone)]
pub struct Api {
    handle: Handle<Batch>,
    changes: watch::Receiver<u64>,
    watchers: std::sync::Arc<tokio::sync::Semaphore>,
    shutdown: Shutdown,
}

impl Api {
    /// The API of this scheduler. Watches end when `shutdown` begins.
    pub fn new(handle: Handle<Batch>, changes: watch::Receiver<u64>, shutdown: Shutdown) -> Self {
        let watchers = std::sync::Arc::new(tokio::sync::Semaphore::new(MAX_WATCHERS));
        Self { handle, changes, watchers, shutdown }
    }

    async fn look(&self, asked: String) -> Result<(u64, wire::Job), Status> {
        let found =
            self.handle.with(move |batch, _| batch.find(&asked).map(|job| (job.revision(), job_to_wire(job, true))));
        found.await.map_err(stopped)?.map_err(refused)
    }

    /// Sends a job after each of its changes, until it has ended or nobody listens.
    async fn follow(self, job_id: String, seen: u64, to: mpsc::Sender<Result<wire::Job, Status>>) {
        let mut changes = self.changes.clone();
        let (mut seen, mut pause) = (seen, WATCH_PAUSE);
        loop {
            tokio::time::sleep(pause).await;
            let (revision, job) = match self.look(job_id.clone()).await {
                Ok(found) => found,
                Err(status) => {
                    // The watcher has gone as well: nobody needs the reason.
                    let _ = to.send(Err(status)).await;
                    return;
                }
            };
            let has_ended = job.ended_unix_ms != 0;
            // Large jobs cost more to tell, so they are told less often.
            pause = WATCH_PAUSE + Duration::from_millis(job.attempts.len() as u64 / 20);
            if revision != seen && to.send(Ok(job)).await.is_err() {
                return;
            }
            seen = revision;
            if has_ended {
                return;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = to.closed() => return,
                () = self.shutdown.draining() => return,
            }
        }
    }
}

#[tonic::async_trait]
impl wire::batch_server::Batch for Api {
    type WatchStream = ReceiverStream<Result<wire::Job, Status>>;

    async fn run(&self, request: Request<wire::RunRequest>) -> Result<Response<wire::RunResponse>, Status> {
        let wire::RunRequest { job } = request.into_inner();
        let job = job.ok_or_else(|| to_status(ErrorKind::Invalid, "job is missing; set it"))?;
        let spec = JobSpec::try_from(job).map_err(|error| to_status(ErrorKind::Invalid, error.to_string()))?;
        let taken = self.handle.with(move |batch, cx| batch.run(spec, cx)).await.map_err(stopped)?;
        Ok(Response::new(wire::RunResponse { job_id: taken.map_err(refused)? }))
    }

    async fn list(&self, request: Request<wire::ListRequest>) -> Result<Response<wire::ListResponse>, Status> {
        let wire::ListRequest {} = request.into_inner();
        let jobs = self.handle.with(|batch, _| list(batch.jobs().rev())).await.map_err(stopped)?;
        Ok(Response::new(jobs))
    }

    async fn get(&self, request: Request<wire::GetRequest>) -> Result<Response<wire::Job>, Status> {
        let wire::GetRequest { job_id } = request.into_inner();
        let (_, job) = self.look(named(job_id)?).await?;
        Ok(Response::new(job))
    }

    async fn cancel(&self, request: Request<wire::CancelRequest>) -> Result<Response<wire::CancelResponse>, Status> {
        let wire::CancelRequest { job_id } = request.into_inner();
        let job_id = named(job_id)?;
        let killed = self.handle.with(move |batch, cx| batch.cancel(&job_id, cx)).await.map_err(stopped)?;
        Ok(Response::new(wire::CancelResponse { killed: killed.map_err(refused)? }))
    }

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let wire::WatchRequest { job_id } = request.into_inner();
        let too_many = |_| to_status(ErrorKind::Exhausted, format!("{MAX_WATCHERS} watches are open; close some"));
        let permit = self.watchers.clone().try_acquire_owned().map_err(too_many)?;
        // Subscribed before the first look, so that no change falls between the two.
        let mut api = self.clone();
        api.changes.mark_unchanged();
        let (revision, job) = self.look(named(job_id)?).await?;
        let (to, messages) = mpsc::channel(WATCH_QUEUE);
        let (id, has_ended) = (job.job_id.clone(), job.ended_unix_ms != 0);
        // A new queue has room, and its reader lives: this cannot fail.
        let _ = to.try_send(Ok(job));
        if !has_ended {
            tokio::spawn(async move {
                api.follow(id, revision, to).await;
                drop(permit);
            });
        }
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

fn named(job_id: String) -> Result<String, Status> {
    if job_id.is_empty() {
        return Err(to_status(ErrorKind::Invalid, "job_id is missing; give a job's id or name"));
    }
    Ok(job_id)
}

fn stopped(error: Stopped) -> Status {
    to_status(ErrorKind::Unavailable, format!("batch: {error}"))
}

fn refused(error: Refused) -> Status {
    let kind = match error {
        Refused::Unknown { .. } => ErrorKind::NotFound,
        Refused::NameTaken { .. } => ErrorKind::AlreadyExists,
        Refused::Ended { .. } => ErrorKind::Conflict,
        Refused::Role { .. } | Refused::Task(_) => ErrorKind::Invalid,
        Refused::TooMany => ErrorKind::Exhausted,
    };
    to_status(kind, error.to_string())
}
