//! After the faults stop, everything that can run runs, and everybody agrees on what that is.

use crate::world::World;

/// All processes live; each framework has exactly the tasks it wants; they are what really runs, and nothing else does.
pub fn is_healed(world: &World) -> Result<(), String> {
    if world.master.engine.is_none() {
        return Err("the master is down".to_owned());
    }
    if let Some(agent) = world.agents.iter().find(|a| a.engine.is_none() || a.conn.is_none()) {
        return Err(format!("agent {} is down or not attached", agent.number));
    }
    let mut wanted = 0;
    for framework in &world.frameworks {
        let running = framework.running();
        if running.len() != framework.part.wanted as usize {
            return Err(format!("framework {} has {} of {}", framework.number, running.len(), framework.part.wanted));
        }
        wanted += running.len();
    }
    let running: usize = world.agents.iter().map(|a| a.runtime.running().len()).sum();
    if running != wanted {
        return Err(format!("{running} containers run, frameworks believe in {wanted}"));
    }
    super::gangs::check(world)?;
    for ((framework, task), told) in world.oracle.tasks() {
        let believes = world.frameworks[*framework].running().contains(task);
        if !told.is_dismissed
            && told.terminal.is_none()
            && !believes
            && told.last != Some(proffer_proto_model::TaskState::Unknown)
        {
            return Err(format!("task {task} of framework {framework} never ended: last told {:?}", told.last));
        }
    }
    super::owned::is_healed(world)?;
    super::volumes::is_healed(world)
}
