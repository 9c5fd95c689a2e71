//! What readers outside the owner task see of the tasks: published after each commit, never locked for long.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use proffer_agent_engine::TaskSummary;
use proffer_proto_model::{AgentId, FrameworkId, TaskId, TaskKey};
use tokio::sync::watch;

/// The tasks as readers see them.
#[derive(Debug)]
pub(crate) struct View {
    tasks: RwLock<BTreeMap<TaskKey, TaskSummary>>,
    attached: watch::Sender<Option<AgentId>>,
}

/// Why a task was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotFound {
    Unknown,
    /// Tasks of several frameworks have that id.
    Ambiguous,
}

impl View {
    pub fn new() -> Self {
        Self { tasks: RwLock::default(), attached: watch::Sender::new(None) }
    }

    /// Replaces what changed.
    pub fn publish(&self, changed: Vec<(TaskKey, Option<TaskSummary>)>, is_attached: bool, agent: Option<&AgentId>) {
        if !changed.is_empty() {
            let mut tasks = self.tasks.write().unwrap_or_else(PoisonError::into_inner);
            for (key, summary) in changed {
                let Some(summary) = summary else {
                    tasks.remove(&key);
                    continue;
                };
                if tasks.get(&key).is_none_or(|known| known.state != summary.state) {
                    tracing::info!(task = %key, state = %summary.state, container = %summary.container, "task changed");
                }
                tasks.insert(key, summary);
            }
        }
        let admitted = agent.filter(|_| is_attached);
        self.attached.send_if_modified(|known| {
            let is_new = known.as_ref() != admitted;
            *known = admitted.cloned();
            is_new
        });
    }

    /// The agent's id while a master has admitted it.
    pub fn attached(&self) -> watch::Receiver<Option<AgentId>> {
        self.attached.subscribe()
    }

    pub fn get(&self, key: &TaskKey) -> Option<TaskSummary> {
        self.tasks.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// The task of that id; its framework may be left out when the id is the only one.
    pub fn find(&self, framework: Option<&FrameworkId>, task: &TaskId) -> Result<TaskKey, NotFound> {
        let tasks = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(framework) = framework {
            let key = TaskKey { framework: framework.clone(), task: task.clone() };
            return tasks.contains_key(&key).then_some(key).ok_or(NotFound::Unknown);
        }
        let mut found = tasks.keys().filter(|key| key.task == *task);
        match (found.next(), found.next()) {
            (Some(key), None) => Ok(key.clone()),
            (None, _) => Err(NotFound::Unknown),
            (Some(_), Some(_)) => Err(NotFound::Ambiguous),
        }
    }
}
