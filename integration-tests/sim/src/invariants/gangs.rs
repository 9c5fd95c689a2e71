//! Once all is settled, no gang runs in part: where one task never ran, none of the others does.

use std::collections::BTreeSet;

use proffer_proto_model::TaskId;

use crate::world::World;

/// What ran is taken from the runtimes, not from what anybody says.
pub fn check(world: &World) -> Result<(), String> {
    let started: BTreeSet<&str> = world.started.iter().filter_map(|container| task_of(container)).collect();
    let running: Vec<String> = world.agents.iter().flat_map(|agent| agent.runtime.running()).collect();
    let running: BTreeSet<&str> = running.iter().filter_map(|container| task_of(container)).collect();
    for gang in world.oracle.gangs() {
        let never = |task: &&TaskId| !started.contains(task.as_str());
        let is_up = |task: &&TaskId| running.contains(task.as_str());
        if let (Some(never), Some(up)) = (gang.iter().find(never), gang.iter().find(is_up)) {
            return Err(format!("task {up} runs, and {never} of the same gang never did"));
        }
    }
    Ok(())
}

/// Ids of containers are `pf-F<epoch>-<number>-<task>` here.
fn task_of(container: &str) -> Option<&str> {
    container.splitn(4, '-').nth(3)
}
