//! What readers see: immutable records, published by the owner after each frame. Readers never touch the engine.

mod inverse;
mod ledger;
mod remembered;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use proffer_master_engine::registry::{TaskRecord, WindowId, WindowRecord};
use proffer_master_engine::view::{AgentState, AgentView, Change, FrameworkView, OfferOutcome, OfferView, RoleView};
use proffer_proto_model::{
    AgentId, ClusterId, Epoch, FrameworkId, FrameworkInfo, OfferId, Resources, Role, TaskKey, UnixMillis,
};
use tokio::sync::broadcast;

pub use self::ledger::{Count, Ledger};
use self::remembered::Remembered;

/// Answered offers that are remembered.
const OFFER_HISTORY: usize = 10_000;
/// Ended tasks that are remembered after they were confirmed.
const TASK_HISTORY: usize = 10_000;
/// Names of agents and frameworks that are remembered after they were forgotten, of each kind.
const NAME_HISTORY: usize = 10_000;
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
    windows: DashMap<WindowId, Arc<WindowRecord>>,
    inverse: inverse::InverseOffers,
    roles: DashMap<Role, Arc<RoleView>>,
    /// What attached agents have.
    total: Mutex<Resources>,
    answered: Mutex<VecDeque<Arc<OfferView>>>,
    ledgers: DashMap<FrameworkId, Ledger>,
    ended: Mutex<Remembered<TaskKey, ()>>,
    gone_frameworks: Mutex<Remembered<FrameworkId, String>>,
    gone_agents: Mutex<Remembered<AgentId, String>>,
    changes: broadcast::Sender<Arc<Change>>,
    /// Held once more by each watcher.
    watching: Arc<()>,
}

/// Host ports over all attached agents, counted for each agent: the same number on two agents is two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PortCounts {
    /// What the agents have.
    pub total: u64,
    /// What tasks hold.
    pub allocated: u64,
    /// What is out in offers.
    pub offered: u64,
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
    /// What attached agents have. Ports and sets are names within one agent and left out of sums.
    pub total: Resources,
    /// What tasks hold of it, without ports and sets.
    pub allocated: Resources,
    /// What is out in offers, without ports and sets.
    pub offered: Resources,
    /// Host ports.
    pub ports: PortCounts,
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
            windows: DashMap::new(),
            inverse: Default::default(),
            roles: DashMap::new(),
            total: Mutex::default(),
            answered: Mutex::default(),
            ledgers: DashMap::new(),
            ended: Mutex::default(),
            gone_frameworks: Mutex::default(),
            gone_agents: Mutex::default(),
            changes: broadcast::channel(WATCH_BACKLOG).0,
            watching: Arc::default(),
        }
    }

    /// Takes over one change and tells the watchers. Only the owner calls it.
    pub(crate) fn apply(&self, change: Change) {
        match &change {
            Change::Agent(agent) => {
                let before = self.agents.insert(agent.id.clone(), Arc::new((**agent).clone()));
                self.count(before.as_deref(), Some(agent));
            }
            Change::AgentRemoved(id) => {
                if let Some((_, agent)) = self.agents.remove(id) {
                    self.count(Some(&agent), None);
                    lock(&self.gone_agents).put(id.clone(), agent.info.hostname.clone(), NAME_HISTORY);
                }
            }
            Change::Framework(framework) => {
                self.frameworks.insert(framework.id.clone(), Arc::new((**framework).clone()));
            }
            Change::FrameworkRemoved(id) => {
                self.ledgers.remove(id);
                if let Some((_, framework)) = self.frameworks.remove(id) {
                    lock(&self.gone_frameworks).put(id.clone(), framework.info.name.clone(), NAME_HISTORY);
                }
            }
            Change::Offer(offer) => self.offer(Arc::new((**offer).clone())),
            Change::Task(task) => {
                // An id may be used again: what lives is never evicted as history.
                lock(&self.ended).remove(&task.key);
                self.tasks.insert(task.key.clone(), Arc::new((**task).clone()));
            }
            Change::Role(role) => {
                self.roles.insert(role.role.clone(), Arc::new((**role).clone()));
            }
            Change::RoleRemoved(role) => {
                self.roles.remove(role);
            }
            Change::TaskForgotten(key) => self.task_forgotten(key),
            Change::Inverse(view) => self.inverse.apply(Arc::new((**view).clone())),
            Change::Window(window) => drop(self.windows.insert(window.id.clone(), Arc::new((**window).clone()))),
            Change::WindowRemoved(id) => drop(self.windows.remove(id)),
        }
        // Nobody watching is no error.
        let _ = self.changes.send(Arc::new(change));
    }

    /// Keeps the total of all attached agents, at the cost of one.
    fn count(&self, before: Option<&AgentView>, after: Option<&AgentView>) {
        let part = |view: Option<&AgentView>| {
            let attached = view.filter(|agent| agent.state == AgentState::Attached);
            attached.map(|agent| countable(&agent.info.resources)).unwrap_or_default()
        };
        let (less, more) = (part(before), part(after));
        if less != more {
            let mut total = lock(&self.total);
            *total = total.saturating_minus(&less).saturating_sum(&more);
        }
    }

    /// What attached agents have, without ports and sets.
    pub fn total(&self) -> Resources {
        lock(&self.total).clone()
    }

    fn offer(&self, offer: Arc<OfferView>) {
        if offer.outcome == OfferOutcome::Outstanding {
            self.offers.insert(offer.offer.id.clone(), offer);
            return;
        }
        self.offers.remove(&offer.offer.id);
        self.note_answer(&offer);
        let mut answered = lock(&self.answered);
        answered.push_front(offer);
        answered.truncate(OFFER_HISTORY);
    }

    fn task_forgotten(&self, key: &TaskKey) {
        // One that did not end, as with a framework removed while its agent was away, is no history.
        if self.tasks.get(key).is_none_or(|task| !task.status.state.is_terminal()) {
            self.tasks.remove(key);
            return;
        }
        if let Some(oldest) = lock(&self.ended).put(key.clone(), (), TASK_HISTORY) {
            self.tasks.remove(&oldest);
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
            ports: PortCounts::default(),
            agents_attached: 0,
            agents_detached: 0,
            frameworks_connected: 0,
            frameworks_disconnected: 0,
            offers: u32::try_from(self.offers.len()).unwrap_or(u32::MAX),
            tasks_active: 0,
        };
        for agent in self.agents() {
            summary.tasks_active += agent.tasks_active;
            if agent.mode.is_gone() {
                continue;
            }
            if agent.state != AgentState::Attached {
                summary.agents_detached += 1;
                continue;
            }
            summary.agents_attached += 1;
            let AgentView { info, allocated, offered, .. } = &*agent;
            add(&mut summary.total, &mut summary.ports.total, &info.resources);
            add(&mut summary.allocated, &mut summary.ports.allocated, allocated);
            add(&mut summary.offered, &mut summary.ports.offered, offered);
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

    /// Tasks of a framework that have not ended; 0 when it is not known.
    pub fn tasks_active_of(&self, name: &str, principal: &str) -> usize {
        let is_it = |info: &FrameworkInfo| info.name == name && info.principal == principal;
        self.frameworks.iter().find(|known| is_it(&known.info)).map_or(0, |known| known.tasks_active as usize)
    }

    /// Is the framework there, connected or not?
    pub fn knows_framework(&self, id: &FrameworkId) -> bool {
        self.frameworks.contains_key(id)
    }

    /// One framework's name, also when it is gone; its id when even its name is forgotten.
    pub fn framework_name(&self, id: &FrameworkId) -> String {
        let living = self.frameworks.get(id).map(|f| f.info.name.clone());
        living.or_else(|| lock(&self.gone_frameworks).get(id)).unwrap_or_else(|| id.to_string())
    }

    /// One agent's host name, also when it is gone; empty when even its name is forgotten.
    pub fn hostname(&self, id: &AgentId) -> String {
        let living = self.agents.get(id).map(|a| a.info.hostname.clone());
        living.or_else(|| lock(&self.gone_agents).get(id)).unwrap_or_default()
    }

    /// Outstanding offers, ordered by id.
    pub fn offers(&self) -> Vec<Arc<OfferView>> {
        sorted(&self.offers)
    }

    /// The latest answered offers, newest first.
    pub fn offer_history(&self, most: usize) -> Vec<Arc<OfferView>> {
        lock(&self.answered).iter().take(most).cloned().collect()
    }

    /// All tasks that live or are remembered, ordered by key.
    pub fn tasks(&self) -> Vec<Arc<TaskRecord>> {
        sorted(&self.tasks)
    }

    /// Maintenance windows that are planned or open, ordered by id.
    pub fn windows(&self) -> Vec<Arc<WindowRecord>> {
        sorted(&self.windows)
    }

    /// All roles that are in use or have settings, and those above them, ordered so that a role comes right before
    /// those in it.
    pub fn roles(&self) -> Vec<Arc<RoleView>> {
        let mut roles = sorted(&self.roles);
        let parents = |role: &Arc<RoleView>| std::iter::successors(role.role.parent(), Role::parent);
        let above: BTreeSet<Role> = roles.iter().flat_map(parents).collect();
        let missing = above.into_iter().filter(|role| !self.roles.contains_key(role));
        roles.extend(missing.map(|role| Arc::new(RoleView::unused(role))));
        // By parts, not by letters: `eng-x` does not come between `eng` and `eng/web`.
        roles.sort_by(|a, b| a.role.as_str().split('/').cmp(b.role.as_str().split('/')));
        roles
    }

    /// One role, when it is in use or has settings.
    pub fn role(&self, role: &Role) -> Option<Arc<RoleView>> {
        self.roles.get(role).map(|role| Arc::clone(&role))
    }

    /// Counts as a watcher for as long as the answer is kept.
    pub(crate) fn watching(&self) -> Arc<()> {
        Arc::clone(&self.watching)
    }

    /// How many watch now.
    pub fn watchers(&self) -> usize {
        Arc::strong_count(&self.watching) - 1
    }

    /// Every change from now on.
    pub fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.changes.subscribe()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds what makes sense over several agents; ports are only counted.
fn add(sum: &mut Resources, ports: &mut u64, more: &Resources) {
    *ports += u64::from(more.ports.count());
    *sum = sum.saturating_sum(&countable(more));
}

fn countable(of: &Resources) -> Resources {
    Resources { ports: Default::default(), sets: Default::default(), ..of.clone() }
}

fn sorted<K: Eq + std::hash::Hash + Ord + Clone, V>(map: &DashMap<K, Arc<V>>) -> Vec<Arc<V>> {
    let mut entries: Vec<(K, Arc<V>)> = map.iter().map(|e| (e.key().clone(), e.value().clone())).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.into_iter().map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests;
