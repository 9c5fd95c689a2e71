//! A task is launched at most once: no container's process was ever started twice, on any agent.

use std::collections::BTreeSet;

use crate::world::{Node, World};

/// Takes the starts of the agents that the step may have changed.
pub fn check(world: &mut World, touched: &BTreeSet<Node>) -> Result<(), String> {
    for node in touched {
        let Node::Agent(n) = node else { continue };
        for container in world.agents[*n].runtime.take_started() {
            if let Some(again) = world.started.replace(container) {
                return Err(format!("container {again} was started a second time, on agent {n}"));
            }
        }
    }
    Ok(())
}
