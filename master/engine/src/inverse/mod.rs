//! Inverse offers: requests to leave an agent, one for each agent and framework at a time, with their answers.
//!
//! A request follows from what is stored (windows, drains, tasks), so nothing of it is stored itself: a new master
//! makes it again under a new name. It never ends a task; what is left at its start is ended by whoever made it.

mod occasion;
mod reply;

use std::collections::{BTreeMap, BTreeSet};

use proffer_proto_model::{
    AgentId, FrameworkId, InverseEnd, InverseOffer, InverseOfferId, Moment, Now, Resources, TaskId, TaskKey, UnixMillis,
};

pub(crate) use self::occasion::Occasion;
use crate::ToFramework;
use crate::state::{State, countable};
use crate::timers::Timer;
use crate::view::{InverseOutcome, InverseView};

/// Requests in one message.
const REQUESTS: usize = 1_000;

/// All requests that are open, and where to look again.
#[derive(Debug, Default)]
pub(crate) struct Inverse {
    open: BTreeMap<InverseOfferId, OpenInverse>,
    by_agent: BTreeMap<AgentId, BTreeMap<FrameworkId, InverseOfferId>>,
    by_framework: BTreeMap<FrameworkId, BTreeSet<InverseOfferId>>,
    /// Agents to be looked at before the frame is done.
    to_look_at: BTreeSet<AgentId>,
    next: u64,
}

/// A request that is not over.
#[derive(Debug)]
pub(crate) struct OpenInverse {
    offer: InverseOffer,
    framework: FrameworkId,
    sent: UnixMillis,
    outcome: InverseOutcome,
    ask_again: Option<Moment>,
}

impl OpenInverse {
    fn view(&self) -> InverseView {
        let Self { offer, framework, sent, outcome, ask_again: _ } = self;
        InverseView {
            offer: offer.clone(),
            framework: framework.clone(),
            sent: *sent,
            outcome: outcome.clone(),
            ended: None,
        }
    }
}

/// What is to be said at the end of a look, one message for each framework.
#[derive(Default)]
struct News {
    ended: BTreeMap<(FrameworkId, InverseEnd), Vec<InverseOfferId>>,
    made: BTreeMap<FrameworkId, Vec<InverseOffer>>,
}

impl State {
    /// Something about an agent or its tasks changed that may matter to who is asked to leave it.
    pub fn look_at(&mut self, agent: &AgentId) {
        let is_idle = self.windows.is_empty() && self.draining.is_empty() && self.inverse.open.is_empty();
        if !is_idle && !self.inverse.to_look_at.contains(agent) {
            self.look_at_always(agent);
        }
    }

    /// The same when nobody is asked anything yet.
    pub fn look_at_always(&mut self, agent: &AgentId) {
        self.inverse.to_look_at.insert(agent.clone());
    }

    /// Makes and ends the requests of all agents that are to be looked at.
    pub fn settle_inverse(&mut self, now: Now) {
        if self.inverse.to_look_at.is_empty() {
            return;
        }
        let mut news = News::default();
        for agent in std::mem::take(&mut self.inverse.to_look_at) {
            self.settle_agent(now, &agent, &mut news);
        }
        for ((framework, end), offers) in news.ended {
            for offers in offers.chunks(REQUESTS) {
                let offers = offers.to_vec();
                self.tell_framework(&framework, ToFramework::RescindInverse { offers, end });
            }
        }
        for (framework, offers) in news.made {
            self.tell_inverse(&framework, offers);
        }
    }

    fn settle_agent(&mut self, now: Now, agent: &AgentId, news: &mut News) {
        let occasion = self.occasion(now, agent);
        let asked: Vec<_> =
            self.inverse.by_agent.get(agent).map(|by| by.values().cloned().collect()).unwrap_or_default();
        self.count_steps(1);
        if occasion.is_none() && asked.is_empty() {
            return;
        }
        let mut living = self.living_tasks(agent);
        self.count_steps(living.values().map(Vec::len).sum());
        let is_lost = self.agents.get(agent).is_none_or(|a| a.record.is_unreachable || a.record.mode.is_gone());
        for id in asked {
            let Some(open) = self.inverse.open.get(&id) else { continue };
            let end = match (living.get(&open.framework), &occasion) {
                (None, _) if is_lost => InverseEnd::AgentLost,
                (None, _) => InverseEnd::Left,
                (Some(_), None) => InverseEnd::Cancelled,
                (Some(tasks), Some(occasion)) => match occasion.goes_on(&open.offer, &open.framework, tasks) {
                    Ok(()) => {
                        living.remove(&open.framework);
                        continue;
                    }
                    Err(end) => end,
                },
            };
            if let Some(framework) = self.end_inverse(&id, end) {
                news.ended.entry((framework, end)).or_default().push(id);
            }
        }
        let Some(occasion) = occasion else { return };
        for (framework, tasks) in living {
            let tasks: Vec<TaskId> = tasks.into_iter().filter(|task| occasion.is_about(&framework, task)).collect();
            if !tasks.is_empty() {
                let offer = self.make_inverse(now, agent, &framework, &occasion, tasks);
                news.made.entry(framework).or_default().push(offer);
            }
        }
    }

    /// The tasks that hold something of an agent, of frameworks that are not being removed.
    fn living_tasks(&self, agent: &AgentId) -> BTreeMap<FrameworkId, Vec<TaskId>> {
        let mut living: BTreeMap<FrameworkId, Vec<TaskId>> = BTreeMap::new();
        let tasks = self.agents.get(agent).map(|agent| &agent.tasks).into_iter().flatten();
        for TaskKey { framework, task } in tasks.filter(|key| self.tasks.get(key).is_some_and(|task| task.is_charged)) {
            if self.frameworks.get(framework).is_some_and(|f| !f.record.is_removing) {
                living.entry(framework.clone()).or_default().push(task.clone());
            }
        }
        living
    }

    fn make_inverse(
        &mut self,
        now: Now,
        agent: &AgentId,
        framework: &FrameworkId,
        occasion: &Occasion,
        tasks: Vec<TaskId>,
    ) -> InverseOffer {
        self.inverse.next += 1;
        let id = InverseOfferId::numbered(self.epoch.0, self.inverse.next);
        let held = tasks.iter().filter_map(|task| {
            self.tasks.get(&TaskKey { framework: framework.clone(), task: task.clone() }).map(|t| &t.record.resources)
        });
        let resources = held.fold(Resources::default(), |sum, held| sum.saturating_sum(&countable(held)));
        let offer = InverseOffer {
            id: id.clone(),
            agent: agent.clone(),
            hostname: self.agents.get(agent).map(|a| a.record.info.hostname.clone()).unwrap_or_default(),
            cause: occasion.cause,
            unavailability: occasion.unavailability,
            tasks,
            resources,
            message: occasion.message.clone(),
        };
        let open = OpenInverse {
            offer: offer.clone(),
            framework: framework.clone(),
            sent: now.unix,
            outcome: InverseOutcome::Outstanding,
            ask_again: None,
        };
        self.touched.inverse(open.view());
        self.inverse.by_agent.entry(agent.clone()).or_default().insert(framework.clone(), id.clone());
        self.inverse.by_framework.entry(framework.clone()).or_default().insert(id.clone());
        self.inverse.open.insert(id, open);
        offer
    }

    /// Ends a request; gives whom it was for.
    fn end_inverse(&mut self, id: &InverseOfferId, end: InverseEnd) -> Option<FrameworkId> {
        let open = self.inverse.open.remove(id)?;
        if let Some(at) = open.ask_again {
            self.timers.remove(&(at, Timer::AskAgain(id.clone())));
        }
        let view = InverseView { ended: Some(end), ..open.view() };
        let framework = open.framework;
        if let Some(by_framework) = self.inverse.by_agent.get_mut(&open.offer.agent) {
            by_framework.remove(&framework);
            if by_framework.is_empty() {
                self.inverse.by_agent.remove(&open.offer.agent);
            }
        }
        if let Some(ids) = self.inverse.by_framework.get_mut(&framework) {
            ids.remove(id);
            if ids.is_empty() {
                self.inverse.by_framework.remove(&framework);
            }
        }
        self.touched.inverse(view);
        Some(framework)
    }

    fn tell_inverse(&mut self, framework: &FrameworkId, offers: Vec<InverseOffer>) {
        for offers in offers.chunks(REQUESTS) {
            self.tell_framework(framework, ToFramework::InverseOffers(offers.to_vec()));
        }
    }

    /// A framework is back: it is told again what it is asked for, also what it has answered before.
    pub fn repeat_inverse(&mut self, framework: &FrameworkId) {
        let of_it = self.inverse.by_framework.get(framework).into_iter().flatten();
        let offers: Vec<InverseOffer> =
            of_it.filter_map(|id| self.inverse.open.get(id)).map(|open| open.offer.clone()).collect();
        self.count_steps(offers.len());
        self.tell_inverse(framework, offers);
    }

    /// Requests are known by name and by place alike, and each is about a task that is there.
    pub fn audit_inverse(&self, broken: &mut Vec<String>) {
        for (id, open) in &self.inverse.open {
            let here = self.inverse.by_agent.get(&open.offer.agent);
            if here.and_then(|by_framework| by_framework.get(&open.framework)) != Some(id) {
                broken.push(format!("inverse offer {id} is not the one of its place"));
            }
            if !self.inverse.by_framework.get(&open.framework).is_some_and(|ids| ids.contains(id)) {
                broken.push(format!("inverse offer {id} is not known as one to {}", open.framework));
            }
            if !self.living_tasks(&open.offer.agent).contains_key(&open.framework) {
                broken.push(format!("inverse offer {id}: framework {} has nothing there", open.framework));
            }
        }
        let to_frameworks = self.inverse.by_framework.values().map(BTreeSet::len).sum::<usize>();
        let places = self.inverse.by_agent.values().map(BTreeMap::len).sum::<usize>();
        if self.inverse.open.len() != places || self.inverse.open.len() != to_frameworks {
            broken.push("inverse offers: more places than requests, or fewer".to_owned());
        }
    }
}
