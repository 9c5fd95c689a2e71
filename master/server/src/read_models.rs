//! What readers see: immutable records, published by the owner after each frame. Readers never touch the engine.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use proffer_master_engine::registry::TaskRecord;
use proffer_master_engine::view::{AgentState, AgentView, Change, FrameworkView, OfferOutcome, OfferView};
use proffer_proto_model::{AgentId, ClusterId, Epoch, FrameworkId, OfferId, Resources, TaskKey, UnixMillis};
use tokio::sync::broadcast;

/// Answered offers that are remembered.
const OFFER_HISTORY: usize = 10_000;
/// Ended tasks that are remembered after they were confirmed.
const TASK_HISTORY: usize = 10_000;
/// Changes a slow watcher may lag behind before it is cut off.
const WATCH_BACKLOG: usize = 4_096;

/// Everything readers may ask for.
#[derive(Debug)]
pub struct ReadModels {
    cluster: ClusterId,
    epoch: Epoch,
    started: UnixMillis,
    agents: DashMap<AgentId, Arc<AgentView>>,
    frameworks: DashMap<FrameworkId, Arc<FrameworkView>>,
    offers: DashMap<OfferId, Arc<OfferView>>,
    tasks: DashMap<TaskKey, Arc<TaskRecord>>,
    answered: Mutex<VecDeque<Arc<OfferView>>>,
    ended: Mutex<VecDeque<TaskKey>>,
    changes: broadcast::Sender<Arc<Change>>,
}

/// The cluster in one view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSummary {
    /// Made at the first start.
    pub cluster: ClusterId,
    /// This master's generation.
    pub epoch: Epoch,
    /// Version of this software.
    pub version: &'static str,
    /// When this master started.
    pub started: UnixMillis,
    /// What attached agents have.
    pub total: Resources,
    /// What tasks hold of it.
    pub allocated: Resources,
    /// What is out in offers.
    pub offered: Resources,
    /// Attached agents.
    pub agents_attached: u32,
    /// Known agents that are not attached.
    pub agents_detached: u32,
    /// Connected frameworks.
    pub frameworks_connected: u32,
    /// Known frameworks that are not connected.
    pub frameworks_disconnected: u32,
    /// Outstanding offers.
    pub offers: u32,
    /// Tasks that have not ended.
    pub tasks_active: u32,
}

impl ReadModels {
    /// Nothing known yet.
    pub(crate) fn new(cluster: ClusterId, epoch: Epoch, started: UnixMillis) -> Self {
        Self {
            cluster,
            epoch,
            started,
            agents: DashMap::new(),
            frameworks: DashMap::new(),
            offers: DashMap::new(),
            tasks: DashMap::new(),
            answered: Mutex::default(),
            ended: Mutex::default(),
            changes: broadcast::channel(WATCH_BACKLOG).0,
        }
    }

    /// Takes over one change and tells the watchers. Only the owner calls it.
    pub(crate) fn apply(&self, change: Change) {
        match &change {
            Change::Agent(agent) => {
                self.agents.insert(agent.id.clone(), Arc::new((**agent).clone()));
            }
            Change::AgentRemoved(id) => {
                self.agents.remove(id);
            }
            Change::Framework(framework) => {
                self.frameworks.insert(framework.id.clone(), Arc::new((**framework).clone()));
            }
            Change::FrameworkRemoved(id) => {
                self.frameworks.remove(id);
            }
            Change::Offer(offer) => self.offer(Arc::new((**offer).clone())),
            Change::Task(task) => {
                self.tasks.insert(task.key.clone(), Arc::new((**task).clone()));
            }
            Change::TaskForgotten(key) => self.task_forgotten(key),
        }
        // Nobody watching is no error.
        let _ = self.changes.send(Arc::new(change));
    }

    fn offer(&self, offer: Arc<OfferView>) {
        if offer.outcome == OfferOutcome::Outstanding {
            self.offers.insert(offer.offer.id.clone(), offer);
            return;
        }
        self.offers.remove(&offer.offer.id);
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.push_front(offer);
        answered.truncate(OFFER_HISTORY);
    }

    fn task_forgotten(&self, key: &TaskKey) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.push_back(key.clone());
        while ended.len() > TASK_HISTORY {
            if let Some(oldest) = ended.pop_front() {
                self.tasks.remove(&oldest);
            }
        }
    }

    /// The cluster, this master's generation, and when it started.
    pub(crate) fn identity(&self) -> (ClusterId, Epoch, UnixMillis) {
        (self.cluster.clone(), self.epoch, self.started)
    }

    /// The cluster in one view, added up now.
    pub fn cluster(&self) -> ClusterSummary {
        let mut summary = ClusterSummary {
            cluster: self.cluster.clone(),
            epoch: self.epoch,
            version: env!("CARGO_PKG_VERSION"),
            started: self.started,
            total: Resources::default(),
            allocated: Resources::default(),
            offered: Resources::default(),
            agents_attached: 0,
            agents_detached: 0,
            frameworks_connected: 0,
            frameworks_disconnected: 0,
            offers: u32::try_from(self.offers.len()).unwrap_or(u32::MAX),
            tasks_active: 0,
        };
        for agent in self.agents() {
            summary.tasks_active += agent.tasks_active;
            if agent.state != AgentState::Attached {
                summary.agents_detached += 1;
                continue;
            }
            summary.agents_attached += 1;
            summary.total = summary.total.saturating_sum(&agent.info.resources);
            summary.allocated = summary.allocated.saturating_sum(&agent.allocated);
            summary.offered = summary.offered.saturating_sum(&agent.offered);
        }
        for framework in self.frameworks() {
            let count = match framework.is_connected {
                true => &mut summary.frameworks_connected,
                false => &mut summary.frameworks_disconnected,
            };
            *count += 1;
        }
        summary
    }

    /// All agents, ordered by id.
    pub fn agents(&self) -> Vec<Arc<AgentView>> {
        sorted(&self.agents)
    }

    /// One agent, when it is known.
    pub fn agent(&self, id: &AgentId) -> Option<Arc<AgentView>> {
        self.agents.get(id).map(|agent| Arc::clone(&agent))
    }

    /// All frameworks, ordered by id.
    pub fn frameworks(&self) -> Vec<Arc<FrameworkView>> {
        sorted(&self.frameworks)
    }

    /// One framework's name; its id when it is gone.
    pub fn framework_name(&self, id: &FrameworkId) -> String {
        self.frameworks.get(id).map_or_else(|| id.to_string(), |f| f.info.name.clone())
    }

    /// One agent's host name; empty when it is gone.
    pub fn hostname(&self, id: &AgentId) -> String {
        self.agents.get(id).map(|a| a.info.hostname.clone()).unwrap_or_default()
    }

    /// Outstanding offers, ordered by id.
    pub fn offers(&self) -> Vec<Arc<OfferView>> {
        sorted(&self.offers)
    }

    /// The latest answered offers, newest first.
    pub fn offer_history(&self, most: usize) -> Vec<Arc<OfferView>> {
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.iter().take(most).cloned().collect()
    }

    /// All tasks that live or are remembered, ordered by key.
    pub fn tasks(&self) -> Vec<Arc<TaskRecord>> {
        sorted(&self.tasks)
    }

    /// Every change from now on.
    pub fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.changes.subscribe()
    }
}

fn sorted<K: Eq + std::hash::Hash + Ord + Clone, V>(map: &DashMap<K, Arc<V>>) -> Vec<Arc<V>> {
    let mut entries: Vec<(K, Arc<V>)> = map.iter().map(|e| (e.key().clone(), e.value().clone())).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.into_iter().map(|(_, value)| value).collect()
}
