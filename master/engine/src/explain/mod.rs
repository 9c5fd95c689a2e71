//! Answers an operator's "why is nothing started?" for one framework. Only reads; nothing is stored.

use std::collections::BTreeSet;

pub use proffer_master_allocator::{Block, Explanation, Group, Missing, Obstacle};
use proffer_proto_model::{FrameworkId, Now, Role};

use crate::state::State;
use crate::{Effect, FatalError};

/// Most wanted shapes that are explained in one answer.
const MAX_ITEMS: usize = 32;
/// Most groups of agents for one shape.
const MAX_GROUPS: usize = 12;

/// Why a framework is not offered what it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// Whose demand.
    pub framework: FrameworkId,
    /// It has a live session.
    pub is_connected: bool,
    /// It is being removed: its tasks are killed and it gets nothing.
    pub is_removing: bool,
    /// Offers it has not answered.
    pub offers: usize,
    /// The most it may have.
    pub max_offers: usize,
    /// Agents the master knows.
    pub agents: usize,
    /// Each wanted shape, at most 32, each with the 12 largest groups of agents.
    pub items: Vec<Explanation>,
    /// Wanted shapes that were left out.
    pub items_left_out: usize,
    /// In words, what is being done about it.
    pub notes: Vec<String>,
}

impl State {
    /// Answers with all that is wanted and what stands against it. Costs agents × wanted shapes.
    pub fn operator_why(&mut self, now: Now, request: u64, framework: &FrameworkId, role: Option<&Role>) {
        let answer = Box::new(self.why(now, framework, role));
        self.send.push(Effect::WhyReply { request, answer });
    }

    fn why(&self, now: Now, id: &FrameworkId, role: Option<&Role>) -> Result<Why, FatalError> {
        let Some(framework) = self.frameworks.get(id) else {
            let message =
                format!("framework_id: there is no framework {id}; see the list of frameworks for the right id");
            return Err(FatalError { is_not_found: true, message });
        };
        let roles = &framework.record.info.roles;
        if let Some(role) = role.filter(|role| !roles.contains(role)) {
            let known = roles.iter().map(Role::to_string).collect::<Vec<_>>().join(", ");
            let message = format!("role: {role} is none of the roles of framework {id}; use one of {known}");
            return Err(FatalError { is_not_found: true, message });
        }
        let (mut items, items_left_out) = self.allocator.explain(id, role, MAX_ITEMS, now.mono);
        items.iter_mut().for_each(|item| item.groups.truncate(MAX_GROUPS));
        let limits: BTreeSet<&Role> = items.iter().flat_map(|item| &item.blocks).filter_map(limit_of).collect();
        let away = limits.into_iter().filter_map(|role| self.away_words(role));
        let notes = self.preemption_notes(now, id).into_iter().chain(away).collect();
        Ok(Why {
            framework: id.clone(),
            is_connected: framework.session.is_some(),
            is_removing: framework.record.is_removing,
            offers: framework.offers.len(),
            max_offers: framework.guard.most_offers(self.config.max_offers_per_framework),
            agents: self.agents.len(),
            items,
            items_left_out,
            notes,
        })
    }
}

/// The role whose limit is in the way.
fn limit_of(block: &Block) -> Option<&Role> {
    if let Block::Limit { role } = block { Some(role) } else { None }
}
