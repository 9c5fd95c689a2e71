//! Collects what changed for readers, each thing once, and turns it into plain records when asked.

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{AgentId, FrameworkId, InverseOfferId, OfferId, Resources, Role, TaskKey};

use crate::registry::{TaskRecord, WindowId};
use crate::state::{Agent, Framework, State, countable};
use crate::view::{AgentState, AgentView, Change, FrameworkView, InverseView, OfferView};

/// What changed since readers were told last.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    agents: BTreeSet<AgentId>,
    frameworks: BTreeSet<FrameworkId>,
    tasks: BTreeSet<TaskKey>,
    roles: BTreeSet<Role>,
    offers: BTreeMap<OfferId, OfferView>,
    windows: BTreeSet<WindowId>,
    inverse: BTreeMap<InverseOfferId, InverseView>,
    /// Things that are gone, in order, each with its last form before it.
    gone: Vec<Change>,
    /// How often anything changed.
    count: u64,
}

impl Touched {
    /// How often anything changed since the start.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// An agent changed.
    pub fn agent(&mut self, agent: &AgentId) {
        self.count += 1;
        self.agents.insert(agent.clone());
    }

    /// A framework changed.
    pub fn framework(&mut self, framework: &FrameworkId) {
        self.count += 1;
        self.frameworks.insert(framework.clone());
    }

    /// A role changed, or nothing is left to know of it.
    pub fn role(&mut self, role: &Role) {
        self.count += 1;
        self.roles.insert(role.clone());
    }

    /// A task changed.
    pub fn task(&mut self, task: &TaskKey) {
        self.count += 1;
        self.tasks.insert(task.clone());
    }

    /// An offer was sent or has ended.
    pub fn offer(&mut self, view: OfferView) {
        self.count += 1;
        self.offers.insert(view.offer.id.clone(), view);
    }

    /// A request to leave an agent was sent, answered or is over.
    pub fn inverse(&mut self, view: InverseView) {
        self.count += 1;
        self.inverse.insert(view.offer.id.clone(), view);
    }

    /// A task is forgotten; its last form goes first when readers have not seen it.
    pub fn task_forgotten(&mut self, last: TaskRecord) {
        self.count += 1;
        let key = last.key.clone();
        if self.tasks.remove(&key) {
            self.gone.push(Change::Task(Box::new(last)));
        }
        self.gone.push(Change::TaskForgotten(key));
    }

    /// A maintenance window changed.
    pub fn window(&mut self, window: &WindowId) {
        self.count += 1;
        self.windows.insert(window.clone());
    }

    /// A maintenance window is forgotten.
    pub fn window_forgotten(&mut self, window: &WindowId) {
        self.count += 1;
        self.windows.remove(window);
        self.gone.push(Change::WindowRemoved(window.clone()));
    }

    /// An agent is forgotten.
    pub fn agent_forgotten(&mut self, agent: &AgentId) {
        self.count += 1;
        self.agents.remove(agent);
        self.gone.push(Change::AgentRemoved(agent.clone()));
    }

    /// A framework is forgotten.
    pub fn framework_forgotten(&mut self, framework: &FrameworkId) {
        self.count += 1;
        self.frameworks.remove(framework);
        self.gone.push(Change::FrameworkRemoved(framework.clone()));
    }
}

impl State {
    /// What changed for readers since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let next = Touched { count: self.touched.count, ..Touched::default() };
        let touched = std::mem::replace(&mut self.touched, next);
        let mut changes = touched.gone;
        for id in &touched.agents {
            changes.extend(self.agents.get(id).map(|agent| Change::Agent(Box::new(self.agent_view(agent)))));
        }
        for id in &touched.frameworks {
            let framework = self.frameworks.get(id);
            changes.extend(framework.map(|f| Change::Framework(Box::new(self.framework_view(f)))));
        }
        for role in touched.roles {
            changes.push(match self.roles.get(&role) {
                Some(state) => Change::Role(Box::new(self.role_view(&role, state))),
                None => Change::RoleRemoved(role),
            });
        }
        for key in &touched.tasks {
            changes.extend(self.tasks.get(key).map(|task| Change::Task(Box::new(task.record.clone()))));
        }
        for id in &touched.windows {
            changes.extend(self.windows.get(id).map(|window| Change::Window(Box::new(window.clone()))));
        }
        changes.extend(touched.inverse.into_values().map(|offer| Change::Inverse(Box::new(offer))));
        changes.extend(touched.offers.into_values().map(|offer| Change::Offer(Box::new(offer))));
        changes
    }

    fn agent_view(&self, agent: &Agent) -> AgentView {
        let state = match (agent.session, agent.record.is_unreachable) {
            (Some(_), _) => AgentState::Attached,
            (None, false) => AgentState::Detached,
            (None, true) => AgentState::Unreachable,
        };
        AgentView {
            id: agent.record.id.clone(),
            info: agent.record.info.clone(),
            state,
            mode: agent.record.mode,
            allocated: agent.allocated.clone(),
            offered: self.sum_of_offers(&agent.offers, Clone::clone),
            tasks_active: agent.tasks_active,
            reserved: agent.record.all_reserved(),
            volumes: self.all_volumes(&agent.record.id),
        }
    }

    fn framework_view(&self, framework: &Framework) -> FrameworkView {
        FrameworkView {
            id: framework.record.id.clone(),
            info: framework.record.info.clone(),
            is_connected: framework.session.is_some(),
            allocated: framework.allocated.clone(),
            offered: self.sum_of_offers(&framework.offers, countable),
            tasks_active: framework.tasks_active,
            demand: framework.demand.clone(),
            share_millionths: self.allocator.share_millionths(&framework.record.id),
            offers: framework.offers.len(),
            max_offers: framework.guard.most_offers(self.config.max_offers_per_framework),
        }
    }

    fn sum_of_offers(&self, offers: &BTreeSet<OfferId>, part: fn(&Resources) -> Resources) -> Resources {
        self.apart(offers).fold(Resources::default(), |sum, open| sum.saturating_sum(&part(&open.offer.resources)))
    }
}
