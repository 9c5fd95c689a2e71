//! A running agent, as its starter holds it: waits for its end, ends it, cleans up after it.

use std::net::SocketAddr;
use std::sync::Arc;

use proffer_agent_engine::LABEL_TASK;
use proffer_agent_network::Network;
use proffer_agent_runtime::ContainerRuntime;
use proffer_proto_model::AgentId;
use proffer_proto_transport::Shutdown;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::AgentError;
use crate::view::View;

/// A running agent. Dropping it ends the agent as a kill would: containers go on.
pub struct Handle {
    pub(crate) api_address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) view: Arc<View>,
    pub(crate) runtime: Arc<dyn ContainerRuntime>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) store_closed: watch::Receiver<()>,
    /// `None` once its end was seen.
    pub(crate) owner: Option<JoinHandle<Result<(), AgentError>>>,
    pub(crate) link: Option<JoinHandle<()>>,
    pub(crate) server: Option<JoinHandle<Result<(), AgentError>>>,
}

impl Handle {
    /// Where the agent's own API answers.
    pub fn api_address(&self) -> SocketAddr {
        self.api_address
    }

    /// The agent's id while a master has admitted it, and its changes.
    pub fn attached(&self) -> watch::Receiver<Option<AgentId>> {
        self.view.attached()
    }

    /// Waits until the agent ends by itself, which it does only when it cannot go on.
    ///
    /// # Errors
    /// Why it cannot go on.
    pub async fn ended(&mut self) -> Result<(), AgentError> {
        let ended = tokio::select! {
            ended = end_of(&mut self.owner, "owner") => ended,
            ended = end_of(&mut self.server, "API") => ended,
        };
        self.shutdown.begin();
        ended
    }

    /// Ends the agent; its containers go on, and the next start adopts them.
    ///
    /// # Errors
    /// The last commit failed.
    pub async fn shutdown(mut self) -> Result<(), AgentError> {
        self.stop().await
    }

    /// Ends the agent and removes its containers and everything of its network from the host. Their tasks are not
    /// reported as lost; the next start finds that they have ended.
    ///
    /// # Errors
    /// What could not be removed.
    pub async fn purge(mut self) -> Result<(), AgentError> {
        let stopped = self.stop().await;
        let ours = |container: &proffer_agent_runtime::ContainerInfo| container.labels.contains_key(LABEL_TASK);
        let mut removals = tokio::task::JoinSet::new();
        for container in self.runtime.list().await?.into_iter().filter(ours) {
            let runtime = Arc::clone(&self.runtime);
            removals.spawn(async move { runtime.delete(&container.id).await });
        }
        let mut removed = Ok(());
        while let Some(one) = removals.join_next().await {
            removed = removed.and(one.map_err(|_| AgentError::Died("removal"))?.map_err(AgentError::from));
        }
        self.network.remove_all().await?;
        stopped.and(removed)
    }

    /// Ends the agent at once and without a word, as a kill of its process would; containers go on.
    pub async fn kill(mut self) {
        self.shutdown.cut();
        self.abort();
        let _ = end_of(&mut self.owner, "owner").await;
        let _ = end_of(&mut self.server, "API").await;
        self.store_is_closed().await;
    }

    /// A commit that is under way on another thread ends as it will; only then can the file be opened again.
    async fn store_is_closed(&mut self) {
        while self.store_closed.changed().await.is_ok() {}
    }

    async fn stop(&mut self) -> Result<(), AgentError> {
        self.shutdown.begin();
        let stopped = match self.owner.is_some() {
            true => end_of(&mut self.owner, "owner").await,
            false => Ok(()),
        };
        // The owner's last words are on their way; the stream ends when nobody can add to them.
        if let Some(link) = self.link.take() {
            let _ = link.await;
        }
        if self.server.is_some() {
            end_of(&mut self.server, "API").await?;
        }
        self.store_is_closed().await;
        stopped
    }

    fn abort(&mut self) {
        self.owner.iter().for_each(JoinHandle::abort);
        self.link.iter().for_each(JoinHandle::abort);
        self.server.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shutdown.cut();
        self.abort();
    }
}

/// Waits for the end of a part; one whose end was seen already never ends again.
async fn end_of(part: &mut Option<JoinHandle<Result<(), AgentError>>>, name: &'static str) -> Result<(), AgentError> {
    let Some(handle) = part else { return std::future::pending().await };
    let ended = handle.await.unwrap_or(Err(AgentError::Died(name)));
    *part = None;
    ended
}
