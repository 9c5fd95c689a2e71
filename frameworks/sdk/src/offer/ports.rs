//! Chooses host ports for a task and subtracts what it needs from an offer.

use proffer_proto_model::{PortRange, PortSet, Resources, TaskSpec};

/// The task does not fit.
pub(super) struct Refused {
    pub(super) task: Box<TaskSpec>,
    pub(super) shortage: Resources,
}

/// Fills the open host ports of `task` with the lowest of `left`, and gives what is left after it.
///
/// Ports of `taken` were set aside by the author; only tasks that name them may use them.
pub(super) fn assign(
    mut task: TaskSpec,
    left: &Resources,
    taken: &PortSet,
) -> Result<(TaskSpec, Resources, PortSet), Refused> {
    let fixed: PortSet = task
        .container
        .ports
        .iter()
        .filter(|p| p.host_port != 0)
        .map(|p| PortRange { begin: p.host_port, end: p.host_port })
        .collect();
    let named = task.resources.ports.union(&fixed);
    let mut needed = task.resources.clone();
    needed.ports = named.clone();
    let mut available = left.clone();
    available.ports = left.ports.union(taken);
    if let Some(shortage) = available.shortage(&needed) {
        return Err(Refused { task: Box::new(task), shortage: shortage.0 });
    }
    let open = task.container.ports.iter().filter(|p| p.host_port == 0).count();
    let free = left.ports.minus(&named);
    let Some(chosen) = u32::try_from(open).ok().and_then(|open| free.lowest(open)) else {
        return Err(Refused { shortage: missing_ports(open, &free), task: Box::new(task) });
    };
    let mappings = task.container.ports.iter_mut().filter(|p| p.host_port == 0);
    for (mapping, port) in mappings.zip(chosen.iter()) {
        mapping.host_port = port;
    }
    for mapping in task.container.ports.iter_mut().filter(|p| p.container_port == 0) {
        mapping.container_port = mapping.host_port;
    }
    task.resources.ports = named.union(&chosen);
    needed.ports = PortSet::EMPTY;
    let mut rest = left.checked_sub(&needed).unwrap_or_default();
    rest.ports = left.ports.minus(&task.resources.ports);
    let taken = taken.minus(&task.resources.ports);
    Ok((task, rest, taken))
}

/// As many ports as are missing. Which ones does not matter to the task, so the lowest that the offer lacks stand for them.
fn missing_ports(open: usize, free: &PortSet) -> Resources {
    let missing = u32::try_from(open).unwrap_or(u32::MAX).saturating_sub(free.count());
    let all = PortSet::from(vec![PortRange { begin: 1, end: u16::MAX }]);
    Resources { ports: all.minus(free).lowest(missing).unwrap_or_default(), ..Resources::default() }
}
