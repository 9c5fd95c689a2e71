//! The engines' own invariants, recomputed from scratch by their `audit()`.

use std::collections::BTreeSet;

use crate::world::{Node, World};

/// Asks the master and the living agents that the step may have changed.
pub fn check(world: &World, touched: &BTreeSet<Node>) -> Result<(), String> {
    for node in touched {
        match node {
            Node::Master => {
                let broken = world.master.engine.as_ref().map(|engine| engine.audit()).unwrap_or_default();
                if !broken.is_empty() {
                    return Err(format!("the master's audit: {}", broken.join("; ")));
                }
            }
            Node::Agent(n) => {
                if let Some(engine) = &world.agents[*n].engine {
                    engine.audit().map_err(|broken| format!("agent {n}'s audit: {broken:?}"))?;
                }
            }
            Node::Framework(_) => {}
        }
    }
    Ok(())
}
