//! The last step of building a task: what follows from what was said, and every check.

use std::collections::BTreeSet;

use proffer_proto_model::convert::WireError;
use proffer_proto_model::task::NetworkMode;
use proffer_proto_model::{PortSet, TaskId, TaskSpec};

use super::{Task, TaskDefect, TaskError};
use crate::outgoing::check_task;

impl Task {
    /// Checks everything and gives the finished task, or all that is wrong with it.
    pub fn build(mut self) -> Result<TaskSpec, TaskError> {
        self.check();
        let network = self.network.unwrap_or_else(|| self.default_network());
        self.container.network = network;
        for port in &mut self.container.ports {
            if network == NetworkMode::Host && port.host_port == 0 {
                port.host_port = port.container_port;
            }
            self.resources.ports = self.resources.ports.union(&PortSet::single(port.host_port));
        }
        let id = match TaskId::new(&self.id) {
            Ok(id) if self.defects.is_empty() => id,
            Ok(_) => return Err(TaskError { task: self.id, defects: self.defects }),
            Err(error) => {
                self.defects.insert(0, TaskDefect { field: "id".to_owned(), problem: error.to_string() });
                return Err(TaskError { task: self.id, defects: self.defects });
            }
        };
        let task = TaskSpec {
            id,
            name: self.name.unwrap_or_else(|| self.id.clone()),
            container: self.container,
            resources: self.resources,
            limits: self.limits,
            kill_policy: self.kill_policy,
            max_run_time_ms: self.max_run_time_ms,
            labels: self.labels,
            discovery_name: self.discovery_name,
            data: self.data,
            priority: self.priority,
            is_revocable: self.is_revocable,
        };
        match check_task(&task) {
            Ok(()) => Ok(task),
            Err(WireError { path, defect }) => {
                let defects = vec![TaskDefect { field: path, problem: defect.to_string() }];
                Err(TaskError { task: self.id, defects })
            }
        }
    }

    fn default_network(&self) -> NetworkMode {
        let needs_bridge = self.container.ports.iter().any(|p| p.container_port != 0);
        if needs_bridge { NetworkMode::Bridge } else { NetworkMode::Host }
    }

    fn check(&mut self) {
        if self.container.image.is_empty() {
            self.defect("image", "is missing; name one, e.g. .image(\"busybox:1.36\")".to_owned());
        }
        if self.resources.is_empty() {
            self.defect("resources", "are all zero; a task needs some".to_owned());
        }
        if self.data.len() > 64 << 10 {
            self.defect("data", format!("has {} bytes; at most 65536 are allowed", self.data.len()));
        }
        let mut names = BTreeSet::new();
        let ports: Vec<String> = self.container.ports.iter().map(|p| p.name.clone()).collect();
        for name in ports {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
                self.defect("port", format!("name {name:?} must be made of a-z A-Z 0-9 - _"));
            }
            if !names.insert(name.clone()) {
                self.defect("port", format!("name {name:?} is used twice; port names are unique in a task"));
            }
        }
        let relative = self.container.mounts.iter().find(|m| !m.target.starts_with('/')).map(|m| m.target.clone());
        if let Some(target) = relative {
            self.defect("mount", format!("target {target:?} is not absolute"));
        }
    }
}
