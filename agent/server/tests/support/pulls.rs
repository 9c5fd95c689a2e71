//! A runtime whose pulls of one image never end.

use std::path::PathBuf;

use proffer_agent_runtime::fake::FakeRuntime;
use proffer_agent_runtime::*;

pub const ENDLESS: &str = "endless:1";

/// The fake runtime, except for the image [`ENDLESS`].
pub struct EndlessPulls(pub FakeRuntime);

#[tonic::async_trait]
impl ContainerRuntime for EndlessPulls {
    async fn ensure_image(
        &self,
        reference: &str,
        policy: PullPolicy,
        progress: ProgressSink,
    ) -> Result<Image, RuntimeError> {
        match reference {
            ENDLESS => std::future::pending().await,
            other => self.0.ensure_image(other, policy, progress).await,
        }
    }

    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        self.0.info().await
    }

    async fn import_image(&self, tar: PathBuf, progress: ProgressSink) -> Result<Vec<Image>, RuntimeError> {
        self.0.import_image(tar, progress).await
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        self.0.images().await
    }

    async fn create(&self, request: &ContainerRequest) -> Result<Created, RuntimeError> {
        self.0.create(request).await
    }

    async fn start(&self, id: &str) -> Result<(), RuntimeError> {
        self.0.start(id).await
    }

    async fn wait(&self, id: &str) -> Result<Exit, RuntimeError> {
        self.0.wait(id).await
    }

    async fn signal(&self, id: &str, signal: i32) -> Result<(), RuntimeError> {
        self.0.signal(id, signal).await
    }

    async fn delete(&self, id: &str) -> Result<(), RuntimeError> {
        self.0.delete(id).await
    }

    async fn list(&self) -> Result<Vec<ContainerInfo>, RuntimeError> {
        self.0.list().await
    }

    async fn stats(&self, id: &str) -> Result<Stats, RuntimeError> {
        self.0.stats(id).await
    }
}
