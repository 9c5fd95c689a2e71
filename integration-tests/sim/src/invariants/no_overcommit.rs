//! What really runs on an agent fits into what the agent has.

use std::collections::BTreeSet;

use proffer_proto_model::Resources;

use crate::world::{Node, World};

/// Sums up the running containers of every agent that the step may have changed.
pub fn check(world: &World, touched: &BTreeSet<Node>) -> Result<(), String> {
    for node in touched {
        let Node::Agent(n) = node else { continue };
        let agent = &world.agents[*n];
        let total = &agent.resources;
        let mut free = Some(total.clone());
        for held in agent.runtime.held() {
            free = free.and_then(|free| free.checked_sub(held));
        }
        if free.is_none() {
            let held = agent.runtime.held().into_iter().fold(Resources::default(), |sum, r| sum.saturating_sum(r));
            return Err(format!("agent {} runs {held} and has only {total}", agent.number));
        }
    }
    Ok(())
}
