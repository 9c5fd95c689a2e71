//! A master that a test plays.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use proffer_proto_model::convert::{
    AgentMessage, AttachRequest, LaunchTask, MasterEnvelope, MasterMessage, StatusUpdate,
};
use proffer_proto_model::{
    AgentId, ClusterId, Epoch, FrameworkId, Role, TaskId, TaskKey, TaskReason, TaskSpec, TaskState, TaskStatus,
};
use proffer_proto_transport::{Shutdown, bind, serve};
use proffer_proto_wire::agent as wire;
use proffer_proto_wire::agent::agent_registry_server::{AgentRegistry, AgentRegistryServer};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use super::soon;

pub fn framework() -> FrameworkId {
    FrameworkId::numbered(1, 1)
}

pub fn key(task: &str) -> TaskKey {
    TaskKey { framework: framework(), task: TaskId::new(task).unwrap() }
}

/// A served master; each stream of an agent is a [`Session`].
pub struct Master {
    pub address: SocketAddr,
    sessions: tokio::sync::Mutex<mpsc::Receiver<Session>>,
    shutdown: Shutdown,
}

impl Drop for Master {
    fn drop(&mut self) {
        self.shutdown.cut();
    }
}

impl Master {
    pub async fn start() -> Self {
        let (listener, address) = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (sessions, accepted) = mpsc::channel(16);
        let shutdown = Shutdown::default();
        let routes = Routes::new(AgentRegistryServer::new(Registry { sessions }));
        tokio::spawn(serve(listener, routes, axum::Router::new(), shutdown.clone()));
        Self { address, sessions: tokio::sync::Mutex::new(accepted), shutdown }
    }

    /// The next stream of an agent; nothing was read from it.
    pub async fn accept(&self) -> Session {
        soon("an agent's stream", async { self.sessions.lock().await.recv().await.unwrap() }).await
    }

    /// The next stream, attached, with what the agent said it has.
    pub async fn attach(&self) -> (Session, AttachRequest) {
        let mut session = self.accept().await;
        let AgentMessage::Attach(attach) = session.next().await else { panic!("the attach comes first") };
        session.admit("A1-1").await;
        (session, *attach)
    }
}

struct Registry {
    sessions: mpsc::Sender<Session>,
}

#[tonic::async_trait]
impl AgentRegistry for Registry {
    type AttachStream = ReceiverStream<Result<wire::MasterMessage, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<wire::AgentMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (to_agent, messages) = mpsc::channel(64);
        let session = Session { from_agent: request.into_inner(), to_agent, epoch: 1 };
        self.sessions.send(session).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

/// One stream of an agent. Dropping it ends the stream.
pub struct Session {
    from_agent: Streaming<wire::AgentMessage>,
    to_agent: mpsc::Sender<Result<wire::MasterMessage, Status>>,
    pub epoch: u64,
}

impl Session {
    pub async fn say(&self, message: MasterMessage) {
        let envelope = MasterEnvelope { epoch: Epoch(self.epoch), message };
        self.to_agent.send(Ok(envelope.into())).await.unwrap();
    }

    pub async fn admit(&self, agent: &str) {
        self.say(MasterMessage::Attached {
            agent: AgentId::new(agent).unwrap(),
            ping_interval_ms: 60_000,
            cluster: ClusterId::new("c").unwrap(),
        })
        .await;
    }

    /// What the agent says next.
    pub async fn next(&mut self) -> AgentMessage {
        self.try_next().await.expect("the agent ended the stream")
    }

    pub async fn try_next(&mut self) -> Option<AgentMessage> {
        let message = soon("a message of the agent", self.from_agent.message()).await.ok()??;
        Some(AgentMessage::try_from(message).unwrap())
    }

    pub async fn launch(&self, spec: TaskSpec) {
        let task = LaunchTask { framework: framework(), spec, role: Role::default_role() };
        self.say(MasterMessage::Launch(vec![task])).await;
    }

    pub async fn kill(&self, task: &str) {
        let TaskKey { framework, task } = key(task);
        self.say(MasterMessage::Kill { framework, task, policy: None, reason: TaskReason::KillRequested }).await;
    }

    /// Confirms updates until the task is in the state; that one is confirmed as well.
    pub async fn until(&mut self, task: &str, state: TaskState) -> TaskStatus {
        loop {
            let AgentMessage::Updates(updates) = self.next().await else { continue };
            for StatusUpdate { framework, status, latest_state: _ } in updates {
                let key = TaskKey { framework, task: status.task.clone() };
                self.say(MasterMessage::Acknowledge(vec![(key, status.seq)])).await;
                if status.task.as_str() == task && status.state == state {
                    return status;
                }
                assert!(
                    status.task.as_str() != task || !status.state.is_terminal(),
                    "ended as {}: {}",
                    status.state,
                    status.message
                );
            }
        }
    }

    /// Confirms updates until each of the tasks was in the state.
    pub async fn until_all(&mut self, tasks: &[String], state: TaskState) {
        let mut waiting: BTreeSet<&str> = tasks.iter().map(String::as_str).collect();
        while !waiting.is_empty() {
            let AgentMessage::Updates(updates) = self.next().await else { continue };
            let seen: Vec<_> = updates
                .into_iter()
                .map(|StatusUpdate { framework, status, latest_state: _ }| {
                    if status.state == state {
                        waiting.remove(status.task.as_str());
                    }
                    (TaskKey { framework, task: status.task }, status.seq)
                })
                .collect();
            self.say(MasterMessage::Acknowledge(seen)).await;
        }
    }
}
