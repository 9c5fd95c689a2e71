//! Containers of one simulated agent: they outlive the agent's process, as real ones do.

use std::collections::BTreeMap;

use proffer_agent_engine::{Exit, ExitCause, SeenContainer, SeenStatus};
use proffer_proto_model::task::MountSource;
use proffer_proto_model::{Resources, TaskSpec};

/// Where in its life a simulated container is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Created,
    Running,
    Ended(Exit),
}

#[derive(Debug, Clone)]
struct Container {
    state: State,
    pid: u32,
    resources: Resources,
    /// Volumes it writes to, as role/name.
    volumes: Vec<String>,
}

/// All containers of one agent, and which were started since somebody asked.
#[derive(Debug, Default)]
pub struct SimRuntime {
    containers: BTreeMap<String, Container>,
    started: Vec<String>,
    pids: u32,
}

impl SimRuntime {
    /// The volumes that running containers write to, once for each.
    pub fn mounted(&self) -> Vec<&str> {
        let running = self.containers.values().filter(|container| container.state == State::Running);
        running.flat_map(|container| container.volumes.iter().map(String::as_str)).collect()
    }

    /// Makes a container; `None` when there is one of that id.
    pub fn create(&mut self, id: &str, spec: &TaskSpec) -> Option<u32> {
        if self.containers.contains_key(id) {
            return None;
        }
        self.pids += 1;
        let named = spec.container.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume { id, role: Some(role), .. } => Some(format!("{role}/{id}")),
            _ => None,
        });
        let (resources, volumes) = (spec.resources.clone(), named.collect());
        self.containers.insert(id.to_owned(), Container { state: State::Created, pid: self.pids, resources, volumes });
        Some(self.pids)
    }

    /// Starts a container; false when there is none. One that runs already is left alone.
    pub fn start(&mut self, id: &str) -> bool {
        let Some(container) = self.containers.get_mut(id) else { return false };
        if container.state == State::Created {
            container.state = State::Running;
            self.started.push(id.to_owned());
        }
        true
    }

    /// Ends a running container; false when it does not run.
    pub fn end(&mut self, id: &str, cause: ExitCause) -> bool {
        match self.containers.get_mut(id) {
            Some(container) if container.state == State::Running => {
                container.state = State::Ended(Exit { cause, peak_memory_bytes: Some(1 << 20) });
                true
            }
            _ => false,
        }
    }

    /// Removes a container, running or not.
    pub fn delete(&mut self, id: &str) {
        self.containers.remove(id);
    }

    /// How it ended: `Some(None)` while it has not, `None` when there is no such container.
    pub fn exit(&self, id: &str) -> Option<Option<Exit>> {
        self.containers.get(id).map(|c| match c.state {
            State::Ended(exit) => Some(exit),
            _ => None,
        })
    }

    /// Runs now.
    pub fn is_running(&self, id: &str) -> bool {
        self.containers.get(id).is_some_and(|c| c.state == State::Running)
    }

    /// Ids of all running containers, in order.
    pub fn running(&self) -> Vec<String> {
        self.containers.iter().filter(|(_, c)| c.state == State::Running).map(|(id, _)| id.clone()).collect()
    }

    /// What all running containers hold together.
    pub fn held(&self) -> Vec<&Resources> {
        self.containers.values().filter(|c| c.state == State::Running).map(|c| &c.resources).collect()
    }

    /// The containers started since the last call; one that was started twice is named twice.
    pub fn take_started(&mut self) -> Vec<String> {
        std::mem::take(&mut self.started)
    }

    /// What an agent that starts finds.
    pub fn seen(&self) -> Vec<SeenContainer> {
        let seen = |(id, c): (&String, &Container)| SeenContainer {
            id: id.clone(),
            is_ours: true,
            status: match c.state {
                State::Created => SeenStatus::Created { pid: c.pid },
                State::Running => SeenStatus::Running { pid: c.pid },
                State::Ended(_) => SeenStatus::Ended,
            },
        };
        self.containers.iter().map(seen).collect()
    }
}
