//! Data of volumes: there while a task writes to it, written by one task at a time, and in the end just what is recorded.

use std::collections::BTreeSet;

use proffer_proto_model::{HeldState, VolumeState};

use crate::world::{Node, World};

/// What running containers of every agent mount that the step may have changed.
pub fn check(world: &World, touched: &BTreeSet<Node>) -> Result<(), String> {
    for node in touched {
        let Node::Agent(n) = node else { continue };
        let agent = &world.agents[*n];
        let mut seen = BTreeSet::new();
        for volume in agent.runtime.mounted() {
            if !agent.directories.contains(volume) {
                return Err(format!("agent {n}: volume {volume} was removed under a task"));
            }
            if !seen.insert(volume) {
                return Err(format!("agent {n}: two tasks write to volume {volume}"));
            }
        }
    }
    Ok(())
}

/// Master, agent and disk agree on every volume, and nothing is left to do about any.
pub fn is_healed(world: &World) -> Result<(), String> {
    for record in &world.master.registry.agents {
        let of = |agent: &&crate::nodes::AgentNode| agent.disk.identity.agent.as_ref() == Some(&record.id);
        let Some(agent) = world.agents.iter().find(of) else { continue };
        if let Some(other) = record.volumes.iter().find(|known| known.state != VolumeState::Ready) {
            return Err(format!("volume {} of {} is {:?}", other.volume.id, record.id, other.state));
        }
        let recorded: Vec<_> = record.volumes.iter().map(|known| &known.volume).collect();
        let held: Vec<_> = agent.disk.volumes.values().collect();
        if held.iter().any(|held| held.state != HeldState::Ready)
            || !held.iter().map(|held| &held.volume).eq(recorded.clone())
        {
            return Err(format!("{} holds {held:?}, recorded are {recorded:?}", record.id));
        }
        let names: BTreeSet<String> = recorded.iter().map(|volume| format!("{}/{}", volume.role, volume.id)).collect();
        if names != agent.directories {
            return Err(format!("{} has directories {:?}, recorded are {names:?}", record.id, agent.directories));
        }
    }
    Ok(())
}
