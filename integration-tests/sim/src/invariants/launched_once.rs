//! A task is launched at most once: no container's process was ever started twice, on any agent.

use std::collections::BTreeMap;

use crate::world::World;

/// Counts the starts of every container over all agents.
pub fn check(world: &World) -> Result<(), String> {
    let mut starts: BTreeMap<&str, u32> = BTreeMap::new();
    for agent in &world.agents {
        for (id, count) in agent.runtime.starts() {
            *starts.entry(id).or_default() += count;
        }
    }
    match starts.into_iter().find(|(_, count)| *count > 1) {
        Some((id, count)) => Err(format!("container {id} was started {count} times")),
        None => Ok(()),
    }
}
