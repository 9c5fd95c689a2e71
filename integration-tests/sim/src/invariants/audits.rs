//! The engines' own invariants, recomputed from scratch by their `audit()`.

use crate::world::World;

/// Asks the master and every living agent.
pub fn check(world: &World) -> Result<(), String> {
    if let Some(engine) = &world.master.engine {
        let broken = engine.audit();
        if !broken.is_empty() {
            return Err(format!("the master's audit: {}", broken.join("; ")));
        }
    }
    for agent in &world.agents {
        if let Some(engine) = &agent.engine {
            engine.audit().map_err(|broken| format!("agent {}'s audit: {broken:?}", agent.number))?;
        }
    }
    Ok(())
}
