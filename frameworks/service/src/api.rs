//! The gRPC API: turns messages into commands and back. Never decides anything.

use proffer_proto_transport::{ErrorKind, Shutdown, to_status};
use proffer_proto_wire::service as wire;
use proffer_sdk::{Handle, Stopped};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use wire::services_server::Services;

use crate::{ApiError, ServiceScheduler, ServiceSpec};

/// States of a service that may wait for a slow watcher. Later states replace those not yet taken.
const WATCH_BUFFER: usize = 4;
/// Most services in one request.
const MAX_SERVICES: usize = 1_000;

/// Serves the API through the handle of a running scheduler.
pub(crate) struct Api {
    pub(crate) handle: Handle<ServiceScheduler>,
    pub(crate) shutdown: Shutdown,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Services for Api {
    type WatchStream = ReceiverStream<Result<wire::Service, Status>>;

    async fn apply(&self, request: Request<wire::ApplyRequest>) -> Answer<wire::ApplyResponse> {
        let wire::ApplyRequest { services, dry_run } = request.into_inner();
        let specs = specs(services)?;
        let changes = self.handle.with(move |s, cx| s.apply(specs, dry_run, cx)).await.map_err(stopped)?;
        let changes = changes.map_err(refused)?.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::ApplyResponse { changes }))
    }

    async fn scale(&self, request: Request<wire::ScaleRequest>) -> Answer<wire::ScaleResponse> {
        let wire::ScaleRequest { service, instances } = request.into_inner();
        let change = self.handle.with(move |s, cx| s.scale(&service, instances, cx)).await.map_err(stopped)?;
        Ok(Response::new(wire::ScaleResponse { change: Some(change.map_err(refused)?.into()) }))
    }

    async fn remove(&self, request: Request<wire::RemoveRequest>) -> Answer<wire::RemoveResponse> {
        let wire::RemoveRequest { service } = request.into_inner();
        let removed = self.handle.with(move |s, cx| s.remove(&service, cx)).await.map_err(stopped)?;
        Ok(Response::new(wire::RemoveResponse { instances: removed.map_err(refused)? }))
    }

    async fn list(&self, request: Request<wire::ListRequest>) -> Answer<wire::ListResponse> {
        let wire::ListRequest {} = request.into_inner();
        let services = self.handle.with(|s, cx| s.list(cx)).await.map_err(stopped)?;
        Ok(Response::new(wire::ListResponse { services }))
    }

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Answer<Self::WatchStream> {
        let wire::WatchRequest { service } = request.into_inner();
        let first = self.look(&service).await?;
        let mut changes = self.handle.with(|s, _| s.changes()).await.map_err(stopped)?;
        // What changed between the two is looked at again.
        changes.mark_changed();
        let (sender, stream) = mpsc::channel(WATCH_BUFFER);
        let api = Api { handle: self.handle.clone(), shutdown: self.shutdown.clone() };
        tokio::spawn(async move {
            let mut last = first.clone();
            if sender.send(Ok(first)).await.is_err() {
                return;
            }
            loop {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                    () = api.shutdown.draining() => return,
                }
                let next = api.look(&service).await;
                if next.as_ref().is_ok_and(|next| *next == last) {
                    continue;
                }
                if let Ok(next) = &next {
                    last = next.clone();
                }
                let is_over = next.is_err();
                // A service that is gone ends the stream as it ends each call on it.
                if sender.send(next).await.is_err() || is_over {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl Api {
    async fn look(&self, name: &str) -> Result<wire::Service, Status> {
        let name = name.to_owned();
        let found = self.handle.with(move |s, cx| s.find(&name).map(|service| s.view(service, cx))).await;
        found.map_err(stopped)?.map_err(refused)
    }
}

/// The specs of a request, or every defect of all of them, a line each.
fn specs(services: Vec<wire::ServiceSpec>) -> Result<Vec<ServiceSpec>, Status> {
    let invalid = |message: String| to_status(ErrorKind::Invalid, message);
    if services.is_empty() {
        return Err(invalid("services is empty; give at least one service".to_owned()));
    }
    if services.len() > MAX_SERVICES {
        let message = format!("services has {} entries; at most {MAX_SERVICES} are allowed", services.len());
        return Err(invalid(message));
    }
    let (mut specs, mut defects) = (Vec::new(), Vec::new());
    for (at, service) in services.into_iter().enumerate() {
        match ServiceSpec::try_from(service) {
            Ok(spec) => specs.push(spec),
            Err(found) => defects.extend(found.0.iter().map(|defect| format!("services[{at}].{defect}"))),
        }
    }
    if defects.is_empty() { Ok(specs) } else { Err(invalid(defects.join("\n"))) }
}

fn stopped(error: Stopped) -> Status {
    to_status(ErrorKind::Unavailable, error.to_string())
}

fn refused(error: ApiError) -> Status {
    let kind = match &error {
        ApiError::NotFound { .. } => ErrorKind::NotFound,
        ApiError::Removing { .. } => ErrorKind::Conflict,
        ApiError::Twice { .. } | ApiError::Role { .. } | ApiError::TooMany { .. } => ErrorKind::Invalid,
        ApiError::Internal(_) => ErrorKind::Internal,
    };
    to_status(kind, error.to_string())
}
