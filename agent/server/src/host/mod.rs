//! What an agent serves itself: the output of its tasks, and its images.

mod images;
mod logs;

use std::pin::Pin;
use std::sync::Arc;

use proffer_agent_runtime::{ContainerRuntime, RuntimeError, RuntimeErrorKind};
use proffer_proto_model::{FrameworkId, TaskId};
use proffer_proto_transport::{ErrorKind, Shutdown, to_status};
use proffer_proto_wire::agent as wire;
use proffer_proto_wire::agent::agent_host_server::AgentHost;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::request::Directories;
use crate::view::{NotFound, View};

/// The agent's own API.
#[derive(Clone)]
pub(crate) struct Host {
    pub view: Arc<View>,
    pub runtime: Arc<dyn ContainerRuntime>,
    pub directories: Directories,
    pub shutdown: Shutdown,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AgentHost for Host {
    type LogsStream = Answers<wire::LogChunk>;
    type ImportImageStream = Answers<wire::ImageProgress>;
    type PullImageStream = Answers<wire::ImageProgress>;

    async fn logs(&self, request: Request<wire::LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        let wire::LogsRequest { framework_id, task_id, follow, tail_lines, stream } = request.into_inner();
        let framework = match framework_id.as_str() {
            "" => None,
            text => Some(FrameworkId::new(text).map_err(|error| invalid("framework_id", error))?),
        };
        let task = TaskId::new(&task_id).map_err(|error| invalid("task_id", error))?;
        let stream = wire::LogStream::try_from(stream).map_err(|error| invalid("stream", error))?;
        let key = self.view.find(framework.as_ref(), &task).map_err(|error| match error {
            NotFound::Unknown => to_status(
                ErrorKind::NotFound,
                format!("this agent knows no task {task}; its logs may have been removed, or it ran elsewhere"),
            ),
            NotFound::Ambiguous => to_status(
                ErrorKind::Invalid,
                format!("tasks of several frameworks are called {task}; give framework_id as well"),
            ),
        })?;
        Ok(Response::new(logs::stream(self.clone(), key, logs::Wanted { follow, tail_lines, stream })))
    }

    async fn import_image(
        &self,
        request: Request<Streaming<wire::ImageChunk>>,
    ) -> Result<Response<Self::ImportImageStream>, Status> {
        Ok(Response::new(images::import(self.clone(), request.into_inner())))
    }

    async fn pull_image(
        &self,
        request: Request<wire::PullImageRequest>,
    ) -> Result<Response<Self::PullImageStream>, Status> {
        let wire::PullImageRequest { reference } = request.into_inner();
        if reference.is_empty() {
            return Err(invalid("reference", "is empty; give an image such as busybox:1.36"));
        }
        Ok(Response::new(images::pull(self.clone(), reference)))
    }

    async fn list_images(
        &self,
        _request: Request<wire::ListImagesRequest>,
    ) -> Result<Response<wire::ListImagesResponse>, Status> {
        let images = self.runtime.images().await.map_err(|error| runtime_status(&error))?;
        Ok(Response::new(wire::ListImagesResponse { images: images.into_iter().map(images::to_wire).collect() }))
    }
}

fn invalid(field: &str, defect: impl std::fmt::Display) -> Status {
    to_status(ErrorKind::Invalid, format!("{field}: {defect}"))
}

fn runtime_status(error: &RuntimeError) -> Status {
    let kind = match error.kind {
        RuntimeErrorKind::NotFound | RuntimeErrorKind::ImageUnavailable => ErrorKind::NotFound,
        RuntimeErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        RuntimeErrorKind::Invalid => ErrorKind::Invalid,
        RuntimeErrorKind::Unavailable => ErrorKind::Unavailable,
        RuntimeErrorKind::Internal => ErrorKind::Internal,
    };
    to_status(kind, error.to_string())
}
